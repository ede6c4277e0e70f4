//! Images of file systems made by their own tools, and trees compared with the folders they were made from.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "only tests use it")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use guestfs::{Layout, NodeId, NodeKind, Source, Tree, Volume};
use vdisk::{Disk, LocalFile};

/// What a node is, for comparing: everything that both sides know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) kind: String,
    pub(crate) content: Vec<u8>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) mode: u32,
    pub(crate) links: u32,
    pub(crate) modified_seconds: i128,
}

pub(crate) type Content = BTreeMap<String, Seen>;

/// Runs a command that has to succeed; returns what it said.
pub(crate) fn run(command: &str, args: &[&str]) -> String {
    let output = Command::new(command).args(args).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    let output = output.unwrap_or_else(|error| panic!("{command} has to be installed: {error}"));
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command} {args:?}: {said}");
    said
}

/// The volume on a raw image without partitions.
pub(crate) fn volume(image: &Path) -> Volume {
    let disk = Disk::open_raw(Arc::new(LocalFile::open_read(image).unwrap())).unwrap();
    Layout::read(&[Arc::new(disk) as Arc<dyn Source>]).unwrap().volumes.remove(0)
}

pub(crate) fn open(image: &Path) -> Box<dyn Tree> {
    volume(image).open().unwrap()
}

/// An empty file of this size.
pub(crate) fn sized(path: &Path, bytes: u64) {
    fs::File::create(path).unwrap().set_len(bytes).unwrap();
}

/// Every node of a tree by path, with all of its bytes.
pub(crate) fn content_of(tree: &dyn Tree) -> Content {
    let mut content = Content::new();
    let mut folders = vec![(String::new(), tree.root())];
    while let Some((path, folder)) = folders.pop() {
        for entry in tree.list(folder).unwrap_or_else(|error| panic!("{path}: {error}")) {
            let path = format!("{path}/{}", entry.name);
            if entry.kind == NodeKind::Folder {
                folders.push((path.clone(), entry.node));
            }
            if entry.name.is("lost+found") {
                folders.pop();
                continue;
            }
            let seen = seen(tree, entry.node, entry.kind, &path);
            assert!(content.insert(path.clone(), seen).is_none(), "{path} is listed twice");
        }
    }
    content
}

fn seen(tree: &dyn Tree, node: NodeId, kind: NodeKind, path: &str) -> Seen {
    let metadata = tree.metadata(node).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(metadata.kind, kind, "{path}");
    let mut bytes = Vec::new();
    if kind == NodeKind::File {
        bytes = read_all(tree, node, metadata.size);
    }
    Seen {
        kind: format!("{kind:?}"),
        content: bytes,
        link: metadata.link_target.map(|target| target.to_string().into_bytes()),
        mode: metadata.unix.map_or(0, |unix| unix.mode & 0o7777),
        links: if kind == NodeKind::File { metadata.links } else { 0 },
        modified_seconds: metadata.times.modified.unwrap().div_euclid(1_000_000_000),
    }
}

/// All bytes of a file, read in odd pieces.
pub(crate) fn read_all(tree: &dyn Tree, node: NodeId, size: u64) -> Vec<u8> {
    let mut bytes = vec![0xEE; usize::try_from(size).unwrap() + 7];
    let mut done = 0;
    while done < bytes.len() {
        let end = bytes.len().min(done + 300_007);
        let count = tree.read_at(node, None, done as u64, &mut bytes[done..end]).unwrap();
        if count == 0 {
            break;
        }
        done += count;
    }
    bytes.truncate(done);
    assert_eq!(done as u64, size);
    bytes
}

/// The same of a folder of this machine.
pub(crate) fn content_of_folder(root: &Path) -> Content {
    let mut content = Content::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let relative = folder.join(entry.unwrap().file_name());
            let path = root.join(&relative);
            let metadata = fs::symlink_metadata(&path).unwrap();
            let kind = match metadata.file_type() {
                kind if kind.is_dir() => NodeKind::Folder,
                kind if kind.is_file() => NodeKind::File,
                kind if kind.is_symlink() => NodeKind::Link,
                _ => NodeKind::Special,
            };
            if relative == Path::new("lost+found") {
                continue;
            }
            let link = fs::read_link(&path).ok().map(|target| target.to_str().unwrap().as_bytes().to_vec());
            let seen = Seen {
                kind: format!("{kind:?}"),
                content: if kind == NodeKind::File { fs::read(&path).unwrap() } else { Vec::new() },
                link,
                mode: metadata.mode() & 0o7777,
                links: if kind == NodeKind::File { u32::try_from(metadata.nlink()).unwrap() } else { 0 },
                modified_seconds: i128::from(metadata.mtime()),
            };
            content.insert(format!("/{}", relative.display()), seen);
            if kind == NodeKind::Folder {
                folders.push(relative);
            }
        }
    }
    content
}

/// Fails with the first differing path, not with megabytes.
pub(crate) fn assert_same(found: &Content, expected: &Content, what: &str) {
    let paths = |content: &Content| content.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(found), paths(expected), "{what}");
    for (path, expected) in expected {
        let found = &found[path];
        let short = |seen: &Seen| Seen { content: Vec::new(), ..seen.clone() };
        assert_eq!(short(found), short(expected), "{what}: {path}");
        let differs =
            found.content.iter().zip(&expected.content).position(|(found, expected)| found != expected);
        assert_eq!(differs, None, "{what}: {path} differs at this byte");
        assert_eq!(found.content.len(), expected.content.len(), "{what}: {path} has another length");
    }
}

/// Bytes that look like nothing else, by a seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(length).collect()
}

/// A folder with what file systems find hard: large and deep folders, holes, links, odd names and sizes.
pub(crate) fn sample_folder(root: &Path, large_folder: usize) {
    let file = |path: &str, content: &[u8]| fs::write(root.join(path), content).unwrap();
    fs::create_dir_all(root.join("deep/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y")).unwrap();
    file("deep/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/bottom", b"bottom");
    for (number, length) in
        [0, 1, 59, 60, 61, 511, 1023, 1024, 4095, 4096, 4097, 65_536, 100_001].iter().enumerate()
    {
        file(&format!("size-{length}"), &noise(number as u64 + 1, *length));
    }
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..large_folder {
        file(
            &format!("many/file with a rather long name, number {number:05}"),
            number.to_string().as_bytes(),
        );
    }
    file("Grüße, 世界 🐧", "Unicode".as_bytes());
    file(&"n".repeat(255), b"the longest name");
    file("large", &noise(77, 3 << 20));
    sparse(&root.join("sparse"));
    fs::hard_link(root.join("size-4097"), root.join("second name")).unwrap();
    symlink("size-1", root.join("short link")).unwrap();
    symlink(format!("{}end", "long/".repeat(180)), root.join("long link")).unwrap();
    symlink("x".repeat(59), root.join("link of 59")).unwrap();
    symlink("x".repeat(60), root.join("link of 60")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::File::options()
        .write(true)
        .open(root.join("size-59"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
}

/// A file with holes at its start, inside and at its end.
pub(crate) fn sparse(path: &Path) {
    let file = fs::File::create(path).unwrap();
    for (place, seed) in [(100_000, 5), (5 << 20, 6), ((5 << 20) + 300_000, 7)] {
        file.write_all_at(&noise(seed, 50_000), place).unwrap();
    }
    file.set_len(9 << 20).unwrap();
}

/// Random changes at random places of an image, by a seed: one byte, one word, a piece of it elsewhere.
pub(crate) fn mutate(image: &mut [u8], seed: u64, used: usize) {
    let random = noise(seed, 8 * 32);
    let words: Vec<usize> =
        random.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()) as usize).collect();
    let used = used.min(image.len());
    for change in words.chunks_exact(4).take(1 + words[0] % 8) {
        let place = change[0] % (used - 8);
        match change[1] % 4 {
            0 => image[place] = change[2] as u8,
            1 => image[place] ^= 1 << (change[2] % 8),
            2 => image[place..place + 4].copy_from_slice(&(change[2] as u32).to_le_bytes()),
            _ => {
                let from = change[2] % (used - 8);
                image.copy_within(from..from + 8, place);
            }
        }
    }
}

/// Touches everything a reader offers; answers and errors are both right, running on or panicking is not.
pub(crate) fn exercise(source: Arc<dyn Source>) -> usize {
    let layout = Layout::read(&[source]).unwrap();
    let mut nodes = 0;
    for tree in layout.volumes.iter().filter_map(|volume| volume.open().ok()) {
        nodes += 1;
        let mut folders = vec![(tree.root(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for entry in tree.list(folder).unwrap_or_default() {
                nodes += 1;
                if entry.kind == NodeKind::Folder && depth < 8 && nodes < 5000 {
                    folders.push((entry.node, depth + 1));
                }
                let size = tree.metadata(entry.node).map_or(0, |metadata| metadata.size);
                let mut buf = [0; 4096];
                for offset in [0, size / 2, size.saturating_sub(1)] {
                    let _ = tree.read_at(entry.node, None, offset, &mut buf);
                }
                let _ = tree.extents(entry.node, None);
            }
        }
        let _ = tree.free_space();
    }
    nodes
}
