//! Disks with a file system in them, in every format that we write: others mount what we made, and every file is
//! there. The kernel mounts ext4 and ntfs-3g mounts NTFS, on the raw file that `qemu-img` makes of our disk and on
//! our disk itself, served by `qemu-nbd`.
//!
//! Needs root, loop devices and FUSE, which the test machine has.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

mod linux;
mod mounts;
mod ntfs_image;

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use linux::{Content, assert_same, content_of_folder, noise, run, sample_folder, sized};
use mounts::{Mounted, Served};
use ntfs_image::Mount;
use vdisk::{
    CreateKind, Disk, Existing, FileIo, LocalFile, Shrinking, Target, VhdWriter, WritableDisk, convert,
    merge_into_parent,
};

const MIB: u64 = 1 << 20;
/// Size of the disks.
const CAPACITY: u64 = 64 * MIB;
/// Unit in which a guest's changes are copied into a disk.
const PIECE: usize = 64 << 10;

const VHDX: Target = Target::Vhdx { kind: CreateKind::Dynamic, block_bytes: Some(1 << 20), disk_id: None };
const VHD: Target = Target::Vhd { kind: CreateKind::Dynamic };

/// Every format that is written, with QEMU's name of it.
const TARGETS: [(Target, &str); 6] = [
    (Target::Raw, "raw"),
    (VHDX, "vhdx"),
    (Target::Vhdx { kind: CreateKind::Fixed, block_bytes: None, disk_id: None }, "vhdx"),
    (VHD, "vpc"),
    (Target::Vhd { kind: CreateKind::Fixed }, "vpc"),
    (Target::Qcow2, "qcow2"),
];

#[derive(Debug, Clone, Copy)]
enum FileSystem {
    Ext4,
    Ntfs,
}

impl FileSystem {
    /// A raw disk full of files, and the files.
    fn made(self, folder: &Path) -> (PathBuf, Content) {
        let (image, source) = (folder.join("1.raw"), folder.join("source"));
        sized(&image, CAPACITY);
        match self {
            Self::Ext4 => {
                fs::create_dir(&source).unwrap();
                sample_folder(&source, 300);
                run("mke2fs", &["-q", "-t", "ext4", "-d", text(&source), text(&image)]);
                (image, content_of_folder(&source))
            }
            Self::Ntfs => {
                run("mkntfs", &["-F", "-Q", "-q", text(&image)]);
                let content = self.changed(&image, |root| sample_folder(root, 300));
                (image, content)
            }
        }
    }

    /// Lets a guest change its files; returns all of them.
    fn changed(self, image: &Path, work: impl FnOnce(&Path)) -> Content {
        let at = image.with_extension("mounted");
        let mounted: (Option<Mounted>, Option<Mount>) = match self {
            Self::Ext4 => (Some(Mounted::new(image, &at)), None),
            Self::Ntfs => (None, Some(Mount::new(image, at.clone()))),
        };
        work(&at);
        let content = content_of_folder(&at);
        drop(mounted);
        content
    }

    /// The files that others see on a disk.
    fn shown(self, image: &Path, at: &Path) -> Content {
        let _mounted: (Option<Mounted>, Option<Mount>) = match self {
            Self::Ext4 => (Some(Mounted::read_only(image, at)), None),
            Self::Ntfs => (None, Some(Mount::read_only(image, at.to_owned()))),
        };
        content_of_folder(at)
    }

    /// Compares the files of a disk of ours with those that must be in it, by way of `qemu-nbd`.
    fn assert_served(self, disk: &Path, format: &str, expected: &Content, what: &str) {
        let (point, at) = (disk.with_extension("served"), disk.with_extension("mounted"));
        let served = Served::new(disk, format, &point);
        assert_same(&self.shown(&served.disk(), &at), expected, &format!("{self:?}, {what}"));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn raw(path: &Path) -> Disk {
    Disk::open_raw(Arc::new(LocalFile::open_read(path).unwrap())).unwrap()
}

fn written(source: &Path, path: &Path, target: &Target) {
    convert(&raw(source), path, target, Existing::Keep, &|_| ControlFlow::Continue(())).unwrap();
}

fn opened(path: &Path) -> Arc<dyn FileIo> {
    Arc::new(LocalFile::open_read_write(path).unwrap())
}

fn created(path: &Path) -> Arc<dyn FileIo> {
    Arc::new(LocalFile::create_new(path).unwrap())
}

/// The next state of a raw disk, beside the last.
fn copied(image: &Path, name: &str) -> PathBuf {
    let copy = image.with_file_name(name);
    fs::copy(image, &copy).unwrap();
    copy
}

/// Files are removed, changed in the middle, and made anew.
fn change(root: &Path) {
    fs::remove_dir_all(root.join("many")).unwrap();
    fs::remove_file(root.join("large")).unwrap();
    let sparse = fs::File::options().write(true).open(root.join("sparse")).unwrap();
    sparse.write_all_at(&noise(9, 77_777), 3_333_333).unwrap();
    fs::write(root.join("new"), noise(10, 10 << 20)).unwrap();
}

/// A file is overwritten with zeros where it lies, and goes.
fn wipe(root: &Path) {
    let path = root.join("new");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0; 10 << 20], 0).unwrap();
    file.sync_all().unwrap();
    fs::remove_file(path).unwrap();
}

/// Writes what a guest changed between two states of its disk.
fn write_changes(from: &Path, to: &Path, write: &mut dyn FnMut(u64, &[u8])) {
    let (from, to) = (fs::read(from).unwrap(), fs::read(to).unwrap());
    for (number, (from, to)) in from.chunks(PIECE).zip(to.chunks(PIECE)).enumerate() {
        if from != to {
            write((number * PIECE) as u64, to);
        }
    }
}

fn assert_every_format_mounts(system: FileSystem) {
    let folder = tempfile::tempdir().unwrap();
    let (image, expected) = system.made(folder.path());
    for (number, (target, format)) in TARGETS.iter().enumerate() {
        let disk = folder.path().join(format!("{number}.{format}"));
        let back = folder.path().join(format!("{number}.back"));
        written(&image, &disk, target);

        run("qemu-img", &["convert", "-f", format, "-O", "raw", text(&disk), text(&back)]);

        let what = format!("{target:?}");
        let found = system.shown(&back, &back.with_extension("mounted"));
        assert_same(&found, &expected, &format!("{system:?}, {what}, back from qemu-img"));
        system.assert_served(&disk, format, &expected, &what);
        fs::remove_file(back).unwrap();
    }
}

#[test]
fn an_ext4_disk_mounts_with_all_its_files_in_every_format() {
    assert_every_format_mounts(FileSystem::Ext4);
}

#[test]
fn an_ntfs_disk_mounts_with_all_its_files_in_every_format() {
    assert_every_format_mounts(FileSystem::Ntfs);
}

fn assert_a_changed_vhdx_mounts(system: FileSystem) {
    let folder = tempfile::tempdir().unwrap();
    let (base, child) = (folder.path().join("base.vhdx"), folder.path().join("child.avhdx"));
    let (first, _) = system.made(folder.path());
    written(&first, &base, &VHDX);

    let second = copied(&first, "2.raw");
    let expected = system.changed(&second, change);
    let parent = Disk::open(opened(&base)).unwrap();
    let mut disk = WritableDisk::create_child(created(&child), &parent, "base.vhdx", None).unwrap();
    write_changes(&first, &second, &mut |at, bytes| disk.write_at(at, bytes).unwrap());
    disk.close().unwrap();
    drop(parent);
    merge_into_parent(vec![opened(&child), opened(&base)]).unwrap();
    system.assert_served(&base, "vhdx", &expected, "merged");

    let third = copied(&second, "3.raw");
    let expected = system.changed(&third, wipe);
    let mut disk = WritableDisk::open(opened(&base)).unwrap();
    write_changes(&second, &third, &mut |at, bytes| disk.write_at(at, bytes).unwrap());
    let report = disk.compact().unwrap();
    disk.close().unwrap();
    assert!(report.bytes_after + 4 * MIB < report.bytes_before, "{report:?}");
    system.assert_served(&base, "vhdx", &expected, "compacted");

    for (capacity, what) in [(200 * MIB + 512, "grown"), (CAPACITY, "shrunk again")] {
        let mut disk = WritableDisk::open(opened(&base)).unwrap();
        disk.resize(capacity, Shrinking::KeepData).unwrap();
        disk.close().unwrap();
        system.assert_served(&base, "vhdx", &expected, what);
    }
}

#[test]
fn an_ext4_disk_that_was_merged_compacted_and_resized_mounts() {
    assert_a_changed_vhdx_mounts(FileSystem::Ext4);
}

#[test]
fn an_ntfs_disk_that_was_merged_compacted_and_resized_mounts() {
    assert_a_changed_vhdx_mounts(FileSystem::Ntfs);
}

#[test]
fn vhd_disks_that_were_merged_mount() {
    for system in [FileSystem::Ext4, FileSystem::Ntfs] {
        let folder = tempfile::tempdir().unwrap();
        let (base, child) = (folder.path().join("base.vhd"), folder.path().join("child.avhd"));
        let (first, _) = system.made(folder.path());
        written(&first, &base, &VHD);
        let second = copied(&first, "2.raw");
        let expected = system.changed(&second, change);

        let parent = Disk::open(opened(&base)).unwrap();
        let mut disk = VhdWriter::create_child(created(&child), &parent, "base.vhd", None).unwrap();
        write_changes(&first, &second, &mut |at, bytes| disk.write_at(at, bytes).unwrap());
        disk.close().unwrap();
        drop(parent);
        merge_into_parent(vec![opened(&child), opened(&base)]).unwrap();

        system.assert_served(&base, "vpc", &expected, "merged");
    }
}
