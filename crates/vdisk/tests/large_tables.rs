//! Block tables too large to be read at open: entries are judged when they are first used, as strictly as
//! those of a small table.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

#[path = "fuzz_bodies/plain.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the fuzz targets")]
mod plain;

use std::sync::Arc;

use plain::{BAT, LOG, MIB, Plain, locator_of};
use vdisk::check::Severity;
use vdisk::{ByteRange, Disk, Error, FileIo, MemoryFile, Oddity, WritableDisk};

const TIB: u64 = 1 << 40;
/// Entries of the table that are read together, and so many of them that the first are given up again.
const PAGE: u64 = 8192;
const CACHED_PAGES: u64 = 256;

/// 4 TiB in blocks of 1 MiB: a table of 32 MiB. Every eighth page of it has a block, and so has block 1.
fn large() -> Plain {
    let mut plain = Plain::new(4 * TIB, MIB);
    let start = plain.payload_start();
    let blocks: Vec<u64> = [1].into_iter().chain((0..64).map(|number| number * 8 * PAGE)).collect();
    for (place, block) in blocks.into_iter().zip(0..) {
        plain.table.push((plain.payload_entry(place), (start + block * MIB) | 6));
        plain.parts.push((start + block * MIB, place.to_le_bytes().repeat(64)));
    }
    plain.length = start + 65 * MIB;
    plain
}

/// The file, with the entry of one block changed.
fn with_entry(plain: &Plain, block: u64, entry: u64) -> Arc<MemoryFile> {
    let file = plain.file("x.vhdx");
    file.write_at(BAT + plain.payload_entry(block) * 8, &entry.to_le_bytes()).unwrap();
    Arc::new(file)
}

fn read(disk: &Disk, block: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![9; 512];
    disk.read_at(block * MIB, &mut bytes).map(|()| bytes)
}

/// "ok" or the code of the error of reading a block.
fn outcome(disk: &Disk, block: u64) -> &'static str {
    read(disk, block).map_or_else(|error| error.code(), |_| "ok")
}

// cases 23, 24, 25, 27, 29
#[test]
fn an_entry_of_a_large_table_is_judged_when_it_is_used() {
    let plain = large();
    let start = plain.payload_start();
    let cases = [
        ("state 4", 4, "VD-008"),
        ("state 5", 5, "VD-008"),
        ("present at 0", 6, "VD-008"),
        ("reserved bits", start | 0x100 | 6, "VD-008"),
        ("beyond the file", (start + 65 * MIB) | 6, "VD-003"),
        ("largest offset", u64::MAX << 20 | 6, "VD-003"),
        ("over the table", BAT | 6, "VD-004"),
        ("over the log", LOG | 6, "VD-004"),
        ("unmapped, over another block", start | 3, "ok"),
        ("undefined, beyond the file", (9 << 40) | 1, "ok"),
        ("partially present without a parent", (start + 64 * MIB) | 7, "ok"),
    ];
    for (name, entry, expected) in cases {
        let mut plain = plain.clone();
        plain.table.pop();
        let disk = Disk::open(with_entry(&plain, 3 * PAGE, entry)).unwrap();
        assert_eq!(outcome(&disk, 3 * PAGE), expected, "{name}");
        assert_eq!(outcome(&disk, 8 * PAGE), "ok", "{name}: a block of another page");
    }
}

/// Neither block is wrong by itself, so the one that is read first is believed.
// case 26
#[test]
fn blocks_of_a_large_table_that_share_space_are_told_once_both_are_used() {
    let plain = large();
    let (one, other) = (8 * PAGE, 400 * PAGE + 17);
    let entry = plain.table.iter().find(|entry| entry.0 == plain.payload_entry(one)).unwrap().1;
    let file = with_entry(&plain, other, entry);
    let disk = Disk::open(file.clone()).unwrap();

    assert_eq!(
        (outcome(&disk, one), outcome(&disk, other), outcome(&disk, other)),
        ("ok", "VD-004", "VD-004")
    );
    assert_eq!(outcome(&disk, one), "ok");
    let fresh = Disk::open(file.clone()).unwrap();
    assert_eq!(fresh.extents(ByteRange::new(0, 4 * TIB)).find_map(Result::err).unwrap().code(), "VD-004");
    assert_eq!(Disk::open(file.clone()).unwrap().block_usage().unwrap_err().code(), "VD-004");
    assert_eq!(
        WritableDisk::open(file.clone()).unwrap_err().code(),
        "VD-004",
        "a writer looks at everything"
    );
    assert!(vdisk::check::check(&[file]).unwrap().count(Severity::Error) > 0);
}

// case 26
#[test]
fn a_sector_bitmap_of_a_large_table_shares_space_with_nothing() {
    let mut plain = Plain::new(4 * TIB, MIB);
    plain.locator = Some(locator_of(7, "p.vhdx"));
    let start = plain.payload_start();
    plain.table = vec![(plain.payload_entry(5), start | 6), (plain.bitmap_entry(900), start | 6)];
    plain.length = start + MIB;
    let disk = Disk::open_leaf(plain.shared("x.avhdx")).unwrap();

    assert_eq!((outcome(&disk, 5), outcome(&disk, 900 * plain.chunk_ratio() + 9)), ("ok", "VD-004"));
}

#[test]
fn a_large_table_tells_its_blocks_and_what_is_odd() {
    let mut plain = large();
    plain.table[3].1 += 1;
    plain.table.push((plain.bitmap_entry(100), 77));
    plain.table.push((plain.payload_entry(9), (plain.payload_start() + 900 * MIB) | 6));

    let usage = Disk::open(plain.shared("x.vhdx")).unwrap().block_usage().unwrap().remove(0);

    assert_eq!(usage.allocated_blocks, 66);
    let odd = [Oddity::PartialWithoutParent(1), Oddity::JunkBitmapEntries(1), Oddity::BlocksBeyondEnd(1)];
    assert_eq!(usage.oddities, odd);
}

// case 74
#[test]
fn a_large_table_that_changes_under_its_reader_is_noticed() {
    let plain = large();
    let file = plain.shared("x.vhdx");
    let disk = Disk::open(Arc::clone(&file)).unwrap();
    let before = read(&disk, 1).unwrap();
    file.write_at(BAT + 8, &((plain.payload_start() + 30 * MIB) | 6).to_le_bytes()).unwrap();

    assert!(read(&disk, 1).unwrap() == before, "its page is still in memory");
    read(&disk, CACHED_PAGES * PAGE).unwrap();
    let error = read(&disk, 1).unwrap_err();

    assert_eq!(error.code(), "VD-001");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("changed"), "{error}");
}

/// Their pages take one another's place in memory all the time.
#[test]
fn readers_in_parallel_each_see_the_blocks_they_ask_for() {
    let disk = Disk::open(large().shared("x.vhdx")).unwrap();
    let read_some = |seed: u64| {
        for step in 0..3000 {
            let block = (step * 7 + seed) % 64 * 8 * PAGE;
            assert!(read(&disk, block).unwrap() == block.to_le_bytes().repeat(64), "block {block}");
            assert!(read(&disk, block + 1 + PAGE).unwrap() == [0; 512], "behind block {block}");
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|seed| drop(scope.spawn(move || read_some(seed)))));
}

#[test]
fn the_extents_of_a_large_table_are_its_blocks_and_nothing_else() {
    let plain = large();
    let disk = Disk::open(plain.shared("x.vhdx")).unwrap();
    let found: Vec<u64> = disk.allocated().unwrap().iter().map(|range| range.start / MIB).collect();
    let mut expected: Vec<u64> = (0..64).map(|number| number * 8 * PAGE).collect();
    // Blocks 0 and 1 are neighbours.
    assert_eq!(disk.allocated().unwrap().total_bytes(), 65 * MIB);
    expected.sort_unstable();
    assert_eq!(found, expected);
}
