//! `cargo xtask fuzz`: lets libFuzzer look for inputs that break a parser.
//!
//! The targets are a workspace of their own in `fuzz/`, because they need a nightly compiler. What they do with
//! an input stands with the tests of each crate, which replay the corpora without a fuzzer.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace::target_folder;

/// Where the targets are.
const TARGETS: &str = "fuzz/fuzz_targets";
/// Megabytes of the process beyond which the fuzzer says that an input costs too much.
const MEMORY_MIB: u32 = 512;
/// Our crates have no unsafe code, where a sanitizer would find nothing and make each run three times as long.
const SANITIZER: &str = "--sanitizer=none";
/// Longest input; the bodies read only so far.
const INPUT_BYTES_MAX: u32 = 4096;
/// Seconds that one input may take.
const INPUT_SECONDS_MAX: u32 = 10;

/// The most that the allocator takes for these settings.
const KEPT_BYTES: &str = "33554432";

/// Options of `cargo xtask fuzz`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only this target; without one all run, one after the other
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Afterwards keep only the inputs that reach something of their own (`cargo fuzz cmin`)
    #[arg(long)]
    minimise: bool,
}

/// Runs the targets; false when one found something.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let all = targets(root)?;
    let chosen: Vec<_> = match &options.target {
        None => all,
        Some(name) if all.contains(name) => vec![name.clone()],
        Some(name) => bail!("there is no target `{name}`; there are {}", all.join(", ")),
    };
    check_tools()?;
    let mut clean = true;
    for target in &chosen {
        println!("== {target}: {} s", options.seconds);
        clean &= succeeds(&mut fuzz(root, &run_arguments(target, options.seconds))?)?;
        if options.minimise {
            clean &= succeeds(&mut fuzz(root, &["cmin".into(), SANITIZER.into(), target.clone()])?)?;
        }
    }
    Ok(clean)
}

/// The names of the files in the folder of targets.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(TARGETS);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn run_arguments(target: &str, seconds: u32) -> Vec<String> {
    let mut arguments: Vec<_> = ["run", SANITIZER, target, "--"].map(str::to_owned).into();
    for (name, value) in [
        ("max_total_time", seconds),
        ("max_len", INPUT_BYTES_MAX),
        ("rss_limit_mb", MEMORY_MIB),
        ("timeout", INPUT_SECONDS_MAX),
        ("print_final_stats", 1),
    ] {
        arguments.push(format!("-{name}={value}"));
    }
    arguments
}

/// Says plainly what is missing.
fn check_tools() -> Result<()> {
    let answers = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !answers(&["+nightly", "--version"]) {
        bail!("fuzzing needs a nightly compiler: `rustup toolchain install nightly`");
    }
    if !answers(&["fuzz", "--version"]) {
        bail!("fuzzing needs cargo-fuzz: `cargo install cargo-fuzz --locked`");
    }
    Ok(())
}

/// `cargo +nightly fuzz …`, building into a folder of its own. The compiler that runs us must not be passed on.
fn fuzz(root: &Path, arguments: &[String]) -> Result<Command> {
    let mut command = Command::new("cargo");
    command.current_dir(root).stdin(Stdio::null()).args(["+nightly", "fuzz"]).args(arguments);
    command.env("CARGO_TARGET_DIR", target_folder(root)?.join("fuzz"));
    // Large buffers are kept instead of being given back and faulted in again for each input (glibc).
    for name in ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"] {
        command.env(name, KEPT_BYTES);
    }
    command.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    Ok(command)
}

fn succeeds(command: &mut Command) -> Result<bool> {
    Ok(command.status().with_context(|| format!("cannot run {command:?}"))?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_file_in_the_folder_of_targets() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(TARGETS)).unwrap();
        for name in ["b.rs", "a.rs", "notes.txt"] {
            fs::write(root.path().join(TARGETS).join(name), "").unwrap();
        }

        assert_eq!(targets(root.path()).unwrap(), ["a", "b"]);

        let options = Options { target: Some("c".into()), seconds: 1, minimise: false };
        let error = run(root.path(), &options).unwrap_err();
        assert_eq!(error.to_string(), "there is no target `c`; there are a, b");
    }

    #[test]
    fn a_run_bounds_time_and_memory() {
        let arguments = run_arguments("a", 60).join(" ");

        assert!(arguments.starts_with("run --sanitizer=none a -- -max_total_time=60 "), "{arguments}");
        assert!(arguments.contains("-rss_limit_mb=512"), "{arguments}");
    }
}
