//! Trees of XFS: the extents of a file, and the walk that the tree of free space shares.
//!
//! Source: *XFS Algorithms & Data Structures*, "Data Extents" and "B+tree blocks". A block that turns up twice is
//! damage, so the walk ends on every volume.

use std::collections::HashSet;

use super::format::{BMAP, FORMAT_BTREE, FORMAT_EXTENTS, TreeHead, TreeKind};
use super::geometry::{Geometry, checksum_fits};
use super::inode::Inode;
use crate::block::Extents;
use crate::error::{Error, Result};
use crate::number::index;
use crate::source::Source;
use crate::tree::FileExtent;
use zerocopy::FromBytes;

/// Bytes of an extent, and of an entry and pointer of an inner node.
const RECORD_BYTES: usize = 16;
/// Levels that no tree of a file reaches.
const MAX_LEVEL: u16 = 12;

/// The extents of an inode in its order; content in the inode itself has none.
pub(super) fn extents(source: &dyn Source, geometry: &Geometry, inode: &Inode) -> Result<Vec<FileExtent>> {
    let mut found = Extents::default();
    let damaged =
        |what| Error::damaged(source.name(), format!("the extents of inode {} {what}", inode.number));
    match inode.raw.format {
        FORMAT_EXTENTS => {
            let count = usize::try_from(inode.extent_count()).unwrap_or(usize::MAX);
            let records = inode.fork.chunks_exact(RECORD_BYTES);
            if count > records.len() {
                return Err(damaged("are more than have room"));
            }
            for record in records.take(count) {
                add(geometry, record, &mut found).ok_or_else(|| damaged("are not in order or outside"))?;
            }
        }
        FORMAT_BTREE => {
            let pointers = root_pointers(&inode.fork).ok_or_else(|| damaged("have a damaged root"))?;
            let (level, pointers) = pointers;
            let mut walk = TreeWalk::new(source, geometry, &BMAP, Some(inode.number));
            for pointer in pointers {
                let place = geometry.place_of_block(pointer, 1);
                let place = place.ok_or_else(|| damaged("lead outside the file system"))?;
                walk.visit(place, level, &mut |record| add(geometry, record, &mut found).is_some())?;
            }
        }
        _ => {}
    }
    Ok(found.into_list())
}

/// Adds a packed extent: 1 bit unwritten, 54 bits place in the file, 52 bits block, 21 bits count.
fn add(geometry: &Geometry, record: &[u8], found: &mut Extents) -> Option<()> {
    let packed = u128::from_be_bytes(record.try_into().ok()?);
    let part = |from: u32, bits: u32| u64::try_from((packed >> from) & ((1 << bits) - 1)).ok();
    let (file_block, block, count) = (part(73, 54)?, part(21, 52)?, part(0, 21)?);
    let extent = FileExtent {
        file_offset: file_block.checked_mul(geometry.block_bytes)?,
        volume_offset: geometry.place_of_block(block, count)?,
        length: count * geometry.block_bytes,
        unwritten: packed >> 127 == 1,
    };
    (count > 0 && found.push(extent)).then_some(())
}

/// The root of a tree inside an inode: level and count, keys for as many as have room, pointers.
fn root_pointers(fork: &[u8]) -> Option<(u16, Vec<u64>)> {
    let (level, rest) = fork.split_first_chunk::<2>()?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let (level, count) = (u16::from_be_bytes(*level), usize::from(u16::from_be_bytes(*count)));
    let room = rest.len() / RECORD_BYTES;
    if level == 0 || level > MAX_LEVEL || count > room {
        return None;
    }
    let pointers = rest.get(room * 8..)?.as_chunks().0.iter().take(count);
    Some((level - 1, pointers.map(|pointer| u64::from_be_bytes(*pointer)).collect()))
}

/// A walk through a tree, from left to right.
pub(super) struct TreeWalk<'a> {
    source: &'a dyn Source,
    geometry: &'a Geometry,
    kind: &'a TreeKind,
    /// The inode, or `None` for a tree of a group, whose pointers have 32 bits and stay in the group.
    inode: Option<u64>,
    group: u64,
    seen: HashSet<u64>,
}

impl<'a> TreeWalk<'a> {
    pub(super) fn new(
        source: &'a dyn Source,
        geometry: &'a Geometry,
        kind: &'a TreeKind,
        inode: Option<u64>,
    ) -> Self {
        Self { source, geometry, kind, inode, group: 0, seen: HashSet::new() }
    }

    pub(super) fn in_group(mut self, group: u64) -> Self {
        self.group = group;
        self
    }

    fn damaged(&self, what: &str) -> Error {
        let whose = match self.inode {
            Some(inode) => format!("the tree of extents of inode {inode}"),
            None => format!("the tree of free space of group {}", self.group),
        };
        Error::damaged(self.source.name(), format!("{whose} {what}"))
    }

    /// Visits the records below the block at `place`, which is `level` levels above the leaves; `take` says whether a
    /// record is right.
    pub(super) fn visit(
        &mut self,
        place: u64,
        level: u16,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<()> {
        if level > MAX_LEVEL || !self.seen.insert(place) {
            return Err(self.damaged("leads in a circle"));
        }
        let mut block = vec![0; index(self.geometry.block_bytes)];
        self.source
            .read_at(place, &mut block)
            .map_err(|e| Error::io(self.source.name(), "a block of a tree", e))?;
        let (record_bytes, pointer_bytes) = if self.inode.is_some() { (RECORD_BYTES, 8) } else { (8, 4) };
        let version = usize::from(self.geometry.v5);
        let head = TreeHead::read_from_prefix(&block).ok().map(|(head, _)| head);
        let fits = head.is_some_and(|head| {
            head.magic.get() == self.kind.magic[version] && head.level.get() == level && head.count.get() > 0
        });
        if !fits || (self.geometry.v5 && !checksum_fits(&block, self.kind.sum)) {
            return Err(self.damaged("has a block that is none or whose checksum is wrong"));
        }
        let count = head.map_or(0, |head| usize::from(head.count.get()));
        let body = &block[self.kind.head_bytes[version]..];
        if level == 0 {
            let records = body.chunks_exact(record_bytes);
            if count > records.len() || !records.take(count).all(take) {
                return Err(self.damaged("has records that are none"));
            }
            return Ok(());
        }
        let key_bytes = 8;
        let room = body.len() / (key_bytes + pointer_bytes);
        let pointers = body[room * key_bytes..].chunks_exact(pointer_bytes).take(count);
        if count > room {
            return Err(self.damaged("has more pointers than have room"));
        }
        for pointer in pointers {
            let place = self.place(pointer).ok_or_else(|| self.damaged("leads outside the file system"))?;
            self.visit(place, level - 1, take)?;
        }
        Ok(())
    }

    fn place(&self, pointer: &[u8]) -> Option<u64> {
        match self.inode {
            Some(_) => self.geometry.place_of_block(u64::from_be_bytes(pointer.try_into().ok()?), 1),
            None => {
                self.geometry.place(self.group, u64::from(u32::from_be_bytes(pointer.try_into().ok()?)), 1)
            }
        }
    }
}
