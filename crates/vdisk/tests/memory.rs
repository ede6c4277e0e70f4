//! What large and hostile disks cost in memory.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::sync::{Arc, Mutex};

use common::{MIB, pattern};
use vdisk::{ByteRange, CreateOptions, Disk, ExtentKind, FileIo, LocalFile, WritableDisk};

/// The tests of this file may share a process, whose memory they measure.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Peak memory of this process.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_sparse_disk_of_64_gib_is_written_and_read_by_extents_in_little_memory() {
    const GIB: u64 = 1 << 30;
    let _alone = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.vhdx");
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(64 * GIB) };
    let before = peak_bytes();

    let mut disk = WritableDisk::create(Arc::new(LocalFile::create_new(&path).unwrap()), &options).unwrap();
    for gib in 0..64 {
        disk.write_at(gib * GIB + gib * 512, &pattern(gib, 4096)).unwrap();
    }
    disk.close().unwrap();
    let disk = Disk::open_local(&path).unwrap();
    let (mut data_bytes, mut found) = (0, 0);
    let mut buf = vec![0; MIB as usize];
    for extent in disk.extents(ByteRange::new(0, 64 * GIB)) {
        let extent = extent.unwrap();
        if !matches!(extent.kind, ExtentKind::Data { .. }) {
            continue;
        }
        data_bytes += extent.range.len();
        disk.read_at(extent.range.start, &mut buf[..extent.range.len() as usize]).unwrap();
        let gib = extent.range.start / GIB;
        let at = (gib * 512) as usize;
        found += u64::from(buf[at..at + 4096] == pattern(gib, 4096));
    }

    assert_eq!((found, data_bytes), (64, 64 * MIB));
    let grown = peak_bytes() - before;
    assert!(grown < 64 * MIB, "memory grew by {grown} bytes");
}

/// The length of the file bounds what is taken for its table, whatever its metadata says.
#[test]
fn a_small_file_that_claims_a_huge_disk_takes_little_memory() {
    let _alone = ONE_AT_A_TIME.lock();
    let (file, disk) = common::small_disk(MIB);
    disk.close().unwrap();
    let size = 2 * MIB + 0x1_0008;
    file.write_at(size, &(64u64 << 40).to_le_bytes()).unwrap();
    let before = peak_bytes();

    for length in [1024, 4 * MIB] {
        file.set_len(length).unwrap();
        assert!(Disk::open(Arc::new(file.clone())).is_err());
    }

    let grown = peak_bytes() - before;
    assert!(grown < 4 * MIB, "memory grew by {grown} bytes");
}
