//! The project's own chores, run as `cargo xtask NAME`.
//!
//! `test` prepares the machine and runs every check and test; `tidy` checks the rules that no compiler
//! knows; `bench` measures; `fuzz` and `differential` look for what breaks the disk library. They are Rust
//! and not shell so that each check has a test that makes it fail.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people talks on its streams")]

mod bench;
mod differential;
mod finding;
mod fuzz;
mod rust_text;
mod test;
mod tidy;
mod tree;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The chores of this repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Format check, clippy, tidy and all tests; the last line is `N passed, N failed, N skipped`
    Test(test::Options),
    /// Layers, sizes, file headers, links, dependencies: the rules that no compiler checks
    Tidy,
    /// Writes crates/vdisk/CONFORMANCE.md from the list of cases and the marks of the tests
    Conformance,
    /// Measurements that anybody can repeat; without a name they are listed
    Bench(bench::Options),
    /// Run the fuzz targets; needs a nightly compiler and cargo-fuzz
    Fuzz(fuzz::Options),
    /// Random disks judged by other people's readers, as many as wanted
    Differential(differential::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one chore; `false` says that it ran and found something wrong.
fn run(chore: Chore) -> Result<bool> {
    let root = workspace::root()?;
    match chore {
        Chore::Test(options) => test::run(&root, &options),
        Chore::Tidy => tidy::run(&root),
        Chore::Conformance => tidy::write_conformance(&root),
        Chore::Bench(options) => bench::run(&root, &options),
        Chore::Fuzz(options) => fuzz::run(&root, &options),
        Chore::Differential(options) => differential::run(&root, &options),
    }
}
