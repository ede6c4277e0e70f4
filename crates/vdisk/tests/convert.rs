//! Writing a disk in one pass: QEMU and our own reader judge the result; failures leave nothing behind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::qemu_img::qemu_img;
use common::{MIB, content, pattern, small_disk};
use vdisk::{
    CreateKind, Disk, DiskKind, Error, Existing, FileIo, LocalFile, MemoryFile, Target, convert, measure,
    write_image,
};

const CAPACITY: u64 = 600 * MIB + 512;

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn vhdx(kind: CreateKind, block_bytes: u32) -> Target {
    Target::Vhdx { kind, block_bytes: Some(block_bytes), disk_id: None }
}

fn every_target() -> Vec<(Target, &'static str)> {
    vec![
        (Target::Raw, "raw"),
        (vhdx(CreateKind::Dynamic, 1 << 20), "vhdx"),
        (vhdx(CreateKind::Dynamic, 256 << 20), "vhdx"),
        (vhdx(CreateKind::Fixed, 32 << 20), "vhdx"),
        (Target::Vhd { kind: CreateKind::Dynamic }, "vpc"),
        (Target::Vhd { kind: CreateKind::Fixed }, "vpc"),
        (Target::Qcow2, "qcow2"),
    ]
}

/// A raw disk that is mostly hole, with data at borders and written zeros.
fn raw_disk(path: &Path) -> Disk {
    let file = LocalFile::create_new(path).unwrap();
    file.set_len(CAPACITY).unwrap();
    for at in [0, MIB - 512, 511 * MIB + 65_000, 512 * MIB, 560 * MIB + 4096, CAPACITY - 700] {
        file.write_at(at, &pattern(at, 700)).unwrap();
    }
    file.write_at(300 * MIB, &vec![0; 8 << 20]).unwrap();
    file.write_at(530 * MIB, &pattern(7, 5 * MIB + 77)).unwrap();
    Disk::open_raw(Arc::new(LocalFile::open_read(path).unwrap())).unwrap()
}

// case 59
#[test]
fn qemu_finds_every_format_sound_and_equal_to_the_raw_disk() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.raw");
    let disk = raw_disk(&raw);
    for (number, (target, format)) in every_target().into_iter().enumerate() {
        let path = folder.path().join(format!("{number}.{format}"));
        let written = convert(&disk, &path, &target, Existing::Keep, &go_on).unwrap();
        let (path, raw) = (path.to_str().unwrap(), raw.to_str().unwrap());
        qemu_img(&["compare", "-f", format, "-F", "raw", path, raw]);
        // qemu-img has no check for raw and VHD.
        if format != "raw" && format != "vpc" {
            qemu_img(&["check", "-f", format, path]);
        }
        assert!(written.data_bytes < 7 * MIB, "{target:?} wrote {} bytes", written.data_bytes);
        assert_eq!(written.file_bytes, std::fs::metadata(path).unwrap().len());
    }
}

// case 67
#[test]
fn a_disk_keeps_its_digest_through_every_format_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let disk = raw_disk(&folder.path().join("disk.raw"));
    let digest = disk.blake3(&go_on).unwrap();
    for (target, format) in every_target() {
        if format == "qcow2" {
            continue;
        }
        let file: Arc<dyn FileIo> = Arc::new(MemoryFile::new("copy"));
        write_image(&disk, &file, &target, &go_on).unwrap();
        let copy = if format == "raw" { Disk::open_raw(file) } else { Disk::open(file) }.unwrap();
        assert_eq!(copy.blake3(&go_on).unwrap(), digest, "{target:?}");
        let again: Arc<dyn FileIo> = Arc::new(MemoryFile::new("again"));
        write_image(&copy, &again, &Target::Raw, &go_on).unwrap();
        assert_eq!(Disk::open_raw(again).unwrap().blake3(&go_on).unwrap(), digest, "{target:?} and back");
    }
}

#[test]
fn a_new_vhdx_keeps_sectors_and_gets_the_shape_asked_for() {
    let (file, mut disk) = small_disk(20 * MIB);
    disk.write_at(5 * MIB, &pattern(1, 3 * MIB)).unwrap();
    disk.close().unwrap();
    let source = Disk::open(Arc::new(file)).unwrap();
    for (kind, expected) in [(CreateKind::Dynamic, DiskKind::Dynamic), (CreateKind::Fixed, DiskKind::Fixed)] {
        let file: Arc<dyn FileIo> = Arc::new(MemoryFile::new("copy.vhdx"));
        write_image(&source, &file, &vhdx(kind, 2 << 20), &go_on).unwrap();
        let copy = Disk::open(file).unwrap();
        assert_eq!(content(&copy), content(&source));
        assert_eq!(copy.layers().next().unwrap().kind, expected);
        assert_eq!(
            (copy.block_bytes(), copy.logical_sector(), copy.physical_sector()),
            (2 << 20, source.logical_sector(), source.physical_sector())
        );
    }
}

#[test]
fn an_existing_target_is_kept_unless_asked_to_replace_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = raw_disk(&folder.path().join("disk.raw"));
    let path = folder.path().join("taken.vhdx");
    std::fs::write(&path, "precious").unwrap();
    let target = vhdx(CreateKind::Dynamic, 1 << 20);
    let refused = convert(&disk, &path, &target, Existing::Keep, &go_on).unwrap_err();
    assert!(
        matches!(&refused, Error::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists),
        "{refused:?}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    convert(&disk, &path, &target, Existing::Replace, &go_on).unwrap();
    assert!(Disk::open_local(&path).is_ok());
}

#[test]
fn a_stopped_conversion_leaves_no_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let disk = raw_disk(&folder.path().join("disk.raw"));
    let seen = AtomicU64::new(0);
    let stop_late = |bytes| match seen.fetch_add(bytes, Ordering::Relaxed) {
        0..=571_473_920 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    for (target, _) in every_target() {
        seen.store(0, Ordering::Relaxed);
        let stopped = convert(&disk, &folder.path().join("new"), &target, Existing::Keep, &stop_late);
        assert!(matches!(stopped, Err(Error::Stopped { .. })), "{stopped:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn every_byte_of_the_disk_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let disk = raw_disk(&folder.path().join("disk.raw"));
    let seen = AtomicU64::new(0);
    let count = |bytes| {
        seen.fetch_add(bytes, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    write_image(&disk, &(Arc::new(MemoryFile::new("copy")) as Arc<dyn FileIo>), &Target::Raw, &count)
        .unwrap();
    assert_eq!(seen.into_inner(), CAPACITY);
}

#[test]
fn measuring_tells_what_every_conversion_writes() {
    let folder = tempfile::tempdir().unwrap();
    let disk = raw_disk(&folder.path().join("disk.raw"));
    let measured = measure(&disk, &go_on).unwrap();
    for (target, _) in every_target() {
        let file: Arc<dyn FileIo> = Arc::new(MemoryFile::new("copy"));
        assert_eq!(write_image(&disk, &file, &target, &go_on).unwrap().data_bytes, measured, "{target:?}");
    }
    assert!(matches!(measure(&disk, &|_| ControlFlow::Break(())), Err(Error::Stopped { .. })));
}

/// A file on a volume with room for so many bytes.
#[derive(Debug)]
struct SmallVolume(MemoryFile, u64);

impl FileIo for SmallVolume {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.0.stored_bytes() + data.len() as u64 > self.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_at(offset, data)
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn name(&self) -> &'static str {
        "full.img"
    }
}

// case 65
#[test]
fn a_full_volume_is_told_as_such_and_the_file_is_not_taken_for_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = raw_disk(&folder.path().join("disk.raw"));
    for (target, format) in every_target() {
        let memory = MemoryFile::new("full.img");
        let full: Arc<dyn FileIo> = Arc::new(SmallVolume(memory.clone(), 3 * MIB));
        let error = write_image(&disk, &full, &target, &go_on).unwrap_err();
        assert_eq!(error.next_step(), "Free space on the file's volume, then run again.", "{target:?}");
        if format != "raw" {
            assert!(Disk::open(Arc::new(memory)).is_err(), "{target:?} opens although it is not complete");
        }
    }
}

#[test]
fn shapes_that_a_format_cannot_have_are_refused_with_the_rule() {
    let odd = MemoryFile::with_bytes("odd.raw", &[1; 1000]);
    let odd = Disk::open_raw(Arc::new(odd)).unwrap();
    for target in [Target::Qcow2, vhdx(CreateKind::Dynamic, 1 << 20), vhdx(CreateKind::Dynamic, 3 << 20)] {
        let file: Arc<dyn FileIo> = Arc::new(MemoryFile::new("new"));
        let error = write_image(&odd, &file, &target, &go_on).unwrap_err();
        assert!(matches!(error, Error::BadOptions { .. }), "{target:?}: {error:?}");
    }
}
