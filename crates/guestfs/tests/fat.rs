//! FAT12, FAT16 and FAT32 filled by mtools, exFAT filled by exfat-fuse; the bytes put in have to come out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

mod linux;

use std::fs;
use std::path::{Path, PathBuf};

use guestfs::{Condition, Tree};
use linux::{Content, assert_same, content_of, content_of_folder, noise, open, run, sized};

/// A folder with names and sizes that FAT finds hard.
fn sample(root: &Path) {
    fs::create_dir_all(root.join("Deep/er/and deeper/bottom")).unwrap();
    fs::create_dir(root.join("MANY")).unwrap();
    for number in 0..300 {
        fs::write(
            root.join(format!("MANY/a rather long name of a file {number:04}.txt")),
            noise(number, 700),
        )
        .unwrap();
    }
    for (number, name) in
        ["SHORT.TXT", "lower.txt", "Mixed.Case", "Grüße, 世界.dat", "no extension"].iter().enumerate()
    {
        fs::write(root.join(name), noise(number as u64, 1 + number * 2500)).unwrap();
    }
    fs::write(root.join("Deep/er/and deeper/bottom/empty"), b"").unwrap();
    fs::write(root.join("n".repeat(200)), b"a long name").unwrap();
    fs::write(root.join("large"), noise(99, 1_000_001)).unwrap();
}

/// FAT has no modes and links, and times of two seconds in an unknown zone.
fn comparable(mut content: Content) -> Content {
    content.values_mut().for_each(|seen| (seen.mode, seen.links, seen.modified_seconds) = (0, 0, 0));
    content
}

fn filled_by_mtools(folder: &Path, options: &[&str], mib: u64) -> (PathBuf, PathBuf) {
    let (image, root) = (folder.join("image"), folder.join("root"));
    fs::create_dir(&root).unwrap();
    sample(&root);
    sized(&image, mib << 20);
    let target = image.to_str().unwrap();
    run("mkfs.fat", &[options, &[target]].concat());
    let files: Vec<String> =
        fs::read_dir(&root).unwrap().map(|e| e.unwrap().path().display().to_string()).collect();
    let arguments: Vec<&str> = ["-i", target, "-s", "-o", "-Q"]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .chain(["::"])
        .collect();
    run("mcopy", &arguments);
    (image, root)
}

#[test]
fn every_file_that_mtools_put_on_fat_comes_out() {
    let variants: &[(&str, &[&str], u64)] = &[
        ("FAT12", &["-F", "12", "-s", "2", "-n", "LABEL"], 4),
        ("FAT16", &["-F", "16", "-n", "LABEL"], 32),
        ("FAT32", &["-F", "32", "-s", "1", "-n", "LABEL"], 64),
        ("FAT32", &["-F", "32", "-S", "4096", "-s", "1", "-n", "LABEL"], 300),
    ];
    for (kind, options, mib) in variants {
        let folder = tempfile::tempdir().unwrap();
        let (image, root) = filled_by_mtools(folder.path(), options, *mib);
        let tree = open(&image);
        let facts = tree.facts();
        assert_eq!((facts.file_system.as_str(), facts.label.as_str()), (*kind, "LABEL"));
        assert_eq!(facts.condition, Condition::Clean);
        assert_same(&comparable(content_of(&*tree)), &comparable(content_of_folder(&root)), kind);
        let said = run("fsck.fat", &["-n", "-v", image.to_str().unwrap()]);
        assert_eq!(used_clusters(&*tree, &said), used_by_fsck(&said), "{kind}: {said}");
    }
}

/// `image: 312 files, 1234/8167 clusters`.
fn used_by_fsck(said: &str) -> u64 {
    let last = said.lines().last().unwrap().split(", ").nth(1).unwrap();
    last.split('/').next().unwrap().parse().unwrap()
}

fn used_clusters(tree: &dyn Tree, said: &str) -> u64 {
    let all = said.lines().last().unwrap().split('/').next_back().unwrap();
    let all: u64 = all.split_whitespace().next().unwrap().parse().unwrap();
    all - tree.free_space().unwrap().total_bytes() / tree.facts().block_bytes
}

#[test]
fn every_file_that_exfat_fuse_wrote_comes_out() {
    for cluster in ["4K", "32K"] {
        let folder = tempfile::tempdir().unwrap();
        let (image, root) = (folder.path().join("image"), folder.path().join("root"));
        let mounted = folder.path().join("mounted");
        fs::create_dir(&root).unwrap();
        fs::create_dir(&mounted).unwrap();
        sample(&root);
        sized(&image, 64 << 20);
        run("mkfs.exfat", &["-c", cluster, "-L", "LABEL", image.to_str().unwrap()]);
        let device = run("losetup", &["-f", "--show", image.to_str().unwrap()]);
        run("mount.exfat-fuse", &[device.trim(), mounted.to_str().unwrap()]);
        let copied = std::process::Command::new("cp").arg("-r").arg(root.join(".")).arg(&mounted).status();
        run("umount", &[mounted.to_str().unwrap()]);
        run("losetup", &["-d", device.trim()]);
        assert!(copied.unwrap().success());
        // The process that writes ends a moment after the unmount; the volume then says that it is clean.
        let tree =
            (0..).map(|_| open(&image)).find(|tree| tree.facts().condition == Condition::Clean).unwrap();
        assert_eq!(tree.facts().label, "LABEL");
        assert_same(&comparable(content_of(&*tree)), &comparable(content_of_folder(&root)), cluster);
        assert!(tree.find("/deep/ER/And Deeper").is_ok(), "names are found without regard to case");
        assert!(!tree.free_space().unwrap().is_empty());
        run("fsck.exfat", &["-n", image.to_str().unwrap()]);
    }
}

#[test]
fn a_volume_that_was_in_use_is_uncertain() {
    let folder = tempfile::tempdir().unwrap();
    let (image, _) = filled_by_mtools(folder.path(), &["-F", "32"], 64);
    let mut bytes = fs::read(&image).unwrap();
    bytes[65] |= 1;
    fs::write(&image, bytes).unwrap();
    assert!(matches!(open(&image).facts().condition, Condition::Uncertain { .. }));
}

#[test]
fn a_chain_that_leads_back_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (image, _) = filled_by_mtools(folder.path(), &["-F", "16"], 32);
    let file = open(&image).find("/large").unwrap();
    let mut bytes = fs::read(&image).unwrap();
    // The table begins behind the boot sectors; from now on every cluster is followed by cluster 3.
    let table = usize::from(u16::from_le_bytes([bytes[14], bytes[15]])) * 512;
    bytes[table + 4..table + 8000].chunks_exact_mut(2).for_each(|entry| entry.copy_from_slice(&[3, 0]));
    fs::write(&image, bytes).unwrap();
    let tree = open(&image);
    let blocks = tree.extents(file, None).map(|extents| extents.len());
    assert!(blocks.is_ok_and(|count| count > 1), "a file reads no further than its size");
    let deep = tree.find("/Deep").unwrap();
    assert!(tree.list(deep).unwrap_err().to_string().contains("circle"));
}
