//! `cargo xtask bench vdisk`: one table of what the disk library and the guest file systems are held to.
//!
//! Each row runs our program and a peer's in turns, on the same bytes, warm, and compares the least times, because
//! noise only ever adds. The bars are ratios inside one run; seconds say more about the machine than about us.
//! Nothing is written but below the build folder, in `/dev/shm`, and on the output.

mod files;
mod rows;
mod step;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Bench, Benchmark};
use crate::workspace::{cargo, target_folder};
use step::{Step, least_seconds};
use table::{Measured, Row, print};

pub(super) const BENCHMARK: Benchmark =
    Benchmark { name: "vdisk", what: "the table of bars: reading, digest, conversion, writes, listing", run };

/// Programs of ours that the rows run: (crate, example).
const EXAMPLES: &[(&str, &str)] = &[
    ("vdisk", "read_speed"),
    ("vdisk", "tool_speed"),
    ("vdisk", "random_writes"),
    ("guestfs", "list_ntfs"),
    ("guestfs", "list_linux"),
];

fn run(bench: &Bench<'_>) -> Result<()> {
    let programs = build_examples(bench.root)?;
    let files = files::Files::make(&bench.folder, bench.mib)?;
    println!("{}", super::machine());
    println!(
        "{} MiB of data in a disk of {} MiB, VHDX with 2 MiB blocks; least of {} rounds after a warm-up, in turns",
        bench.mib,
        files.capacity >> 20,
        bench.rounds
    );
    let mut measured = Vec::new();
    let is_asked_for = |row: &Row| bench.only.is_none_or(|text| row.what.contains(text));
    for row in rows::rows(&programs, &files).into_iter().filter(is_asked_for) {
        measured.push(measure(row, bench.rounds)?);
    }
    files.clean();
    print(&measured);
    Ok(())
}

/// Runs both sides in turns, unless one is missing.
fn measure(row: Row, rounds: u32) -> Result<Measured> {
    if let Some(missing) = row.missing() {
        return Ok(Measured { row, seconds: None, missing: Some(missing) });
    }
    let seconds = least_seconds([&row.ours, &row.peer], rounds)?;
    eprintln!("{}: {:.3} s and {:.3} s", row.what, seconds[0], seconds[1]);
    Ok(Measured { row, seconds: Some(seconds), missing: None })
}

/// Where our programs are.
struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// A step that runs one of them; it is missing where the program does not exist yet.
    fn step(&self, example: &str, arguments: &[&Path]) -> Step {
        Step::new(self.folder.join(example), arguments)
    }
}

/// Builds the examples that exist.
fn build_examples(root: &Path) -> Result<Programs> {
    for (package, example) in EXAMPLES {
        if !root.join(format!("crates/{package}/examples/{example}.rs")).exists() {
            continue;
        }
        let build = ["build", "--release", "--quiet", "--package", package, "--example", example];
        if !cargo(root).args(build).status()?.success() {
            bail!("the example {example} of {package} does not build");
        }
    }
    Ok(Programs { folder: target_folder(root)?.join("release/examples") })
}

/// Runs a command that prepares something.
fn prepare(program: &str, arguments: &[&str], paths: &[&Path]) -> Result<()> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args(paths)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null());
    let status = command.status().with_context(|| format!("cannot run {program}, which the bench needs"))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}
