//! `crates/vdisk/CONFORMANCE.md` lists every conformance case with the tests that show it.
//!
//! The cases stand in `conformance-cases.txt` beside it, one a line: number, then what must come of it. A test says
//! which cases it shows by a comment `// case 36` or `// cases 3, 4` directly above it, or inside it for one row of
//! a table. The page is written from both by `cargo xtask conformance`, and tidy finds a page that has fallen behind
//! and a case that no test shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::finding::Finding;
use crate::rust_text::{self, Function};
use crate::tree::Tree;

/// The list of cases.
pub(crate) const CASES: &str = "crates/vdisk/conformance-cases.txt";
/// The page made from it.
pub(crate) const PAGE: &str = "crates/vdisk/CONFORMANCE.md";
/// Where tests with marks are looked for.
const TESTS: &str = "crates/vdisk/";

/// Findings about cases, marks and the page.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(list) = tree.text(CASES) else { return Vec::new() };
    let (cases, mut findings) = cases(list);
    let (shown, faults) = shown(tree, &cases);
    findings.extend(faults);
    for case in cases.values().filter(|case| !shown.contains_key(&case.number)) {
        let what = format!("no test shows case {}", case.number);
        findings.push(Finding::new(CASES, case.line, what, "mark the test that shows it with `// case N`"));
    }
    if tree.text(PAGE) != Some(page(tree).as_str()) {
        let what = "the page does not say what the marks of the tests say";
        findings.push(Finding::new(PAGE, 1, what, "run `cargo xtask conformance`"));
    }
    findings
}

/// The page as the list and the marks make it.
pub(crate) fn page(tree: &Tree) -> String {
    let (cases, _) = cases(tree.text(CASES).unwrap_or_default());
    let (shown, _) = shown(tree, &cases);
    let mut page = String::from(
        "# Conformance\n\nEvery case that a reader and writer of virtual disks must get right, and the tests that show it. Written by\n\
         `cargo xtask conformance` from [conformance-cases.txt](conformance-cases.txt) and the `// case N` marks of the tests; `cargo xtask tidy`\n\
         compares. E means a typed error, R that the disk is read right.\n\n| case | what | shown by |\n|-:|---|---|\n",
    );
    for case in cases.values() {
        let tests = shown.get(&case.number).map_or_else(|| "**nothing yet**".to_owned(), links);
        let _ = writeln!(page, "| {} | {} | {tests} |", case.number, case.text);
    }
    page
}

/// One case of the list.
#[derive(Debug, PartialEq, Eq)]
struct Case {
    number: u32,
    text: String,
    line: usize,
}

/// A test, as the file below the crate's folder and the function's name.
type Test = (String, String);

fn cases(list: &str) -> (BTreeMap<u32, Case>, Vec<Finding>) {
    let mut cases = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, line) in list.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        let parts = line.split_once(' ').and_then(|(number, text)| Some((number.parse().ok()?, text.trim())));
        match parts {
            Some((number, text)) if !cases.contains_key(&number) => {
                cases.insert(number, Case { number, text: text.to_owned(), line: at + 1 });
            }
            _ => findings.push(Finding::new(
                CASES,
                at + 1,
                "not a case with a number of its own",
                "write `NUMBER what must come of it`",
            )),
        }
    }
    (cases, findings)
}

/// The tests that show each case, and marks that name no case or stand at no test.
fn shown(tree: &Tree, cases: &BTreeMap<u32, Case>) -> (BTreeMap<u32, BTreeSet<Test>>, Vec<Finding>) {
    let mut shown: BTreeMap<u32, BTreeSet<Test>> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in tree.ending(".rs").filter(|file| file.path.starts_with(TESTS)) {
        let functions = rust_text::functions(&rust_text::code_only(file.text));
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(numbers) = mark(line) else { continue };
            let place = |what: String| {
                Finding::new(file.path, at + 1, what, "see the head of xtask/src/tidy/conformance.rs")
            };
            let Some(test) = test_at(&lines, at, &functions) else {
                findings.push(place("a case mark that belongs to no function".to_owned()));
                continue;
            };
            for number in numbers {
                if cases.contains_key(&number) {
                    let test = (file.path[TESTS.len()..].to_owned(), test.to_owned());
                    shown.entry(number).or_default().insert(test);
                } else {
                    findings.push(place(format!("there is no case {number}")));
                }
            }
        }
    }
    (shown, findings)
}

/// The numbers of `// case 36` or `// cases 3, 4`, whatever text follows after a colon.
fn mark(line: &str) -> Option<Vec<u32>> {
    let rest = line.trim_start().strip_prefix("// case")?;
    let list = rest.strip_prefix('s').unwrap_or(rest);
    let list = list.split_once(':').map_or(list, |(list, _)| list).trim();
    list.split(',').map(|number| number.trim().parse().ok()).collect()
}

/// The function that follows a mark directly, or else the one around it.
fn test_at<'a>(lines: &[&str], at: usize, functions: &'a [Function]) -> Option<&'a str> {
    let is_between = |line: &&&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("#[")
    };
    let next = at + 1 + lines[at + 1..].iter().take_while(is_between).count();
    let follows = functions.iter().find(|function| function.line == next + 1);
    let around = || {
        let holds =
            |function: &&Function| (function.line..function.line + function.lines).contains(&(at + 1));
        functions.iter().rfind(holds)
    };
    follows.or_else(around).map(|function| function.name.as_str())
}

fn links(tests: &BTreeSet<Test>) -> String {
    let links: Vec<_> = tests.iter().map(|(file, name)| format!("[{name}]({file})")).collect();
    links.join("<br>")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = "//! x\n// cases 1, 3: why\n#[test]\nfn one() {\n    a();\n}\n\n#[test]\nfn two() {\n    // case 2\n    b();\n}\n";

    fn tree<'a>(cases: &'a str, page: &'a str) -> Tree {
        Tree::of(&[(CASES, cases), (PAGE, page), ("crates/vdisk/tests/x.rs", TEST)])
    }

    #[test]
    fn a_page_made_from_the_marks_has_no_finding() {
        let cases = "# comment\n1 bad\n2 worse\n3 worst\n";
        let page = page(&tree(cases, ""));

        assert!(page.contains("| 1 | bad | [one](tests/x.rs) |"), "{page}");
        assert!(page.contains("| 2 | worse | [two](tests/x.rs) |"), "{page}");
        assert_eq!(check(&tree(cases, &page)), []);
    }

    #[test]
    fn a_page_that_fell_behind_a_case_without_test_and_an_unknown_case_are_found() {
        let findings = check(&tree("1 bad\n2 worse\n2 again\n9 lonely\n", "old"));

        let what: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
        for expected in [
            "not a case with a number of its own",
            "there is no case 3",
            "no test shows case 9",
            "the page does not say what the marks of the tests say",
        ] {
            assert!(what.contains(&expected), "{expected} is not in {what:?}");
        }
    }
}
