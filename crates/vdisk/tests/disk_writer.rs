//! Writing a disk whose format the caller does not know.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::sync::Arc;

use common::{MIB, content, pattern};
use vdisk::{ByteRange, CreateOptions, Disk, DiskFormat, DiskWriter, FileIo, MemoryFile, VhdOptions};
use vdisk::{VhdWriter, WritableDisk};

const CAPACITY: u64 = 8 * MIB;

/// An empty disk in each format.
fn disks() -> [(DiskFormat, Arc<dyn FileIo>); 2] {
    let vhdx: Arc<dyn FileIo> = Arc::new(MemoryFile::new("disk.vhdx"));
    let vhd: Arc<dyn FileIo> = Arc::new(MemoryFile::new("disk.vhd"));
    WritableDisk::create(Arc::clone(&vhdx), &CreateOptions::dynamic(CAPACITY)).unwrap().close().unwrap();
    VhdWriter::create(Arc::clone(&vhd), &VhdOptions::dynamic(CAPACITY)).unwrap().close().unwrap();
    [(DiskFormat::Vhdx, vhdx), (DiskFormat::Vhd, vhd)]
}

#[test]
fn a_disk_of_either_format_is_written_in_place() {
    for (format, file) in disks() {
        let mut disk = DiskWriter::open(Arc::clone(&file)).unwrap();
        let mut expected = vec![0; CAPACITY as usize];
        expected[700..700 + 3 * MIB as usize].copy_from_slice(&pattern(1, 3 * MIB));
        expected[MIB as usize + 100..2 * MIB as usize].fill(0);

        disk.write_at(700, &pattern(1, 3 * MIB)).unwrap();
        disk.flush().unwrap();
        disk.write_zeroes(ByteRange::new(MIB + 100, 2 * MIB)).unwrap();
        let mut part = vec![1; 1000];
        disk.read_at(MIB, &mut part).unwrap();
        assert!(part == expected[MIB as usize..MIB as usize + 1000] && content(&disk.as_disk()) == expected);
        assert_eq!(disk.capacity(), CAPACITY);
        disk.close().unwrap();

        let disk = Disk::open(file).unwrap();
        assert!(content(&disk) == expected);
        assert_eq!(disk.layers().next().unwrap().format, format);
    }
}

#[test]
fn a_child_has_the_format_of_its_parent_and_leaves_it_alone() {
    for (format, file) in disks() {
        let parent = Disk::open(Arc::clone(&file)).unwrap();
        let child: Arc<dyn FileIo> = Arc::new(MemoryFile::new("child"));
        DiskWriter::create_child(Arc::clone(&child), &parent, "disk", None).unwrap().close().unwrap();
        let before = common::bytes_of(&*file);

        let mut disk = DiskWriter::open_chain(vec![Arc::clone(&child), Arc::clone(&file)]).unwrap();
        disk.write_at(5 * MIB, &[7; 512]).unwrap();
        disk.close().unwrap();

        assert!(common::bytes_of(&*file) == before);
        let disk = Disk::open_chain(vec![child, file]).unwrap();
        assert!(disk.layers().all(|layer| layer.format == format));
        assert_eq!(content(&disk)[5 * MIB as usize - 1..5 * MIB as usize + 1], [0, 7]);
    }
}

#[test]
fn what_is_no_disk_or_a_set_of_disks_is_refused_by_name() {
    let no_disk = Arc::new(MemoryFile::with_bytes("notes.txt", &[b'x'; 4096]));
    let set = Arc::new(MemoryFile::with_bytes("shared.vhds", &[0; 4096]));
    let codes = [no_disk, set].map(|file| DiskWriter::open(file).unwrap_err().code());
    assert_eq!(codes, ["VD-002", "VD-015"]);
    assert_eq!(DiskWriter::open_chain(Vec::new()).unwrap_err().code(), "VD-012");
}
