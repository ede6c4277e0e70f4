//! Memory does not grow with the disk: 64 GiB, mostly never written, stay far below what a small host can spare.
//! One test in this file, since the peak is that of all child processes together.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use nix::sys::resource::{UsageWho, getrusage};
use support::{Bench, noise, tool};

const PEAK_BYTES_MAX: i64 = 256 << 20;
const CAPACITY: u64 = 64 << 30;
const PIECES: u64 = 8;
const MIB: u64 = 1 << 20;

#[test]
fn a_disk_of_64_gib_is_backed_up_and_restored_in_less_than_256_mib() {
    let bench = Bench::with_repository();
    let places: Vec<u64> = (0..PIECES).map(|number| number * CAPACITY / PIECES).collect();
    let pieces: Vec<(u64, Vec<u8>)> = places.iter().map(|&at| (at, half_noise_half_pattern(at))).collect();
    let raw = bench.raw_image("big.raw", CAPACITY, &pieces);
    bench.qemu_vhdx("big.vhdx", &raw);
    bench.refpoint(&["backup", "--disk", "big.vhdx", "--name", "BIG"]).expect_exit(0);
    bench.refpoint(&["restore", "disk", "latest", "--to", "again.vhdx"]).expect_exit(0);
    let raw_again = ["restore", "disk", "latest", "--to", "again.raw", "--format", "raw"];
    bench.refpoint(&raw_again).expect_exit(0);
    let peak_kib = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    assert!(peak_kib * 1024 < PEAK_BYTES_MAX, "a child process took {peak_kib} KiB");

    // qemu skips the holes of raw files; of a VHDX it would read all 64 GiB, so it looks at the patterns there.
    tool("qemu-img", &["compare", "-f", "raw", "-F", "raw", &bench.arg("again.raw"), &bench.arg("big.raw")]);
    for at in places {
        let look = format!("read -P 0x5a {} {MIB}", at + MIB);
        let seen = tool("qemu-io", &["-r", "-f", "vhdx", "-c", &look, &bench.arg("again.vhdx")]);
        assert!(!seen.contains("verification failed"), "{seen}");
    }
}

/// One MiB that differs by its place, one that qemu-io can recognise.
fn half_noise_half_pattern(at: u64) -> Vec<u8> {
    let mut bytes = noise(at + 1, 1 << 20);
    bytes.resize(2 << 20, 0x5a);
    bytes
}
