//! What a log changes, and where it may not write. "seen" tells the version in the first sector of
//! the disk that a reader finds, or the code of the error.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::sync::Arc;

use common::log::{BLOCK, Change, DirtyFile, Entry, SECTOR, dirty, open, raise, seal, sector, seen};
use common::{MIB, bytes_of, content, pattern};
use vdisk::{ByteRange, Disk, ExtentKind, FileIo, LogState, MemoryFile, WritableDisk};

const METADATA: u64 = 2 << 20;
const BAT: u64 = 3 << 20;

/// What comes of a log with one entry of these changes.
fn seen_after(changes: Vec<Change>) -> String {
    let mut file = dirty();
    file.place(0, &Entry { changes, ..file.entry(5, 0) });
    seen(&file)
}

// case 43
#[test]
fn ranges_are_cleared_wherever_a_log_may_write() {
    let clear =
        |offset, length| seen_after(vec![Change::Data(BLOCK, sector(9)), Change::Zero(offset, length)]);
    for (name, expected, offset, length) in [
        ("the sector written before", "0", BLOCK, 4096),
        ("nothing", "9", BLOCK, 0),
        ("beyond the end of the file", "9", 6 << 20, 1 << 40),
        ("from the block to the end of all files", "0", BLOCK, (1 << 63) - (1 << 23)),
        ("more than all files", "VD-004", BLOCK, u64::MAX - 4095),
        ("the table, so that nothing is present", "0", BAT, 4096),
        ("a header", "VD-004", 0x2_0000, 4096),
        ("from the headers to the block", "VD-004", 0, BLOCK + 4096),
        ("the log", "VD-004", MIB, MIB),
        ("the end of the log", "VD-004", 2 * MIB - 4096, 8192),
        ("around the log", "VD-004", 0x3_0000, 4 * MIB),
        ("half sectors", "VD-004", BLOCK + 512, 4096),
        ("half a sector", "VD-004", BLOCK, 512),
        ("the metadata, which are needed", "VD-004", METADATA, MIB),
    ] {
        assert_eq!(clear(offset, length), expected, "{name}");
    }
}

#[test]
fn a_sector_written_after_it_was_cleared_is_seen() {
    let changes = vec![Change::Zero(BLOCK, 1 << 20), Change::Data(BLOCK, sector(9))];
    assert_eq!(seen_after(changes), "9");
}

// case 44
#[test]
fn sectors_are_written_only_where_a_log_may_write() {
    for (name, offset) in [
        ("a header", 0x1_0000),
        ("the last sector before the region tables", 0x2_f000),
        ("the log", MIB),
        ("the last sector of the log", 2 * MIB - 4096),
        ("half a sector", BLOCK + 512),
        ("beyond the end that the log gives the file", 5 * MIB),
        ("beyond 2^63", 1 << 63),
        ("the end of all numbers", u64::MAX - 4095),
    ] {
        assert_eq!(seen_after(vec![Change::Data(offset, sector(9))]), "VD-004", "{name}");
    }
    assert_eq!(seen_after(vec![Change::Data(0x3_f000, sector(0)), Change::Data(BLOCK, sector(4))]), "4");
}

// case 45
#[test]
fn a_file_shorter_than_its_log_knows_is_refused() {
    let mut file = dirty();
    let length = file.bytes.len() as u64;
    let second = file.place(0, &Entry { flushed: length + 1, ..raise(&file, 7, 0) });
    assert_eq!(seen(&file), "VD-003");
    file.place(second, &raise(&file, 8, 0));
    assert_eq!(seen(&file), "8", "the last entry tells");
}

// case 45
#[test]
fn a_file_ends_where_its_log_says() {
    let mut file = dirty();
    let (end, table) = (file.bytes.len() as u64, BAT as usize..BAT as usize + SECTOR);
    let mut page = file.bytes[table].to_vec();
    page[8..16].copy_from_slice(&(end | 6).to_le_bytes());
    let entry = Entry { last: end + MIB, changes: vec![Change::Data(BAT, page)], ..file.entry(7, 0) };
    file.place(0, &entry);
    let disk = open(&file).unwrap();
    assert!(content(&disk)[MIB as usize..2 * MIB as usize].iter().all(|byte| *byte == 0));
    let extents: Vec<_> = disk.extents(ByteRange::new(0, 2 * MIB)).map(Result::unwrap).collect();
    assert_eq!(extents.last().unwrap().range.end, 2 * MIB);
    assert!(matches!(extents[0].kind, ExtentKind::Data { layer: 0, file_offset: BLOCK }));

    file.place(0, &Entry { last: end + MIB - 4096, ..entry.clone() });
    let error = open(&file).unwrap().read_at(MIB, &mut [0; 512]).unwrap_err();
    assert_eq!(error.code(), "VD-003", "the block would reach beyond that end");
    file.place(0, &Entry { last: 1 << 63, ..entry });
    assert_eq!(seen(&file), "VD-004", "no file is that long");
}

// case 48
#[test]
fn structures_are_read_after_the_replay() {
    let mut file = dirty();
    // The disk grows to 5 MiB by its metadata, and the table moves by both region tables.
    let size = METADATA + 0x1_0000;
    let mut items = file.bytes[size as usize..][..SECTOR].to_vec();
    items[8..16].copy_from_slice(&(5 * MIB).to_le_bytes());
    let mut tables = file.bytes[0x3_0000..0x4_0000].to_vec();
    let end = file.bytes.len() as u64;
    tables[32..40].copy_from_slice(&end.to_le_bytes());
    seal(&mut tables);
    let mut page = vec![0; SECTOR];
    page[4 * 8..5 * 8].copy_from_slice(&(BLOCK | 6).to_le_bytes());
    let changes = vec![
        Change::Data(size, items),
        Change::Data(0x3_0000, tables[..SECTOR].to_vec()),
        Change::Data(0x4_0000, tables[..SECTOR].to_vec()),
        Change::Data(end, page),
    ];
    file.place(0, &Entry { changes, last: end + MIB, ..file.entry(7, 0) });

    let disk = open(&file).unwrap();

    let mut last = vec![0; SECTOR];
    disk.read_at(4 * MIB + 4096, &mut last).unwrap();
    assert_eq!(disk.capacity(), 5 * MIB);
    assert!(last == pattern(1, MIB)[SECTOR..2 * SECTOR], "block 4 is where block 0 was");
}

// cases 48, 56
#[test]
fn sector_bitmaps_are_read_after_the_replay_of_each_layer() {
    let mut parent = dirty();
    parent.place(0, &raise(&parent, 7, 0));
    let below: Arc<dyn FileIo> = Arc::new(MemoryFile::with_bytes("p.vhdx", &parent.bytes));
    let file = MemoryFile::new("child.avhdx");
    let disk = Disk::open(Arc::clone(&below)).unwrap();
    let mut disk = WritableDisk::create_child(Arc::new(file.clone()), &disk, "p.vhdx", None).unwrap();
    disk.write_at(512, &[9; 512]).unwrap();
    disk.close().unwrap();
    let mut child = DirtyFile::new(bytes_of(&file));
    let bitmap = child.bytes[BLOCK as usize..][..SECTOR].to_vec();
    assert_eq!(bitmap[..2], [2, 0], "sector 1 is the child's");
    let changes = vec![Change::Data(BLOCK, [vec![0], bitmap[1..].to_vec()].concat())];
    child.place(0, &Entry { changes, ..child.entry(7, 0) });

    let child = Arc::new(MemoryFile::with_bytes("child.avhdx", &child.bytes));
    let disk = Disk::open_chain(vec![child, below]).unwrap();

    let mut first = sector(0);
    disk.read_at(0, &mut first).unwrap();
    assert_eq!(first, sector(7), "all of it from the parent, as its own log left it");
    assert!(disk.layers().all(|layer| layer.log == LogState::ReplayedInMemory { entries: 1 }));
}
