//! Group descriptors: where the inodes and the block bitmap of a group are.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/group_descr`. A descriptor is read when it is needed and
//! checked by its checksum, so opening a volume of any size costs the same.

use zerocopy::{FromZeros, IntoBytes};

use super::checksum::{crc16, crc32c};
use super::format::{GROUP_BLOCK_UNINIT, GroupDescriptor, RO_GDT_CSUM};
use super::geometry::Geometry;
use crate::error::{Error, Result};
use crate::number::bytes;
use crate::source::Source;

/// What is used of a group descriptor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// Block of the block bitmap.
    pub block_bitmap: u64,
    /// Block of the inode bitmap.
    pub inode_bitmap: u64,
    /// First block of the inodes.
    pub inode_table: u64,
    /// Whether the block bitmap was never written.
    pub bitmap_uninit: bool,
    /// Checksum of the block bitmap: 32 bits with `64bit`, else 16.
    pub bitmap_checksum: u32,
}

impl Group {
    /// Reads and checks the descriptor of a group below [`Geometry::groups`].
    pub(super) fn read(source: &dyn Source, geometry: &Geometry, group: u32) -> Result<Self> {
        let volume = source.name();
        let per_block = geometry.descriptors_per_block();
        let mut raw = GroupDescriptor::new_zeroed();
        let mut stored = vec![0; geometry.descriptor_bytes];
        let block = geometry.descriptor_block(group / per_block);
        let place = u64::from(group % per_block) * bytes(stored.len());
        source
            .read_at(block.saturating_mul(geometry.block_bytes).saturating_add(place), &mut stored)
            .map_err(|e| Error::io(volume, format!("the descriptor of group {group}"), e))?;
        let known = stored.len().min(size_of::<GroupDescriptor>());
        raw.as_mut_bytes()[..known].copy_from_slice(&stored[..known]);
        if checksum(geometry, group, &stored).is_some_and(|right| right != raw.checksum.get()) {
            return Err(Error::damaged(volume, format!("the checksum of group descriptor {group} is wrong")));
        }
        let wide = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
        let found = Self {
            block_bitmap: wide(raw.block_bitmap_lo.get(), raw.block_bitmap_hi.get()),
            inode_bitmap: wide(raw.inode_bitmap_lo.get(), raw.inode_bitmap_hi.get()),
            inode_table: wide(raw.inode_table_lo.get(), raw.inode_table_hi.get()),
            bitmap_uninit: raw.flags.get() & GROUP_BLOCK_UNINIT != 0
                && (geometry.checksum_seed.is_some() || geometry.has_ro_compat(RO_GDT_CSUM)),
            bitmap_checksum: u32::from(raw.block_bitmap_checksum_lo.get())
                | (u32::from(raw.block_bitmap_checksum_hi.get()) << 16),
        };
        found.check(volume, geometry, group)
    }

    fn check(self, volume: &str, geometry: &Geometry, group: u32) -> Result<Self> {
        let first = u64::from(geometry.sb.first_data_block.get());
        let table_end = self.inode_table.saturating_add(table_blocks(geometry));
        let inside = |block: u64| block > first && block < geometry.blocks;
        if inside(self.block_bitmap)
            && inside(self.inode_bitmap)
            && inside(self.inode_table)
            && table_end <= geometry.blocks
        {
            return Ok(self);
        }
        Err(Error::damaged(volume, format!("group descriptor {group} names blocks outside the file system")))
    }
}

/// Blocks that the inodes of a group take.
pub(super) fn table_blocks(geometry: &Geometry) -> u64 {
    (u64::from(geometry.sb.inodes_per_group.get()) * bytes(geometry.inode_bytes))
        .div_ceil(geometry.block_bytes)
}

/// The right checksum of a descriptor; `None` when the file system keeps none.
fn checksum(geometry: &Geometry, group: u32, stored: &[u8]) -> Option<u16> {
    const PLACE: usize = 30;
    let (before, after) = (&stored[..PLACE], &stored[PLACE + 2..]);
    let number = group.to_le_bytes();
    if let Some(seed) = geometry.checksum_seed {
        let crc = [&number[..], before, &[0; 2], after].iter().fold(seed, |crc, part| crc32c(crc, part));
        return u16::try_from(crc & 0xFFFF).ok();
    }
    geometry.has_ro_compat(RO_GDT_CSUM).then(|| {
        [&geometry.sb.uuid[..], &number, before, after].iter().fold(u16::MAX, |crc, part| crc16(crc, part))
    })
}
