//! What the block allocation table says of each block, on sound and damaged files.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use common::damage::{BAT, ITEMS, check, open, put, set_entry, sound};
use common::{MIB, bytes_of, content, pattern, small_disk};
use vdisk::{ByteRange, CreateOptions, Disk, FileIo, LocalFile, MemoryFile, Oddity, WritableDisk};

#[test]
fn table_entries_are_used_only_when_they_can_be_right() {
    check(&[
        // case 24
        ("state 4", "VD-008", |b| set_entry(b, 2, 4)),
        ("state 5", "VD-008", |b| set_entry(b, 2, 5)),
        // case 25
        ("present at 0", "VD-008", |b| set_entry(b, 2, 6)),
        ("reserved bits", "VD-008", |b| set_entry(b, 0, (4 << 20) | 0x100 | 6)),
        ("beyond the file", "VD-003", |b| set_entry(b, 2, (7 << 20) | 6)),
        ("largest offset", "VD-003", |b| set_entry(b, 2, u64::MAX << 20 | 6)),
        // case 26
        ("over another block", "VD-004", |b| set_entry(b, 2, (5 << 20) | 6)),
        ("over the table", "VD-004", |b| set_entry(b, 2, (3 << 20) | 6)),
        ("over the log", "VD-004", |b| set_entry(b, 2, (1 << 20) | 6)),
        // case 27
        ("unmapped, over another block", "ok", |b| set_entry(b, 2, (5 << 20) | 3)),
        ("undefined, beyond the file", "ok", |b| set_entry(b, 2, (9 << 40) | 1)),
        // case 29
        ("partially present without a parent", "ok", |b| set_entry(b, 0, (4 << 20) | 7)),
        // case 23
        ("junk after the last entry", "ok", |b| put(b, BAT + 8 * 8, &[0xff; 4096])),
        ("disk needs a larger table", "VD-004", |b| put(b, ITEMS + 8, &(1u64 << 37).to_le_bytes())),
        // case 30
        ("inside its last block's data", "VD-003", |b| b.truncate((6 << 20) + 512)),
        ("beyond the disk in its last block", "ok", |b| b.truncate((7 << 20) - 512)),
    ]);
}

// case 25
#[test]
fn a_bad_entry_is_an_error_for_its_own_block_only_and_for_a_writer() {
    for (entry, code) in [((900 << 20) | 6, "VD-003"), (4, "VD-008"), ((5 << 20) | 0x100 | 6, "VD-008")] {
        let mut bytes = sound();
        set_entry(&mut bytes, 1, entry);
        let file = Arc::new(MemoryFile::with_bytes("x.vhdx", &bytes));
        let disk = Disk::open(file.clone()).unwrap();
        let mut block = vec![0; MIB as usize];
        disk.read_at(0, &mut block).unwrap();
        assert!(block == pattern(1, 2 * MIB)[..MIB as usize]);
        assert_eq!(disk.read_at(MIB, &mut block).unwrap_err().code(), code);
    }
    let mut bytes = sound();
    set_entry(&mut bytes, 2, (7 << 20) | 6);
    let file = Arc::new(MemoryFile::with_bytes("x.vhdx", &bytes));
    assert_eq!(
        WritableDisk::open(file.clone()).unwrap_err().code(),
        "VD-003",
        "the file would grow under it"
    );
    let usage = Disk::open(file).unwrap().block_usage().unwrap().remove(0);
    assert_eq!(usage.oddities, [Oddity::BlocksBeyondEnd(1)]);
}

// case 24
#[test]
fn state_5_is_unmapped_in_a_file_of_the_draft() {
    let mut bytes = sound();
    set_entry(&mut bytes, 1, (5 << 20) | 5);
    let file = Arc::new(MemoryFile::with_bytes("x.vhdx", &bytes));
    assert_eq!(Disk::open(file.clone()).unwrap().read_at(MIB, &mut [0; 512]).unwrap_err().code(), "VD-008");
    let disk = Disk::open_draft_0_95(file).unwrap();
    assert!(content(&disk)[MIB as usize..2 * MIB as usize].iter().all(|byte| *byte == 0));
}

// case 29
#[test]
fn partially_present_without_a_parent_is_present_and_reported() {
    let mut bytes = sound();
    set_entry(&mut bytes, 0, (4 << 20) | 7);
    let disk = open(&bytes).unwrap();
    assert!(content(&disk) == content(&open(&sound()).unwrap()));
    assert_eq!(disk.block_usage().unwrap()[0].oddities, [Oddity::PartialWithoutParent(1)]);
}

// cases 28, 33
#[test]
fn junk_in_the_bitmap_entries_of_a_file_without_a_parent_means_nothing() {
    let (file, mut disk) = small_disk((4 << 30) + 2 * MIB);
    disk.write_at((4 << 30) - 512, &pattern(1, 1024)).unwrap();
    disk.close().unwrap();
    let bitmap_entry = BAT as u64 + 4096 * 8;
    for junk in [(3u64 << 20) | 6, u64::MAX, 0x1234_5678_9abc_def0] {
        file.write_at(bitmap_entry, &junk.to_le_bytes()).unwrap();
        let disk = Disk::open(Arc::new(file.clone())).unwrap();
        let mut read = vec![0; 1024];
        disk.read_at((4 << 30) - 512, &mut read).unwrap();
        assert!(read == pattern(1, 1024), "the blocks before and behind the entry");
        assert_eq!(disk.block_usage().unwrap()[0].oddities, [Oddity::JunkBitmapEntries(1)]);
    }
}

/// A child of 8 MiB whose blocks 0 to 3 have each state over a parent that is full of data.
// case 31
#[test]
fn each_state_hides_or_shows_the_parent() {
    let (parent, mut disk) = small_disk(4 * MIB);
    disk.write_at(0, &pattern(1, 4 * MIB)).unwrap();
    disk.close().unwrap();
    let below: Arc<dyn FileIo> = Arc::new(parent);
    let parent = Disk::open(Arc::clone(&below)).unwrap();
    let file = MemoryFile::new("child.avhdx");
    WritableDisk::create_child(Arc::new(file.clone()), &parent, "p.vhdx", None).unwrap().close().unwrap();
    let (mut bytes, bat) = (bytes_of(&file), BAT);
    let (place, bitmap) = (bytes.len(), bytes.len() + 2 * MIB as usize);
    bytes.extend(pattern(7, 2 * MIB));
    bytes.extend(vec![0; MIB as usize]);
    // Blocks of 2 MiB: the bitmap of the chunk stands behind 2048 payload entries.
    put(&mut bytes, bat + 2048 * 8, &(bitmap as u64 | 6).to_le_bytes());
    bytes[bitmap] = 0b10;
    let (zero, own) = (vec![0; 1024], pattern(7, 1024));
    let mixed = [&pattern(1, 1024)[..512], &own[512..]].concat();
    for (state, expected) in
        [(0, pattern(1, 1024)), (1, zero.clone()), (2, zero.clone()), (3, zero), (6, own), (7, mixed)]
    {
        put(&mut bytes, bat, &(place as u64 | state).to_le_bytes());
        let child = Arc::new(MemoryFile::with_bytes("child.avhdx", &bytes));
        let disk = Disk::open_chain(vec![child, Arc::clone(&below)]).unwrap();
        let mut read = vec![9; 1024];
        disk.read_at(0, &mut read).unwrap();
        assert!(read == expected, "state {state}");
    }
}

// case 57
#[test]
fn a_partial_block_needs_its_bitmap_inside_the_file() {
    let (parent, disk) = small_disk(4 * MIB);
    disk.close().unwrap();
    let below: Arc<dyn FileIo> = Arc::new(parent);
    let parent = Disk::open(Arc::clone(&below)).unwrap();
    let file = MemoryFile::new("child.avhdx");
    let mut disk = WritableDisk::create_child(Arc::new(file.clone()), &parent, "p.vhdx", None).unwrap();
    disk.write_at(0, &pattern(7, 512)).unwrap();
    disk.close().unwrap();
    for (entry, code) in [(0, "VD-008"), ((900 << 20) | 6, "VD-003"), ((5 << 20) | 2, "VD-008")] {
        let mut bytes = bytes_of(&file);
        put(&mut bytes, BAT + 2048 * 8, &u64::to_le_bytes(entry));
        let child = Arc::new(MemoryFile::with_bytes("child.avhdx", &bytes));
        let disk = Disk::open_chain(vec![child, Arc::clone(&below)]).unwrap();
        assert_eq!(disk.read_at(0, &mut [0; 512]).unwrap_err().code(), code, "{entry:#x}");
    }
}

#[test]
fn states_that_hide_data_read_as_zeros() {
    for state in 0..4u64 {
        let mut bytes = sound();
        set_entry(&mut bytes, 1, (5 << 20) | state);
        let read = content(&open(&bytes).unwrap());
        assert!(read[..MIB as usize] == pattern(1, 2 * MIB)[..MIB as usize]);
        assert!(read[MIB as usize..2 * MIB as usize].iter().all(|byte| *byte == 0), "state {state}");
    }
}

// cases 21, 22
#[test]
fn every_sector_size_and_a_last_block_in_part_read_back() {
    for (logical_sector, physical_sector) in [(512, 512), (512, 4096), (4096, 4096), (4096, 512)] {
        for capacity in [u64::from(logical_sector), 2 * MIB, 5 * MIB + u64::from(logical_sector)] {
            let file = Arc::new(MemoryFile::new("x.vhdx"));
            let block_bytes = 2 << 20;
            let options = CreateOptions {
                block_bytes,
                logical_sector,
                physical_sector,
                ..CreateOptions::dynamic(capacity)
            };
            let mut disk = WritableDisk::create(file.clone(), &options).unwrap();
            disk.write_at(0, &pattern(3, capacity)).unwrap();
            disk.close().unwrap();
            let disk = Disk::open(file).unwrap();
            assert!(
                content(&disk) == pattern(3, capacity),
                "{capacity} bytes in sectors of {logical_sector}"
            );
            assert_eq!((disk.logical_sector(), disk.physical_sector()), (logical_sector, physical_sector));
        }
    }
}

// case 33
#[test]
fn disks_around_whole_chunks_find_their_last_blocks() {
    for (logical_sector, chunk) in [(512, 4 << 30), (4096, 32u64 << 30)] {
        for capacity in [chunk - 4096, chunk, chunk + 4096, 2 * chunk + 4096, 5 * chunk - MIB] {
            let file = Arc::new(MemoryFile::new("x.vhdx"));
            let options =
                CreateOptions { block_bytes: 1 << 20, logical_sector, ..CreateOptions::dynamic(capacity) };
            let mut disk = WritableDisk::create(file.clone(), &options).unwrap();
            let places: Vec<u64> =
                (1..=5).map(|number| number * chunk).filter(|at| at + 4096 <= capacity).collect();
            for at in places.iter().map(|at| at - 4096).chain([capacity - 4096]) {
                disk.write_at(at, &pattern(at, 4096)).unwrap();
            }
            disk.close().unwrap();
            let disk = Disk::open(file).unwrap();
            for at in places.iter().map(|at| at - 4096).chain([capacity - 4096]) {
                let mut read = vec![0; 4096];
                disk.read_at(at, &mut read).unwrap();
                assert!(read == pattern(at, 4096), "{at} of {capacity}");
            }
        }
    }
}

// case 34
#[test]
fn holes_of_the_file_inside_present_blocks_read_as_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.vhdx");
    let options = CreateOptions { block_bytes: 4 << 20, ..CreateOptions::dynamic(16 * MIB) };
    let mut disk = WritableDisk::create(Arc::new(LocalFile::create_new(&path).unwrap()), &options).unwrap();
    disk.write_at(MIB, &pattern(1, 4096)).unwrap();
    disk.write_at(9 * MIB, &pattern(2, 4096)).unwrap();
    disk.close().unwrap();
    let sparse = Disk::open_local(&path).unwrap();
    let dense = Disk::open(common::copy_of(&LocalFile::open_read(&path).unwrap())).unwrap();
    assert!(content(&sparse) == content(&dense));
    let extents =
        |disk: &Disk| disk.extents(ByteRange::new(0, u64::MAX)).map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(extents(&sparse), extents(&dense));
}

// case 35
#[test]
fn bytes_behind_the_last_block_mean_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.vhdx");
    for garbage in [1, 511, 4097, MIB + 1, 1 << 30] {
        std::fs::write(&path, sound()).unwrap();
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::End(garbage as i64 - 1)).unwrap();
        file.write_all(b"x").unwrap();
        assert!(content(&Disk::open_local(&path).unwrap()) == content(&open(&sound()).unwrap()), "{garbage}");
    }
}
