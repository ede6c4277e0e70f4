//! The files that the rows work on, made once and kept below the build folder.
//!
//! The disk is like a server's: two of three units of 2 MiB hold data, half of which cannot be compressed, a
//! quarter is text, and a quarter is filled to a sixteenth. The VHDX is QEMU's, without holes, so that `cat` of it
//! moves as many bytes as a reader does.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::prepare;

/// Unit of content, and block size of the VHDX.
const UNIT: u64 = 2 << 20;
/// Files that are listed.
const LISTED: u32 = 100_000;
/// Files in one folder of those.
const PER_FOLDER: u32 = 1000;

/// What the rows work on.
pub(super) struct Files {
    /// The disk as a raw file with holes.
    pub raw: PathBuf,
    /// The disk as a raw file without holes.
    pub full: PathBuf,
    /// The disk as a VHDX without holes.
    pub vhdx: PathBuf,
    /// File systems with many small files, where they could be made.
    pub ntfs: Option<PathBuf>,
    pub ext4: Option<PathBuf>,
    /// A folder to mount at.
    pub mount: PathBuf,
    /// A folder in memory for what is made.
    pub memory: PathBuf,
    pub capacity: u64,
}

impl Files {
    pub(super) fn make(folder: &Path, mib: u32) -> Result<Self> {
        let capacity = (u64::from(mib) << 20) / 2 * 3;
        let capacity = capacity.next_multiple_of(3 * UNIT);
        let path = |name: &str| folder.join(format!("{mib}-{name}"));
        let files = Self {
            raw: path("disk.raw"),
            full: path("full.raw"),
            vhdx: path("disk.vhdx"),
            ntfs: listed(folder, "files.ntfs", make_ntfs),
            ext4: listed(folder, "files.ext4", make_ext4),
            mount: folder.join("mount"),
            memory: PathBuf::from(format!("/dev/shm/refpoint-bench-{}", std::process::id())),
            capacity,
        };
        fs::create_dir_all(&files.mount)?;
        fs::create_dir_all(&files.memory)?;
        once(&files.raw, |path| write_disk(path, capacity).context("cannot write the raw disk"))?;
        once(&files.full, |path| prepare("cp", &["--sparse=never"], &[&files.raw, path]))?;
        once(&files.vhdx, |path| {
            let sparse = path.with_extension("sparse");
            let options = ["convert", "-f", "raw", "-O", "vhdx", "-o", "subformat=dynamic,block_size=2M"];
            prepare("qemu-img", &options, &[&files.raw, &sparse])?;
            prepare("cp", &["--sparse=never"], &[&sparse, path])?;
            Ok(fs::remove_file(sparse)?)
        })?;
        Ok(files)
    }

    /// Removes what was made in memory.
    pub(super) fn clean(&self) {
        let _ = fs::remove_dir_all(&self.memory);
    }
}

/// Makes a file under another name until it is whole.
fn once(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let unfinished = path.with_extension("unfinished");
    let _ = fs::remove_file(&unfinished);
    make(&unfinished)?;
    Ok(fs::rename(unfinished, path)?)
}

/// A file system with many files; none where the tools or the rights are missing.
fn listed(folder: &Path, name: &str, make: fn(&Path, &Path) -> Result<()>) -> Option<PathBuf> {
    let path = folder.join(name);
    let made = once(&path, |unfinished| make(folder, unfinished));
    if let Err(error) = &made {
        eprintln!("{name} cannot be made here: {error:#}");
    }
    made.is_ok().then_some(path)
}

fn write_disk(path: &Path, capacity: u64) -> Result<()> {
    let mut file = File::create(path)?;
    file.set_len(capacity)?;
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for unit in (0..capacity / UNIT).filter(|unit| unit % 3 != 2) {
        file.seek(SeekFrom::Start(unit * UNIT))?;
        file.write_all(&content(unit, &mut state))?;
    }
    Ok(())
}

/// The bytes of a unit, by its number.
fn content(unit: u64, state: &mut u64) -> Vec<u8> {
    let length = usize::try_from(UNIT).unwrap_or(usize::MAX);
    let mut noise = |count: usize| {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            // xorshift64 (Marsaglia, 2003).
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            bytes.extend(state.to_le_bytes());
        }
        bytes
    };
    match unit / 3 % 4 {
        0 | 1 => noise(length),
        2 => b"The quick brown fox jumps over the lazy dog. ".iter().copied().cycle().take(length).collect(),
        _ => {
            let mut bytes = noise(length / 16);
            bytes.resize(length, 0);
            bytes
        }
    }
}

/// Small files in folders; returns their root.
fn make_tree(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("tree");
    if root.join("done").exists() {
        return Ok(root);
    }
    for number in 0..LISTED {
        let inside = root.join(format!("folder-{:03}", number / PER_FOLDER));
        if number % PER_FOLDER == 0 {
            fs::create_dir_all(&inside)?;
        }
        fs::write(inside.join(format!("file-{number:06}.txt")), format!("{number}\n"))?;
    }
    fs::write(root.join("done"), "")?;
    Ok(root)
}

fn make_ext4(folder: &Path, path: &Path) -> Result<()> {
    let tree = make_tree(folder)?.display().to_string();
    File::create(path)?.set_len(1 << 30)?;
    prepare("mke2fs", &["-q", "-F", "-t", "ext4", "-N", "120000", "-d", &tree], &[path])
}

fn make_ntfs(folder: &Path, path: &Path) -> Result<()> {
    let tree = make_tree(folder)?;
    let mount = folder.join("mount");
    fs::create_dir_all(&mount)?;
    File::create(path)?.set_len(1 << 30)?;
    prepare("mkntfs", &["-q", "-F", "-Q"], &[path])?;
    prepare("ntfs-3g", &[], &[path, &mount])?;
    let copied = prepare("cp", &["-r"], &[&tree, &mount]);
    let status = Command::new("umount").arg(&mount).status().context("cannot run umount")?;
    copied?;
    anyhow::ensure!(status.success(), "umount failed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_disk_is_a_hole_and_content_repeats_with_the_seed() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));

        write_disk(&one, 6 * UNIT).unwrap();
        write_disk(&two, 6 * UNIT).unwrap();

        let bytes = fs::read(&one).unwrap();
        let unit = |number: usize| &bytes[number * (2 << 20)..(number + 1) * (2 << 20)];
        assert!(unit(2).iter().all(|byte| *byte == 0) && unit(0) != unit(1));
        assert!(bytes == fs::read(&two).unwrap());
    }
}
