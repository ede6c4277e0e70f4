//! Test binaries that run a command of another package stand in `xtask/test-tools.txt`, and those that stand
//! there exist: otherwise a machine without the command fails instead of saying what it skipped.

use crate::finding::Finding;
use crate::test::tools::{self, Tool};
use crate::tree::{TextFile, Tree};

pub(crate) use crate::test::tools::PATH;

/// Findings about the table of tools.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let tools = match tools::parse(tree.text(PATH).unwrap_or_default()) {
        Ok(tools) => tools,
        Err(line) => {
            return vec![Finding::new(
                PATH,
                line,
                "the line cannot be read",
                "write `command packages binaries`",
            )];
        }
    };
    let mut findings: Vec<Finding> = tools.iter().flat_map(|tool| missing_binaries(tree, tool)).collect();
    for file in tree.ending(".rs") {
        findings.extend(tools.iter().filter_map(|tool| in_unit_tests(tool, file)));
        let Some(binary) = test_binary(file.path) else { continue };
        findings.extend(tools.iter().filter_map(|tool| unlisted(tool, &binary, file.path, file.text)));
    }
    findings
}

fn missing_binaries(tree: &Tree, tool: &Tool) -> Vec<Finding> {
    let exists = |binary: &str| {
        let Some((package, name)) = binary.split_once("::") else {
            return tree.contains(&format!("crates/{binary}/src/lib.rs"));
        };
        let base = format!("crates/{package}/tests/{name}");
        tree.contains(&format!("{base}.rs")) || tree.contains(&format!("{base}/main.rs"))
    };
    tool.binaries
        .iter()
        .filter(|binary| !exists(binary))
        .map(|binary| {
            let what = format!("`{}` lists `{binary}`, which does not exist", tool.command);
            Finding::new(
                PATH,
                tool.line,
                what,
                "write crate::binary of a file in crates/*/tests, or crate for its unit tests",
            )
        })
        .collect()
}

/// A test file that has the command as a string needs an entry; a shared module needs one for its crate.
fn unlisted(tool: &Tool, binary: &str, path: &str, text: &str) -> Option<Finding> {
    let at = text.find(&format!("\"{}\"", tool.command))?;
    let listed = match binary.strip_suffix("::*") {
        None => tool.binaries.iter().any(|listed| listed == binary),
        Some(package) => tool.binaries.iter().any(|listed| listed.split("::").next() == Some(package)),
    };
    let line = crate::rust_text::line_of(text, at);
    let what = format!("the test runs `{}`", tool.command);
    (!listed).then(|| Finding::new(path, line, what, format!("add {binary} to its line in {PATH}")))
}

/// A source file that runs the command and has unit tests: they are the binary that is named like its crate.
fn in_unit_tests(tool: &Tool, file: TextFile<'_>) -> Option<Finding> {
    let package = file.path.strip_prefix("crates/")?.split_once("/src/")?.0;
    let at =
        file.text.find(&format!("\"{}\"", tool.command)).filter(|_| file.text.contains("#[cfg(test)]"))?;
    let listed = tool.binaries.iter().any(|binary| binary == package);
    let what = format!("unit tests beside code that runs `{}`", tool.command);
    let remedy = format!("move them to a file of the tests folder, or add {package} to the line in {PATH}");
    (!listed).then(|| Finding::new(file.path, crate::rust_text::line_of(file.text, at), what, remedy))
}

/// `crate::binary` of a file below `crates/*/tests`; `crate::*` of a module that several binaries share.
fn test_binary(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["crates", package, "tests", file] => Some(format!("{package}::{}", file.trim_end_matches(".rs"))),
        ["crates", package, "tests", binary, "main.rs"] => Some(format!("{package}::{binary}")),
        ["crates", package, "tests", ..] => Some(format!("{package}::*")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: &str = "//! x\n\nfn x() { Command::new(\"qemu-img\") }\n";

    fn findings(binaries: &str, path: &str, text: &str) -> Vec<Finding> {
        check(&Tree::of(&[(PATH, &format!("qemu-img qemu-utils {binaries}\n")), (path, text)]))
    }

    #[test]
    fn a_test_that_runs_a_command_must_be_listed() {
        assert_eq!(findings("vdisk::qemu", "crates/vdisk/tests/qemu.rs", RUNS), []);

        let found = findings("-", "crates/vdisk/tests/qemu.rs", RUNS);
        assert_eq!((found[0].line, found[0].what.as_str()), (3, "the test runs `qemu-img`"));
        assert_eq!(findings("-", "crates/vdisk/tests/qemu/main.rs", RUNS).len(), 1);
        assert_eq!(findings("-", "crates/vdisk/tests/common/mod.rs", RUNS).len(), 1);
    }

    #[test]
    fn unit_tests_beside_code_that_runs_a_command_must_be_listed() {
        let text = format!("{RUNS}#[cfg(test)]\n");

        let found = findings("-", "crates/vdisk/src/lib.rs", &text);

        assert_eq!((found.len(), found[0].line), (1, 3));
        assert_eq!(findings("vdisk", "crates/vdisk/src/lib.rs", &text), []);
        assert_eq!(findings("-", "crates/vdisk/src/lib.rs", RUNS), []);
    }

    #[test]
    fn a_listed_binary_exists() {
        for gone in ["vdisk::gone", "vdisk"] {
            assert!(findings(gone, "README.md", "")[0].what.contains("does not exist"));
        }
        assert_eq!(findings("vdisk::qemu", "crates/vdisk/tests/qemu/main.rs", ""), []);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_found() {
        assert_eq!(check(&Tree::of(&[(PATH, "# x\nqemu-img\n")]))[0].line, 2);
    }
}
