//! Files and functions stay small, with a list of exceptions that may only shrink.
//!
//! An entry names today's size exactly: growth is refused, and every line won has to be given up for good.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::rust_text;
use crate::tree::Tree;

/// A file tells one story; beyond this it tells two.
pub(crate) const FILE_LINES_MAX: usize = 400;

/// A function fits on a screen.
pub(crate) const FUNCTION_LINES_MAX: usize = 70;

/// Where the exceptions are.
pub(crate) const EXCEPTIONS: &str = "xtask/size-exceptions.txt";

/// Something with a size: a file, or the longest function of a name in it.
#[derive(Debug, Clone)]
struct Sized {
    file: String,
    line: usize,
    lines: usize,
    max: usize,
    kind: &'static str,
}

/// An exception with its line in the list.
struct Exception {
    line: usize,
    lines: usize,
}

/// Findings about sizes.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let (exceptions, mut findings) = read_exceptions(tree.text(EXCEPTIONS).unwrap_or_default());
    let sizes = measure(tree);
    for (key, size) in &sizes {
        findings.extend(compare(key, size, exceptions.get(key.as_str())));
    }
    for (key, exception) in &exceptions {
        if !sizes.contains_key(*key) {
            let what = format!("`{key}` does not exist");
            findings.push(Finding::new(EXCEPTIONS, exception.line, what, "remove the entry"));
        }
    }
    findings
}

fn read_exceptions(text: &str) -> (BTreeMap<&str, Exception>, Vec<Finding>) {
    let mut exceptions = BTreeMap::new();
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match (words.as_slice(), words.get(1).and_then(|word| word.parse().ok())) {
            ([], _) => {}
            ([key, _], Some(lines)) => {
                exceptions.insert(*key, Exception { line: index + 1, lines });
            }
            _ => {
                let remedy = "write `PATH LINES` or `PATH::FUNCTION LINES`";
                findings.push(Finding::new(EXCEPTIONS, index + 1, "the entry cannot be read", remedy));
            }
        }
    }
    (exceptions, findings)
}

fn measure(tree: &Tree) -> BTreeMap<String, Sized> {
    let mut sizes: BTreeMap<String, Sized> = BTreeMap::new();
    for file in tree.ending(".rs") {
        let path = file.path.to_owned();
        let lines = file.text.lines().count();
        sizes.insert(
            path.clone(),
            Sized { file: path.clone(), line: 1, lines, max: FILE_LINES_MAX, kind: "file" },
        );
        for function in rust_text::functions(&rust_text::code_only(file.text)) {
            let size = Sized {
                file: path.clone(),
                line: function.line,
                lines: function.lines,
                max: FUNCTION_LINES_MAX,
                kind: "function",
            };
            let longest = sizes.entry(format!("{path}::{}", function.name)).or_insert_with(|| size.clone());
            if longest.lines < size.lines {
                *longest = size;
            }
        }
    }
    sizes
}

/// Compares a size with its limit and its exception.
fn compare(key: &str, size: &Sized, exception: Option<&Exception>) -> Option<Finding> {
    let Sized { file, line, lines, max, kind } = size;
    let listed = |what: String, remedy: String, at: usize| Some(Finding::new(EXCEPTIONS, at, what, remedy));
    match exception {
        None if lines > max => {
            let what = format!("the {kind} `{key}` has {lines} lines, more than {max}");
            Some(Finding::new(file, *line, what, "split it where a second story starts"))
        }
        Some(entry) if *lines <= *max => listed(
            format!("`{key}` has {lines} lines and needs no exception"),
            "remove the entry".into(),
            entry.line,
        ),
        Some(entry) if *lines < entry.lines => {
            let what = format!("`{key}` has {lines} lines, fewer than the {} of its entry", entry.lines);
            listed(what, format!("lower it to {lines}: the list may only shrink"), entry.line)
        }
        Some(entry) if *lines > entry.lines => {
            let what = format!("the {kind} `{key}` grew from {} to {lines} lines", entry.lines);
            Some(Finding::new(file, *line, what, "make it smaller: the list may only shrink"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(lines: usize) -> String {
        "//\n".repeat(lines)
    }

    fn findings(file: &str, exceptions: &str) -> Vec<String> {
        let tree = Tree::of(&[("a.rs", file), (EXCEPTIONS, exceptions)]);
        check(&tree).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_file_at_the_limit_passes_and_one_above_is_found() {
        assert_eq!(findings(&file_of(FILE_LINES_MAX), ""), Vec::<String>::new());

        let found = findings(&file_of(FILE_LINES_MAX + 1), "");
        assert!(found[0].starts_with("a.rs:1: the file `a.rs` has 401 lines, more than 400"), "{found:?}");
    }

    #[test]
    fn a_function_above_the_limit_is_found_at_its_line() {
        let body = |lines: usize| format!("//! x\nfn long() {{\n{}}}\n", "x();\n".repeat(lines - 2));

        assert_eq!(findings(&body(FUNCTION_LINES_MAX), ""), Vec::<String>::new());

        let found = findings(&body(FUNCTION_LINES_MAX + 1), "");
        assert!(found[0].starts_with("a.rs:2: the function `a.rs::long` has 71 lines"), "{found:?}");
    }

    #[test]
    fn an_exception_holds_for_exactly_its_size() {
        let file = file_of(420);

        assert_eq!(findings(&file, "a.rs 420 # why\n"), Vec::<String>::new());
        assert!(findings(&file, "a.rs 419\n")[0].contains("grew from 419 to 420"));
        assert!(findings(&file, "\na.rs 421\n")[0].starts_with("xtask/size-exceptions.txt:2:"));
        assert!(findings(&file, "a.rs 421\n")[0].ends_with("lower it to 420: the list may only shrink"));
    }

    #[test]
    fn an_exception_that_nothing_needs_is_found() {
        assert!(findings(&file_of(3), "a.rs 420\n")[0].ends_with("remove the entry"));
        assert!(findings(&file_of(3), "b.rs 420\n")[0].contains("`b.rs` does not exist"));
        assert!(findings(&file_of(3), "a.rs many\n")[0].contains("cannot be read"));
    }
}
