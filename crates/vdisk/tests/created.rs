//! New disks of every shape: laid out as Windows lays them out, sound to the validator, readable to their ends.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::sync::Arc;

use common::{MIB, bytes_of, pattern};
use vdisk::check::check;
use vdisk::{CreateKind, CreateOptions, Disk, FileIo, MemoryFile, WritableDisk};

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Log at 1 MiB, metadata at 2 MiB, table at 3 MiB; the table of blocks before the metadata in the region table.
// case 59
#[test]
fn a_new_file_has_the_regions_items_and_headers_in_the_order_and_places_of_windows() {
    let (file, disk) = common::small_disk(64 * MIB);
    disk.close().unwrap();
    let bytes = bytes_of(&file);

    for table in [0x3_0000, 0x4_0000] {
        assert_eq!((&bytes[table..table + 4], u32_at(&bytes, table + 8)), (&b"regi"[..], 2));
        let region = |at: usize| (u64_at(&bytes, at + 16), u32_at(&bytes, at + 24), u32_at(&bytes, at + 28));
        assert_eq!(bytes[table + 16..table + 20], [0x66, 0x77, 0xC2, 0x2D], "the block table comes first");
        assert_eq!(region(table + 16), (3 * MIB, 1 << 20, 1));
        assert_eq!(region(table + 48), (2 * MIB, 1 << 20, 1));
    }
    let items: Vec<_> = (0..5).map(|item| 2 * MIB as usize + 32 + item * 32).collect();
    let placed: Vec<_> = items.iter().map(|at| (u32_at(&bytes, at + 16), u32_at(&bytes, at + 24))).collect();
    assert_eq!(placed, [(0x1_0000, 4), (0x1_0008, 6), (0x1_0010, 6), (0x1_0014, 6), (0x1_0018, 6)]);
    for (slot, number) in [(0x1_0000, 1), (0x2_0000, 2)] {
        assert_eq!(u64_at(&bytes, slot + 8), number);
        assert_eq!((u32_at(&bytes, slot + 68), u64_at(&bytes, slot + 72)), (1 << 20, MIB), "the log");
        assert!(bytes[slot + 48..slot + 64].iter().all(|byte| *byte == 0), "an empty log");
    }
    assert_eq!(bytes.len() as u64, 4 * MIB, "nothing behind the table");
}

/// Entries of payload and of bitmaps interleave, so sizes around one and two chunks are corners.
// case 60
#[test]
fn every_block_size_sector_size_and_size_of_disk_makes_a_sound_file() {
    let mut made = 0;
    for block_bytes in [1 << 20, 2 << 20, 32 << 20, 256 << 20] {
        for (logical_sector, physical_sector) in [(512, 512), (512, 4096), (4096, 512), (4096, 4096)] {
            let (sector, block) = (u64::from(logical_sector), u64::from(block_bytes));
            let chunk = (1 << 23) * sector;
            let sizes =
                [sector, block - sector, block, block + sector, chunk - sector, chunk, chunk + sector];
            for capacity in sizes.into_iter().chain([2 * chunk + block, 64 * TIB]) {
                let options = CreateOptions {
                    block_bytes,
                    logical_sector,
                    physical_sector,
                    ..CreateOptions::dynamic(capacity)
                };
                check_corner(&options);
                made += 1;
            }
        }
    }
    for (block_bytes, capacity) in [(1 << 20, 4 * GIB + MIB), (256 << 20, 64 * TIB), (32 << 20, 512)] {
        let kind = CreateKind::Fixed;
        check_corner(&CreateOptions { kind, block_bytes, ..CreateOptions::dynamic(capacity) });
        made += 1;
    }
    assert_eq!(made, 4 * 4 * 9 + 3);
}

/// Creates a disk, writes its first and last sector, and looks at it as a reader and as the validator.
fn check_corner(options: &CreateOptions) {
    let file: Arc<dyn FileIo> = Arc::new(MemoryFile::new("corner.vhdx"));
    let mut disk = WritableDisk::create(Arc::clone(&file), options).unwrap();
    let sector = u64::from(options.logical_sector);
    let last = options.capacity - sector;
    disk.write_at(0, &pattern(1, sector)).unwrap();
    disk.write_at(last, &pattern(2, sector)).unwrap();
    disk.close().unwrap();

    // The validator looks at every entry, which takes long where there are millions.
    if options.capacity < TIB {
        let report = check(&[Arc::clone(&file)]).unwrap();
        assert!(report.is_sound(), "{options:?}: {report:?}");
    }
    let disk = Disk::open(Arc::clone(&file)).unwrap();
    let mut found = vec![0; sector as usize];
    disk.read_at(last, &mut found).unwrap();
    assert!(found == pattern(2, sector), "{options:?}");
    assert_eq!((disk.capacity(), disk.logical_sector()), (options.capacity, options.logical_sector));
    let block = u64::from(options.block_bytes);
    let blocks = match options.kind {
        CreateKind::Fixed => options.capacity.div_ceil(block),
        CreateKind::Dynamic => 1 + u64::from(last >= block),
    };
    assert_eq!(disk.block_usage().unwrap()[0].allocated_blocks, blocks, "{options:?}");
    let payload = file.len().unwrap() - blocks * block;
    assert!(payload.is_multiple_of(MIB) && payload >= 4 * MIB, "the file ends with its last block");
}
