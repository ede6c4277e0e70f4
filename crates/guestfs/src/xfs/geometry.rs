//! The super block of XFS, checked, and the arithmetic of its numbers.
//!
//! Numbers of blocks and inodes carry their group of blocks in their high bits; what lies outside its group is refused
//! before it becomes a place on the volume. Features are checked before, by [`super::replay`].

use uuid::Uuid;
use zerocopy::{FromZeros, IntoBytes};

use super::format::{FEATURES2_FTYPE, INCOMPAT_FTYPE, SUPER_MAGIC, SuperBlock};
use crate::error::{Error, Result};
use crate::source::Source;

/// The fixed numbers of a file system.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    pub sb: SuperBlock,
    /// Bytes of a block.
    pub block_bytes: u64,
    /// Version 5: with checksums.
    pub v5: bool,
    /// Whether folder entries tell the kind.
    pub entries_tell_kind: bool,
    /// Bytes of a block of a folder.
    pub folder_block_bytes: u64,
}

impl Geometry {
    /// Reads and checks the super block.
    pub(super) fn read(source: &dyn Source) -> Result<Self> {
        let mut sb = SuperBlock::new_zeroed();
        source.read_at(0, sb.as_mut_bytes()).map_err(|e| Error::io(source.name(), "the super block", e))?;
        let block_bytes = u64::from(sb.block_bytes.get());
        let log_fits = |log: u8, value: u64| log < 32 && 1 << log == value;
        let per_block_log = sb.block_log.checked_sub(sb.inode_log);
        let fits = sb.magic.get() == SUPER_MAGIC
            && (512..=65_536).contains(&block_bytes)
            && log_fits(sb.block_log, block_bytes)
            && (256..=2048).contains(&sb.inode_bytes.get())
            && log_fits(sb.inode_log, u64::from(sb.inode_bytes.get()))
            && per_block_log == Some(sb.inodes_per_block_log)
            && (512..=32_768).contains(&sb.sector_bytes.get())
            && sb.group_blocks.get() > 0
            && sb.group_count.get() > 0
            && sb.group_blocks_log < 32
            && 1_u64 << sb.group_blocks_log >= u64::from(sb.group_blocks.get())
            && sb.folder_block_log < 16
            && block_bytes << sb.folder_block_log <= 65_536
            && blocks_fit(&sb, source.len());
        if !fits {
            return Err(Error::damaged(source.name(), "its super block has impossible numbers"));
        }
        let v5 = sb.version.get() & 0xF == 5;
        let tell = if v5 { sb.incompat.get() & INCOMPAT_FTYPE } else { sb.features2.get() & FEATURES2_FTYPE };
        let folder_block_bytes = block_bytes << sb.folder_block_log;
        Ok(Self { sb, block_bytes, v5, entries_tell_kind: tell != 0, folder_block_bytes })
    }

    /// Bytes of the file system.
    pub(super) fn size(&self) -> u64 {
        self.sb.blocks.get().saturating_mul(self.block_bytes)
    }

    /// Blocks of a group; the last may be shorter.
    pub(super) fn blocks_of_group(&self, group: u64) -> u64 {
        let per_group = u64::from(self.sb.group_blocks.get());
        per_group.min(self.sb.blocks.get().saturating_sub(group * per_group))
    }

    /// The place of `count` blocks of a group; `None` when they are not in it.
    pub(super) fn place(&self, group: u64, block: u64, count: u64) -> Option<u64> {
        let inside = group < u64::from(self.sb.group_count.get())
            && block.checked_add(count).is_some_and(|end| end <= self.blocks_of_group(group));
        inside.then(|| (group * u64::from(self.sb.group_blocks.get()) + block) * self.block_bytes)
    }

    /// The place of `count` blocks from a number that carries its group.
    pub(super) fn place_of_block(&self, number: u64, count: u64) -> Option<u64> {
        let bits = u32::from(self.sb.group_blocks_log);
        self.place(number >> bits, number & ((1 << bits) - 1), count)
    }

    /// The place of an inode.
    pub(super) fn place_of_inode(&self, number: u64) -> Option<u64> {
        let per_block = u32::from(self.sb.inodes_per_block_log);
        let start = self.place_of_block(number >> per_block, 1)?;
        Some(start + (number & ((1 << per_block) - 1)) * u64::from(self.sb.inode_bytes.get()))
    }

    pub(super) fn label(&self) -> String {
        let end = self.sb.label.iter().position(|byte| *byte == 0).unwrap_or(self.sb.label.len());
        String::from_utf8_lossy(&self.sb.label[..end]).trim_end().to_owned()
    }

    pub(super) fn uuid(&self) -> String {
        Uuid::from_bytes(self.sb.uuid).to_string()
    }
}

/// Whether the groups hold exactly the blocks, and the volume all of them.
fn blocks_fit(sb: &SuperBlock, volume: u64) -> bool {
    let (blocks, per_group) = (sb.blocks.get(), u64::from(sb.group_blocks.get()));
    let groups = u64::from(sb.group_count.get());
    let size = blocks.checked_mul(u64::from(sb.block_bytes.get()));
    size.is_some_and(|size| size <= volume) && per_group != 0 && blocks.div_ceil(per_group) == groups
}

/// Whether the CRC-32C at `place`, which counts as zero, is right.
pub(super) fn checksum_fits(data: &[u8], place: usize) -> bool {
    let Some((before, rest)) = data.split_at_checked(place) else { return false };
    let Some((stored, after)) = rest.split_first_chunk::<4>() else { return false };
    let crc = [before, &[0; 4], after].iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part));
    crc.to_le_bytes() == *stored
}
