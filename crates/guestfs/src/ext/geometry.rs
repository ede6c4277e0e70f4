//! The super block of an ext file system, checked, and what follows from it.
//!
//! Every number that is used as a size, a shift or a divisor is checked here, once, so that the readers above can
//! rely on it. A feature that changes how data lies on disk and is not known here is refused by its name.

use uuid::Uuid;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::checksum::crc32c;
use super::format::{
    COMPAT_HAS_JOURNAL, COMPAT_SPARSE_SUPER2, INCOMPAT_64BIT, INCOMPAT_CSUM_SEED, INCOMPAT_META_BG, MAGIC,
    RO_METADATA_CSUM, RO_SPARSE_SUPER, SUPER_OFFSET, SuperBlock,
};
use crate::error::{Error, Result};
use crate::number::bytes;
use crate::source::Source;

/// `s_feature_incompat`: bits and their names; `true` for those that this reader handles.
const INCOMPAT_NAMES: [(u32, &str, bool); 16] = [
    (0x1, "compression", false),
    (0x2, "filetype", true),
    (0x4, "needs_recovery", true),
    (0x8, "journal_dev", false),
    (0x10, "meta_bg", true),
    (0x40, "extent", true),
    (0x80, "64bit", true),
    (0x100, "mmp", true),
    (0x200, "flex_bg", true),
    (0x400, "ea_inode", true),
    (0x1000, "dirdata", false),
    (0x2000, "metadata_csum_seed", true),
    (0x4000, "large_dir", true),
    (0x8000, "inline_data", true),
    (0x1_0000, "encrypt", true),
    (0x2_0000, "casefold", true),
];

/// A file system's fixed numbers.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    /// The super block itself.
    pub sb: SuperBlock,
    /// Bytes of a block.
    pub block_bytes: u64,
    /// Blocks of the file system.
    pub blocks: u64,
    /// Groups of blocks.
    pub groups: u32,
    /// Bytes of a group descriptor.
    pub descriptor_bytes: usize,
    /// Bytes of an inode.
    pub inode_bytes: usize,
    /// What every checksum starts from; `None` without `metadata_csum`.
    pub checksum_seed: Option<u32>,
}

impl Geometry {
    /// Reads and checks the super block.
    pub(super) fn read(source: &dyn Source) -> Result<Self> {
        let volume = source.name();
        let mut sb = SuperBlock::new_zeroed();
        source
            .read_at(SUPER_OFFSET, sb.as_mut_bytes())
            .map_err(|e| Error::io(volume, "the super block", e))?;
        if sb.magic.get() != MAGIC {
            return Err(Error::damaged(volume, "its super block has no signature of ext"));
        }
        check_features(volume, &sb)?;
        let checksum_seed = checksum_seed(volume, &sb)?;
        let geometry = Self {
            block_bytes: 1024 << sb.log_block_size.get().min(63),
            blocks: 0,
            groups: 0,
            descriptor_bytes: 32,
            inode_bytes: if sb.revision.get() == 0 { 128 } else { usize::from(sb.inode_size.get()) },
            checksum_seed,
            sb,
        };
        geometry.checked(source)
    }

    /// Checks the numbers and adds what follows from them.
    fn checked(mut self, source: &dyn Source) -> Result<Self> {
        let sb = &self.sb;
        let bad = |what: &str| Err(Error::damaged(source.name(), format!("its super block has {what}")));
        if sb.log_block_size.get() > 6 {
            return bad("an impossible block size");
        }
        let wide = sb.incompat.get() & INCOMPAT_64BIT != 0;
        let high = if wide { u64::from(sb.blocks_count_hi.get()) << 32 } else { 0 };
        self.blocks = high | u64::from(sb.blocks_count_lo.get());
        let per_group = u64::from(sb.blocks_per_group.get());
        let first = u64::from(sb.first_data_block.get());
        let most = self.block_bytes * 8;
        if per_group == 0 || (per_group > most && !self.is_bigalloc()) {
            return bad("an impossible number of blocks per group");
        }
        let inodes = u64::from(sb.inodes_per_group.get());
        if inodes == 0 || inodes > most {
            return bad("an impossible number of inodes per group");
        }
        if self.inode_bytes < 128
            || !self.inode_bytes.is_power_of_two()
            || bytes(self.inode_bytes) > self.block_bytes
        {
            return bad("an impossible inode size");
        }
        if first >= self.blocks || first > 1 {
            return bad("an impossible first block");
        }
        if self.blocks.checked_mul(self.block_bytes).is_none_or(|size| size > source.len()) {
            return bad("more blocks than the volume has room for");
        }
        let groups = (self.blocks - first).div_ceil(per_group);
        let Ok(groups) = u32::try_from(groups) else { return bad("too many groups") };
        self.groups = groups;
        if wide {
            self.descriptor_bytes = usize::from(sb.descriptor_size.get());
            if !(64..=1024).contains(&self.descriptor_bytes) || !self.descriptor_bytes.is_power_of_two() {
                return bad("an impossible size of group descriptors");
            }
        }
        Ok(self)
    }

    pub(super) fn has_incompat(&self, bit: u32) -> bool {
        self.sb.incompat.get() & bit != 0
    }

    pub(super) fn has_ro_compat(&self, bit: u32) -> bool {
        self.sb.ro_compat.get() & bit != 0
    }

    pub(super) fn is_bigalloc(&self) -> bool {
        self.has_ro_compat(super::format::RO_BIGALLOC)
    }

    pub(super) fn has_journal(&self) -> bool {
        self.sb.compat.get() & COMPAT_HAS_JOURNAL != 0
    }

    /// Group descriptors in a block.
    pub(super) fn descriptors_per_block(&self) -> u32 {
        // At most 65536 / 32.
        u32::try_from(self.block_bytes / bytes(self.descriptor_bytes)).unwrap_or(1)
    }

    /// First block of a group.
    pub(super) fn group_start(&self, group: u32) -> u64 {
        u64::from(self.sb.first_data_block.get())
            + u64::from(group) * u64::from(self.sb.blocks_per_group.get())
    }

    /// One past the last block of a group.
    pub(super) fn group_end(&self, group: u32) -> u64 {
        (self.group_start(group) + u64::from(self.sb.blocks_per_group.get())).min(self.blocks)
    }

    /// Whether the group begins with a copy of the super block.
    pub(super) fn has_super(&self, group: u32) -> bool {
        if group == 0 {
            return true;
        }
        if self.sb.compat.get() & COMPAT_SPARSE_SUPER2 != 0 {
            return self.sb.backup_groups.iter().any(|held| held.get() == group);
        }
        !self.has_ro_compat(RO_SPARSE_SUPER)
            || group == 1
            || [3, 5, 7].iter().any(|base| is_power_of(group, *base))
    }

    /// Blocks that the copies of the super block and of the group descriptors take at the start of a group.
    pub(super) fn head_blocks(&self, group: u32) -> u64 {
        let per_block = self.descriptors_per_block();
        let table = self.groups.div_ceil(per_block);
        let has_super = self.has_super(group);
        let first_meta = self.sb.first_meta_group.get();
        if !self.has_incompat(INCOMPAT_META_BG) || group / per_block < first_meta {
            let table = if self.has_incompat(INCOMPAT_META_BG) { table.min(first_meta) } else { table };
            let reserved = u64::from(self.sb.reserved_gdt_blocks.get());
            return if has_super { 1 + u64::from(table) + reserved } else { 0 };
        }
        let place = group % per_block;
        let descriptors = place == 0 || place == 1 || place == per_block - 1;
        u64::from(has_super) + u64::from(descriptors)
    }

    /// Block that holds the `index`th block of group descriptors.
    pub(super) fn descriptor_block(&self, index: u32) -> u64 {
        if !self.has_incompat(INCOMPAT_META_BG) || index < self.sb.first_meta_group.get() {
            // Behind the super block, wherever block 0 ends.
            return SUPER_OFFSET / self.block_bytes + 1 + u64::from(index);
        }
        let group = index.saturating_mul(self.descriptors_per_block());
        let pad = if group == 0 { SUPER_OFFSET / self.block_bytes } else { self.group_start(group) };
        pad + u64::from(self.has_super(group))
    }

    /// What the field calls it.
    pub(super) fn file_system(&self) -> &'static str {
        // Features that ext3 does not know, as blkid tells them apart.
        if self.sb.incompat.get() & !0x16 != 0 || self.sb.ro_compat.get() & !0x7 != 0 {
            "ext4"
        } else if self.has_journal() {
            "ext3"
        } else {
            "ext2"
        }
    }

    pub(super) fn label(&self) -> String {
        let end = self.sb.label.iter().position(|byte| *byte == 0).unwrap_or(16);
        String::from_utf8_lossy(&self.sb.label[..end]).into_owned()
    }

    pub(super) fn uuid(&self) -> String {
        Uuid::from_bytes(self.sb.uuid).to_string()
    }
}

fn is_power_of(mut number: u32, base: u32) -> bool {
    while number > 1 && number.is_multiple_of(base) {
        number /= base;
    }
    number == 1
}

fn check_features(volume: &str, sb: &SuperBlock) -> Result<()> {
    let incompat = sb.incompat.get();
    let known = INCOMPAT_NAMES.iter().fold(0, |bits, (bit, _, _)| bits | bit);
    let refused = INCOMPAT_NAMES.iter().find(|(bit, _, handled)| incompat & bit != 0 && !handled);
    let name = match refused {
        Some((_, name, _)) => (*name).to_owned(),
        None if incompat & !known != 0 => format!("an unknown feature ({:#x})", incompat & !known),
        None => return Ok(()),
    };
    Err(Error::unsupported(volume, format!("the ext file system uses {name}, which cannot be read")))
}

fn checksum_seed(volume: &str, sb: &SuperBlock) -> Result<Option<u32>> {
    if sb.ro_compat.get() & RO_METADATA_CSUM == 0 {
        return Ok(None);
    }
    let (covered, _) = sb.as_bytes().split_at(size_of::<SuperBlock>() - 4);
    if crc32c(u32::MAX, covered) != sb.checksum.get() {
        return Err(Error::damaged(volume, "the checksum of its super block is wrong"));
    }
    let own_seed = sb.incompat.get() & INCOMPAT_CSUM_SEED != 0;
    Ok(Some(if own_seed { sb.checksum_seed.get() } else { crc32c(u32::MAX, &sb.uuid) }))
}

/// A structure at the start of `data`, which the caller made long enough.
pub(super) fn structure<T: FromBytes>(volume: &str, data: &[u8], what: &str) -> Result<T> {
    T::read_from_prefix(data)
        .map(|(value, _)| value)
        .map_err(|_| Error::damaged(volume, format!("{what} is cut short")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_told_from_their_neighbours() {
        let powers = |base| (1..400).filter(|number| is_power_of(*number, base)).collect::<Vec<u32>>();
        assert_eq!((powers(3), powers(7)), (vec![1, 3, 9, 27, 81, 243], vec![1, 7, 49, 343]));
    }
}
