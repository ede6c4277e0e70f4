//! Every dependency has a reason: one table in `Cargo.toml`, one line each in `docs/dependencies.md`.
//!
//! The table of the workspace is read by lines; it is ours, and a TOML parser would be one more dependency.

use std::path::Path;

use super::markdown;
use crate::finding::Finding;
use crate::rust_text;
use crate::tree::Tree;
use crate::workspace::{Dependency, Package};

const MANIFEST: &str = "Cargo.toml";
const REASONS: &str = "docs/dependencies.md";

/// A dependency of the workspace table.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    line: usize,
    name: &'a str,
    /// A crate of this workspace; its reason is its place in ARCHITECTURE.md.
    ours: bool,
}

/// Findings about dependencies.
pub(crate) fn check(tree: &Tree, packages: &[Package], root: &Path) -> Vec<Finding> {
    let entries = entries(tree.text(MANIFEST).unwrap_or_default());
    let mut findings = reasons(tree, &entries);
    findings.extend(entries.iter().filter_map(|entry| unused(entry, packages)));
    for package in packages {
        let folder = package.folder(root);
        let manifest = format!("{folder}/Cargo.toml");
        findings.extend(outside_table(&manifest, tree.text(&manifest).unwrap_or_default()));
        findings.extend(package.dependencies.iter().filter_map(|used| unnamed(tree, &folder, used)));
    }
    findings
}

/// The entries of `[workspace.dependencies]`.
fn entries(manifest: &str) -> Vec<Entry<'_>> {
    section_lines(manifest, |section| section == "workspace.dependencies")
        .filter_map(|(line, text)| {
            let (name, value) = text.split_once('=')?;
            Some(Entry { line, name: name.trim(), ours: value.contains("path =") })
        })
        .collect()
}

/// The lines with content in the sections that are wanted.
fn section_lines(manifest: &str, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    manifest.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = wanted(section);
            return None;
        }
        (inside && !line.is_empty() && !line.starts_with('#')).then_some((index + 1, line))
    })
}

/// The page has a row `| `name` | reason |` for each dependency, and no other.
fn reasons(tree: &Tree, entries: &[Entry<'_>]) -> Vec<Finding> {
    let page = tree.text(REASONS).unwrap_or_default();
    let rows: Vec<_> = markdown::table_rows(page).filter(|(_, cells)| cells[0].starts_with('`')).collect();
    let mut findings = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.ours) {
        let quoted = format!("`{}`", entry.name);
        let given = rows
            .iter()
            .any(|(_, cells)| cells[0] == quoted && cells.last().is_some_and(|why| why.contains(' ')));
        if !given {
            let what = format!("{quoted} has no reason");
            findings.push(Finding::new(
                MANIFEST,
                entry.line,
                what,
                format!("add a row with one to {REASONS}"),
            ));
        }
    }
    for (line, cells) in rows {
        if !entries.iter().any(|entry| cells[0] == format!("`{}`", entry.name)) {
            let what = format!("{} is not in the table of {MANIFEST}", cells[0]);
            findings.push(Finding::new(REASONS, line, what, "remove its row"));
        }
    }
    findings
}

fn unused(entry: &Entry<'_>, packages: &[Package]) -> Option<Finding> {
    let used = packages.iter().flat_map(|package| &package.dependencies).any(|used| used.name == entry.name);
    (!used).then(|| {
        let what = format!("no crate depends on `{}`", entry.name);
        Finding::new(MANIFEST, entry.line, what, "remove it from the table")
    })
}

/// Versions and features stand in the table of the workspace and nowhere else.
fn outside_table(path: &str, manifest: &str) -> Vec<Finding> {
    section_lines(manifest, |section| section.ends_with("dependencies"))
        .filter(|(_, text)| !text.contains("workspace = true") && !text.contains("workspace=true"))
        .map(|(line, text)| {
            let what = format!("`{text}` does not come from the table of the workspace");
            Finding::new(path, line, what, "write `name.workspace = true`")
        })
        .collect()
}

/// A dependency that no file of its crate names is dead weight in every build of it; one that only tests name is so
/// in the product.
fn unnamed(tree: &Tree, folder: &str, dependency: &Dependency) -> Option<Finding> {
    let ident = dependency.name.replace('-', "_");
    let sources = if dependency.is_dev() { format!("{folder}/") } else { format!("{folder}/src/") };
    let named = tree
        .ending(".rs")
        .filter(|file| file.path.starts_with(&sources))
        .any(|file| rust_text::words(&rust_text::code_only(file.text)).any(|(_, word)| word == ident));
    (!named).then(|| {
        let what = format!("no code in {sources} names `{}`", dependency.name);
        Finding::new(
            &format!("{folder}/Cargo.toml"),
            1,
            what,
            "remove the dependency, or keep it for tests only",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "[workspace]\nresolver = \"3\"\n[workspace.dependencies]\n# ours\n\
                         vdisk = { path = \"crates/vdisk\" }\nhyper-util = \"0.1\"\n[profile.dev]\nx = 1\n";
    const PAGE: &str = "| crate | why |\n|---|---|\n| `hyper-util` | Joins hyper and tokio. |\n";
    const CODE: &str = "//! x\nuse hyper_util::x; use vdisk::y;\n";
    const CRATE: &str = "[dependencies]\nhyper-util.workspace = true\nvdisk = { workspace = true }\n";

    fn findings(table: &str, page: &str, manifest: &str, code: &str) -> Vec<String> {
        let tree = Tree::of(&[
            (MANIFEST, table),
            (REASONS, page),
            ("crates/a/Cargo.toml", manifest),
            ("crates/a/src/lib.rs", code),
        ]);
        let dependencies =
            ["hyper-util", "vdisk"].map(|name| Dependency { name: name.to_owned(), kind: None }).into();
        let manifest_path = "/r/crates/a/Cargo.toml".into();
        let packages = [Package { name: "a".to_owned(), manifest_path, dependencies }];
        check(&tree, &packages, Path::new("/r")).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_table_whose_entries_are_explained_and_used_passes() {
        assert_eq!(findings(TABLE, PAGE, CRATE, CODE), Vec::<String>::new());
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        for page in [
            "",
            "| `hyper-util` | |\n",
            "| `hyper-util` | A reason. | MIT |\n",
            "| `hyper_util` | Joins hyper and tokio. |\n",
        ] {
            let found = findings(TABLE, page, CRATE, CODE);

            assert!(found[0].starts_with("Cargo.toml:6: `hyper-util` has no reason"), "{page}: {found:?}");
        }
    }

    #[test]
    fn a_reason_without_a_dependency_is_found() {
        let page = format!("{PAGE}| `sled` | A reason of old. |\n");

        assert!(
            findings(TABLE, &page, CRATE, CODE)[0].starts_with("docs/dependencies.md:4: `sled` is not in")
        );
    }

    #[test]
    fn an_entry_that_no_crate_uses_is_found() {
        let table = TABLE.replace("[profile", "rand = { version = \"1\", path = \"x\" }\n[profile");

        assert!(
            findings(&table, PAGE, CRATE, CODE)[0].starts_with("Cargo.toml:7: no crate depends on `rand`")
        );
    }

    #[test]
    fn a_version_outside_the_table_is_found() {
        for section in ["[dependencies]", "[dev-dependencies]", "[target.'cfg(unix)'.dependencies]"] {
            let found = findings(TABLE, PAGE, &format!("{section}\nhyper-util = \"0.2\"\n"), CODE);

            assert!(found[0].starts_with("crates/a/Cargo.toml:2: `hyper-util = \"0.2\"`"), "{found:?}");
        }
    }

    #[test]
    fn a_dependency_that_no_code_names_is_found() {
        let found = findings(TABLE, PAGE, CRATE, "//! hyper_util\nuse vdisk::y; // hyper_util\n");

        assert!(found[0].contains("no code in crates/a/src/ names `hyper-util`"), "{found:?}");
    }
}
