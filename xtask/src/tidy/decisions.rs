//! Decision records are numbered `NNNN-title.md`, each number once.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::tree::Tree;

const FOLDER: &str = "docs/decisions/";

/// Findings about decision records.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for page in tree.ending(".md").filter(|page| page.path.starts_with(FOLDER)) {
        let Some(number) = number(&page.path[FOLDER.len()..]) else {
            let what = "a decision record without a number";
            findings.push(Finding::new(
                page.path,
                1,
                what,
                "name it NNNN-title.md with the next free number",
            ));
            continue;
        };
        if let Some(first) = taken.insert(number, page.path) {
            let what = format!("number {number} is taken by {first}");
            findings.push(Finding::new(page.path, 1, what, "take the next free number"));
        }
    }
    findings
}

/// `NNNN` of `NNNN-title.md`.
fn number(name: &str) -> Option<&str> {
    let (number, title) = name.split_once('-')?;
    let sound = number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()) && title.len() > ".md".len();
    sound.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(second: &str) -> Vec<Finding> {
        check(&Tree::of(&[("docs/decisions/0001-layers.md", ""), (&format!("docs/decisions/{second}"), "")]))
    }

    #[test]
    fn numbers_are_unique() {
        assert_eq!(findings("0002-store.md"), []);
        assert_eq!(
            findings("0001-store.md")[0].what,
            "number 0001 is taken by docs/decisions/0001-layers.md"
        );
    }

    #[test]
    fn a_record_without_a_number_is_found() {
        for name in ["store.md", "2-store.md", "00a2-store.md", "0002-.md"] {
            assert_eq!(findings(name).len(), 1, "{name}");
        }
    }
}
