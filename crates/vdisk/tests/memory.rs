//! What large and hostile disks cost in memory.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io;
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

// case 75
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

/// A fixed disk of 16 TiB whose blocks lie in reverse, made when it is read: its table has 128 MiB.
#[derive(Debug)]
struct ReverseFixedDisk {
    start: Vec<u8>,
    blocks: u64,
}

const FIXED_TABLE: u64 = 3 * MIB;
const FIXED_TABLE_BYTES: u64 = 129 * MIB;

impl ReverseFixedDisk {
    fn new() -> Self {
        let (file, disk) = common::small_disk(MIB);
        disk.close().unwrap();
        let mut start = common::bytes_of(&file)[..3 * MIB as usize].to_vec();
        let (blocks, items) = (16 << 20, 2 * MIB as usize + 0x1_0000);
        start[items + 8..items + 16].copy_from_slice(&(blocks * MIB).to_le_bytes());
        for table in [0x3_0000, 0x4_0000] {
            start[table + 40..table + 44].copy_from_slice(&(FIXED_TABLE_BYTES as u32).to_le_bytes());
            start[table + 4..table + 8].fill(0);
            let sum = crc32c::crc32c(&start[table..table + 0x1_0000]);
            start[table + 4..table + 8].copy_from_slice(&sum.to_le_bytes());
        }
        Self { start, blocks }
    }

    fn entry(&self, at: u64) -> u64 {
        let (chunk, place) = (at / 4097, at % 4097);
        let block = chunk * 4096 + place;
        let unit = (FIXED_TABLE + FIXED_TABLE_BYTES) / MIB + self.blocks.saturating_sub(block + 1);
        if place == 4096 || block >= self.blocks { 0 } else { unit << 20 | 6 }
    }
}

impl FileIo for ReverseFixedDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(FIXED_TABLE + FIXED_TABLE_BYTES + self.blocks * MIB)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset < FIXED_TABLE {
            buf.copy_from_slice(&self.start[offset as usize..][..buf.len()]);
            return Ok(());
        }
        if offset >= FIXED_TABLE + FIXED_TABLE_BYTES {
            buf.fill(0);
            return Ok(());
        }
        for (word, at) in buf.chunks_mut(8).zip((offset - FIXED_TABLE) / 8..) {
            word.copy_from_slice(&self.entry(at).to_le_bytes());
        }
        Ok(())
    }
    fn write_at(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn name(&self) -> &'static str {
        "fixed.vhdx"
    }
}

// case 75
#[test]
fn a_full_table_that_is_only_read_costs_little_memory() {
    let _alone = ONE_AT_A_TIME.lock();
    let before = peak_bytes();

    let disk = Disk::open(Arc::new(ReverseFixedDisk::new())).unwrap();

    assert_eq!(disk.block_usage().unwrap()[0].allocated_blocks, 16 << 20);
    let grown = peak_bytes() - before;
    assert!(grown < 32 * MIB, "memory grew by {grown} bytes");
}
