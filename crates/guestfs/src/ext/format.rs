//! Layouts of ext2, ext3 and ext4 on disk.
//!
//! Source: the kernel's `Documentation/filesystems/ext4` (super, group_descr, inodes, ifork, directory). All numbers
//! are little-endian. Only what a reader needs is named; the rest of a structure is kept as bytes, because the
//! checksums cover it.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Place of the super block, whatever the block size.
pub(super) const SUPER_OFFSET: u64 = 1024;
/// `s_magic`.
pub(super) const MAGIC: u16 = 0xEF53;
/// Inode of the topmost folder.
pub(super) const ROOT_INODE: u32 = 2;

/// `s_feature_compat`: a journal in an inode.
pub(super) const COMPAT_HAS_JOURNAL: u32 = 0x4;
/// `s_feature_compat`: backups of the super block only in two groups.
pub(super) const COMPAT_SPARSE_SUPER2: u32 = 0x200;
/// `s_feature_incompat`: folder entries tell the kind.
pub(super) const INCOMPAT_FILETYPE: u32 = 0x2;
/// `s_feature_incompat`: the journal has to be replayed.
pub(super) const INCOMPAT_RECOVER: u32 = 0x4;
/// `s_feature_incompat`: group descriptors spread over meta groups.
pub(super) const INCOMPAT_META_BG: u32 = 0x10;
/// `s_feature_incompat`: block numbers of 64 bits.
pub(super) const INCOMPAT_64BIT: u32 = 0x80;
/// `s_feature_incompat`: `s_checksum_seed` holds the seed.
pub(super) const INCOMPAT_CSUM_SEED: u32 = 0x2000;
/// `s_feature_ro_compat`: backups of the super block in groups 0, 1 and powers of 3, 5 and 7.
pub(super) const RO_SPARSE_SUPER: u32 = 0x1;
/// `s_feature_ro_compat`: CRC-16 over group descriptors, groups may be uninitialised.
pub(super) const RO_GDT_CSUM: u32 = 0x10;
/// `s_feature_ro_compat`: one bit of a block bitmap is a cluster of blocks.
pub(super) const RO_BIGALLOC: u32 = 0x200;
/// `s_feature_ro_compat`: CRC-32C over all structures.
pub(super) const RO_METADATA_CSUM: u32 = 0x400;

/// `s_state`: unmounted cleanly.
pub(super) const STATE_VALID: u16 = 0x1;
/// `s_state`: errors were found.
pub(super) const STATE_ERROR: u16 = 0x2;

/// `bg_flags`: the block bitmap was never written.
pub(super) const GROUP_BLOCK_UNINIT: u16 = 0x2;

/// `i_flags`: content and names are encrypted.
pub(super) const INODE_ENCRYPT: u32 = 0x800;
/// `i_flags`: the folder has a hash index.
pub(super) const INODE_INDEX: u32 = 0x1000;
/// `i_flags`: `i_block` holds an extent tree.
pub(super) const INODE_EXTENTS: u32 = 0x8_0000;
/// `i_flags`: `i_block` and an attribute hold the content.
pub(super) const INODE_INLINE_DATA: u32 = 0x1000_0000;

/// Bits of `i_mode` that tell the kind, and the kinds.
pub(super) const MODE_KIND: u16 = 0xF000;
pub(super) const MODE_FOLDER: u16 = 0x4000;
pub(super) const MODE_FILE: u16 = 0x8000;
pub(super) const MODE_LINK: u16 = 0xA000;

/// The super block, 1024 bytes.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SuperBlock {
    pub inodes_count: U32,
    pub blocks_count_lo: U32,
    pub reserved_blocks_lo: U32,
    pub free_blocks_lo: U32,
    pub free_inodes: U32,
    pub first_data_block: U32,
    pub log_block_size: U32,
    pub log_cluster_size: U32,
    pub blocks_per_group: U32,
    pub clusters_per_group: U32,
    pub inodes_per_group: U32,
    pub mount_time: U32,
    pub write_time: U32,
    pub mount_count: U16,
    pub max_mount_count: U16,
    pub magic: U16,
    pub state: U16,
    pub errors: U16,
    pub minor_revision: U16,
    pub last_check: U32,
    pub check_interval: U32,
    pub creator_os: U32,
    pub revision: U32,
    pub reserved_uid: U16,
    pub reserved_gid: U16,
    pub first_inode: U32,
    pub inode_size: U16,
    pub group_number: U16,
    pub compat: U32,
    pub incompat: U32,
    pub ro_compat: U32,
    pub uuid: [u8; 16],
    pub label: [u8; 16],
    pub last_mounted: [u8; 64],
    pub algorithms: U32,
    pub preallocate: [u8; 2],
    pub reserved_gdt_blocks: U16,
    pub journal_uuid: [u8; 16],
    pub journal_inode: U32,
    pub journal_device: U32,
    pub last_orphan: U32,
    pub hash_seed: [u8; 16],
    pub hash_version: u8,
    pub journal_backup_type: u8,
    pub descriptor_size: U16,
    pub mount_options: U32,
    pub first_meta_group: U32,
    pub made_time: U32,
    pub journal_blocks: [u8; 68],
    pub blocks_count_hi: U32,
    pub reserved_blocks_hi: U32,
    pub free_blocks_hi: U32,
    pub min_extra_size: U16,
    pub want_extra_size: U16,
    pub flags: U32,
    pub raid_stride: U16,
    pub mmp_interval: U16,
    pub mmp_block: U64,
    pub raid_stripe_width: U32,
    pub log_groups_per_flex: u8,
    pub checksum_type: u8,
    pub encryption_level: u8,
    pub reserved_pad: u8,
    pub kib_written: U64,
    pub snapshots: [u8; 20],
    pub error_count: U32,
    pub error_facts: [u8; 180],
    pub backup_groups: [U32; 2],
    pub encryption: [u8; 28],
    pub checksum_seed: U32,
    pub rest: [u8; 392],
    pub checksum: U32,
}
const _: () = assert!(size_of::<SuperBlock>() == 1024);

/// A group descriptor with `64bit`; without, only the first 32 bytes are there.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct GroupDescriptor {
    pub block_bitmap_lo: U32,
    pub inode_bitmap_lo: U32,
    pub inode_table_lo: U32,
    pub free_blocks_lo: U16,
    pub free_inodes_lo: U16,
    pub used_folders_lo: U16,
    pub flags: U16,
    pub exclude_bitmap_lo: U32,
    pub block_bitmap_checksum_lo: U16,
    pub inode_bitmap_checksum_lo: U16,
    pub unused_inodes_lo: U16,
    pub checksum: U16,
    pub block_bitmap_hi: U32,
    pub inode_bitmap_hi: U32,
    pub inode_table_hi: U32,
    pub free_blocks_hi: U16,
    pub free_inodes_hi: U16,
    pub used_folders_hi: U16,
    pub unused_inodes_hi: U16,
    pub exclude_bitmap_hi: U32,
    pub block_bitmap_checksum_hi: U16,
    pub inode_bitmap_checksum_hi: U16,
    pub reserved: U32,
}
const _: () = assert!(size_of::<GroupDescriptor>() == 64);

/// An inode with the extra fields; small inodes end after 128 bytes.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawInode {
    pub mode: U16,
    pub uid_lo: U16,
    pub size_lo: U32,
    pub accessed: U32,
    pub changed: U32,
    pub modified: U32,
    pub deleted: U32,
    pub gid_lo: U16,
    pub links: U16,
    pub blocks_lo: U32,
    pub flags: U32,
    pub version_lo: U32,
    pub block: [u8; 60],
    pub generation: U32,
    pub attribute_block_lo: U32,
    pub size_hi: U32,
    pub obsolete_fragment: U32,
    pub blocks_hi: U16,
    pub attribute_block_hi: U16,
    pub uid_hi: U16,
    pub gid_hi: U16,
    pub checksum_lo: U16,
    pub reserved: U16,
    pub extra_size: U16,
    pub checksum_hi: U16,
    pub changed_extra: U32,
    pub modified_extra: U32,
    pub accessed_extra: U32,
    pub created: U32,
    pub created_extra: U32,
    pub version_hi: U32,
    pub project: U32,
}
const _: () = assert!(size_of::<RawInode>() == 160);

/// Bytes of an inode before the extra fields.
pub(super) const SMALL_INODE_BYTES: usize = 128;

/// `eh_magic`.
pub(super) const EXTENT_MAGIC: u16 = 0xF30A;

/// Head of a node of an extent tree.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ExtentHeader {
    pub magic: U16,
    pub entries: U16,
    pub max: U16,
    pub depth: U16,
    pub generation: U32,
}
const _: () = assert!(size_of::<ExtentHeader>() == 12);

/// An entry of an extent tree's leaf; above 32768, `length` tells an unwritten extent.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawExtent {
    pub block: U32,
    pub length: U16,
    pub start_hi: U16,
    pub start_lo: U32,
}
const _: () = assert!(size_of::<RawExtent>() == 12);

/// An entry of an inner node of an extent tree.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawIndex {
    pub block: U32,
    pub leaf_lo: U32,
    pub leaf_hi: U16,
    pub unused: U16,
}
const _: () = assert!(size_of::<RawIndex>() == 12);

/// Head of an entry in a folder; the name follows.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct EntryHead {
    pub inode: U32,
    pub length: U16,
    pub name_length: u8,
    /// Kind with `filetype`; else the high byte of the name's length, always 0.
    pub kind: u8,
}
const _: () = assert!(size_of::<EntryHead>() == 8);
