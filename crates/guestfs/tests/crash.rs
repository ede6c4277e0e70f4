//! File systems cut off while in use, with changes that only their journals hold. The kernel is the judge: it mounts a
//! copy, replays the journal, and every file is compared. Needs root and loop devices, which the test machine has.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

mod linux;
mod mounts;

use std::fs;
use std::path::{Path, PathBuf};

use guestfs::Condition;
use linux::{Content, assert_same, content_of, content_of_folder, noise, open, run, sample_folder, sized};
use mounts::Mounted;

/// A file system that was cut off while folders and files were made, removed and made again.
fn crashed(folder: &Path, mkfs: &[&str]) -> PathBuf {
    let image = folder.join("image");
    sized(&image, 320 << 20);
    run(mkfs[0], &[&mkfs[1..], &[image.to_str().unwrap()]].concat());
    let mounted = Mounted::new(&image, &folder.join("mounted"));
    let root = &mounted.0;
    sample_folder(root, 300);
    run("sync", &["-f", root.to_str().unwrap()]);
    // Blocks of removed folders become content, which the journal has to revoke.
    fs::remove_dir_all(root.join("many")).unwrap();
    fs::remove_dir_all(root.join("deep")).unwrap();
    fs::write(root.join("reuses blocks"), noise(3, 2 << 20)).unwrap();
    run("sync", &["-f", root.to_str().unwrap()]);
    for number in 0..400 {
        let path = root.join(format!("only in the journal {number}"));
        fs::write(&path, number.to_string()).unwrap();
        fs::File::open(path).unwrap().sync_all().unwrap();
    }
    fs::remove_file(root.join("size-1024")).unwrap();
    fs::rename(root.join("size-1023"), root.join("renamed")).unwrap();
    fs::File::open(root).unwrap().sync_all().unwrap();
    run("xfs_io", &["-x", "-c", "shutdown", root.to_str().unwrap()]);
    drop(mounted);
    image
}

/// What the kernel shows of a copy, after its own replay.
fn by_the_kernel(folder: &Path, image: &Path) -> Content {
    let copy = folder.join("copy");
    fs::copy(image, &copy).unwrap();
    let mounted = Mounted::new(&copy, &folder.join("mounted"));
    content_of_folder(&mounted.0)
}

#[test]
fn files_that_only_the_journal_holds_are_there_as_the_kernel_shows_them() {
    let variants: &[&[&str]] = &[
        &["mke2fs", "-q", "-t", "ext4"],
        &["mke2fs", "-q", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^64bit"],
        &["mke2fs", "-q", "-t", "ext3", "-J", "size=8"],
        &["mkfs.xfs", "-q"],
        &["mkfs.xfs", "-q", "-b", "size=1024", "-n", "size=4096", "-m", "bigtime=0"],
    ];
    for mkfs in variants {
        let folder = tempfile::tempdir().unwrap();
        let image = crashed(folder.path(), mkfs);
        let before = fs::metadata(&image).unwrap().modified().unwrap();
        let tree = open(&image);
        let found = content_of(&*tree);
        let journal = found.keys().filter(|path| path.contains("only in the journal")).count();
        assert_eq!(journal, 400, "{mkfs:?}");
        assert!(matches!(tree.facts().condition, Condition::Replayed { .. }), "{mkfs:?}");
        assert_same(&found, &by_the_kernel(folder.path(), &image), &format!("{mkfs:?}"));
        assert_eq!(fs::metadata(&image).unwrap().modified().unwrap(), before, "the image was written");
        assert!(!open(&folder.path().join("copy")).free_space().unwrap().is_empty());
    }
}

#[test]
fn free_space_and_extents_after_a_crash_are_what_e2fsck_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let image = crashed(folder.path(), &["mke2fs", "-q", "-t", "ext4"]);
    let copy = folder.path().join("replayed");
    fs::copy(&image, &copy).unwrap();
    run("e2fsck", &["-y", "-E", "journal_only", copy.to_str().unwrap()]);

    let (ours, theirs) = (open(&image), open(&copy));

    assert_eq!(theirs.facts().condition, Condition::Clean);
    assert_eq!(ours.free_space().unwrap(), theirs.free_space().unwrap());
    for path in ["/reuses blocks", "/large", "/only in the journal 399"] {
        let extents = |tree: &dyn guestfs::Tree| tree.extents(tree.find(path).unwrap(), None).unwrap();
        assert_eq!(extents(&*ours), extents(&*theirs), "{path}");
    }
}

#[test]
fn a_dirty_log_of_xfs_4_is_refused_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    sized(&image, 320 << 20);
    run("mkfs.xfs", &["-q", "-m", "crc=0", image.to_str().unwrap()]);
    let log_start = 160 << 20;
    // The kernel of the test machine may not mount version 4, so a record is cut off by hand.
    let mut bytes = fs::read(&image).unwrap();
    let place =
        (log_start..bytes.len() - 4).find(|at| bytes[*at..*at + 4] == 0xFEED_BABE_u32.to_be_bytes()).unwrap();
    bytes[place + 512 + 9] = 0;
    fs::write(&image, bytes).unwrap();
    let error = linux::volume(&image).open().err().unwrap();
    assert!(error.to_string().contains("cannot be replayed"), "{error}");
}
