//! `cargo xtask test`: everything that must hold, in one command that ends with one line.
//!
//! Phases run in order of their price and each is timed, so that a figure in a page can be had again. A
//! phase that fails does not stop the next: one run shows all that is wrong. The formatter, clippy and tidy
//! count as one check each.

mod doc_tests;
mod nextest;
mod summary;
pub(crate) mod tools;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::tidy;
use crate::workspace::{self, cargo};
use summary::Tally;
use tools::Available;

/// Options of `cargo xtask test`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only this crate (tidy still looks at everything); may be given more than once
    #[arg(long, short, value_name = "CRATE")]
    package: Vec<String>,
    /// Install nothing; tests whose commands are missing are counted as skipped
    #[arg(long)]
    no_install: bool,
    /// Count the demo, which ran before, as one more check
    #[arg(long, value_name = "OUTCOME")]
    demo: Option<Outcome>,
}

/// How something that ran before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outcome {
    Passed,
    Failed,
}

/// The crates that were chosen; none means all.
#[derive(Debug, Clone, Copy)]
struct Scope<'a>(&'a [String]);

impl Scope<'_> {
    /// `--package a --package b`, or what stands for all crates.
    fn arguments(self, all: &str) -> Vec<String> {
        if self.0.is_empty() {
            return vec![all.to_owned()];
        }
        self.0.iter().flat_map(|name| ["--package".to_owned(), name.clone()]).collect()
    }

    fn includes(self, crate_name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|chosen| chosen == crate_name)
    }
}

/// Runs all phases; true when nothing failed.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let scope = Scope(&options.package);
    let mut phases = Phases::default();
    if let Some(outcome) = options.demo {
        phases.add("demo", 0.0, Tally::check(outcome == Outcome::Passed));
    }
    let mut available = Available::default();
    phases.run("set-up", || {
        available = tools::prepare(root, options.no_install)?;
        Ok(Tally::default())
    });
    phases.run("format", || succeeds(cargo(root).arg("fmt").args(scope.arguments("--all")).arg("--check")));
    phases.run("clippy", || {
        let mut clippy = cargo(root);
        clippy.arg("clippy").args(scope.arguments("--workspace")).arg("--all-targets");
        succeeds(clippy.args(["--", "-D", "warnings"]))
    });
    phases.run("tidy", || Ok(Tally::check(tidy::run(root)?)));
    phases.run("tests", || nextest::run(root, scope, &available));
    phases.run("doc tests", || doc_tests::run(root, &workspace::packages(root)?, scope));
    Ok(phases.finish())
}

/// Runs a command as one check.
fn succeeds(command: &mut Command) -> Result<Tally> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    Ok(Tally::check(status.success()))
}

/// What ran, how long it took and how it ended.
#[derive(Default)]
struct Phases {
    rows: Vec<(&'static str, f64, Tally)>,
}

impl Phases {
    /// Runs and times a phase; one that cannot run has failed, and the next ones still run.
    fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<Tally>) {
        println!("== {name}");
        let start = Instant::now();
        let tally = work().unwrap_or_else(|error| {
            println!("{name}: {error:#}");
            Tally::check(false)
        });
        let seconds = start.elapsed().as_secs_f64();
        println!("== {name} took {seconds:.1} s: {tally}");
        self.add(name, seconds, tally);
    }

    fn add(&mut self, name: &'static str, seconds: f64, tally: Tally) {
        self.rows.push((name, seconds, tally));
    }

    /// Prints the table and the last line; true when nothing failed.
    fn finish(&self) -> bool {
        println!();
        for line in self.lines() {
            println!("{line}");
        }
        self.total().failed == 0
    }

    fn total(&self) -> Tally {
        self.rows.iter().fold(Tally::default(), |sum, row| sum.plus(row.2))
    }

    fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{:10} {:>8} {:>7} {:>7} {:>8}", "phase", "seconds", "passed", "failed", "skipped")];
        for (name, seconds, Tally { passed, failed, skipped }) in &self.rows {
            lines.push(format!("{name:10} {seconds:8.1} {passed:7} {failed:7} {skipped:8}"));
        }
        let seconds: f64 = self.rows.iter().map(|row| row.1).sum();
        lines.push(format!("{:10} {seconds:8.1}", "all"));
        lines.push(self.total().to_string());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_sums_all_phases() {
        let mut phases = Phases::default();
        phases.add("clippy", 1.0, Tally::check(true));
        phases.add("tidy", 1.5, Tally::check(false));
        phases.add("tests", 2.5, Tally { passed: 7, failed: 1, skipped: 3 });

        let lines = phases.lines();

        assert_eq!(lines.last().unwrap(), "8 passed, 2 failed, 3 skipped");
        assert_eq!(lines[lines.len() - 2].split_whitespace().collect::<Vec<_>>(), ["all", "5.0"]);
    }

    #[test]
    fn a_phase_that_cannot_run_has_failed() {
        let mut phases = Phases::default();
        phases.run("tests", || anyhow::bail!("no cargo here"));
        phases.run("tidy", || Ok(Tally::check(true)));

        assert_eq!(phases.lines().last().unwrap(), "1 passed, 1 failed, 0 skipped");
        assert!(!phases.finish());
    }

    #[test]
    fn a_command_that_fails_is_a_failed_check() {
        assert_eq!(succeeds(&mut Command::new("false")).unwrap(), Tally { passed: 0, failed: 1, skipped: 0 });
        assert_eq!(succeeds(&mut Command::new("true")).unwrap(), Tally { passed: 1, failed: 0, skipped: 0 });
        assert!(succeeds(&mut Command::new("refpoint-no-such-command")).is_err());
    }

    #[test]
    fn chosen_crates_replace_the_whole_workspace() {
        let chosen = ["vdisk".to_owned(), "cli".to_owned()];

        assert_eq!(Scope(&[]).arguments("--all"), ["--all"]);
        assert_eq!(Scope(&chosen).arguments("--all"), ["--package", "vdisk", "--package", "cli"]);
        assert!(
            Scope(&[]).includes("xtask")
                && Scope(&chosen).includes("cli")
                && !Scope(&chosen).includes("xtask")
        );
    }
}
