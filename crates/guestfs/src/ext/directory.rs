//! Folders: blocks of entries, or a few entries inside the inode.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/directory`. A hash index lies in blocks that look like one
//! empty entry, so that reading all blocks in order finds every name with and without it. Checksums of both kinds of
//! blocks are verified where the file system keeps them.

use zerocopy::little_endian::U16;

use super::checksum::crc32c;
use super::format::{EntryHead, INCOMPAT_FILETYPE, INODE_INDEX};
use super::geometry::{Geometry, structure};
use super::inode::Inode;
use crate::block::read_through;
use crate::error::{Error, Result};
use crate::name::Name;
use crate::number::{bytes, index};
use crate::source::Source;
use crate::tree::{Entry, FileExtent, NodeId, NodeKind};

/// Bytes of the entry that holds a block's checksum, at its end.
const TAIL_BYTES: usize = 12;
/// Its kind.
const TAIL_KIND: u8 = 0xDE;
/// Most that is read at once.
const READ_BYTES: u64 = 256 * 1024;

/// Lists a folder. A kind that the entries do not tell is asked of `kind_of`.
pub(super) fn list(
    source: &dyn Source,
    geometry: &Geometry,
    folder: &Inode,
    extents: &[FileExtent],
    kind_of: &dyn Fn(u32) -> Result<NodeKind>,
) -> Result<Vec<Entry>> {
    let mut reader = Reader { volume: source.name(), geometry, folder, kind_of, entries: Vec::new() };
    if let Some(content) = folder.inline_content(source.name(), geometry)? {
        reader.inline(&content)?;
        return Ok(reader.entries);
    }
    let mapped = extents.last().map_or(0, |extent| extent.file_offset + extent.length);
    if folder.size() > mapped || !folder.size().is_multiple_of(geometry.block_bytes) {
        return Err(reader.damaged("has a size that its blocks do not have"));
    }
    let unit = geometry.block_bytes;
    let (mut offset, mut buf) = (0, vec![0; index(READ_BYTES.max(unit).min(folder.size()))]);
    while offset < folder.size() {
        let count = read_through(source, extents, folder.size(), offset, &mut buf)
            .map_err(|e| Error::io(source.name(), format!("folder {}", folder.number), e))?;
        for (place, block) in (0..).zip(buf[..count].chunks_exact(index(unit))) {
            reader.block(block, offset == 0 && place == 0)?;
        }
        offset += bytes(count);
    }
    Ok(reader.entries)
}

struct Reader<'a> {
    volume: &'a str,
    geometry: &'a Geometry,
    folder: &'a Inode,
    kind_of: &'a dyn Fn(u32) -> Result<NodeKind>,
    entries: Vec<Entry>,
}

impl Reader<'_> {
    fn damaged(&self, what: &str) -> Error {
        Error::damaged(self.volume, format!("folder {} {what}", self.folder.number))
    }

    fn block(&mut self, block: &[u8], first: bool) -> Result<()> {
        if !self.checksum_fits(block, first)? {
            return Err(self.damaged("has a block with a wrong checksum"));
        }
        self.entries_of(block)
    }

    /// Inside an inode: the number of the folder above, then entries in the inode and in its attribute.
    fn inline(&mut self, content: &[u8]) -> Result<()> {
        let in_inode = self.folder.raw.block.len().min(content.len());
        let (first, second) = content.split_at(in_inode);
        self.entries_of(first.get(4..).unwrap_or_default())?;
        self.entries_of(second)
    }

    fn entries_of(&mut self, block: &[u8]) -> Result<()> {
        let mut rest = block;
        while !rest.is_empty() {
            let head: EntryHead = structure(self.volume, rest, "an entry of a folder")?;
            let length = entry_length(head.length.get(), block.len());
            let has_kind = self.geometry.has_incompat(INCOMPAT_FILETYPE);
            let name_end = size_of::<EntryHead>() + usize::from(head.name_length);
            if length < name_end
                || length > rest.len()
                || !length.is_multiple_of(4)
                || (!has_kind && head.kind != 0)
            {
                return Err(self.damaged("has an entry that is none"));
            }
            let (entry, after) = rest.split_at(length);
            let name = &entry[size_of::<EntryHead>()..name_end];
            if head.inode.get() != 0 && !matches!(name, b"" | b"." | b"..") {
                self.add(&head, name, has_kind)?;
            }
            rest = after;
        }
        Ok(())
    }

    fn add(&mut self, head: &EntryHead, name: &[u8], has_kind: bool) -> Result<()> {
        if name.contains(&b'/') || name.contains(&0) {
            return Err(self.damaged("has a name that no file can have"));
        }
        let node = head.inode.get();
        let kind = match head.kind {
            _ if !has_kind => (self.kind_of)(node)?,
            1 => NodeKind::File,
            2 => NodeKind::Folder,
            7 => NodeKind::Link,
            3..=6 => NodeKind::Special,
            _ => (self.kind_of)(node)?,
        };
        self.entries.push(Entry { name: Name::from_bytes(name), node: NodeId(u64::from(node)), kind });
        Ok(())
    }

    fn checksum_fits(&self, block: &[u8], first: bool) -> Result<bool> {
        let Some(seed) = self.folder.checksum_seed else { return Ok(true) };
        let head: EntryHead = structure(self.volume, block, "a folder's block")?;
        let whole = entry_length(head.length.get(), block.len()) == block.len();
        if self.folder.has(INODE_INDEX) && (first || (head.inode.get() == 0 && whole)) {
            return Ok(index_checksum_fits(seed, block, first).unwrap_or(false));
        }
        let (covered, tail) = block.split_at(block.len() - TAIL_BYTES);
        let head: EntryHead = structure(self.volume, tail, "a folder's checksum")?;
        let is_tail =
            head.inode.get() == 0 && usize::from(head.length.get()) == TAIL_BYTES && head.kind == TAIL_KIND;
        let stored = tail.last_chunk().map(|stored| u32::from_le_bytes(*stored));
        Ok(is_tail && stored == Some(crc32c(seed, covered)))
    }
}

/// The length of an entry; in blocks of 64 KiB the whole block does not fit into 16 bits.
fn entry_length(stored: u16, block: usize) -> usize {
    match stored {
        0 | u16::MAX if block == 1 << 16 => block,
        stored => usize::from(stored),
    }
}

/// A block of the hash index: entries of 8 bytes from `start`, the first of them telling how many there are and can
/// be; behind the last possible one, 4 reserved bytes and the checksum.
fn index_checksum_fits(seed: u32, block: &[u8], root: bool) -> Option<bool> {
    const ENTRY_BYTES: usize = 8;
    let start = if root { 32 } else { 8 };
    let number = |at: usize| {
        let stored: &[u8; 2] = block.get(at..)?.first_chunk()?;
        Some(usize::from(U16::from_bytes(*stored).get()))
    };
    let (limit, count) = (number(start)?, number(start + 2)?);
    if count > limit {
        return Some(false);
    }
    let tail = block.get(start + limit * ENTRY_BYTES..)?.first_chunk::<8>()?;
    let (reserved, stored) = tail.split_at(4);
    let covered = block.get(..start + count * ENTRY_BYTES)?;
    let right = [covered, reserved, &[0; 4]].iter().fold(seed, |crc, part| crc32c(crc, part));
    Some(right.to_le_bytes() == stored)
}
