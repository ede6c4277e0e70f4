//! Where the blocks of a file are: extent trees, and the older maps of blocks.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/ifork`. The walk keeps a set of the nodes it has seen: a node
//! that turns up twice is damage, and so the walk ends even on a volume made to trap it. Checksums of the nodes are
//! verified where the file system keeps them.

use std::collections::HashSet;

use zerocopy::little_endian::U32;

use super::checksum::crc32c;
use super::format::{EXTENT_MAGIC, ExtentHeader, INODE_EXTENTS, RawExtent, RawIndex};
use super::geometry::{Geometry, structure};
use super::inode::Inode;
use crate::block::Extents;
use crate::error::{Error, Result};
use crate::number::{bytes, index};
use crate::source::Source;
use crate::tree::FileExtent;

/// Levels of an extent tree below its root; the format's own limit.
const MAX_DEPTH: u16 = 5;
/// Longest written extent; a longer one is unwritten, by what exceeds this.
const MAX_WRITTEN: u16 = 32768;
/// Blocks named in the inode itself by the older map, before the three trees of blocks.
const DIRECT: usize = 12;

/// The extents of a file or folder in its order.
pub(super) fn extents(source: &dyn Source, geometry: &Geometry, inode: &Inode) -> Result<Vec<FileExtent>> {
    let mut walk = Walk { source, geometry, inode, seen: HashSet::new(), found: Extents::default(), next: 0 };
    if inode.has(INODE_EXTENTS) {
        walk.extent_node(&inode.raw.block, None)?;
    } else {
        walk.block_map()?;
    }
    Ok(walk.found.into_list())
}

struct Walk<'a> {
    source: &'a dyn Source,
    geometry: &'a Geometry,
    inode: &'a Inode,
    seen: HashSet<u64>,
    found: Extents,
    /// Next block of the file, for the older map.
    next: u64,
}

impl Walk<'_> {
    fn damaged(&self, what: &str) -> Error {
        Error::damaged(self.source.name(), format!("the block map of inode {} {what}", self.inode.number))
    }

    /// Reads a node, once only.
    fn read(&mut self, block: u64) -> Result<Vec<u8>> {
        if block == 0 || block >= self.geometry.blocks || !self.seen.insert(block) {
            return Err(self.damaged("leads outside the file system or in a circle"));
        }
        let mut node = vec![0; index(self.geometry.block_bytes)];
        self.source.read_at(block * self.geometry.block_bytes, &mut node).map_err(|e| {
            Error::io(self.source.name(), format!("the block map of inode {}", self.inode.number), e)
        })?;
        Ok(node)
    }

    fn add(&mut self, file_block: u64, block: u64, count: u64, unwritten: bool) -> Result<()> {
        if count == 0 {
            return Err(self.damaged("has an extent of no blocks"));
        }
        let end = block.checked_add(count);
        if block == 0 || end.is_none_or(|end| end > self.geometry.blocks) {
            return Err(self.damaged("names blocks outside the file system"));
        }
        let unit = self.geometry.block_bytes;
        let extent = FileExtent {
            // Block numbers of files have 33 bits at most.
            file_offset: file_block * unit,
            volume_offset: block * unit,
            length: count * unit,
            unwritten,
        };
        if self.found.push(extent) { Ok(()) } else { Err(self.damaged("is not in order")) }
    }

    /// A node of an extent tree; `depth` is what its parent says, and `None` for the root.
    fn extent_node(&mut self, node: &[u8], depth: Option<u16>) -> Result<()> {
        let volume = self.source.name();
        let header: ExtentHeader = structure(volume, node, "a node of an extent tree")?;
        let room = (node.len() - size_of::<ExtentHeader>()) / size_of::<RawExtent>();
        let count = usize::from(header.entries.get());
        let fits = header.magic.get() == EXTENT_MAGIC
            && count <= usize::from(header.max.get())
            && usize::from(header.max.get()) <= room
            && header.depth.get() <= MAX_DEPTH
            && depth.is_none_or(|depth| depth == header.depth.get());
        if !fits {
            return Err(self.damaged("has a node that is none"));
        }
        if depth.is_some() && !self.checksum_fits(node, usize::from(header.max.get())) {
            return Err(self.damaged("has a node with a wrong checksum"));
        }
        let entries = &node[size_of::<ExtentHeader>()..];
        for entry in entries.chunks_exact(size_of::<RawExtent>()).take(count) {
            if header.depth.get() == 0 {
                let extent: RawExtent = structure(volume, entry, "an extent")?;
                let length = extent.length.get();
                let (length, unwritten) =
                    if length > MAX_WRITTEN { (length - MAX_WRITTEN, true) } else { (length, false) };
                let start = u64::from(extent.start_lo.get()) | (u64::from(extent.start_hi.get()) << 32);
                self.add(u64::from(extent.block.get()), start, u64::from(length), unwritten)?;
            } else {
                let entry: RawIndex = structure(volume, entry, "an index of extents")?;
                let child = u64::from(entry.leaf_lo.get()) | (u64::from(entry.leaf_hi.get()) << 32);
                let child = self.read(child)?;
                self.extent_node(&child, Some(header.depth.get() - 1))?;
            }
        }
        Ok(())
    }

    /// The checksum stands behind the room for entries.
    fn checksum_fits(&self, node: &[u8], max: usize) -> bool {
        let Some(seed) = self.inode.checksum_seed else { return true };
        let place = size_of::<ExtentHeader>() + max * size_of::<RawExtent>();
        let stored = node.get(place..place + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        stored == Some(crc32c(seed, &node[..place]))
    }

    /// Twelve blocks, then trees of one, two and three levels.
    fn block_map(&mut self) -> Result<()> {
        let map = self.inode.raw.block;
        let entries: Vec<u32> = map.as_chunks().0.iter().map(|entry| u32::from_le_bytes(*entry)).collect();
        for (place, entry) in entries.iter().enumerate() {
            let level = u32::try_from(place.saturating_sub(DIRECT - 1)).unwrap_or(0);
            self.mapped(*entry, level)?;
        }
        Ok(())
    }

    /// One entry of the map: a block of the file at level 0, else a block of entries.
    fn mapped(&mut self, entry: u32, level: u32) -> Result<()> {
        let per_block = self.geometry.block_bytes / bytes(size_of::<U32>());
        if entry == 0 {
            // A hole of at most 2^42 blocks; three such levels stay far below 2^64.
            self.next += per_block.pow(level);
            return Ok(());
        }
        if level == 0 {
            self.add(self.next, u64::from(entry), 1, false)?;
            self.next += 1;
            return Ok(());
        }
        let node = self.read(u64::from(entry))?;
        for entry in node.as_chunks().0 {
            self.mapped(u32::from_le_bytes(*entry), level - 1)?;
        }
        Ok(())
    }
}
