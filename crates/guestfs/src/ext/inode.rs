//! Inodes: finding, checking and understanding them.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/inodes`. Times have 34 bits of seconds and 30 of
//! nanoseconds where the inode is large enough, else 32 bits of seconds.

use zerocopy::{FromZeros, IntoBytes};

use super::checksum::crc32c;
use super::format::{
    INODE_ENCRYPT, INODE_EXTENTS, INODE_INLINE_DATA, MODE_FILE, MODE_FOLDER, MODE_KIND, MODE_LINK, RawInode,
    SMALL_INODE_BYTES,
};
use super::geometry::Geometry;
use super::group::Group;
use crate::error::{Error, Result};
use crate::number::{bytes, index};
use crate::source::Source;
use crate::tree::{Metadata, NodeKind, Times, UnixOwner};

/// An inode that was read and checked.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    /// Its number.
    pub number: u32,
    /// Its fields; zero where the inode on disk is too small to have them.
    pub raw: RawInode,
    /// All of its bytes, for attributes inside it.
    pub stored: Vec<u8>,
    /// What checksums of its blocks start from.
    pub checksum_seed: Option<u32>,
}

impl Inode {
    /// Reads the inode of this number. An inode that is not in use is refused.
    pub(super) fn read(source: &dyn Source, geometry: &Geometry, number: u32) -> Result<Self> {
        let volume = source.name();
        if number == 0 || number > geometry.sb.inodes_count.get() {
            return Err(Error::damaged(volume, format!("there is no inode {number}")));
        }
        let per_group = geometry.sb.inodes_per_group.get();
        let (group, place) = ((number - 1) / per_group, (number - 1) % per_group);
        if group >= geometry.groups {
            return Err(Error::damaged(volume, format!("inode {number} lies in no group")));
        }
        let table = Group::read(source, geometry, group)?.inode_table;
        let mut stored = vec![0; geometry.inode_bytes];
        source
            .read_at(table * geometry.block_bytes + u64::from(place) * bytes(stored.len()), &mut stored)
            .map_err(|e| Error::io(volume, format!("inode {number}"), e))?;
        Self::parse(volume, geometry, number, stored)
    }

    fn parse(volume: &str, geometry: &Geometry, number: u32, stored: Vec<u8>) -> Result<Self> {
        let mut raw = RawInode::new_zeroed();
        let small = |raw: &RawInode| SMALL_INODE_BYTES + usize::from(raw.extra_size.get());
        let present = stored.len().min(size_of::<RawInode>());
        raw.as_mut_bytes()[..present].copy_from_slice(&stored[..present]);
        if present > SMALL_INODE_BYTES {
            let known = small(&raw);
            if known > stored.len() {
                return Err(Error::damaged(volume, format!("inode {number} is larger than its place")));
            }
            if known < present {
                raw.as_mut_bytes()[known.max(SMALL_INODE_BYTES)..].fill(0);
            }
        }
        let seed = geometry
            .checksum_seed
            .map(|seed| crc32c(crc32c(seed, &number.to_le_bytes()), raw.generation.as_bytes()));
        let inode = Self { number, raw, stored, checksum_seed: seed };
        if !inode.checksum_fits() {
            return Err(Error::damaged(volume, format!("the checksum of inode {number} is wrong")));
        }
        if inode.raw.mode.get() == 0 || inode.raw.links.get() == 0 {
            return Err(Error::damaged(volume, format!("inode {number} is not in use")));
        }
        Ok(inode)
    }

    fn checksum_fits(&self) -> bool {
        const LOW: usize = 124;
        const HIGH: usize = 130;
        let Some(seed) = self.checksum_seed else { return true };
        let has_high = self.stored.len() > SMALL_INODE_BYTES && self.raw.extra_size.get() >= 4;
        let mut covered = self.stored.clone();
        covered[LOW..LOW + 2].fill(0);
        if has_high {
            covered[HIGH..HIGH + 2].fill(0);
        }
        let right = crc32c(seed, &covered);
        let stored = u32::from(self.raw.checksum_lo.get()) | (u32::from(self.raw.checksum_hi.get()) << 16);
        if has_high { right == stored } else { right & 0xFFFF == stored & 0xFFFF }
    }

    /// What it is.
    pub(super) fn kind(&self) -> NodeKind {
        match self.raw.mode.get() & MODE_KIND {
            MODE_FILE => NodeKind::File,
            MODE_FOLDER => NodeKind::Folder,
            MODE_LINK => NodeKind::Link,
            _ => NodeKind::Special,
        }
    }

    /// Bytes of its content.
    pub(super) fn size(&self) -> u64 {
        let high = match self.kind() {
            NodeKind::File | NodeKind::Folder => self.raw.size_hi.get(),
            NodeKind::Link | NodeKind::Special => 0,
        };
        u64::from(self.raw.size_lo.get()) | (u64::from(high) << 32)
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.raw.flags.get() & flag != 0
    }

    /// Whether a link's target stands in the inode itself: it then owns no block but one of attributes.
    pub(super) fn is_short_link(&self, geometry: &Geometry) -> bool {
        let attributes = self.raw.attribute_block_lo.get() != 0 || self.raw.attribute_block_hi.get() != 0;
        let own = u64::from(self.raw.blocks_lo.get()) | (u64::from(self.raw.blocks_hi.get()) << 32);
        let attribute_sectors = if attributes { geometry.block_bytes / 512 } else { 0 };
        self.kind() == NodeKind::Link
            && !self.has(INODE_EXTENTS | INODE_INLINE_DATA)
            && self.size() < bytes(self.raw.block.len())
            && own <= attribute_sectors
    }

    /// Content that stands in the inode itself; `None` when it lies in blocks.
    pub(super) fn inline_content(&self, volume: &str, geometry: &Geometry) -> Result<Option<Vec<u8>>> {
        if self.is_short_link(geometry) {
            return Ok(Some(self.raw.block[..index(self.size())].to_vec()));
        }
        if !self.has(INODE_INLINE_DATA) {
            return Ok(None);
        }
        let mut content = self.raw.block.to_vec();
        content.extend_from_slice(super::attribute::inline_data(&self.stored, self.raw.extra_size.get()));
        if bytes(content.len()) < self.size() {
            let what = format!("inode {} holds less content than its size", self.number);
            return Err(Error::damaged(volume, what));
        }
        content.truncate(index(self.size()));
        Ok(Some(content))
    }

    /// Refuses an inode whose content only its owner can read.
    pub(super) fn refuse_encrypted(&self, volume: &str) -> Result<()> {
        if self.has(INODE_ENCRYPT) {
            return Err(Error::unsupported(volume, format!("inode {} is encrypted", self.number)));
        }
        Ok(())
    }

    /// Everything about it but a link's target.
    pub(super) fn metadata(&self) -> Metadata {
        let raw = &self.raw;
        let kind = self.kind();
        let size = if kind == NodeKind::Folder { 0 } else { self.size() };
        let has_created = self.stored.len() > SMALL_INODE_BYTES && raw.extra_size.get() >= 24;
        Metadata {
            times: Times {
                created: has_created.then(|| time(raw.created.get(), raw.created_extra.get())),
                modified: Some(time(raw.modified.get(), raw.modified_extra.get())),
                changed: Some(time(raw.changed.get(), raw.changed_extra.get())),
                accessed: Some(time(raw.accessed.get(), raw.accessed_extra.get())),
            },
            links: u32::from(raw.links.get()),
            unix: Some(UnixOwner {
                mode: u32::from(raw.mode.get()),
                uid: u32::from(raw.uid_lo.get()) | (u32::from(raw.uid_hi.get()) << 16),
                gid: u32::from(raw.gid_lo.get()) | (u32::from(raw.gid_hi.get()) << 16),
            }),
            ..Metadata::new(kind, size)
        }
    }
}

/// Nanoseconds since 1970 from the signed seconds and the two more bits and nanoseconds beside them.
fn time(seconds: u32, extra: u32) -> i128 {
    let seconds = i128::from(seconds.cast_signed()) + (i128::from(extra & 3) << 32);
    seconds * 1_000_000_000 + i128::from(extra >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reach_from_1901_to_2446_with_nanoseconds() {
        assert_eq!(time(0x8000_0000, 0), -2_147_483_648_000_000_000);
        assert_eq!(time(0x7FFF_FFFF, (999_999_999 << 2) | 3), 15_032_385_535_999_999_999);
    }
}
