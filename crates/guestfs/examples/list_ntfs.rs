//! Walks every folder of an NTFS volume in an image file and prints how many names it found.
//!
//! It exists to be timed against `ntfs-3g` and `find`: `list_ntfs IMAGE [metadata|read]`. The second
//! argument also asks for the metadata of every node, or reads every file.

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::collections::HashSet;
use std::sync::Arc;

use guestfs::{Layout, NodeId, NodeKind, Source, Tree};
use vdisk::{Disk, LocalFile};

/// What to do with every node besides listing it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Names,
    Metadata,
    Bytes,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: list_ntfs IMAGE [metadata|read]")?;
    let depth = match arguments.next().as_deref() {
        None => Depth::Names,
        Some("metadata") => Depth::Metadata,
        Some(_) => Depth::Bytes,
    };
    let disk: Arc<dyn Source> = Arc::new(Disk::open_raw(Arc::new(LocalFile::open_read(name)?))?);
    for volume in Layout::read(&[disk])?.volumes {
        let tree = volume.open()?;
        let (names, bytes) = walk(&*tree, depth)?;
        println!("{}: {names} names, {bytes} bytes read, {:?}", volume.name, tree.facts().condition);
    }
    Ok(())
}

/// Counts the names below the root, and the bytes of the files if they are read.
fn walk(tree: &dyn Tree, depth: Depth) -> guestfs::Result<(u64, u64)> {
    let (mut names, mut bytes) = (0, 0);
    let mut seen = HashSet::from([tree.root()]);
    let mut waiting = vec![tree.root()];
    let mut piece = vec![0; 1 << 20];
    while let Some(folder) = waiting.pop() {
        for entry in tree.list(folder)? {
            names += 1;
            if depth != Depth::Names {
                tree.metadata(entry.node)?;
            }
            if depth == Depth::Bytes && entry.kind == NodeKind::File {
                bytes += read(tree, entry.node, &mut piece)?;
            }
            if entry.kind == NodeKind::Folder && seen.insert(entry.node) {
                waiting.push(entry.node);
            }
        }
    }
    Ok((names, bytes))
}

/// Reads a file to its end.
fn read(tree: &dyn Tree, node: NodeId, piece: &mut [u8]) -> guestfs::Result<u64> {
    let mut offset = 0;
    loop {
        let count = tree.read_at(node, None, offset, piece)?;
        offset += count as u64;
        if count < piece.len() {
            return Ok(offset);
        }
    }
}
