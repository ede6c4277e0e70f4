//! Walks a whole file system and prints how many nodes it has: the counterpart of `find | wc -l`.
//!
//! `list_linux IMAGE [--metadata] [--read]`: the image is a raw disk or a VHDX or VHD file; with `--metadata` every
//! node's metadata is read too, with `--read` also every byte.

use std::process::ExitCode;
use std::sync::Arc;

use guestfs::{Layout, NodeId, NodeKind, Result, Source, Tree};
use vdisk::{Disk, LocalFile};

fn main() -> ExitCode {
    let options: Vec<String> = std::env::args().skip(1).collect();
    let Some(image) = options.first() else { return ExitCode::FAILURE };
    let has = |name: &str| options.iter().any(|option| option == name);
    let Ok(file) = LocalFile::open_read(image) else { return ExitCode::FAILURE };
    let file = Arc::new(file);
    let disk = Disk::open(file.clone()).or_else(|_| Disk::open_raw(file));
    let Ok(layout) = disk.map(|disk| Layout::read(&[Arc::new(disk) as Arc<dyn Source>])) else {
        return ExitCode::FAILURE;
    };
    for volume in layout.into_iter().flat_map(|layout| layout.volumes) {
        let counted = volume.open().and_then(|tree| {
            Ok((count(&*tree, has("--metadata"), has("--read"))?, tree.facts().condition.clone()))
        });
        let text = format!("{}: {counted:?}\n", volume.name);
        if std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Nodes of a tree and bytes read from them.
fn count(tree: &dyn Tree, metadata: bool, read: bool) -> Result<(u64, u64)> {
    let (mut nodes, mut bytes) = (1, 0);
    let mut folders = vec![tree.root()];
    let mut buf = vec![0; 1 << 20];
    while let Some(folder) = folders.pop() {
        for entry in tree.list(folder)? {
            nodes += 1;
            if entry.kind == NodeKind::Folder {
                folders.push(entry.node);
            }
            if metadata {
                tree.metadata(entry.node)?;
            }
            if read && entry.kind == NodeKind::File {
                bytes += length(tree, entry.node, &mut buf)?;
            }
        }
    }
    Ok((nodes, bytes))
}

/// Bytes of a file, all of them read.
fn length(tree: &dyn Tree, file: NodeId, buf: &mut [u8]) -> Result<u64> {
    let mut offset = 0;
    loop {
        match tree.read_at(file, None, offset, buf)? {
            0 => return Ok(offset),
            count => offset += count as u64,
        }
    }
}
