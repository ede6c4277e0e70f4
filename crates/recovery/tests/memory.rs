//! What restoring and verifying a large sparse disk costs in memory.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::{Bench, MIB, TestDisk, pattern};
use recovery::{DiskTarget, Progress, TargetFormat, restore_disk, verify_restored};

const QUIET: &(dyn Fn(Progress) + Send + Sync) = &|_| {};

#[tokio::test]
async fn a_sparse_disk_of_64_gib_is_restored_and_verified_in_little_memory() {
    const GIB: u64 = 1 << 30;
    let bench = Bench::new().await;
    let data = (0..64).map(|gib| (gib * GIB, pattern(gib, MIB))).collect();
    let view = bench.disk(TestDisk::new(64 * GIB, data)).await;
    let target = DiskTarget::new(bench.folder().join("a.vhdx"), TargetFormat::Vhdx);
    let before = peak_bytes();

    let restored = restore_disk(&view, &target, QUIET).await.unwrap();
    let proof = verify_restored(&view, &target.path, TargetFormat::Vhdx, QUIET).await.unwrap();

    assert_eq!((restored.data_bytes, restored.capacity_bytes), (64 * MIB, 64 * GIB));
    assert_eq!(proof.compared_bytes, 64 * 32 * MIB, "whole blocks of the VHDX are compared");
    let grown = peak_bytes() - before;
    assert!(grown < 64 * MIB, "memory grew by {grown} bytes");
}

/// Peak memory of this process.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
