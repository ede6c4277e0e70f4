//! Folders of XFS: entries in the inode, or in blocks.
//!
//! Source: *XFS Algorithms & Data Structures*, "Directories". Blocks of entries lie below 32 GiB of the folder; what
//! follows are indexes, which are not needed to list.

use super::format::{
    FOLDER_HEAD_BYTES, FOLDER_INDEX_OFFSET, FOLDER_MAGIC, FOLDER_ONE_MAGIC, FOLDER_OWNER, FOLDER_SUM,
    FORMAT_LOCAL,
};
use super::geometry::{Geometry, checksum_fits};
use super::inode::Inode;
use crate::block::read_through;
use crate::error::{Error, Result};
use crate::name::Name;
use crate::number::index;
use crate::source::Source;
use crate::tree::{Entry, FileExtent, NodeId, NodeKind};

/// What marks free room inside a block.
const FREE_TAG: [u8; 2] = [0xFF, 0xFF];

/// Lists a folder. A kind that the entries do not tell is asked of `kind_of`.
pub(super) fn list(
    source: &dyn Source,
    geometry: &Geometry,
    folder: &Inode,
    extents: &[FileExtent],
    kind_of: &dyn Fn(u64) -> Result<NodeKind>,
) -> Result<Vec<Entry>> {
    let mut reader = Reader { volume: source.name(), geometry, folder, kind_of, entries: Vec::new() };
    if folder.raw.format == FORMAT_LOCAL {
        let entries = reader.short_form(&folder.fork);
        entries.ok_or_else(|| reader.damaged("holds entries that are none"))??;
        return Ok(reader.entries);
    }
    let unit = geometry.folder_block_bytes;
    let mut block = vec![0; index(unit)];
    let mut next = 0;
    for extent in extents.iter().filter(|extent| extent.file_offset < FOLDER_INDEX_OFFSET) {
        let end = (extent.file_offset + extent.length).min(FOLDER_INDEX_OFFSET);
        let mut offset = (extent.file_offset - extent.file_offset % unit).max(next);
        while offset < end {
            read_through(source, extents, u64::MAX, offset, &mut block)
                .map_err(|e| Error::io(source.name(), format!("folder {}", folder.number), e))?;
            reader.block(&block)?;
            offset += unit;
        }
        next = next.max(offset);
    }
    Ok(reader.entries)
}

struct Reader<'a> {
    volume: &'a str,
    geometry: &'a Geometry,
    folder: &'a Inode,
    kind_of: &'a dyn Fn(u64) -> Result<NodeKind>,
    entries: Vec<Entry>,
}

impl Reader<'_> {
    fn damaged(&self, what: &str) -> Error {
        Error::damaged(self.volume, format!("folder {} {what}", self.folder.number))
    }

    /// Entries in the inode: how many, how many with long numbers, the folder above, then each entry.
    fn short_form(&mut self, fork: &[u8]) -> Option<Result<()>> {
        let (&[count, long], rest) = fork.split_first_chunk::<2>()?;
        let number_bytes = if long == 0 { 4 } else { 8 };
        let count = if long == 0 { count } else { count.max(long) };
        let mut rest = rest.get(number_bytes..)?;
        for _ in 0..count {
            let (&[length, _, _], after) = rest.split_first_chunk::<3>()?;
            let (name, after) = after.split_at_checked(usize::from(length))?;
            let (kind, after) = if self.geometry.entries_tell_kind {
                let (kind, after) = after.split_first()?;
                (Some(*kind), after)
            } else {
                (None, after)
            };
            let (number, after) = after.split_at_checked(number_bytes)?;
            let number = number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            if let Err(error) = self.add(name, number, kind) {
                return Some(Err(error));
            }
            rest = after;
        }
        Some(Ok(()))
    }

    fn block(&mut self, block: &[u8]) -> Result<()> {
        let version = usize::from(self.geometry.v5);
        let magic = block.first_chunk().map_or(0, |magic| u32::from_be_bytes(*magic));
        let one = magic == FOLDER_ONE_MAGIC[version];
        let owner = block
            .get(FOLDER_OWNER..)
            .and_then(|rest| rest.first_chunk())
            .map(|owner| u64::from_be_bytes(*owner));
        let whole =
            !self.geometry.v5 || (checksum_fits(block, FOLDER_SUM) && owner == Some(self.folder.number));
        if !(one || magic == FOLDER_MAGIC[version]) || !whole {
            return Err(self.damaged("has a block that is none or whose checksum is wrong"));
        }
        // One block alone also holds its index, whose length stands at the end.
        let index_bytes = match block.last_chunk::<8>() {
            Some(&[a, b, c, d, ..]) if one => 8 + 8 * index(u64::from(u32::from_be_bytes([a, b, c, d]))),
            _ => 0,
        };
        let end = block.len().checked_sub(index_bytes);
        let rest = end.and_then(|end| block.get(FOLDER_HEAD_BYTES[version]..end));
        let mut rest = rest.ok_or_else(|| self.damaged("has a block with an impossible index"))?;
        while !rest.is_empty() {
            let used = self.entry(rest).ok_or_else(|| self.damaged("has an entry that is none"))??;
            rest = rest.get(used..).ok_or_else(|| self.damaged("has an entry beyond its block"))?;
        }
        Ok(())
    }

    /// One entry or free room at the start of `rest`; returns its length.
    fn entry(&mut self, rest: &[u8]) -> Option<Result<usize>> {
        if rest.starts_with(&FREE_TAG) {
            let length = usize::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?));
            return (length >= 8 && length.is_multiple_of(8)).then_some(Ok(length));
        }
        let (number, after) = rest.split_first_chunk()?;
        let (length, after) = after.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(*length))?;
        let kind = if self.geometry.entries_tell_kind { Some(*after.first()?) } else { None };
        let used = (8 + 1 + name.len() + usize::from(kind.is_some()) + 2).next_multiple_of(8);
        Some(self.add(name, u64::from_be_bytes(*number), kind).map(|()| used))
    }

    fn add(&mut self, name: &[u8], number: u64, kind: Option<u8>) -> Result<()> {
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return Err(self.damaged("has a name that no file can have"));
        }
        if matches!(name, b"." | b"..") {
            return Ok(());
        }
        let kind = match kind {
            Some(1) => NodeKind::File,
            Some(2) => NodeKind::Folder,
            Some(3..=6) => NodeKind::Special,
            Some(7) => NodeKind::Link,
            _ => (self.kind_of)(number)?,
        };
        self.entries.push(Entry { name: Name::from_bytes(name), node: NodeId(number), kind });
        Ok(())
    }
}
