//! Examples in documentation, which nextest does not run.
//!
//! Starting rustdoc for every crate costs seconds each, so only crates that have an example are asked.

use std::path::Path;

use anyhow::Result;

use super::Scope;
use super::nextest::{Stream, run_and_count};
use super::summary::{self, Tally};
use crate::tree::Tree;
use crate::workspace::{Package, cargo};

/// Words after the fence that make a block something else than a test.
const NO_TEST: [&str; 12] = [
    "text",
    "ignore",
    "sh",
    "bash",
    "console",
    "json",
    "toml",
    "xml",
    "sql",
    "rust,ignore",
    "none",
    "mermaid",
];

/// Runs the documentation tests of the crates that have some.
pub(crate) fn run(root: &Path, packages: &[Package], scope: Scope<'_>) -> Result<Tally> {
    let tree = Tree::load(root)?;
    let with_tests: Vec<&str> = packages
        .iter()
        .filter(|package| scope.includes(&package.name))
        .filter(|package| has_doc_tests(&tree, &package.folder(root)))
        .map(|package| package.name.as_str())
        .collect();
    if with_tests.is_empty() {
        println!("no crate has documentation tests");
        return Ok(Tally::default());
    }
    let mut command = cargo(root);
    command
        .args(["test", "--doc", "--no-fail-fast"])
        .args(with_tests.iter().flat_map(|name| ["--package", name]));
    run_and_count(&mut command, Stream::Output, summary::of_libtest)
}

/// Whether a library's sources have a code block that rustdoc would run.
fn has_doc_tests(tree: &Tree, folder: &str) -> bool {
    let sources = format!("{folder}/src/");
    tree.contains(&format!("{sources}lib.rs"))
        && tree
            .ending(".rs")
            .filter(|file| file.path.starts_with(&sources))
            .any(|file| has_example(file.text))
}

fn has_example(text: &str) -> bool {
    let mut inside = false;
    let fences = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let words = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"))?;
        words.trim().strip_prefix("```")
    });
    for kind in fences {
        inside = !inside;
        if inside && !NO_TEST.contains(&kind.trim()) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_blocks_in_documentation_are_examples_unless_marked_as_something_else() {
        assert!(has_example("//! ```\n//! x();\n//! ```\n"));
        assert!(has_example("/// ```text\n/// a\n/// ```\n    /// ```rust,no_run\n"));
        assert!(!has_example("//! ```text\n//! x\n//! ```\n"));
        assert!(!has_example("// ```\nlet s = \"```\";\n"));
    }

    #[test]
    fn only_libraries_have_documentation_tests() {
        let example = "/// ```\n/// x();\n/// ```\n";
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "//! a\n"),
            ("crates/a/src/b.rs", example),
            ("crates/c/src/main.rs", example),
            ("crates/d/src/lib.rs", "//! d\n"),
        ]);

        assert!(has_doc_tests(&tree, "crates/a"));
        assert!(!has_doc_tests(&tree, "crates/c") && !has_doc_tests(&tree, "crates/d"));
    }
}
