//! All tests through `cargo nextest`, or through cargo's own runner where nextest cannot be had.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Scope;
use super::summary::{self, Tally};
use super::tools::{Available, Tool};
use crate::workspace::cargo;

/// Runs the tests of `scope`, without the binaries whose tools are missing; those count as skipped.
pub(crate) fn run(root: &Path, scope: Scope<'_>, available: &Available) -> Result<Tally> {
    let path =
        env::join_paths(&available.search_path).unwrap_or_else(|_| env::var_os("PATH").unwrap_or_default());
    if !available.nextest {
        return run_libtest(root, scope, &path);
    }
    let mut command = cargo(root);
    command.args(["nextest", "run"]).args(scope.arguments("--workspace")).env("PATH", &path);
    command.args(["--no-fail-fast", "--no-tests", "pass", "--color", "never"]);
    command.args(["--status-level", "slow", "--final-status-level", "fail"]);
    let without = filter(&available.missing, scope);
    if let Some(binaries) = &without {
        command.args(["--filterset", &format!("not ({binaries})")]);
    }
    let tally = run_and_count(&mut command, Stream::Error, summary::of_nextest)?;
    let Some(binaries) = without else { return Ok(tally) };
    // nextest does not count the tests of a binary that it left out as a whole.
    Ok(Tally { skipped: tally.skipped + count(root, scope, &path, &binaries)?, ..tally })
}

/// The filter expression for the binaries in scope that need a missing tool.
///
/// Binaries out of scope stay out of it: nextest refuses a name that it has not built.
fn filter(missing: &[Tool], scope: Scope<'_>) -> Option<String> {
    let in_scope = |binary: &&str| scope.includes(binary.split("::").next().unwrap_or_default());
    let binaries = missing.iter().flat_map(|tool| &tool.binaries).map(String::as_str);
    let mut binaries: Vec<&str> = binaries.filter(in_scope).collect();
    binaries.sort_unstable();
    binaries.dedup();
    let terms: Vec<String> = binaries.iter().map(|binary| format!("binary_id(={binary})")).collect();
    (!terms.is_empty()).then(|| terms.join(" | "))
}

/// How many tests the filter matches.
fn count(root: &Path, scope: Scope<'_>, path: &OsString, filter: &str) -> Result<usize> {
    let mut list = cargo(root);
    list.args(["nextest", "list"])
        .args(scope.arguments("--workspace"))
        .env("PATH", path)
        .stderr(Stdio::inherit());
    list.args(["--filterset", filter, "--message-format", "oneline", "--color", "never"]);
    let output = list.output().with_context(|| format!("cannot run {list:?}"))?;
    Ok(output.stdout.split(|&b| b == b'\n').filter(|line| !line.is_empty()).count())
}

fn run_libtest(root: &Path, scope: Scope<'_>, path: &OsString) -> Result<Tally> {
    let mut command = cargo(root);
    command
        .arg("test")
        .args(scope.arguments("--workspace"))
        .args(["--all-targets", "--no-fail-fast"])
        .env("PATH", path);
    run_and_count(&mut command, Stream::Output, summary::of_libtest)
}

/// The stream that a runner writes its result to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
}

/// Runs a test runner, shows what it prints and adds up the results that `read` finds in it.
pub(super) fn run_and_count(
    command: &mut Command,
    on: Stream,
    read: fn(&str) -> Option<Tally>,
) -> Result<Tally> {
    match on {
        Stream::Output => command.stdout(Stdio::piped()),
        Stream::Error => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    let mut tally = Tally::default();
    if let Some(stream) = child.stdout.take() {
        tally += show_and_count(BufReader::new(stream), read, |line| println!("{line}"));
    }
    if let Some(stream) = child.stderr.take() {
        tally += show_and_count(BufReader::new(stream), read, |line| eprintln!("{line}"));
    }
    let status = child.wait().with_context(|| format!("cannot wait for {command:?}"))?;
    Ok(tally.ended(status.success()))
}

fn show_and_count(lines: impl BufRead, read: fn(&str) -> Option<Tally>, show: impl Fn(&str)) -> Tally {
    let mut tally = Tally::default();
    for line in lines.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        show(&line);
        tally += read(&line).unwrap_or_default();
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::super::tools;
    use super::*;

    #[test]
    fn exactly_the_binaries_of_missing_tools_are_left_out() {
        let tools = tools::parse("a x vdisk::qemu,cli::demo\nb y vdisk::qemu\nc z -\n").unwrap();
        let (all, cli) = (Scope(&[]), ["cli".to_owned()]);

        assert_eq!(filter(&tools, all).unwrap(), "binary_id(=cli::demo) | binary_id(=vdisk::qemu)");
        assert_eq!(filter(&tools, Scope(&cli)).unwrap(), "binary_id(=cli::demo)");
        assert_eq!(filter(&tools[1..], Scope(&cli)), None);
        assert_eq!(filter(&tools[2..], all), None);
    }

    #[test]
    fn results_are_added_up_from_the_stream_of_the_runner() {
        let line = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        let mut command = Command::new("sh");
        command.args(["-c", &format!("echo '{line}'; echo x; echo '{line}'")]);

        let tally = run_and_count(&mut command, Stream::Output, summary::of_libtest).unwrap();

        assert_eq!(tally, Tally { passed: 4, failed: 0, skipped: 2 });
    }

    #[test]
    fn a_runner_that_cannot_build_is_a_failure() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no >&2; exit 101"]);

        let tally = run_and_count(&mut command, Stream::Error, summary::of_nextest).unwrap();

        assert_eq!(tally, Tally { passed: 0, failed: 1, skipped: 0 });
    }
}
