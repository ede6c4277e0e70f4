//! Which entries of a log count. Every file has a version in its first sector on disk, which the
//! entries raise; "seen" tells the version that a reader finds, or the code of the error.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::log::{BLOCK, Change, DirtyFile, Entry, SECTOR, dirty, open, raise, seal, sector, seen};
use common::{MIB, bytes_of, content};
use uuid::Uuid;
use vdisk::{Disk, FileIo, LogState, MemoryFile};

const LAST: u32 = 255;

/// Three entries from sector 0 on, versions 7 to 9, of which the last has three data sectors.
fn three_entries() -> (DirtyFile, u32) {
    let mut file = dirty();
    let second = file.place(0, &raise(&file, 7, 0));
    let third = file.place(second, &raise(&file, 8, 0));
    let changes = (0..3).map(|at| Change::Data(BLOCK + at * 4096, sector(9))).collect();
    file.place(third, &Entry { changes, ..file.entry(9, 0) });
    (file, third)
}

#[test]
fn the_entries_of_the_log_are_seen_by_readers_and_the_file_stays_as_it_is() {
    let (file, _) = three_entries();
    let source = Arc::new(MemoryFile::with_bytes("x.vhdx", &file.bytes));

    let disk = Disk::open(source.clone()).unwrap();

    assert_eq!(content(&disk)[..3 * SECTOR], vec![9; 3 * SECTOR]);
    assert_eq!(disk.layers().next().unwrap().log, LogState::ReplayedInMemory { entries: 3 });
    assert!(bytes_of(&*source) == file.bytes);
}

// case 37
#[test]
fn a_stale_log_without_a_guid_in_the_header_is_ignored() {
    let (mut file, _) = three_entries();
    file.put_headers(48, &[0; 16]);
    assert_eq!(seen(&file), "0");
    assert_eq!(open(&file).unwrap().layers().next().unwrap().log, LogState::Clean);
}

// case 37
#[test]
fn entries_of_another_guid_are_the_past() {
    let (mut file, third) = three_entries();
    let newer = Entry { guid: Uuid::from_u128(77), ..raise(&file, 10, 0) };
    file.place(third + 4, &newer);
    assert_eq!(seen(&file), "9", "behind the last entry");
    file.place(third, &Entry { sequence: 9, ..newer });
    assert_eq!(seen(&file), "8", "over the last entry");
}

// case 38
#[test]
fn a_log_that_should_hold_changes_and_has_no_sequence_is_refused() {
    assert_eq!(seen(&dirty()), "VD-004", "no entries");
    let mut file = dirty();
    file.place(0, &Entry { guid: Uuid::from_u128(77), ..raise(&file, 5, 0) });
    assert_eq!(seen(&file), "VD-004", "only entries of another log");
    file.put_headers(68, &[0; 4]);
    assert_eq!(seen(&file), "VD-004", "no log at all");
}

// case 7
#[test]
fn the_version_of_the_log_counts_only_when_the_log_is_in_use() {
    let (mut file, _) = three_entries();
    file.put_headers(64, &[1, 0]);
    assert_eq!(seen(&file), "VD-006");
    file.put_headers(48, &[0; 16]);
    assert_eq!(seen(&file), "0");
}

// case 6
#[test]
fn only_the_log_of_the_current_header_counts() {
    let (mut file, _) = three_entries();
    let header = |file: &mut DirtyFile, at: usize, guid: [u8; 16]| {
        file.bytes[at + 48..at + 64].copy_from_slice(&guid);
        seal(&mut file.bytes[at..at + SECTOR]);
    };
    header(&mut file, 0x2_0000, [0; 16]);
    assert_eq!(seen(&file), "0", "the older header has a log, the newer none");
    let guid = file.guid.to_bytes_le();
    header(&mut file, 0x1_0000, [0; 16]);
    header(&mut file, 0x2_0000, guid);
    assert_eq!(seen(&file), "9", "the newer header has a log, the older none");
}

// case 39
#[test]
fn a_torn_last_entry_ends_the_log_at_the_one_before() {
    let (sound, third) = three_entries();
    let old = Entry { changes: vec![Change::Data(BLOCK, sector(3)); 3], ..sound.entry(3, 0) }.bytes();
    for torn in 0..4 {
        let place = MIB as usize + (third as usize + torn) * SECTOR;
        for (name, bytes) in [
            ("zeros", &vec![0; SECTOR]),
            ("old bytes", &old[torn * SECTOR..(torn + 1) * SECTOR].to_vec()),
            ("one bit", &{
                let mut flipped = sound.bytes[place..place + SECTOR].to_vec();
                flipped[2000] ^= 4;
                flipped
            }),
        ] {
            let mut file = sound.clone();
            file.bytes[place..place + SECTOR].copy_from_slice(bytes);
            assert_eq!(seen(&file), "8", "sector {torn} is {name}");
        }
    }
}

// case 40
#[test]
fn an_entry_may_wrap_around_the_end_of_the_log_anywhere() {
    let sectors: Vec<u64> = (0..130).map(|number| BLOCK + number * 4096).collect();
    for start in 255 - 132..=255 {
        let mut file = dirty();
        let changes = sectors.iter().map(|at| Change::Data(*at, sector(6))).collect();
        let end = file.place(start, &Entry { changes, ..file.entry(6, start) });
        file.place(end, &Entry { changes: vec![Change::Zero(BLOCK, 4096)], ..file.entry(7, start) });
        assert_eq!(seen(&file), "0", "from sector {start}, ending before {end}");
        let mut rest = vec![0; 129 * SECTOR];
        open(&file).unwrap().read_at(4096, &mut rest).unwrap();
        assert!(rest.iter().all(|byte| *byte == 6), "from sector {start}");
    }
}

// case 41
#[test]
fn entries_hold_any_number_of_descriptors() {
    for count in [0u64, 1, 126, 127, 254, 255] {
        let mut file = dirty();
        let tables = (64 + 32 * count).div_ceil(4096);
        // The log has 256 sectors, which an entry may not fill: some descriptors clear instead.
        let data = count.min(255 - tables);
        let change = |number: u64| match number {
            _ if number < data => Change::Data(BLOCK + number * 4096, sector(9)),
            _ => Change::Zero(BLOCK + number * 4096, 4096),
        };
        file.place(3, &Entry { changes: (0..count).map(change).collect(), ..file.entry(4, 3) });
        let read = content(&open(&file).unwrap());
        let expected = (data * 4096) as usize;
        assert!(read[..expected].iter().all(|byte| *byte == 9), "{count} descriptors");
        assert!(read[expected..(count * 4096) as usize].iter().all(|byte| *byte == 0), "{count} descriptors");
    }
    let mut file = dirty();
    file.place(0, &Entry { changes: vec![Change::Data(BLOCK, sector(9)); 254], ..file.entry(4, 0) });
    assert_eq!(seen(&file), "VD-004", "an entry as long as the log");
}

// case 41
#[test]
fn descriptors_beyond_the_second_table_sector_are_applied() {
    for count in [255u64, 382, 383, 1000] {
        let changes = (0..count).map(|number| Change::Zero(BLOCK + number % 256 * 4096, 4096)).collect();
        let mut file = dirty();
        file.bytes[BLOCK as usize..][..SECTOR].fill(8);
        let mut entry = Entry { changes, ..file.entry(4, 0) };
        entry.changes.rotate_left(1);
        file.place(0, &entry);
        assert_eq!(seen(&file), "0", "{count} descriptors, the last clears the first sector");
    }
}

// case 42
#[test]
fn replay_starts_at_the_tail_of_the_last_entry() {
    let mut file = dirty();
    let marks = |at: u64, value: u8| Change::Data(BLOCK + at * 4096, sector(value));
    let second = file.place(9, &Entry { changes: vec![marks(1, 1)], ..file.entry(5, 9) });
    let third = file.place(second, &Entry { changes: vec![marks(2, 2)], ..file.entry(6, 9) });
    file.place(third, &Entry { changes: vec![marks(3, 3)], ..file.entry(7, second) });
    let read = content(&open(&file).unwrap());
    let value = |at: usize| read[at * SECTOR + 100];
    assert_ne!(value(1), 1, "before the tail: it is in place, or something newer is");
    assert_eq!((value(2), value(3)), (2, 3));
}

// case 42
#[test]
fn a_tail_outside_the_sequence_leaves_no_sequence() {
    for (name, tail) in [("mid-entry", 1), ("in empty log", 40), ("outside the log", 256), ("far", 0xf_ffff)]
    {
        let mut file = dirty();
        let second = file.place(0, &raise(&file, 7, 0));
        file.place(second, &raise(&file, 8, tail));
        assert_eq!(seen(&file), "VD-004", "{name}");
    }
}

// case 46
#[test]
fn the_sequence_with_the_greatest_last_number_counts() {
    let mut file = dirty();
    file.place(100, &raise(&file, 20, 100));
    let second = file.place(7, &raise(&file, 40, 7));
    assert_eq!(seen(&file), "40", "it lies lower");
    file.place(second, &raise(&file, 42, 7));
    assert_eq!(seen(&file), "40", "a greater number behind a gap does not find its tail");
}

// case 46
#[test]
fn a_gap_in_the_numbers_ends_a_sequence() {
    let mut file = dirty();
    let second = file.place(7, &raise(&file, 40, 7));
    let third = file.place(second, &raise(&file, 41, 7));
    file.place(third, &raise(&file, 39, third));
    assert_eq!(seen(&file), "41");
}

// case 46
#[test]
fn halves_of_a_sequence_number_tell_a_torn_sector_though_the_checksum_is_right() {
    for (name, at) in [("upper half", 4096 + 4), ("lower half", 8192 - 4), ("signature", 4096)] {
        let mut file = dirty();
        let second = file.place(0, &raise(&file, 7, 0));
        let mut bytes = raise(&file, 8, 0).bytes();
        bytes[at] ^= 1;
        seal(&mut bytes);
        file.place_bytes(second, &bytes);
        assert_eq!(seen(&file), "7", "{name}");
    }
}

#[test]
fn an_entry_that_contradicts_itself_ends_the_sequence() {
    for (name, at, value) in [
        ("length 0", 8, 0u32),
        ("length not in sectors", 8, 8193),
        ("longer than its data", 8, 3 * 4096),
        ("shorter than its data", 8, 4096),
        ("as long as the log", 8, 1 << 20),
        ("more descriptors", 24, 2),
        ("fewer descriptors", 24, 0),
        ("descriptors beyond its length", 24, u32::MAX),
        ("unknown descriptor", 64, 0x1234),
        ("descriptor of another entry", 64 + 24, 3),
    ] {
        let mut file = dirty();
        let second = file.place(0, &raise(&file, 7, 0));
        let mut bytes = raise(&file, 8, 0).bytes();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        seal(&mut bytes);
        file.place_bytes(second, &bytes);
        assert_eq!(seen(&file), "7", "{name}");
    }
    let mut file = dirty();
    file.place(0, &raise(&file, 0, 0));
    assert_eq!(seen(&file), "VD-004", "number 0");
}

#[test]
fn two_sequences_that_end_with_the_same_number_leave_it_open_which_counts() {
    let mut file = dirty();
    file.place(0, &raise(&file, 7, 0));
    file.place(9, &raise(&file, 7, 9));
    assert_eq!(seen(&file), "VD-004");
}

// case 8
#[test]
fn the_largest_sequence_numbers_are_read() {
    let mut file = dirty();
    let second = file.place(LAST - 1, &raise(&file, u64::MAX - 1, LAST - 1));
    file.place(second, &raise(&file, u64::MAX, LAST - 1));
    assert_eq!(seen(&file), "255");
}

type MakeSector = fn(u64) -> Vec<u8>;

/// A file whose log is longer than fits into memory: each sector is made when it is read.
#[derive(Debug)]
struct LongLog {
    start: Vec<u8>,
    log_sectors: u64,
    make: MakeSector,
    read_bytes: AtomicU64,
}

impl LongLog {
    /// Moves the log behind everything else.
    fn new(log_bytes: u64, make: MakeSector) -> Arc<Self> {
        let mut file = dirty();
        let start = file.bytes.len() as u64;
        file.put_headers(68, &u32::try_from(log_bytes).unwrap().to_le_bytes());
        file.put_headers(72, &start.to_le_bytes());
        let (log_sectors, read_bytes) = (log_bytes / 4096, AtomicU64::new(0));
        Arc::new(Self { start: file.bytes, log_sectors, make, read_bytes })
    }
}

impl FileIo for LongLog {
    fn len(&self) -> io::Result<u64> {
        Ok(self.start.len() as u64 + self.log_sectors * 4096)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_bytes.fetch_add(buf.len() as u64, Ordering::Relaxed);
        let Some(in_log) = offset.checked_sub(self.start.len() as u64) else {
            buf.copy_from_slice(&self.start[offset as usize..][..buf.len()]);
            return Ok(());
        };
        // Readers of the log read whole sectors; who looks for a footer reads less.
        let skipped = (in_log % 4096) as usize;
        for (sector, number) in buf.chunks_mut(SECTOR).zip(in_log / 4096..) {
            let mut made = (self.make)(number);
            made.resize(SECTOR, 0);
            sector.copy_from_slice(&made[skipped..][..sector.len()]);
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
        "x.vhdx"
    }
}

/// The start of an entry that claims all of the log but one sector, with so many descriptors.
fn claim(number: u64, descriptors: u32) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..4].copy_from_slice(b"loge");
    bytes[8..12].copy_from_slice(&((1u32 << 30) - 4096).to_le_bytes());
    bytes[16..24].copy_from_slice(&(number + 1).to_le_bytes());
    bytes[24..28].copy_from_slice(&descriptors.to_le_bytes());
    bytes[32..48].copy_from_slice(&Uuid::from_u128(0x10c).to_bytes_le());
    bytes
}

// case 47
#[test]
fn each_sector_of_a_hostile_log_is_read_at_most_twice() {
    let makers: [(&str, MakeSector); 3] = [
        ("every sector claims the log", |number| claim(number, 0)),
        ("one claim, then descriptors of it", |number| match number {
            0 => claim(0, 33_000_000),
            _ => [b"zero".as_slice(), &[0; 20], &1u64.to_le_bytes()].concat().repeat(128),
        }),
        ("claims of many descriptors beside each other", |number| match number % 2 {
            0 => claim(number, 33_000_000),
            _ => [b"zero".as_slice(), &[0; 20], &number.to_le_bytes()].concat().repeat(128),
        }),
    ];
    for (name, make) in makers {
        let file = LongLog::new(64 << 20, make);
        let error = Disk::open(file.clone()).unwrap_err();
        assert_eq!(error.code(), "VD-004", "{name}");
        let read = file.read_bytes.load(Ordering::Relaxed);
        assert!(read <= (128 << 20) + MIB, "{name}: {read} bytes read");
    }
}

// case 47
#[test]
fn a_log_of_1_gib_is_replayed_and_a_longer_one_refused() {
    fn empty_entries(number: u64) -> Vec<u8> {
        let tail = (number as u32).saturating_sub(1000);
        let guid = Uuid::from_u128(0x10c);
        Entry { guid, sequence: number + 1, tail, flushed: 0, last: 0, changes: Vec::new() }.bytes()
    }
    let disk = Disk::open(LongLog::new(1 << 30, empty_entries)).unwrap();
    assert_eq!(disk.layers().next().unwrap().log, LogState::ReplayedInMemory { entries: 1001 });

    let error = Disk::open(LongLog::new((4 << 30) - MIB, empty_entries)).unwrap_err();
    assert_eq!(error.code(), "VD-006");
    let mut file = dirty();
    file.put_headers(68, &(1u32 << 30).to_le_bytes());
    assert_eq!(seen(&file), "VD-003", "a log beyond the end of the file");
}
