//! ext2, ext3 and ext4 against their own tools: `mke2fs` makes the images, `debugfs` and `dumpe2fs` judge.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

mod linux;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use guestfs::{Condition, Error, NodeKind, Tree};
use linux::{assert_same, content_of, content_of_folder, open, run, sample_folder, sized};
use tempfile::TempDir;
use vdisk::{ByteRange, ChangedRanges};

/// An image filled from the sample folder, and that folder.
fn made(options: &[&str], mib: u64) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (image, root) = (folder.path().join("image"), folder.path().join("root"));
    std::fs::create_dir(&root).unwrap();
    sample_folder(&root, 600);
    sized(&image, mib << 20);
    let (source, target) = (root.to_str().unwrap(), image.to_str().unwrap());
    run("mke2fs", &[&["-q", "-F", "-d", source][..], options, &[target]].concat());
    (folder, image, root)
}

/// Every kind of layout that mke2fs makes.
const VARIANTS: &[&[&str]] = &[
    &["-t", "ext2", "-b", "1024"],
    &["-t", "ext2", "-b", "4096", "-O", "^filetype,^sparse_super,^resize_inode"],
    &["-t", "ext3", "-b", "1024", "-I", "128"],
    &["-t", "ext4", "-b", "1024", "-O", "metadata_csum,64bit"],
    &["-t", "ext4", "-b", "2048", "-O", "^metadata_csum,uninit_bg,^64bit"],
    &["-t", "ext4", "-b", "4096", "-O", "metadata_csum,metadata_csum_seed,meta_bg,^resize_inode,^flex_bg"],
    &["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode,sparse_super2,^metadata_csum,64bit"],
    &["-t", "ext4", "-b", "4096", "-O", "inline_data,metadata_csum,large_dir,ea_inode"],
    &["-t", "ext4", "-b", "4096", "-O", "^has_journal,^64bit,casefold", "-E", "encoding=utf8"],
    &["-t", "ext4", "-b", "4096", "-O", "fast_commit,orphan_file,quota,project,mmp"],
];

#[test]
fn files_extents_and_free_space_of_every_layout_are_what_its_own_tools_say() {
    for options in VARIANTS {
        let (_folder, image, root) = made(options, 64);
        let tree = open(&image);
        assert_eq!(tree.facts().condition, Condition::Clean, "{options:?}");
        let mut expected = content_of_folder(&root);
        if options.concat().contains("inline_data") {
            // There mke2fs 1.47 leaves out the hole at the end of a file.
            let size = size_by_debugfs(&image, "/sparse");
            expected.get_mut("/sparse").unwrap().content.truncate(size);
        }
        assert_same(&content_of(&*tree), &expected, &format!("{options:?}"));
        let free = free_by_dumpe2fs(&image, tree.facts().block_bytes);
        assert_eq!(tree.free_space().unwrap(), free, "{options:?}");
        for path in ["/large", "/sparse", "/many", "/size-100001", "/long link"] {
            assert_extents(&image, &*tree, path);
        }
    }
}

/// The size that `debugfs` tells, as in `User: 0 Group: 0 Project: 0 Size: 9437184`.
fn size_by_debugfs(image: &Path, path: &str) -> usize {
    let said = run("debugfs", &["-R", &format!("stat \"{path}\""), image.to_str().unwrap()]);
    let line = said.lines().find(|line| line.starts_with("User:")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// debugfs lists the blocks of the map among those of the file.
fn assert_extents(image: &Path, tree: &dyn Tree, path: &str) {
    let unit = tree.facts().block_bytes;
    let extents = tree.extents(tree.find(path).unwrap(), None).unwrap();
    let blocks = extents.iter().flat_map(|e| e.volume_offset / unit..(e.volume_offset + e.length) / unit);
    let found: BTreeSet<u64> = blocks.collect();
    let all: BTreeSet<u64> = blocks_by_debugfs(image, path).into_iter().collect();
    assert!(found.is_subset(&all), "{path}: {:?}", found.difference(&all));
    assert!(all.len() - found.len() <= 40, "{path}: only {} of {} blocks", found.len(), all.len());
}

/// What `dumpe2fs` prints for each group: `Free blocks: 1-5, 9`.
fn free_by_dumpe2fs(image: &Path, block: u64) -> ChangedRanges {
    let said = run("dumpe2fs", &[image.to_str().unwrap()]);
    let lists = said.lines().filter_map(|line| line.strip_prefix("  Free blocks: "));
    let ranges = lists.flat_map(|list| list.split(", ")).filter(|range| !range.is_empty()).map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        ByteRange::new(first * block, (last + 1) * block)
    });
    ranges.collect()
}

/// The blocks of a file in its order, as `debugfs` says.
fn blocks_by_debugfs(image: &Path, path: &str) -> Vec<u64> {
    let said = run("debugfs", &["-R", &format!("blocks \"{path}\""), image.to_str().unwrap()]);
    said.lines()
        .filter(|line| !line.starts_with("debugfs"))
        .flat_map(str::split_whitespace)
        .map(|block| block.parse().unwrap())
        .collect()
}

#[test]
fn bigalloc_reads_files_but_refuses_to_tell_free_space() {
    let (_folder, image, root) = made(&["-t", "ext4", "-O", "bigalloc", "-C", "65536"], 128);
    let tree = open(&image);
    assert_same(&content_of(&*tree), &content_of_folder(&root), "bigalloc");
    let error = tree.free_space().unwrap_err();
    assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains("bigalloc")), "{error}");
}

#[test]
fn times_keep_64_bits_and_nanoseconds() {
    let (_folder, image, _) = made(&["-t", "ext4"], 64);
    let target = image.to_str().unwrap();
    let set = |field: &str, value: &str| {
        run("debugfs", &["-w", "-R", &format!("sif /large {field} {value}"), target])
    };
    set("mtime_lo", "0x10");
    set("mtime_extra", &format!("{:#x}", (123_456_789_u32 << 2) | 1));
    let tree = open(&image);
    let times = tree.metadata(tree.find("/large").unwrap()).unwrap().times;
    assert_eq!(times.modified, Some(((1 << 32) + 16) * 1_000_000_000 + 123_456_789));
}

#[test]
fn devices_and_pipes_are_special_and_have_no_content() {
    let (_folder, image, _) = made(&["-t", "ext4"], 64);
    run("debugfs", &["-w", "-R", "mknod pipe p", image.to_str().unwrap()]);
    let tree = open(&image);
    let pipe = tree.find("/pipe").unwrap();
    assert_eq!(tree.metadata(pipe).unwrap().kind, NodeKind::Special);
    assert!(matches!(tree.read_at(pipe, None, 0, &mut [0; 8]), Err(Error::WrongKind { .. })));
    assert_eq!(tree.extents(pipe, None).unwrap(), []);
}

#[test]
fn a_feature_that_changes_the_layout_is_refused_by_its_name() {
    let (_folder, image, _) = made(&["-t", "ext4", "-O", "^metadata_csum"], 64);
    for (bit, name) in [(0x1, "compression"), (0x1000, "dirdata"), (0x4000_0000, "0x40000000")] {
        let mut bytes = std::fs::read(&image).unwrap();
        let old = u32::from_le_bytes(bytes[1120..1124].try_into().unwrap());
        bytes[1120..1124].copy_from_slice(&(old | bit).to_le_bytes());
        let changed = image.with_extension(name);
        std::fs::write(&changed, bytes).unwrap();
        let error = linux::volume(&changed).open().err().unwrap();
        assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains(name)), "{error}");
    }
}

#[test]
fn a_file_system_that_was_in_use_without_a_journal_or_had_errors_is_uncertain() {
    let (_folder, image, _) = made(&["-t", "ext2"], 64);
    for state in ["0", "3"] {
        run("debugfs", &["-w", "-R", &format!("ssv state {state}"), image.to_str().unwrap()]);
        let tree = open(&image);
        assert!(matches!(tree.facts().condition, Condition::Uncertain { .. }), "state {state}");
    }
}
