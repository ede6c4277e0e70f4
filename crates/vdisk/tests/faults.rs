//! Storage that fails: full, broken, or writing only a part. The file always opens and shows nothing wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io;
use std::sync::{Arc, LazyLock};

use common::power_cut::{Bytes, Fault, RecordingFile};
use common::{MIB, content, pattern, small_disk};
use vdisk::{ByteRange, Disk, FileIo, LocalFile, Shrinking, WritableDisk};

const FAULTS: [Fault; 3] =
    [Fault::Fails(io::ErrorKind::StorageFull), Fault::Fails(io::ErrorKind::Other), Fault::Short];

static OLD: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(1, 2 * MIB));
static LAST: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(6, MIB));
/// A disk with data in its first 2 MiB.
static START: LazyLock<Bytes> = LazyLock::new(|| {
    let (file, mut disk) = small_disk(8 * MIB);
    disk.write_at(0, &OLD).unwrap();
    disk.close().unwrap();
    Bytes::of(&file)
});

/// What a guest does; each step may fail, and the guest goes on.
fn session(disk: &mut WritableDisk) -> Vec<bool> {
    let mut outcomes = Vec::new();
    for block in 2..6 {
        let written = disk.write_at(block * MIB + 4096, &pattern(block, 4096));
        outcomes.push(written.and_then(|()| disk.flush()).is_ok());
    }
    let cleared = disk.write_zeroes(ByteRange::at(2 * MIB, MIB));
    outcomes.push(cleared.and_then(|()| disk.flush()).is_ok());
    let written = disk.write_at(6 * MIB, &LAST);
    outcomes.push(written.and_then(|()| disk.flush()).is_ok());
    outcomes
}

/// Checks the disk against the steps that were reported as done.
fn check(bytes: &[u8], outcomes: &[bool], what: &str) {
    let at = |offset: u64, length: u64| &bytes[offset as usize..(offset + length) as usize];
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    assert!(*at(0, 2 * MIB) == **OLD, "{what}: old data");
    for block in 2..6 {
        let found = at(block * MIB + 4096, 4096);
        let as_written = found == pattern(block, 4096);
        let cleared = block == 2 && outcomes[4];
        // A write cut short may leave its first half, when its block was there.
        let in_part = found[..2048] == pattern(block, 4096)[..2048] && is_zero(&found[2048..]);
        assert!(
            as_written && !cleared || is_zero(found) || in_part,
            "{what}: block {block} shows other data"
        );
        let surely = outcomes[block as usize - 2] && block != 2;
        assert!(!surely || as_written, "{what}: block {block} was flushed and is lost");
        assert!(is_zero(at(block * MIB, 4096)) && is_zero(at(block * MIB + 8192, MIB - 8192)), "{what}");
    }
    assert!(!outcomes[5] || *at(6 * MIB, MIB) == **LAST, "{what}: the last write");
}

// case 65
#[test]
fn a_fault_at_any_operation_leaves_a_file_that_opens_with_what_was_reported_durable() {
    for fault in FAULTS {
        for stays in [false, true] {
            let mut calls = 0;
            loop {
                let file = RecordingFile::over("disk.vhdx", START.clone()).failing(calls, fault, stays);
                let mut disk = WritableDisk::open(file.io()).unwrap();
                let outcomes = session(&mut disk);
                let what = format!("{fault:?} at {calls}, stays {stays}");
                drop(disk);

                let after = RecordingFile::over("disk.vhdx", file.bytes());
                let shown = content(&Disk::open(after.io()).unwrap());
                check(&shown, &outcomes, &what);
                let writer = WritableDisk::open(after.io()).unwrap();
                check(&content(&writer.as_disk()), &outcomes, &what);
                if !stays && outcomes.iter().all(|done| *done) {
                    break;
                }
                calls += 1;
                if stays && calls > 60 {
                    break;
                }
            }
            assert!(calls > 20, "{calls} operations");
        }
    }
}

// case 65
#[test]
fn a_fault_while_compacting_or_resizing_leaves_what_the_disk_showed() {
    for fault in FAULTS {
        for calls in 0..70 {
            let file = RecordingFile::over("disk.vhdx", START.clone());
            let mut disk = WritableDisk::open(file.io()).unwrap();
            disk.write_zeroes(ByteRange::at(0, MIB)).unwrap();
            disk.close().unwrap();
            let file = RecordingFile::over("disk.vhdx", file.bytes()).failing(calls, fault, false);
            let mut disk = WritableDisk::open(file.io()).unwrap();
            let done =
                disk.compact().and_then(|_| disk.resize(40 * 1024 * MIB * 4, Shrinking::KeepData)).is_ok();
            drop(disk);

            let disk = Disk::open(RecordingFile::over("disk.vhdx", file.bytes()).io()).unwrap();
            let mut shown = vec![0; 2 * MIB as usize];
            disk.read_at(0, &mut shown).unwrap();
            assert!(shown[MIB as usize..] == OLD[MIB as usize..], "{fault:?} at {calls}");
            assert!(shown[..MIB as usize].iter().all(|byte| *byte == 0), "{fault:?} at {calls}");
            assert!(!done || disk.capacity() > 8 * MIB);
        }
    }
}

/// After a flush failed nobody knows what is durable, so a later success must not cover it up.
#[test]
fn a_writer_whose_flush_failed_refuses_to_go_on() {
    let mut refused = 0;
    for calls in 0..30 {
        let fault = Fault::Fails(io::ErrorKind::Other);
        let file = RecordingFile::over("disk.vhdx", START.clone()).failing(calls, fault, false);
        let mut disk = WritableDisk::open(file.io()).unwrap();
        let _ = disk.write_at(3 * MIB, &[1; 512]);
        let Err(error) = disk.flush() else { continue };
        if error.to_string().contains("make durable") {
            let error = disk.write_at(0, &[1; 512]).unwrap_err();
            assert_eq!(error.to_string(), "Cannot go on writing disk.vhdx.");
            assert!(disk.flush().is_err() && disk.close().is_err());
            refused += 1;
        }
    }
    assert!(refused > 0);
}

// case 64
#[test]
fn a_second_writer_of_a_file_is_refused_while_readers_may_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhdx");
    let options = vdisk::CreateOptions::dynamic(64 * MIB);
    let mut writer = WritableDisk::create(Arc::new(LocalFile::create_new(&path).unwrap()), &options).unwrap();
    writer.write_at(0, &pattern(1, 4096)).unwrap();
    writer.flush().unwrap();

    let error = LocalFile::open_read_write(&path).unwrap_err();

    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    let reader = Disk::open(Arc::new(LocalFile::open_read(&path).unwrap()) as Arc<dyn FileIo>).unwrap();
    let mut bytes = vec![0; 4096];
    reader.read_at(0, &mut bytes).unwrap();
    assert!(bytes == pattern(1, 4096), "a reader beside the writer sees what was flushed, through the log");
    drop(writer);
    assert!(LocalFile::open_read_write(&path).is_ok());
}
