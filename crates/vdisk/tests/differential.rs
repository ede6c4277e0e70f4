//! Random disks made in several ways, judged by readers that share no code with ours.
//!
//! A seed decides everything: format, size, sectors, one to four layers, and for each layer who makes it: our
//! writers, or `fuzz_bodies/plain.rs` and `vhd_format.rs`, which put files together by hand with blocks in any order
//! and state. The logs of some hold what is not in place yet (`dirty.rs`). A sparse array of bytes, the model,
//! follows each change that the guest makes. Then
//!
//! - every image is read by us, and by the `wxtla` crate except where it departs from the specification
//!   (`wxtla_reader.rs`);
//! - every fourth is written anew by our one-pass writer, as VHDX, VHD or qcow2, and judged again; of those with
//!   a log in use every fourth is replayed in place;
//! - of the images without a parent some go to `qemu-img check` and `compare`, and as often `qemu-img convert`
//!   makes an image of the model's bytes that we read (`qemu.rs`).
//!
//! The run ends with a table of who judged how many images of which kind, and fails when a judge was idle.
//! 1,000 images run with the tests; `cargo xtask differential --images 10000` runs more. A failure prints the
//! command that repeats it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

#[path = "differential/chain.rs"]
mod chain;
#[path = "differential/dirty.rs"]
mod dirty;
#[path = "differential/judges.rs"]
mod judges;
#[path = "differential/model.rs"]
mod model;
#[allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "shared with the fuzz targets")]
#[path = "fuzz_bodies/plain.rs"]
mod plain;
#[path = "differential/plain_vhd.rs"]
mod plain_vhd;
#[path = "differential/plain_vhdx.rs"]
mod plain_vhdx;
#[path = "differential/qemu.rs"]
mod qemu;
#[path = "differential/tally.rs"]
mod tally;
#[path = "differential/vhd_format.rs"]
mod vhd_format;
#[path = "differential/wxtla_reader.rs"]
mod wxtla_reader;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use tally::Tally;

/// Images of an ordinary run.
const IMAGES: u64 = 1000;
const IMAGES_VARIABLE: &str = "REFPOINT_DIFFERENTIAL_IMAGES";
const SEED_VARIABLE: &str = "REFPOINT_DIFFERENTIAL_SEED";

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

// case 73
#[test]
fn every_judge_reads_random_disks_as_the_model_says() {
    let first = number(SEED_VARIABLE, 1);
    let end = first + number(IMAGES_VARIABLE, IMAGES);
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);

    let tallies = std::thread::scope(|scope| {
        let run = || {
            let mut tally = Tally::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return tally;
                }
                one_image(seed, &mut tally);
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });

    let tally = tallies.into_iter().fold(Tally::default(), Tally::plus);
    println!("{tally}");
    assert_eq!(tally.images(), end - first);
    assert!(tally.idle().is_empty(), "judges were idle: {:?}", tally.idle());
}

fn one_image(seed: u64, tally: &mut Tally) {
    let outcome = catch_unwind(AssertUnwindSafe(|| judges::judge(seed, &chain::make(seed), tally)));
    assert!(outcome.is_ok(), "again: cargo xtask differential --images 1 --seed {seed}");
}
