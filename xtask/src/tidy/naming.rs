//! Dependencies that only some crates may name, so that a seam stays where it is.
//!
//! Cargo's metadata alone would not do: a crate may re-export another, and its users then name it in code.

use std::path::Path;

use super::layer_table::{LayerTable, OnlyIn, PATH};
use crate::finding::Finding;
use crate::rust_text;
use crate::tree::Tree;
use crate::workspace::Package;

/// Findings about `only … in …` rules.
pub(crate) fn check(tree: &Tree, table: &LayerTable, packages: &[Package], root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &table.only {
        findings.extend(packages.iter().filter_map(|package| declared(rule, package, root)));
    }
    for file in tree.ending(".rs") {
        let crate_name = owner(file.path);
        let code = rust_text::code_only(file.text);
        let rules = table.only.iter().filter(|rule| !rule.allows(crate_name));
        findings.extend(rules.filter_map(|rule| named(rule, file.path, &code)));
    }
    findings
}

impl OnlyIn {
    fn allows(&self, crate_name: &str) -> bool {
        self.crates.iter().any(|allowed| allowed == crate_name)
    }

    fn remedy(&self) -> String {
        format!("only {} may ({PATH}); go through it", self.crates.join(" and "))
    }
}

fn declared(rule: &OnlyIn, package: &Package, root: &Path) -> Option<Finding> {
    let used = package.dependencies.iter().any(|used| used.name == rule.dependency);
    (used && !rule.allows(&package.name)).then(|| {
        let what = format!("`{}` depends on `{}`", package.name, rule.dependency);
        Finding::new(&format!("{}/Cargo.toml", package.folder(root)), 1, what, rule.remedy())
    })
}

/// The first place in `code` with the dependency as the start of a path.
fn named(rule: &OnlyIn, path: &str, code: &str) -> Option<Finding> {
    let ident = rule.dependency.replace('-', "_");
    let (at, word) = rust_text::words(code).find(|&(at, word)| {
        word == ident && (code[at + word.len()..].starts_with("::") || is_use(code, at))
    })?;
    let what = format!("the code names `{word}`");
    Some(Finding::new(path, rust_text::line_of(code, at), what, rule.remedy()))
}

fn is_use(code: &str, at: usize) -> bool {
    code[..at].trim_end().ends_with("use") || code[..at].trim_end().ends_with("extern crate")
}

/// The crate that a file belongs to, by its folder.
fn owner(path: &str) -> &str {
    let mut parts = path.split('/');
    match parts.next() {
        Some("crates") => parts.next().unwrap_or_default(),
        other => other.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layer_table;
    use super::*;
    use crate::workspace::Dependency;

    fn findings(path: &str, text: &str, packages: &[Package]) -> Vec<Finding> {
        let tree = Tree::of(&[(PATH, "only quick-xml in winremote\n"), (path, text)]);
        check(&tree, &layer_table::read(&tree).unwrap(), packages, Path::new("/r"))
    }

    #[test]
    fn a_crate_that_may_not_depend_on_it_is_found() {
        let package = |name: &str| Package {
            name: name.to_owned(),
            manifest_path: format!("/r/crates/{name}/Cargo.toml").into(),
            dependencies: vec![Dependency { name: "quick-xml".to_owned(), kind: Some("dev".to_owned()) }],
        };

        let found = findings("x.md", "", &[package("winremote"), package("hyperv")]);

        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file, "crates/hyperv/Cargo.toml");
    }

    #[test]
    fn code_that_names_it_through_a_re_export_is_found() {
        for text in ["//! x\nuse winremote::quick_xml::Reader;\n", "//! x\nuse quick_xml;\n"] {
            let found = findings("crates/hyperv/src/a.rs", text, &[]);

            assert_eq!((found.len(), found[0].line), (1, 2), "{text}");
        }
    }

    #[test]
    fn its_own_crate_and_comments_may_name_it() {
        let named = "//! x\nuse quick_xml::Reader;\n";

        assert_eq!(findings("crates/winremote/src/a.rs", named, &[]), []);
        assert_eq!(
            findings("crates/hyperv/src/a.rs", "//! no quick_xml:: here\nlet quick_xml = 1;", &[]),
            []
        );
    }
}
