//! QEMU as a second opinion, in both directions: what `qemu-img` makes is read right, and what this
//! crate makes is accepted and compares equal. A missing `qemu-img` fails these tests.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::qemu_img::qemu_img;
use common::{MIB, copy_disk, pattern};
use vdisk::{ByteRange, CreateKind, CreateOptions, Disk, DiskKind, FileIo, LocalFile, WritableDisk};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A sparse raw disk with these ranges filled.
fn raw_disk(folder: &Path, capacity: u64, ranges: &[ByteRange]) -> PathBuf {
    let path = folder.join("disk.raw");
    let file = LocalFile::create_new(&path).unwrap();
    file.set_len(capacity).unwrap();
    for range in ranges {
        file.write_at(range.start, &pattern(range.start, range.len())).unwrap();
    }
    path
}

fn scattered(capacity: u64) -> Vec<ByteRange> {
    let starts = [0, MIB - 512, 5 * MIB + 512, 33 * MIB, capacity - 1536];
    starts.into_iter().map(|start| ByteRange::at(start, 1536)).collect()
}

/// Same bytes in `ranges`, and nothing but zeros elsewhere.
fn assert_same(disk: &Disk, ranges: &[ByteRange]) {
    let mut buf = vec![0; 4 * MIB as usize];
    let mut at = 0;
    while at < disk.capacity() {
        let part = &mut buf[..(disk.capacity() - at).min(4 * MIB) as usize];
        let mut expected = vec![0; part.len()];
        for range in ranges {
            let shared = range.intersect(ByteRange::at(at, part.len() as u64));
            if !shared.is_empty() {
                let bytes = pattern(range.start, range.len());
                expected[(shared.start - at) as usize..(shared.end - at) as usize].copy_from_slice(
                    &bytes[(shared.start - range.start) as usize..(shared.end - range.start) as usize],
                );
            }
        }
        disk.read_at(at, part).unwrap();
        assert!(part == expected, "the disk differs near {at}");
        at += part.len() as u64;
    }
}

#[test]
fn what_qemu_makes_is_read_right() {
    for (options, kind) in [
        ("subformat=dynamic,block_size=1M", DiskKind::Dynamic),
        ("subformat=dynamic,block_size=32M", DiskKind::Dynamic),
        ("subformat=dynamic,block_size=256M,block_state_zero=off", DiskKind::Dynamic),
        ("subformat=fixed,block_size=8M", DiskKind::Fixed),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let capacity = 70 * MIB + 1024;
        let raw = raw_disk(folder.path(), capacity, &scattered(capacity));
        let vhdx = folder.path().join("disk.vhdx");
        qemu_img(&["convert", "-f", "raw", "-O", "vhdx", "-o", options, text(&raw), text(&vhdx)]);

        let disk = Disk::open_local(&vhdx).unwrap();

        let layer = disk.layers().next().unwrap();
        assert_eq!((layer.kind, layer.creator.starts_with("QEMU")), (kind, true), "{options}");
        assert_eq!(disk.capacity(), capacity);
        assert_same(&disk, &scattered(capacity));
    }
}

#[test]
fn what_this_crate_makes_is_accepted_by_qemu() {
    for (kind, block_bytes, capacity) in [
        (CreateKind::Dynamic, 32 << 20, 70 * MIB),
        (CreateKind::Dynamic, 1 << 20, 70 * MIB + 1024),
        (CreateKind::Dynamic, 2 << 20, 40 * MIB + 512),
        (CreateKind::Fixed, 32 << 20, 64 * MIB),
        (CreateKind::Fixed, 1 << 20, 35 * MIB + 4096),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let raw = raw_disk(folder.path(), capacity, &scattered(capacity));
        let path = folder.path().join("disk.vhdx");
        let file = Arc::new(LocalFile::create_new(&path).unwrap());
        let options = CreateOptions { kind, block_bytes, ..CreateOptions::dynamic(capacity) };
        let mut disk = WritableDisk::create(file, &options).unwrap();
        for range in scattered(capacity) {
            disk.write_at(range.start, &pattern(range.start, range.len())).unwrap();
        }
        disk.close().unwrap();

        qemu_img(&["check", "-f", "vhdx", text(&path)]);
        let same = qemu_img(&["compare", "-f", "raw", "-F", "vhdx", text(&raw), text(&path)]);
        assert!(same.contains("identical"), "{kind:?} {block_bytes}: {same}");
        assert_same(&Disk::open_local(&path).unwrap(), &scattered(capacity));
    }
}

/// Entries of payload blocks and of bitmaps interleave at each 4 GiB (512-byte sectors), so a disk of
/// several chunks with data on both sides of each border shows whether places are counted right.
#[test]
fn disks_of_several_chunks_agree_with_qemu() {
    const GIB: u64 = 1 << 30;
    let capacity = 9 * GIB + MIB;
    let borders = [4 * GIB - 1024, 4 * GIB + MIB, 8 * GIB - 512, 8 * GIB + MIB + 512, capacity - 1536];
    let ranges: Vec<_> = borders.into_iter().map(|start| ByteRange::at(start, 1536)).collect();
    let folder = tempfile::tempdir().unwrap();
    let raw = raw_disk(folder.path(), capacity, &ranges);
    let theirs = folder.path().join("theirs.vhdx");
    qemu_img(&["convert", "-O", "vhdx", "-o", "block_size=1M", text(&raw), text(&theirs)]);

    let ours = folder.path().join("ours.vhdx");
    let file = Arc::new(LocalFile::create_new(&ours).unwrap());
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(capacity) };
    let mut copy = WritableDisk::create(file, &options).unwrap();
    let allocated = copy_disk(&Disk::open_local(&theirs).unwrap(), &mut copy);
    copy.close().unwrap();

    assert!(allocated.total_bytes() < 20 * MIB, "only blocks with data are allocated");
    qemu_img(&["check", text(&ours)]);
    for range in ranges {
        let found = qemu_read(folder.path(), &ours, range);
        assert!(found == pattern(range.start, range.len()), "QEMU reads other bytes at {}", range.start);
    }
}

/// A few sectors as QEMU reads them; comparing gigabytes of nothing would take it long. Its `dd` counts
/// blocks from the start of the disk, those skipped included.
fn qemu_read(folder: &Path, vhdx: &Path, range: ByteRange) -> Vec<u8> {
    let part = folder.join("part.raw");
    let (input, output) = (format!("if={}", text(vhdx)), format!("of={}", text(&part)));
    let (skip, count) = (format!("skip={}", range.start / 512), format!("count={}", range.end / 512));
    qemu_img(&["dd", "-f", "vhdx", "-O", "raw", "bs=512", &skip, &count, &input, &output]);
    std::fs::read(part).unwrap()
}

/// What was written, cleared and written again through several sessions still passes the check.
#[test]
fn a_disk_with_cleared_and_reused_blocks_is_accepted_by_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhdx");
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(16 * MIB) };
    let file = Arc::new(LocalFile::create_new(&path).unwrap());
    let mut disk = WritableDisk::create(file, &options).unwrap();
    disk.write_at(0, &pattern(1, 8 * MIB)).unwrap();
    disk.write_zeroes(ByteRange::new(MIB, 4 * MIB)).unwrap();
    disk.flush().unwrap();
    disk.write_at(10 * MIB + 512, &pattern(2, 512)).unwrap();
    disk.close().unwrap();
    let mut expected = pattern(1, 8 * MIB);
    expected[MIB as usize..4 * MIB as usize].fill(0);
    expected.resize(16 * MIB as usize, 0);
    expected[10 * MIB as usize + 512..10 * MIB as usize + 1024].copy_from_slice(&pattern(2, 512));
    let raw = folder.path().join("disk.raw");
    std::fs::write(&raw, expected).unwrap();

    qemu_img(&["check", text(&path)]);
    assert!(qemu_img(&["compare", "-f", "raw", "-F", "vhdx", text(&raw), text(&path)]).contains("identical"));
    let blocks = Disk::open_local(&path).unwrap().block_usage().unwrap()[0].allocated_blocks;
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 4 * MIB + 8 * MIB, "given-up space was reused");
    assert_eq!(blocks, 6);
}

/// A log that was not replayed is replayed by QEMU, which then finds a sound file with what was flushed.
// cases 37, 61
#[test]
fn a_log_that_this_crate_left_is_replayed_by_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let capacity = 160 * MIB;
    let path = folder.path().join("disk.vhdx");
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(capacity) };
    let mut disk = WritableDisk::create(Arc::new(LocalFile::create_new(&path).unwrap()), &options).unwrap();
    let mut ranges = Vec::new();
    // Enough flushes, each with a page of the table, for the log to go round.
    for round in 0..150 {
        let range = ByteRange::at(round * MIB + 4096, 512);
        disk.write_at(range.start, &pattern(range.start, range.len())).unwrap();
        disk.flush().unwrap();
        ranges.push(range);
    }
    // A copy taken now is what a killed process leaves.
    let killed = folder.path().join("killed.vhdx");
    std::fs::copy(&path, &killed).unwrap();
    drop(disk);

    let raw = raw_disk(folder.path(), capacity, &ranges);
    for dirty in [killed, path] {
        let log = Disk::open_local(&dirty).unwrap().layers().next().unwrap().log;
        assert!(matches!(log, vdisk::LogState::ReplayedInMemory { .. }), "{log:?}");
        qemu_img(&["check", "-r", "all", "-f", "vhdx", text(&dirty)]);
        qemu_img(&["check", "-f", "vhdx", text(&dirty)]);
        let same = qemu_img(&["compare", "-f", "raw", "-F", "vhdx", text(&raw), text(&dirty)]);
        assert!(same.contains("identical"), "{same}");
    }
}

// cases 59, 61
#[test]
fn compacted_and_resized_disks_are_accepted_by_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhdx");
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(16 * MIB) };
    let mut disk = WritableDisk::create(Arc::new(LocalFile::create_new(&path).unwrap()), &options).unwrap();
    disk.write_at(0, &pattern(1, 8 * MIB)).unwrap();
    disk.write_zeroes(ByteRange::new(MIB, 4 * MIB)).unwrap();
    let report = disk.compact().unwrap();
    disk.resize(160 << 30, vdisk::Shrinking::KeepData).unwrap();
    disk.resize(40 * MIB + 512, vdisk::Shrinking::KeepData).unwrap();
    disk.write_at(20 * MIB, &pattern(2, 512)).unwrap();
    disk.close().unwrap();
    assert_eq!(report.bytes_after, 9 * MIB);

    let raw = folder.path().join("disk.raw");
    let mut expected = pattern(1, 8 * MIB);
    expected[MIB as usize..4 * MIB as usize].fill(0);
    expected.resize(40 * MIB as usize + 512, 0);
    expected[20 * MIB as usize..20 * MIB as usize + 512].copy_from_slice(&pattern(2, 512));
    std::fs::write(&raw, expected).unwrap();
    qemu_img(&["check", "-f", "vhdx", text(&path)]);
    assert!(qemu_img(&["compare", "-f", "raw", "-F", "vhdx", text(&raw), text(&path)]).contains("identical"));
}
