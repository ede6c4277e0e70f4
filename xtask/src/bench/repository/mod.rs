//! `cargo xtask bench repository`: our store and its peers on the same virtual disks, in one run.
//!
//! Three guests of 4 GiB on two days (`tools/bench/make-images.sh`: a template, its clone, an independent install
//! with another file system). Every tool takes the same steps in the same order; CPU seconds are quoted first,
//! because wall time on a shared machine says little. Peers that are missing are installed. Needs root (loop
//! devices), about 25 GiB below the build folder, and GNU time (Debian: time).
//!
//! `REFPOINT_BENCH_IMAGES` names a folder with images made earlier.

mod meter;
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Bench, Benchmark};
use crate::workspace::{cargo, target_folder};
use meter::{Measured, Stored};
use tools::{Tool, Work};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "repository",
    what: "first backup, re-scan, day 2, restore and verify of three guests, against restic and Borg",
    run,
};

const GUESTS: [&str; 3] = ["vm1.raw", "vm2.raw", "vm3.raw"];

fn run(bench: &Bench<'_>) -> Result<()> {
    let images = images(bench)?;
    let program = build(bench.root)?;
    println!("{}", super::machine());
    println!(
        "three guests of 4 GiB from {}; peers' own versions below; {} rounds",
        images.display(),
        bench.rounds
    );
    let ranges = ranges(&program, &images, &bench.folder)?;
    let work = Work { folder: bench.folder.clone(), images, program, ranges };
    let mut results = Vec::new();
    for round in 0..bench.rounds {
        for tool in tools::ALL {
            eprintln!("round {}: {} ({})", round + 1, tool.name, tool.ready(&work)?);
            results.extend(measure(tool, &work)?);
        }
    }
    print(&results);
    Ok(())
}

/// One step of one tool.
struct Row {
    step: &'static str,
    tool: &'static str,
    outcome: Outcome,
}

enum Outcome {
    Ran(Measured),
    Takes(Stored),
}

/// All steps of one tool on a fresh repository.
fn measure(tool: &'static Tool, work: &Work) -> Result<Vec<Row>> {
    work.clean()?;
    work.warm()?;
    let mut rows = Vec::new();
    for step in (tool.steps)(work) {
        let outcome = match step.command {
            Some(mut command) => Outcome::Ran(meter::run(&mut command)?),
            None => Outcome::Takes(meter::stored(&work.repository())?),
        };
        eprintln!("  {:36} {}", step.what, outcome.text());
        if step.counts {
            rows.push(Row { step: step.what, tool: tool.name, outcome });
        }
    }
    work.clean()?;
    Ok(rows)
}

impl Outcome {
    fn text(&self) -> String {
        match self {
            Self::Ran(measured) => measured.text(),
            Self::Takes(stored) => stored.text(),
        }
    }

    /// What rounds are ordered by.
    fn weight(&self) -> f64 {
        match self {
            Self::Ran(measured) => measured.cpu_seconds,
            Self::Takes(stored) => stored.mib(),
        }
    }
}

/// The median round of every step, steps in their order, tools beneath each other.
fn print(rows: &[Row]) {
    let mut steps: Vec<&str> = Vec::new();
    for row in rows {
        if !steps.contains(&row.step) {
            steps.push(row.step);
        }
    }
    for step in steps {
        println!("\n{step}");
        for tool in tools::ALL {
            let mut rounds: Vec<&Outcome> = rows
                .iter()
                .filter(|row| row.step == step && row.tool == tool.name)
                .map(|row| &row.outcome)
                .collect();
            rounds.sort_by(|a, b| a.weight().total_cmp(&b.weight()));
            if let Some(median) = rounds.get(rounds.len() / 2) {
                println!("  {:10} {}", tool.name, median.text());
            }
        }
    }
}

/// The image set, made once.
fn images(bench: &Bench<'_>) -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("REFPOINT_BENCH_IMAGES") {
        return Ok(folder.into());
    }
    let folder = bench.folder.join("images");
    let complete = folder.join("complete");
    if !complete.exists() {
        let script = bench.root.join("tools/bench/make-images.sh");
        eprintln!("making the images (about ten minutes)");
        let made = Command::new("bash").arg(script).arg(&folder).status().context("cannot run bash")?;
        if !made.success() {
            bail!("the images could not be made in {}", folder.display());
        }
        std::fs::write(&complete, "").with_context(|| format!("cannot write {}", complete.display()))?;
    }
    Ok(folder)
}

fn build(root: &Path) -> Result<PathBuf> {
    let build = ["build", "--release", "--quiet", "--package", "protection", "--example", "store_speed"];
    if !cargo(root).args(build).status()?.success() {
        bail!("the example store_speed of protection does not build");
    }
    Ok(target_folder(root)?.join("release/examples/store_speed"))
}

/// What changed on each disk from day 1 to day 2, found beforehand as a host would tell it.
fn ranges(program: &Path, images: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let find = |guest: &str| {
        let ranges = folder.join(format!("{guest}.ranges"));
        let (old, new) = (images.join("d1").join(guest), images.join("d2").join(guest));
        let status = Command::new(program).arg("diff").args([&old, &new, &ranges]).status()?;
        if !status.success() {
            bail!("the changes of {guest} could not be found");
        }
        Ok(ranges)
    };
    GUESTS.into_iter().map(find).collect()
}
