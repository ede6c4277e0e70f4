//! `cargo xtask differential`: more random disks than an ordinary test run has time for.
//!
//! It runs the test `differential` of vdisk, where each image comes from its seed; a failure prints the one
//! command that repeats it.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;

use crate::workspace::cargo;

/// Options of `cargo xtask differential`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How many images
    #[arg(long, default_value_t = 10_000)]
    images: u64,
    /// Seed of the first image; each further one has the next number
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the images; false when a judge disagreed.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let mut command = cargo(root);
    command.args(["test", "--package", "vdisk", "--test", "differential", "--", "--nocapture"]);
    command.env("REFPOINT_DIFFERENTIAL_IMAGES", options.images.to_string());
    command.env("REFPOINT_DIFFERENTIAL_SEED", options.seed.to_string());
    Ok(command.status().with_context(|| format!("cannot run {command:?}"))?.success())
}
