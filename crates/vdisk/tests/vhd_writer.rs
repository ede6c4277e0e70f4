//! Writing VHD files: their layout, what QEMU says of them, and what a cut leaves.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::qemu_img::qemu_img;
use common::{MIB, bytes_of, content, copy_of, pattern};
use vdisk::{ByteRange, Disk, DiskKind, Error, FileIo, LocalFile, MemoryFile, VhdOptions, VhdWriter};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A sparse raw disk with some sectors filled, the first and the last among them.
fn raw_disk(folder: &Path, capacity: u64) -> (PathBuf, Vec<u8>) {
    let mut bytes = vec![0; capacity as usize];
    for start in [0, MIB - 512, 2 * MIB, 5 * MIB + 512, capacity - 1536] {
        bytes[start as usize..start as usize + 1536].copy_from_slice(&pattern(start, 1536));
    }
    let path = folder.join("disk.raw");
    std::fs::write(&path, &bytes).unwrap();
    (path, bytes)
}

// case 69
#[test]
fn what_qemu_makes_is_read_right() {
    let capacity = 9 * MIB + 512;
    for (options, kind, creator) in [
        ("subformat=dynamic", DiskKind::Dynamic, "qemu"),
        ("subformat=dynamic,force_size=on", DiskKind::Dynamic, "qem2"),
        ("subformat=fixed", DiskKind::Fixed, "qemu"),
        ("subformat=fixed,force_size=on", DiskKind::Fixed, "qem2"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (raw, mut expected) = raw_disk(folder.path(), capacity);
        let vhd = folder.path().join("disk.vhd");
        qemu_img(&["convert", "-f", "raw", "-O", "vpc", "-o", options, text(&raw), text(&vhd)]);

        let disk = Disk::open_local(&vhd).unwrap();

        let layer = disk.layers().next().unwrap();
        assert_eq!((layer.kind, layer.creator.starts_with(creator)), (kind, true), "{options}");
        assert!(
            disk.capacity() >= capacity && (creator == "qemu" || disk.capacity() == capacity),
            "{options}"
        );
        expected.resize(disk.capacity() as usize, 0);
        assert!(content(&disk) == expected, "{options}");
    }
}

#[test]
fn what_this_crate_makes_is_accepted_by_qemu() {
    for (options, capacity) in [
        (VhdOptions::dynamic as fn(u64) -> VhdOptions, 9 * MIB),
        (VhdOptions::dynamic, 9 * MIB + 512),
        (VhdOptions::fixed, 8 * MIB),
        (VhdOptions::fixed, 7 * MIB + 512),
    ] {
        for block_bytes in [512 << 10, 2 << 20, 4 << 20] {
            let folder = tempfile::tempdir().unwrap();
            let (raw, bytes) = raw_disk(folder.path(), capacity);
            let path = folder.path().join("disk.vhd");
            let file = Arc::new(LocalFile::create_new(&path).unwrap());
            let mut disk = VhdWriter::create(file, &VhdOptions { block_bytes, ..options(capacity) }).unwrap();
            for (at, sector) in bytes.chunks(512).enumerate().filter(|(_, sector)| sector[0] != 0) {
                disk.write_at(at as u64 * 512, sector).unwrap();
            }
            disk.close().unwrap();

            let same = qemu_img(&["compare", "-f", "raw", "-F", "vpc", text(&raw), text(&path)]);
            assert!(same.contains("identical"), "{block_bytes}: {same}");
            assert!(content(&Disk::open_local(&path).unwrap()) == bytes);
        }
    }
}

/// A new dynamic disk, as Hyper-V and QEMU lay it out.
#[test]
fn a_new_disk_has_its_parts_where_windows_has_them() {
    let file = MemoryFile::new("disk.vhd");
    VhdWriter::create(Arc::new(file.clone()), &VhdOptions::dynamic(5 << 30)).unwrap().close().unwrap();

    let bytes = bytes_of(&file);
    assert_eq!(bytes.len(), 1536 + 2560 * 4 + 512);
    assert_eq!(
        (&bytes[..8], &bytes[512..520], &bytes[28..32]),
        (&b"conectix"[..], &b"cxsparse"[..], &b"win "[..])
    );
    assert_eq!(bytes[..512], bytes[bytes.len() - 512..], "the footer and its copy");
    assert_eq!(bytes[56..60], [0x28, 0xa2, 16, 63], "the geometry of 5 GiB");
    assert!(bytes[1536..1536 + 2560 * 4].iter().all(|byte| *byte == 0xff), "no block has space");
}

// case 60
#[test]
fn disks_of_every_size_and_block_size_are_made_and_read_back() {
    for block_bytes in [64 << 10, 512 << 10, 2 << 20, 256 << 20] {
        for capacity in [512, MIB - 512, 5 * MIB, 2040 << 30] {
            let file = MemoryFile::new("disk.vhd");
            let options = VhdOptions { block_bytes, ..VhdOptions::dynamic(capacity) };
            let mut disk = VhdWriter::create(Arc::new(file.clone()), &options).unwrap();
            disk.write_at(capacity - 512, &pattern(3, 512)).unwrap();
            disk.close().unwrap();

            let disk = Disk::open(Arc::new(file)).unwrap();
            let mut sector = [0; 512];
            disk.read_at(capacity - 512, &mut sector).unwrap();
            assert!(sector == *pattern(3, 512), "{block_bytes} {capacity}");
            assert_eq!((disk.capacity(), disk.block_bytes()), (capacity, block_bytes));
        }
    }
}

#[test]
fn a_disk_that_vhd_cannot_hold_is_not_made() {
    let create =
        |options: VhdOptions| VhdWriter::create(Arc::new(MemoryFile::new("x.vhd")), &options).unwrap_err();
    for (options, words) in [
        (VhdOptions::dynamic(0), "a VHD of 0 bytes"),
        (VhdOptions::fixed(1000), "in sectors of 512"),
        (VhdOptions::dynamic((2040 << 30) + 512), "up to 2040 GiB"),
        (VhdOptions { block_bytes: 3 << 20, ..VhdOptions::dynamic(MIB) }, "blocks of 3145728 bytes"),
    ] {
        let error = create(options);
        assert!(matches!(error, Error::BadOptions { .. }) && error.to_string().contains(words), "{error}");
    }
}

/// Zeros in a child are content: what the parent holds there must not show.
#[test]
fn zeros_written_to_an_absent_block_of_a_child_hide_the_parents_data() {
    let (base, child) = (Arc::new(MemoryFile::new("base.vhd")), Arc::new(MemoryFile::new("child.avhd")));
    let mut disk = VhdWriter::create(base.clone(), &VhdOptions::dynamic(8 * MIB)).unwrap();
    disk.write_at(0, &pattern(1, 3 * MIB)).unwrap();
    disk.close().unwrap();
    let parent = Disk::open(base.clone()).unwrap();
    let mut disk =
        VhdWriter::create_child(child.clone(), &parent, r".\base.vhd", Some(r"C:\base.vhd")).unwrap();

    disk.write_zeroes(ByteRange::new(512, MIB)).unwrap();
    disk.write_zeroes(ByteRange::new(4 * MIB, 8 * MIB)).unwrap();
    disk.close().unwrap();

    let disk = Disk::open_chain(vec![child, base]).unwrap();
    let mut expected = pattern(1, 3 * MIB);
    expected[512..MIB as usize].fill(0);
    expected.resize(8 * MIB as usize, 0);
    assert!(content(&disk) == expected);
    let usage = disk.block_usage().unwrap().remove(0);
    assert_eq!(usage.allocated_blocks, 1, "blocks that the parent does not hold take no space");
    let parent = disk.layers().next().unwrap().parent.unwrap();
    assert_eq!(
        (parent.relative_path.as_deref(), parent.absolute_path.as_deref()),
        (Some(r".\base.vhd"), Some(r"C:\base.vhd"))
    );
}

/// Nothing is written before it is asked for, and no write changes the identity.
#[test]
fn opening_a_disk_for_writing_changes_nothing_and_writing_keeps_its_uuid() {
    let file = Arc::new(MemoryFile::new("disk.vhd"));
    VhdWriter::create(file.clone(), &VhdOptions::dynamic(4 * MIB)).unwrap().close().unwrap();
    let before = bytes_of(&*file);
    let id = Disk::open(file.clone()).unwrap().virtual_disk_id();

    VhdWriter::open(file.clone()).unwrap().close().unwrap();
    assert!(bytes_of(&*file) == before);
    let mut disk = VhdWriter::open(file.clone()).unwrap();
    disk.write_at(0, &[7; 512]).unwrap();
    disk.close().unwrap();

    assert_eq!(Disk::open(file).unwrap().virtual_disk_id(), id);
}

/// The end of the file was lost; the copy at the start leads, and the next writer makes both right.
// case 68
#[test]
fn a_writer_restores_the_footer_that_a_cut_took() {
    let file = Arc::new(MemoryFile::new("disk.vhd"));
    let mut disk = VhdWriter::create(file.clone(), &VhdOptions::dynamic(4 * MIB)).unwrap();
    disk.write_at(0, &pattern(1, 512)).unwrap();
    disk.close().unwrap();
    file.write_at(file.len().unwrap() - 512, &[0; 512]).unwrap();

    let mut disk = VhdWriter::open(file.clone()).unwrap();
    disk.write_at(512, &pattern(2, 512)).unwrap();
    disk.close().unwrap();

    let bytes = bytes_of(&*file);
    assert_eq!(bytes[..512], bytes[bytes.len() - 512..]);
    let expected = [pattern(1, 512), pattern(2, 512)].concat();
    assert!(content(&Disk::open(copy_of(&*file)).unwrap())[..1024] == expected);
}

/// Of QEMU's disk the geometry tells the size, and of the grown one the field.
#[test]
fn a_disk_of_qemu_that_was_grown_and_compacted_is_sound_for_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, _) = raw_disk(folder.path(), 9 * MIB);
    let vhd = folder.path().join("disk.vhd");
    qemu_img(&["convert", "-f", "raw", "-O", "vpc", "-o", "subformat=dynamic", text(&raw), text(&vhd)]);
    let mut expected = content(&Disk::open_local(&vhd).unwrap());
    let mut disk = VhdWriter::open(Arc::new(LocalFile::open_read_write(&vhd).unwrap())).unwrap();

    disk.resize(5000 * MIB).unwrap();
    disk.write_at(4999 * MIB, &pattern(3, 4096)).unwrap();
    disk.write_zeroes(ByteRange::at(0, 2 * MIB)).unwrap();
    let report = disk.compact().unwrap();
    disk.close().unwrap();

    assert_eq!(report.zero_blocks, 1);
    expected[..2 * MIB as usize].fill(0);
    std::fs::write(&raw, &expected).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&raw).unwrap();
    file.write_all_at(&pattern(3, 4096), 4999 * MIB).unwrap();
    file.set_len(5000 * MIB).unwrap();
    let size = qemu_img(&["info", "--output=json", "-f", "vpc", text(&vhd)]);
    assert!(size.contains(&format!("\"virtual-size\": {}", 5000 * MIB)), "{size}");
    assert!(qemu_img(&["compare", "-f", "raw", "-F", "vpc", text(&raw), text(&vhd)]).contains("identical"));
}

#[test]
fn only_dynamic_disks_grow_and_none_shrinks() {
    let create =
        |options: &VhdOptions| VhdWriter::create(Arc::new(MemoryFile::new("x.vhd")), options).unwrap();
    let mut fixed = create(&VhdOptions::fixed(4 * MIB));
    let mut dynamic = create(&VhdOptions::dynamic(4 * MIB));
    let child: Arc<dyn FileIo> = Arc::new(MemoryFile::new("c.vhd"));
    let mut child = VhdWriter::create_child(child, &dynamic.as_disk(), "x.vhd", None).unwrap();

    assert_eq!(dynamic.resize(8 * MIB).unwrap_err().code(), "VD-018", "the child reads it");
    for (disk, size) in [(&mut fixed, 8 * MIB), (&mut child, 8 * MIB)] {
        assert_eq!(disk.resize(size).unwrap_err().code(), "VD-017");
    }
    drop(child);
    for size in [2 * MIB, 8 * MIB + 1, (2040 << 30) + 512] {
        assert_eq!(dynamic.resize(size).unwrap_err().code(), "VD-017", "{size}");
    }
    dynamic.resize(8 * MIB).unwrap();
    assert_eq!((dynamic.capacity(), fixed.compact().unwrap().moved_blocks), (8 * MIB, 0));
}
