//! XFS against its own tools: `mkfs.xfs` fills images by a list of files, `xfs_db` judges.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

mod linux;

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use guestfs::{Condition, Error, NodeKind};
use linux::{assert_same, content_of, content_of_folder, noise, open, run, sized};
use tempfile::TempDir;
use vdisk::{ByteRange, ChangedRanges};

/// Kinds of layout: versions, sizes of blocks, inodes, folders and groups.
const VARIANTS: &[&[&str]] = &[
    &[],
    &["-m", "crc=0"],
    &["-m", "crc=0", "-n", "ftype=0"],
    &["-b", "size=1024", "-n", "size=8192"],
    &["-m", "bigtime=1,rmapbt=1,reflink=1,inobtcount=1", "-i", "size=1024"],
    &["-m", "bigtime=0", "-s", "size=4096", "-b", "size=16384"],
];

/// An image filled from a folder, and that folder. Lists of files for `mkfs.xfs` know no names with spaces.
fn made(options: &[&str]) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (image, root, list) =
        (folder.path().join("image"), folder.path().join("root"), folder.path().join("list"));
    std::fs::create_dir_all(root.join("many/deep/er")).unwrap();
    for number in 0..700 {
        let path = root.join(format!("many/a-file-with-a-long-name-{number}"));
        std::fs::write(path, noise(number, usize::try_from(number).unwrap() * 7)).unwrap();
    }
    std::fs::write(root.join("large"), noise(9, 3 << 20)).unwrap();
    std::fs::write(root.join("many/deep/er/bottom"), b"bottom").unwrap();
    std::os::unix::fs::symlink("many/deep", root.join("short")).unwrap();
    // mkfs.xfs 6.1 writes longer links without their head; the kernel's are in crash.rs.
    std::os::unix::fs::symlink("x/".repeat(60), root.join("link")).unwrap();
    std::fs::write(&list, format!("/none\n0 0\n{}", proto(&root, "d--755 0 0"))).unwrap();
    sized(&image, 320 << 20);
    run(
        "mkfs.xfs",
        &[&["-q", "-p", list.to_str().unwrap()][..], options, &[image.to_str().unwrap()]].concat(),
    );
    (folder, image, root)
}

/// The list of a folder's content in the form of `mkfs.xfs -p`.
fn proto(folder: &Path, head: &str) -> String {
    let mut list = format!("{head}\n");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (name, metadata) =
            (path.file_name().unwrap().to_str().unwrap(), path.symlink_metadata().unwrap());
        let mode = metadata.mode() & 0o777;
        if metadata.is_dir() {
            list += &proto(&path, &format!("{name} d--{mode:03o} 0 0"));
        } else if metadata.is_symlink() {
            writeln!(list, "{name} l--777 0 0 {}", std::fs::read_link(&path).unwrap().display()).unwrap();
        } else {
            writeln!(list, "{name} ---{mode:03o} 0 0 {}", path.display()).unwrap();
        }
    }
    list + "$\n"
}

/// mkfs.xfs gives every file the time at which it ran.
fn without_times(mut content: linux::Content) -> linux::Content {
    content.values_mut().for_each(|seen| seen.modified_seconds = 0);
    content
}

#[test]
fn files_extents_and_free_space_of_every_layout_are_what_its_own_tools_say() {
    for options in VARIANTS {
        let (_folder, image, root) = made(options);
        let tree = open(&image);
        assert_eq!(tree.facts().condition, Condition::Clean, "{options:?}");
        let (found, expected) = (without_times(content_of(&*tree)), without_times(content_of_folder(&root)));
        assert_same(&found, &expected, &format!("{options:?}"));
        for path in ["/large", "/many"] {
            let node = tree.find(path).unwrap();
            let found = tree.extents(node, None).unwrap();
            let found: ChangedRanges =
                found.iter().map(|e| ByteRange::at(e.volume_offset, e.length)).collect();
            assert_eq!(found, extents_by_xfs_db(&image, node.0), "{options:?} {path}");
        }
        assert_free(&image, &tree.free_space().unwrap());
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// Bytes of a block, blocks of a group.
fn sizes_by_xfs_db(image: &Path) -> (u64, u64) {
    let said =
        run("xfs_db", &["-r", "-c", "sb 0", "-c", "print blocksize agblocks", image.to_str().unwrap()]);
    let said = numbers(&said);
    (said[0], said[1])
}

/// `data offset 0 startblock 24 (0/24) count 4 flag 0`.
fn extents_by_xfs_db(image: &Path, inode: u64) -> ChangedRanges {
    let (block, group) = sizes_by_xfs_db(image);
    let said = run("xfs_db", &["-r", "-c", &format!("inode {inode}"), "-c", "bmap", image.to_str().unwrap()]);
    let extents = said.lines().map(numbers).filter(|numbers| numbers.len() == 6);
    extents.map(|n| ByteRange::at((n[2] * group + n[3]) * block, n[4] * block)).collect()
}

/// `xfs_db` also calls the few blocks free that each group keeps for its trees.
fn assert_free(image: &Path, found: &ChangedRanges) {
    let (block, group) = sizes_by_xfs_db(image);
    let said = run("xfs_db", &["-r", "-c", "freesp -d", image.to_str().unwrap()]);
    let extents =
        said.lines().take_while(|line| !line.contains("from")).map(numbers).filter(|n| n.len() == 3);
    let expected: ChangedRanges =
        extents.map(|n| ByteRange::at((n[0] * group + n[1]) * block, n[2] * block)).collect();
    assert!(expected.covers_all(found), "free too much: {:?}", found.minus(&expected));
    assert!(expected.total_bytes() - found.total_bytes() <= 200 * block, "free too little");
}

#[test]
fn times_modes_and_kinds_are_told() {
    let (_folder, image, _) = made(&[]);
    run("xfs_db", &["-x", "-c", "path /large", "-c", "write -d core.mtime.sec 16", image.to_str().unwrap()]);
    let tree = open(&image);
    let metadata = tree.metadata(tree.find("/large").unwrap()).unwrap();
    assert_eq!(metadata.kind, NodeKind::File);
    assert!(
        metadata.times.created.is_some()
            && metadata.unix.is_some_and(|unix| unix.mode & 0o170_000 == 0o100_000)
    );
}

#[test]
fn what_lamxfs_refuses_is_told_in_plain_words() {
    let (_folder, image, _) = made(&["-m", "crc=0"]);
    let original = std::fs::read(&image).unwrap();
    for (place, byte, word) in
        [(100, 0x74, "ascii-ci"), (16 + 7, 1, "realtime"), (48 + 7, 0, "another device")]
    {
        let mut bytes = original.clone();
        bytes[place] = byte;
        if place == 55 {
            bytes[48..56].fill(0);
        }
        std::fs::write(&image, &bytes).unwrap();
        let error = linux::volume(&image).open().err().unwrap();
        assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains(word)), "{word}: {error}");
    }
}
