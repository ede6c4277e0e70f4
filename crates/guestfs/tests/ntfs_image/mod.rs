//! NTFS images made by ntfs-3g, and what a test expects to find in them.
//!
//! `mkntfs` formats a file, `ntfs-3g` mounts it through FUSE, the test writes into it with ordinary
//! calls and remembers what it wrote. Each mount is a child process in the foreground: unmounting waits
//! for its end, so that everything has reached the image, also when the test fails.

#![allow(dead_code, reason = "each test binary uses its own part of these")]
#![allow(clippy::unwrap_used, reason = "only tests use it")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guestfs::{Layout, NodeId, NodeKind, Source, Tree};
use tempfile::TempDir;
use vdisk::{Disk, LocalFile};

/// How long a mount may take to appear.
const MOUNT_PATIENCE: Duration = Duration::from_secs(60);

/// An image file with an NTFS volume on all of it.
pub(crate) struct Image {
    folder: TempDir,
}

impl Image {
    /// Formats an image of `mib` MiB with `mkntfs` and these further arguments.
    pub(crate) fn format(mib: u64, arguments: &[&str]) -> Self {
        let image = Self { folder: tempfile::tempdir().unwrap() };
        fs::File::create(image.path()).unwrap().set_len(mib << 20).unwrap();
        let mut command = Command::new("mkntfs");
        command.args(["-F", "-Q", "-q"]).args(arguments).arg(image.path());
        let output = command.output().expect("mkntfs (package ntfs-3g) is needed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        image
    }

    /// An image with these bytes.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let image = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(image.path(), bytes).unwrap();
        image
    }

    /// The image file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ntfs.img")
    }

    /// Mounts the image while `work` runs, and waits until all of it is written.
    pub(crate) fn mounted<T>(&self, work: impl FnOnce(&Path) -> T) -> T {
        let mount = Mount::new(&self.path(), self.folder.path().join("mount"));
        work(&mount.point)
    }

    /// The image as a disk.
    pub(crate) fn source(&self) -> Arc<dyn Source> {
        Arc::new(Disk::open_raw(Arc::new(LocalFile::open_read(self.path()).unwrap())).unwrap())
    }

    /// The volume in the image, opened.
    pub(crate) fn open(&self) -> Box<dyn Tree> {
        open(self.source()).unwrap()
    }

    /// Writes bytes at a place of the image.
    pub(crate) fn poke(&self, offset: u64, bytes: &[u8]) {
        let file = fs::File::options().write(true).open(self.path()).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    /// Bytes at a place of the image.
    pub(crate) fn peek(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        fs::File::open(self.path()).unwrap().read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }
}

/// Opens the volume that fills a disk.
pub(crate) fn open(disk: Arc<dyn Source>) -> guestfs::Result<Box<dyn Tree>> {
    Layout::read(&[disk])?.volumes[0].open()
}

/// A mount of ntfs-3g; unmounted when it goes.
pub(crate) struct Mount {
    process: Child,
    point: PathBuf,
}

impl Mount {
    /// Mounts the volume of an image at a folder, for reading and writing.
    pub(crate) fn new(image: &Path, point: PathBuf) -> Self {
        Self::with_options(image, point, "no_detach,compression,streams_interface=xattr,big_writes")
    }

    /// Mounts it for reading.
    pub(crate) fn read_only(image: &Path, point: PathBuf) -> Self {
        Self::with_options(image, point, "no_detach,ro")
    }

    fn with_options(image: &Path, point: PathBuf, options: &str) -> Self {
        fs::create_dir_all(&point).unwrap();
        let before = fs::metadata(&point).unwrap().dev();
        let mut process = Command::new("ntfs-3g")
            .args(["-o", options])
            .args([image, &point])
            .stderr(Stdio::null())
            .spawn()
            .expect("ntfs-3g (package ntfs-3g) is needed");
        let given_up = Instant::now() + MOUNT_PATIENCE;
        while fs::metadata(&point).is_ok_and(|now| now.dev() == before) {
            assert!(process.try_wait().unwrap().is_none(), "ntfs-3g could not mount (is /dev/fuse there?)");
            assert!(Instant::now() < given_up, "ntfs-3g did not mount in time");
            std::thread::yield_now();
        }
        Self { process, point }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("fusermount").args(["-u", "-z"]).arg(&self.point).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// What a test expects of a node, or what the tree says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// What it is.
    pub(crate) kind: NodeKind,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// When they changed, in ns since 1970.
    pub(crate) modified: i128,
    /// Number of names.
    pub(crate) links: u64,
}

/// Every node below a mounted folder, by its path.
pub(crate) fn written(root: &Path) -> BTreeMap<String, Found> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let info = fs::symlink_metadata(&path).unwrap();
            let is_folder = info.is_dir();
            let found = Found {
                kind: if is_folder { NodeKind::Folder } else { NodeKind::File },
                bytes: if is_folder { Vec::new() } else { fs::read(&path).unwrap() },
                modified: i128::from(info.mtime()) * 1_000_000_000 + i128::from(info.mtime_nsec()),
                links: if is_folder { 1 } else { info.nlink() },
            };
            all.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), found);
            if is_folder {
                waiting.push(path);
            }
        }
    }
    all
}

/// Every node of a tree, by its path.
pub(crate) fn read_back(tree: &dyn Tree) -> BTreeMap<String, Found> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![(String::new(), tree.root())];
    while let Some((path, folder)) = waiting.pop() {
        for entry in tree.list(folder).unwrap() {
            let path = format!("{path}{}", entry.name);
            let info = tree.metadata(entry.node).unwrap();
            assert_eq!(info.kind, entry.kind, "{path}");
            let bytes = match entry.kind {
                NodeKind::File => read_file(tree, entry.node, None),
                _ => Vec::new(),
            };
            assert_eq!(bytes.len() as u64, info.size, "{path}");
            let (modified, links) = (info.times.modified.unwrap(), u64::from(info.links));
            if entry.kind == NodeKind::Folder {
                waiting.push((format!("{path}/"), entry.node));
            }
            assert!(all.insert(path, Found { kind: entry.kind, bytes, modified, links }).is_none());
        }
    }
    all
}

/// All bytes of a stream, in pieces of an odd size.
pub(crate) fn read_file(tree: &dyn Tree, node: NodeId, stream: Option<&str>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = vec![0; 300_001];
    loop {
        let count = tree.read_at(node, stream, all.len() as u64, &mut piece).unwrap();
        all.extend_from_slice(&piece[..count]);
        if count < piece.len() {
            return all;
        }
    }
}

/// Compares two sets of nodes without printing their bytes.
pub(crate) fn assert_same(found: &BTreeMap<String, Found>, expected: &BTreeMap<String, Found>) {
    let names = |all: &BTreeMap<String, Found>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (path, expected) in expected {
        let found = &found[path];
        assert!(found.bytes == expected.bytes, "the bytes of {path} differ");
        let rest = |node: &Found| (node.kind, node.modified, node.links);
        assert_eq!(rest(found), rest(expected), "{path}");
    }
}

/// Bytes that compress badly and differ by seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
