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
use vdisk::{ByteRange, CreateOptions, Disk, Extent, ExtentKind, FileIo, FileRun, MemoryFile, WritableDisk};

/// Counts the reads and writes that reach the file, and the bytes read.
#[derive(Debug)]
struct CountedFile {
    inner: MemoryFile,
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
}

impl FileIo for CountedFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.read_bytes.fetch_add(buf.len() as u64, Ordering::SeqCst);
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
    fn run_at(&self, offset: u64) -> io::Result<FileRun> {
        self.inner.run_at(offset)
    }
    fn name(&self) -> &str {
        self.inner.name()
    }
}

fn counted() -> Arc<CountedFile> {
    let count = || AtomicU64::new(0);
    let inner = MemoryFile::new("disk.vhdx");
    Arc::new(CountedFile { inner, reads: count(), read_bytes: count(), writes: count() })
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

const TIB: u64 = 1 << 40;

/// The largest table, of 512 MiB, stands for the time that opening takes: it is a hole but for the
/// pages of the blocks that were written.
// case 32
#[test]
fn opening_the_largest_disk_reads_only_what_its_table_holds() {
    let file = counted();
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(64 * TIB) };
    let mut disk = WritableDisk::create(file.clone(), &options).unwrap();
    for tib in 0..64 {
        disk.write_at(tib * TIB + tib * 512, &pattern(tib, 4096)).unwrap();
    }
    disk.close().unwrap();

    let before = file.read_bytes.load(Ordering::SeqCst);
    let disk = Disk::open(file.clone()).unwrap();
    let read = file.read_bytes.load(Ordering::SeqCst) - before;

    // 64 KiB is the unit of holes of a file in memory.
    assert!(read < 64 * 65_536 + MIB, "{read} bytes read");
    assert_eq!(disk.block_usage().unwrap()[0].allocated_blocks, 64);
    let data: Vec<_> = disk.allocated().unwrap().iter().collect();
    let blocks: Vec<_> = (0..64).map(|tib| ByteRange::at(tib * TIB, MIB)).collect();
    assert_eq!(data, blocks);
    let mut part = vec![0; 4096];
    disk.read_at(63 * TIB + 63 * 512, &mut part).unwrap();
    assert!(part == pattern(63, 4096));
}

/// A child without blocks of its own over a parent with many: each step of the child's empty table is
/// bounded, whatever the parent says in between.
#[test]
fn absent_blocks_are_passed_over_through_a_chain() {
    let (parent, child) = (MemoryFile::new("p.vhdx"), MemoryFile::new("c.avhdx"));
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(64 * TIB) };
    let mut disk = WritableDisk::create(Arc::new(parent.clone()), &options).unwrap();
    let written = [ByteRange::at(5 * TIB, MIB), ByteRange::at(64 * TIB - MIB, MIB)];
    for range in written {
        disk.write_at(range.start, &pattern(1, MIB)).unwrap();
    }
    disk.close().unwrap();
    let below = Disk::open(Arc::new(parent.clone())).unwrap();
    WritableDisk::create_child(Arc::new(child.clone()), &below, "p.vhdx", None).unwrap().close().unwrap();

    let disk = Disk::open_chain(vec![Arc::new(child), Arc::new(parent)]).unwrap();
    let extents: Vec<_> = disk.extents(ByteRange::new(0, u64::MAX)).map(Result::unwrap).collect();

    let is_data = |extent: &Extent| matches!(extent.kind, ExtentKind::Data { layer: 1, .. });
    let data: Vec<_> = extents.iter().filter(|extent| is_data(extent)).map(|extent| extent.range).collect();
    assert_eq!((extents.len(), data), (4, written.to_vec()));
}
