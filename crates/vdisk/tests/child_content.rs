//! What a child shows: its own sectors by its bitmaps, alone and over its parent; and reads at the edges.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use common::chain_files::{code, memory, vhd_base, vhd_child};
use common::{MIB, bytes_of, content, pattern, small_disk};
use vdisk::{CreateOptions, Disk, Error, FileIo, MemoryFile, WritableDisk};

/// Table entry of the only chunk's bitmap, after those of 2048 payload blocks of 2 MiB.
const BITMAP_ENTRY: u64 = 3 * MIB + 2048 * 8;

/// Places of the sector bitmap and of payload block 0 of a small child.
fn bitmap_and_first_block(file: &MemoryFile) -> (u64, u64) {
    let entry = |at: u64| {
        let mut bytes = [0; 8];
        file.read_at(at, &mut bytes).unwrap();
        u64::from_le_bytes(bytes) & !(MIB - 1)
    };
    (entry(BITMAP_ENTRY), entry(3 * MIB))
}

// case 56
#[test]
fn a_child_alone_shows_its_own_sectors_and_no_others() {
    let disk = Disk::open_leaf(vhd_child(&[vhd_base()], 2)).unwrap();
    let mut sector = [0; 512];
    disk.read_at(1024, &mut sector).unwrap();
    assert!(sector == *pattern(2, 512));
    assert_eq!((disk.capacity(), disk.layers().len()), (4 * MIB, 1));
    assert_eq!(code(disk.read_at(0, &mut sector)), "VD-009");
    assert_eq!(code(disk.allocated()), "VD-009");
}

/// A block of a child whose sectors alternate between child and parent, and one whose bits are all
/// ones though its state says "partly".
// case 57
#[test]
fn every_sector_comes_from_the_file_that_its_bit_names() {
    let (parent, mut disk) = small_disk(4 * MIB);
    disk.write_at(0, &pattern(1, 4 * MIB)).unwrap();
    disk.close().unwrap();
    let (parent, child): (Arc<dyn FileIo>, _) = (Arc::new(parent), Arc::new(MemoryFile::new("child.avhdx")));
    let mut disk =
        WritableDisk::create_child(child.clone(), &Disk::open(Arc::clone(&parent)).unwrap(), "p", None)
            .unwrap();
    disk.write_at(0, &pattern(2, 512)).unwrap();
    disk.write_at(2 * MIB, &pattern(2, 512)).unwrap();
    disk.close().unwrap();
    let (bitmap, first) = bitmap_and_first_block(&child);
    child.write_at(first, &pattern(2, 2 * MIB)).unwrap();
    child.write_at(bitmap, &[0xaa; 512]).unwrap();
    child.write_at(bitmap + 512, &[0xff; 512]).unwrap();
    child.write_at(first + 2 * MIB, &pattern(3, 2 * MIB)).unwrap();

    let bytes = content(&Disk::open_chain(vec![child, parent]).unwrap());

    let (of_parent, of_child) = (pattern(1, 2 * MIB), pattern(2, 2 * MIB));
    for at in (0..2 * MIB as usize).step_by(512) {
        let expected = if at / 512 % 2 == 1 { &of_child } else { &of_parent };
        assert!(bytes[at..at + 512] == expected[at..at + 512], "the sector at {at}");
    }
    assert!(bytes[2 * MIB as usize..] == pattern(3, 2 * MIB));
}

/// A partly present block needs its chunk's bitmap, inside the file.
// case 57
#[test]
fn a_partly_present_block_without_its_bitmap_is_an_error() {
    let (parent, disk) = small_disk(4 * MIB);
    disk.close().unwrap();
    let parent: Arc<dyn FileIo> = Arc::new(parent);
    let child = MemoryFile::new("child.avhdx");
    let below = Disk::open(Arc::clone(&parent)).unwrap();
    let mut disk = WritableDisk::create_child(Arc::new(child.clone()), &below, "p", None).unwrap();
    disk.write_at(0, &[1; 512]).unwrap();
    disk.close().unwrap();
    for (entry, expected) in [(0u64, "VD-008"), (6 | 1 << 40, "VD-003")] {
        child.write_at(BITMAP_ENTRY, &entry.to_le_bytes()).unwrap();
        let disk = Disk::open_chain(vec![Arc::new(child.clone()), Arc::clone(&parent)]);
        let read = disk.and_then(|disk| disk.read_at(0, &mut [0; 512]));
        assert_eq!(code(read), expected, "{entry:#x}");
    }
}

/// In a VHD set the data files end in .avhdx, and some have no parent.
// case 58
#[test]
fn a_file_is_differencing_by_its_content_and_not_by_its_name() {
    let file = memory("set_9F0F1C7E-0000-4000-8000-000000000001.avhdx");
    let mut disk = WritableDisk::create(Arc::clone(&file), &CreateOptions::dynamic(4 * MIB)).unwrap();
    disk.write_at(0, &pattern(1, 512)).unwrap();
    disk.close().unwrap();
    assert!(content(&Disk::open(file).unwrap()).starts_with(&pattern(1, 512)));
}

#[test]
fn a_vhd_set_is_never_read_whatever_its_bytes_look_like() {
    let (disk, _writer) = small_disk(4 * MIB);
    for bytes in [bytes_of(&disk), bytes_of(&*vhd_base()), vec![0; 4096], Vec::new()] {
        let error = Disk::open(Arc::new(MemoryFile::with_bytes("Cluster.VHDS", &bytes))).unwrap_err();
        assert!(matches!(error, Error::VhdSet { .. }) && error.next_step().contains(".avhdx"), "{error}");
    }
}

// case 74
#[test]
fn reads_may_be_empty_or_unaligned_and_end_with_the_disk() {
    let disk = Disk::open(vhd_base()).unwrap();
    let mut odd = [0; 1025];
    disk.read_at(511, &mut odd).unwrap();
    assert!(odd[..] == pattern(1, MIB)[511..1536]);
    assert!(disk.read_at(4 * MIB, &mut []).is_ok() && disk.read_at(0, &mut []).is_ok());
    for (offset, length) in [(4 * MIB, 1), (4 * MIB - 1, 2), (4 * MIB + 1, 0), (u64::MAX, 1), (u64::MAX, 0)] {
        assert_eq!(code(disk.read_at(offset, &mut vec![0; length])), "VD-013", "{offset} {length}");
    }
    assert_eq!(disk.extents(vdisk::ByteRange::new(4 * MIB, u64::MAX)).count(), 0);
}

/// An open disk is the file that was opened: a new file of its name does not show, one that became
/// shorter is an error, and one that grew shows nothing new.
// case 74
#[test]
fn a_file_that_changes_under_an_open_disk_gives_its_bytes_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"disk\xff.vhd"));
    std::fs::write(&path, bytes_of(&*vhd_base())).unwrap();
    let disk = Disk::open_local(&path).unwrap();
    std::fs::write(folder.path().join("new"), [0; 512]).unwrap();
    std::fs::rename(&path, folder.path().join("old")).unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    assert!(content(&disk)[..MIB as usize] == pattern(1, MIB));

    let old = std::fs::OpenOptions::new().write(true).open(folder.path().join("old")).unwrap();
    old.set_len(64 * MIB).unwrap();
    assert!(content(&disk)[..MIB as usize] == pattern(1, MIB));
    old.set_len(4096).unwrap();
    let error = disk.read_at(MIB / 2, &mut [0; 512]).unwrap_err();
    assert_eq!(error.code(), "VD-001");
    assert!(error.next_step().contains("became shorter"), "{}", error.next_step());
}
