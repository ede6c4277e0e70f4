//! Small valid images with random changes, by seeds: no reader may panic, hang or answer beyond reason.
//!
//! `GUESTFS_MUTATIONS` sets how many changed images are tried of each kind (default 40).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

mod linux;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use guestfs::Source;
use linux::{exercise, mutate, noise, run, sized};

/// An image in memory.
struct Image(Vec<u8>);

impl Source for Image {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let part = start.and_then(|start| self.0.get(start..start.checked_add(buf.len())?));
        buf.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn logical_sector(&self) -> u32 {
        512
    }

    fn name(&self) -> &'static str {
        "hostile"
    }
}

/// An image made by a command, filled where that command can.
fn image(mib: u64, command: &str, arguments: &[&str], root: Option<&str>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (path, source) = (folder.path().join("image"), folder.path().join("root"));
    fs::create_dir_all(source.join("folder")).unwrap();
    for number in 0..40 {
        fs::write(source.join(format!("folder/file {number}")), noise(number, 3000)).unwrap();
    }
    std::os::unix::fs::symlink("folder", source.join("link")).unwrap();
    linux::sparse(&source.join("sparse"));
    fs::File::options().write(true).open(source.join("sparse")).unwrap().set_len(200_000).unwrap();
    sized(&path, mib << 20);
    let source_option: Vec<&str> =
        root.iter().flat_map(|option| [*option, source.to_str().unwrap()]).collect();
    run(command, &[arguments, &source_option, &[path.to_str().unwrap()]].concat());
    if command == "mkfs.fat" {
        fill_by_mtools(&path, &source);
    }
    fs::read(path).unwrap()
}

fn fill_by_mtools(image: &Path, source: &Path) {
    run("mcopy", &["-i", image.to_str().unwrap(), "-s", "-Q", source.join("folder").to_str().unwrap(), "::"]);
}

/// Bytes from the start that hold the structures, where changes matter most.
fn used(image: &[u8]) -> usize {
    image.chunks(4096).rposition(|block| block.iter().any(|byte| *byte != 0)).map_or(4096, |last| last * 4096)
}

fn try_changes(image: &[u8]) {
    let count = std::env::var("GUESTFS_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let (used, mut nodes) = (used(image), 0);
    for seed in 1..=count {
        let mut changed = image.to_vec();
        // Half of the changes meet the first structures, where most of a reader's decisions are made.
        mutate(&mut changed, seed, if seed % 2 == 0 { used } else { used.min(64 << 10) });
        nodes += exercise(Arc::new(Image(changed)));
    }
    assert!(nodes > 0, "no changed image was readable at all");
}

#[test]
fn changed_ext_images_do_no_harm() {
    for options in
        ["^metadata_csum", "metadata_csum", "inline_data,^metadata_csum", "^extents,^metadata_csum,^64bit"]
    {
        let arguments = ["-q", "-F", "-t", "ext4", "-b", "1024", "-O", options];
        try_changes(&image(4, "mke2fs", &arguments, Some("-d")));
    }
}

#[test]
fn changed_fat_images_do_no_harm() {
    try_changes(&image(2, "mkfs.fat", &["-F", "12"], None));
    try_changes(&image(8, "mkfs.fat", &["-F", "16", "-s", "1"], None));
    try_changes(&image(40, "mkfs.fat", &["-F", "32", "-s", "1"], None));
    try_changes(&image(8, "mkfs.exfat", &[], None));
}

#[test]
fn changed_xfs_images_do_no_harm() {
    for crc in ["crc=0", "crc=1"] {
        let folder = tempfile::tempdir().unwrap();
        let (list, content) = (folder.path().join("list"), folder.path().join("content"));
        fs::write(&content, noise(1, 3000)).unwrap();
        let entry = |number| format!("file{number} ---644 0 0 {}\n", content.display());
        let entries: String = (0..60).map(entry).collect();
        fs::write(&list, format!("/none\n0 0\nd--755 0 0\nfolder d--755 0 0\n{entries}$\n{entries}$\n"))
            .unwrap();
        let arguments = ["-q", "--unsupported", "-m", crc, "-p", list.to_str().unwrap()];
        try_changes(&image(18, "mkfs.xfs", &arguments, None));
    }
}
