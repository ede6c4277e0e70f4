//! How many calls a read or a write costs.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{MIB, pattern};
use vdisk::{ByteRange, CreateOptions, Disk, FileIo, MemoryFile, WritableDisk};

/// Counts the reads and writes that reach the file.
#[derive(Debug)]
struct CountedFile {
    inner: MemoryFile,
    reads: AtomicU64,
    writes: AtomicU64,
}

impl FileIo for CountedFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.inner.write_at(offset, data)
    }
    fn flush(&self) -> io::Result<()> {
        self.inner.flush()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn name(&self) -> &str {
        self.inner.name()
    }
}

fn counted() -> Arc<CountedFile> {
    let inner = MemoryFile::new("disk.vhdx");
    Arc::new(CountedFile { inner, reads: AtomicU64::new(0), writes: AtomicU64::new(0) })
}

#[test]
fn a_large_write_and_a_large_read_are_one_call_each() {
    let file = counted();
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(64 * MIB) };
    let mut disk = WritableDisk::create(file.clone(), &options).unwrap();
    let data = pattern(1, 40 * MIB);

    let before = file.writes.load(Ordering::SeqCst);
    disk.write_at(3 * MIB, &data).unwrap();
    assert_eq!(file.writes.load(Ordering::SeqCst) - before, 1, "40 blocks, one write");

    let mut read = vec![0; data.len()];
    let before = file.reads.load(Ordering::SeqCst);
    disk.read_at(3 * MIB, &mut read).unwrap();
    assert_eq!(file.reads.load(Ordering::SeqCst) - before, 1, "40 blocks, one read");
    assert!(read == data);

    let before = file.reads.load(Ordering::SeqCst);
    disk.read_at(50 * MIB, &mut read[..MIB as usize]).unwrap();
    assert_eq!(file.reads.load(Ordering::SeqCst), before, "nothing there, nothing read");
}

#[test]
fn sector_bitmaps_are_read_once_for_many_small_reads() {
    let (parent, mut disk) = common::small_disk(16 * MIB);
    disk.write_at(0, &pattern(1, 16 * MIB)).unwrap();
    disk.close().unwrap();
    let parent = Disk::open(Arc::new(parent)).unwrap();
    let child = counted();
    let mut disk = WritableDisk::create_child(child.clone(), &parent, "disk.vhdx", None).unwrap();
    for sector in 0..64 {
        disk.write_at(sector * 1024, &pattern(2, 512)).unwrap();
    }
    disk.flush().unwrap();

    let before = child.reads.load(Ordering::SeqCst);
    let mut sector = [0; 512];
    for number in 0..128 {
        disk.read_at(number * 512, &mut sector).unwrap();
    }
    assert_eq!(
        child.reads.load(Ordering::SeqCst) - before,
        64 + 1,
        "64 sectors and one window of the bitmap"
    );
    assert_eq!(disk.as_disk().extents(ByteRange::new(0, 16 * MIB)).count(), 128);
}
