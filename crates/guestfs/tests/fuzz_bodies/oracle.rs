//! What must hold of every disk, volume and file system that opens.

use std::collections::BTreeSet;
use std::sync::Arc;

use guestfs::{Layout, NodeId, NodeKind, Source, Tree, Volume};

/// Nodes looked at; more only repeat the same code.
const NODES_MAX: usize = 120;
const VOLUMES_MAX: usize = 20;
const READ_BYTES: usize = 4096;

/// Reads the tables, then every volume and file system on them.
pub fn check_disks(disks: &[Arc<dyn Source>]) {
    let layout = match Layout::read(disks) {
        Ok(layout) => layout,
        Err(error) => return check_text(&error),
    };
    assert_eq!(layout.disks.len(), disks.len());
    for gap in &layout.gaps {
        assert!(!gap.what.is_empty() && !gap.why.is_empty(), "{gap:?}");
    }
    let names: BTreeSet<_> = layout.volumes.iter().map(|volume| &volume.name).collect();
    assert_eq!(names.len(), layout.volumes.len(), "two volumes have one name");
    for volume in layout.volumes.iter().take(VOLUMES_MAX) {
        check_volume(volume);
        match volume.open() {
            Ok(tree) => check_tree(&*tree, volume.len()),
            Err(error) => check_text(&error),
        }
    }
}

fn check_text(error: &guestfs::Error) {
    assert!(!error.to_string().is_empty() && !error.next_step().is_empty() && !error.code().is_empty());
}

/// A volume has a name, and reads at its ends do the same twice.
fn check_volume(volume: &Volume) {
    assert!(!volume.name.is_empty() && !volume.sentence().is_empty());
    let mut one = [0; 512];
    assert!(volume.read_at(volume.len(), &mut one).is_err());
    for at in [0, volume.len().saturating_sub(512)] {
        let (mut one, mut two) = ([1; 512], [2; 512]);
        if volume.read_at(at, &mut one).is_ok() {
            volume.read_at(at, &mut two).unwrap();
            assert_eq!(one, two);
        }
    }
}

fn check_tree(tree: &dyn Tree, volume_bytes: u64) {
    assert!(!tree.facts().file_system.is_empty());
    if let Ok(free) = tree.free_space() {
        assert!(free.iter().all(|range| range.end <= volume_bytes), "free space beyond the volume");
    }
    let mut seen = BTreeSet::from([tree.root()]);
    let mut waiting = vec![tree.root()];
    let mut count = 0;
    while let Some(node) = waiting.pop() {
        count += 1;
        if count > NODES_MAX {
            return;
        }
        check_node(tree, node, volume_bytes);
        let Ok(entries) = tree.list(node) else { continue };
        for entry in entries.iter().take(NODES_MAX) {
            if seen.insert(entry.node) {
                waiting.push(entry.node);
            }
        }
    }
}

/// Reads end where the metadata says, and extents lie in order and in the volume.
fn check_node(tree: &dyn Tree, node: NodeId, volume_bytes: u64) {
    let Ok(metadata) = tree.metadata(node) else { return };
    if let Ok(extents) = tree.extents(node, None) {
        let mut end = 0;
        for extent in extents {
            assert!(extent.file_offset >= end && extent.length > 0, "{extent:?} after {end}");
            end = extent.file_offset + extent.length;
            let there = extent.volume_offset.checked_add(extent.length);
            assert!(there.is_some_and(|there| there <= volume_bytes), "{extent:?} beyond {volume_bytes}");
        }
    }
    if metadata.kind != NodeKind::File {
        return;
    }
    let size = metadata.size;
    for at in [0, size / 2, size.saturating_sub(100), size, u64::MAX] {
        let mut bytes = vec![0xEE; READ_BYTES];
        let Ok(count) = tree.read_at(node, None, at, &mut bytes) else { continue };
        let expected = size.saturating_sub(at).min(READ_BYTES as u64);
        assert_eq!(count as u64, expected, "a file of {size} bytes read at {at}");
        let mut again = vec![0x11; READ_BYTES];
        assert_eq!(tree.read_at(node, None, at, &mut again).ok(), Some(count));
        assert!(bytes[..count] == again[..count], "two reads at {at} differ");
    }
}
