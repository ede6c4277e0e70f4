//! What opening costs at most, counted at the allocator: hostile files, and the largest disk there can be.
//!
//! The counter is this binary's global allocator, so it sees every byte that the library asks for, touched or not.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "counting allocations needs an allocator of our own; a test stops at the first surprise"
)]

#[path = "fuzz_bodies/plain.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the fuzz targets")]
mod plain;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use plain::{BAT, MIB, Plain};
use vdisk::{CreateOptions, Disk, FileIo, FileRun, MemoryFile, WritableDisk};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The tests of this file may share a process, whose memory they measure.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

// SAFETY: every call goes on to the system's allocator unchanged; only sums are kept beside.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes held at once during `work`, beyond what was held before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    ((PEAK.load(Relaxed) - before) as u64, result)
}

/// Opens in every way there is.
fn open_all_ways(file: &MemoryFile) {
    let shared: Arc<dyn FileIo> = Arc::new(file.clone());
    if let Ok(disk) = Disk::open(Arc::clone(&shared)) {
        let _ = disk.read_at(0, &mut [0; 512]);
    }
    let _ = vdisk::check::check(&[Arc::clone(&shared)]);
    let _ = WritableDisk::open(Arc::clone(&shared));
    let _ = Disk::open_raw(shared);
}

/// xorshift64 (Marsaglia, 2003).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A kibibyte that begins, or ends, like something.
fn hostile_kibibyte(state: &mut u64) -> Vec<u8> {
    let fill = [0, 0xFF, next(state) as u8][(next(state) % 3) as usize];
    let mut bytes = vec![fill; 1024];
    for _ in 0..next(state) % 200 {
        bytes[(next(state) % 1024) as usize] = next(state) as u8;
    }
    let signatures: [(usize, &[u8]); 8] = [
        (0, b"vhdxfile"),
        (0, b"conectix"),
        (512, b"conectix"),
        (513, b"conectix"),
        (512, b"cxsparse"),
        (0, b"QFI\xfb"),
        (0, b"loge"),
        (510, b"\x55\xaa"),
    ];
    for (at, signature) in signatures {
        if next(state).is_multiple_of(3) {
            bytes[at..at + signature.len()].copy_from_slice(signature);
        }
    }
    bytes
}

// case 75
#[test]
fn a_hostile_file_of_1_kib_costs_less_than_4_mib() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut state = 75;
    for number in 0..2000 {
        let file = MemoryFile::with_bytes("x.vhdx", &hostile_kibibyte(&mut state));
        let (peak, ()) = peak_of(|| open_all_ways(&file));
        assert!(peak < 4 * MIB, "file {number} costs {peak} bytes");
    }
}

/// A VHD of one kibibyte with right checksums that claims the most it can.
// case 75
#[test]
fn a_vhd_of_1_kib_that_claims_the_largest_disk_costs_less_than_4_mib() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for (kind, entries, block) in
        [(3_u8, u32::MAX, 1_u32 << 21), (4, u32::MAX, 1 << 16), (2, 0, 0), (3, 1 << 30, 512)]
    {
        let mut footer = b"conectix\0\0\0\x02\0\x01\0\0\0\0\0\0\0\0\x02\0".to_vec();
        footer.resize(40, 0);
        footer.extend((2040_u64 << 30).to_be_bytes());
        footer.extend((2040_u64 << 30).to_be_bytes());
        footer.extend([0xFF, 0xFF, 16, 255, 0, 0, 0, kind]);
        footer.resize(512, 0);
        sum(&mut footer, 64);
        let mut header = b"cxsparse\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\x01\0\0".to_vec();
        header.extend(entries.to_be_bytes());
        header.extend(block.to_be_bytes());
        header.resize(1024, 0);
        sum(&mut header, 36);
        // The copy at the start, then half of the header: a kibibyte. And whole, a little more.
        for length in [1024, 1536, 2048] {
            let bytes = [&footer[..], &header, &footer].concat();
            let file = MemoryFile::with_bytes("x.vhd", &bytes[..length]);
            let (peak, ()) = peak_of(|| open_all_ways(&file));
            assert!(peak < 4 * MIB, "kind {kind}, {length} bytes: costs {peak} bytes");
        }
    }
}

fn sum(bytes: &mut [u8], field: usize) {
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    bytes[field..field + 4].copy_from_slice(&(!sum).to_be_bytes());
}

/// A file that counts what is read of it.
#[derive(Debug)]
struct Counted(MemoryFile, AtomicU64);

impl FileIo for Counted {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.1.fetch_add(buf.len() as u64, Relaxed);
        self.0.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn run_at(&self, offset: u64) -> io::Result<FileRun> {
        self.0.run_at(offset)
    }
    fn name(&self) -> &str {
        self.0.name()
    }
}

// cases 32, 75
#[test]
fn a_new_disk_of_64_tib_in_1_mib_blocks_opens_in_little_memory_and_few_reads() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let file = MemoryFile::new("large.vhdx");
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(64 << 40) };
    let mut disk = WritableDisk::create(Arc::new(file.clone()), &options).unwrap();
    disk.write_at(63 << 40, &[7; 4096]).unwrap();
    disk.close().unwrap();

    let counted = Arc::new(Counted(file, AtomicU64::new(0)));
    let shared: Arc<dyn FileIo> = Arc::clone(&counted) as Arc<dyn FileIo>;
    let (peak, disk) = peak_of(|| Disk::open(shared).unwrap());

    let mut bytes = [0; 4096];
    disk.read_at(63 << 40, &mut bytes).unwrap();
    assert_eq!(bytes, [7; 4096]);
    let read = counted.1.load(Relaxed);
    assert!(peak < 64 * MIB && read < 64 * MIB, "opening holds {peak} bytes and reads {read}");
}

/// A disk with a block of data in every entry of its table, made when it is read: of 64 TiB it has 2^26 entries in
/// 512 MiB.
#[derive(Debug)]
struct Dense {
    plain: Plain,
    start: MemoryFile,
    read: AtomicU64,
}

impl Dense {
    fn new(capacity: u64) -> Self {
        let plain = Plain::new(capacity, MIB);
        Self { start: plain.file("large.vhdx"), plain, read: AtomicU64::new(0) }
    }

    fn entry(&self, at: u64) -> u64 {
        let (chunk, place) = (at / (self.plain.chunk_ratio() + 1), at % (self.plain.chunk_ratio() + 1));
        let block = chunk * self.plain.chunk_ratio() + place;
        let is_block = place < self.plain.chunk_ratio() && block < self.plain.blocks();
        if is_block { (self.plain.payload_start() + block * MIB) | 6 } else { 0 }
    }
}

impl FileIo for Dense {
    fn len(&self) -> io::Result<u64> {
        Ok(self.plain.payload_start() + self.plain.capacity)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Relaxed);
        if offset < BAT {
            return self.start.read_at(offset, buf);
        }
        buf.fill((offset / MIB) as u8);
        if offset < self.plain.payload_start() {
            for (word, at) in buf.chunks_exact_mut(8).zip((offset - BAT) / 8..) {
                word.copy_from_slice(&self.entry(at).to_le_bytes());
            }
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
        "large.vhdx"
    }
}

/// Counted in bytes, which stand for the time that opening takes.
// cases 32, 75
#[test]
fn a_full_disk_of_64_tib_opens_in_little_memory_and_few_reads() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let file = Arc::new(Dense::new(64 << 40));
    let shared: Arc<dyn FileIo> = Arc::clone(&file) as Arc<dyn FileIo>;

    let (peak, disk) = peak_of(|| Disk::open(shared).unwrap());
    let opened = file.read.swap(0, Relaxed);
    let mut bytes = [0; 4096];
    disk.read_at(63 << 40, &mut bytes).unwrap();
    let place = (file.plain.payload_start() + (63 << 40)) / MIB;

    assert!(peak < MIB && opened < MIB, "opening holds {peak} bytes and reads {opened}");
    assert_eq!(bytes, [place as u8; 4096]);
    assert_eq!(file.read.load(Relaxed), 65_536 + 4096, "one page of the table, and the data");
}

/// Walking over 6 TiB of it needs more pages than are kept.
// cases 32, 75
#[test]
fn a_walk_over_a_full_table_reads_it_once_and_keeps_little() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let file = Arc::new(Dense::new(64 << 40));
    let disk = Disk::open(Arc::clone(&file) as Arc<dyn FileIo>).unwrap();
    let range = vdisk::ByteRange::new(0, 6 << 40);
    file.read.store(0, Relaxed);

    let (peak, extents) = peak_of(|| disk.extents(range).count());

    assert_eq!(extents, 1);
    let (read, needed) = (file.read.load(Relaxed), (6 << 20) * 8);
    assert!(read < needed + MIB, "{read} bytes of the table were read, {needed} are needed");
    assert!(peak < 24 * MIB, "the walk holds {peak} bytes");
}

/// Only a writer must know all of the table. An eighth of the largest disk shows it, in an eighth of the time.
// cases 32, 75
#[test]
fn a_full_table_costs_its_writer_no_more_than_itself_and_64_mib() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let file = Arc::new(Dense::new(8 << 40));
    let shared: Arc<dyn FileIo> = Arc::clone(&file) as Arc<dyn FileIo>;

    let (peak, disk) = peak_of(|| WritableDisk::open(shared).unwrap());

    let (mut bytes, place) = ([0; 16], (file.plain.payload_start() + (1 << 40)) / MIB);
    disk.read_at(1 << 40, &mut bytes).unwrap();
    assert_eq!(bytes, [place as u8; 16]);
    assert!(peak <= file.plain.table_bytes() + 64 * MIB, "opening holds {peak} bytes");
}
