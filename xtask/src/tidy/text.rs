//! Plain faults of text: paths of somebody's machine, tabs, trailing blanks, tests that are switched off.

use crate::finding::Finding;
use crate::rust_text;
use crate::tree::{TextFile, Tree};

/// Folders that exist on one machine only. Split, so that this file does not name them itself.
const MACHINE_FOLDERS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Findings about text.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.texts() {
        findings.extend(machine_paths(file));
        if file.path.ends_with(".rs") || file.path.ends_with(".md") {
            findings.extend(blanks(file));
        }
        if file.path.ends_with(".rs") {
            findings.extend(switched_off(file));
        }
    }
    findings
}

fn machine_paths(file: TextFile<'_>) -> Vec<Finding> {
    let found = |line: &str| MACHINE_FOLDERS.into_iter().find(|folder| names_folder(line, folder));
    numbered(file.text)
        .filter_map(|(number, line)| found(line).map(|folder| (number, folder)))
        .map(|(number, folder)| {
            let what = format!("the path `{folder}…` exists on one machine only");
            Finding::new(file.path, number, what, "use a relative path or a temporary folder")
        })
        .collect()
}

/// Whether `line` has the folder at the start of a path, not inside a longer one or an address.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')' | '/' | '*'))
    })
}

fn blanks(file: TextFile<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in numbered(file.text) {
        if line.contains('\t') {
            findings.push(Finding::new(file.path, number, "a tab", "use spaces, or \\t in a string"));
        }
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(Finding::new(file.path, number, "blanks at the end of the line", "remove them"));
        }
    }
    findings
}

fn switched_off(file: TextFile<'_>) -> Vec<Finding> {
    numbered(&rust_text::code_only(file.text))
        .filter(|(_, line)| line.contains("#[ignore"))
        .map(|(number, _)| {
            Finding::new(
                file.path,
                number,
                "a test that is switched off",
                "make it pass, or remove it and say why",
            )
        })
        .collect()
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    // Not `lines()`, which would swallow a carriage return.
    text.split('\n').enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<(usize, String)> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn paths_of_one_machine_are_found_in_every_text() {
        for folder in MACHINE_FOLDERS {
            for text in [format!("x\n{folder}me"), format!("x\ncd \"{folder}me\""), format!("x\n`{folder}x`")]
            {
                for path in ["a.rs", "a.md", "a.toml", ".ci/run"] {
                    assert_eq!(findings(path, &text).len(), 1, "{path}: {text}");
                    assert_eq!(findings(path, &text)[0].0, 2);
                }
            }
        }
    }

    #[test]
    fn longer_paths_and_addresses_with_such_a_folder_pass() {
        for text in
            [format!("https://example.com{}x", MACHINE_FOLDERS[0]), format!("disk{}x", MACHINE_FOLDERS[1])]
        {
            assert_eq!(findings("a.md", &text), [], "{text}");
        }
    }

    #[test]
    fn tabs_and_trailing_blanks_are_found() {
        assert_eq!(findings("a.md", "ok\na\tb\n"), [(2, "a tab".to_owned())]);
        for line in ["a ", "a\r"] {
            let found = findings("a.rs", &format!("{line}\nok\n"));
            assert_eq!(found, [(1, "blanks at the end of the line".to_owned())]);
        }
        assert_eq!(findings("a.txt", "a \t\n"), []);
    }

    #[test]
    fn a_test_that_is_switched_off_is_found() {
        assert_eq!(findings("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn x() {}\n").len(), 1);
        assert_eq!(findings("a.rs", "// #[ignore]\n"), []);
    }
}
