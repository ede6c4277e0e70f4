//! Every Rust file opens with `//!`: what it is and why it is done this way.

use crate::finding::Finding;
use crate::tree::Tree;

/// Findings about the first line of files.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.ending(".rs")
        .filter(|file| !has_header(file.text))
        .map(|file| {
            let remedy = "start it with `//! What this is.` and why it is done this way";
            Finding::new(file.path, 1, "the file does not open with `//!`", remedy)
        })
        .collect()
}

fn has_header(text: &str) -> bool {
    text.lines()
        .next()
        .and_then(|line| line.strip_prefix("//!"))
        .is_some_and(|words| !words.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_a_header_are_found_tests_included() {
        let tree = Tree::of(&[
            ("good.rs", "//! Good.\n"),
            ("crates/a/tests/bad.rs", "use x;\n//! Late.\n"),
            ("empty.rs", ""),
            ("wordless.rs", "//!\n"),
        ]);

        let files: Vec<_> = check(&tree).into_iter().map(|finding| finding.file).collect();

        assert_eq!(files, ["crates/a/tests/bad.rs", "empty.rs", "wordless.rs"]);
    }
}
