//! Layouts of XFS on disk, versions 4 and 5.
//!
//! Source: *XFS Algorithms & Data Structures* (the kernel's documentation of the format). Numbers are big-endian,
//! checksums (CRC-32C) little-endian.

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, little_endian};

/// `sb_magicnum`: `XFSB`.
pub(super) const SUPER_MAGIC: u32 = 0x5846_5342;
/// `sb_features2` of version 4: folder entries tell the kind.
pub(super) const FEATURES2_FTYPE: u32 = 0x200;
/// `sb_features_incompat`: folder entries tell the kind.
pub(super) const INCOMPAT_FTYPE: u32 = 0x1;
/// `di_magic`: `IN`.
pub(super) const INODE_MAGIC: u16 = 0x494E;
/// `di_format`: content in the inode, a list of extents, a tree of extents.
pub(super) const FORMAT_LOCAL: u8 = 1;
pub(super) const FORMAT_EXTENTS: u8 = 2;
pub(super) const FORMAT_BTREE: u8 = 3;
/// `di_flags`: on the realtime device.
pub(super) const FLAG_REALTIME: u16 = 0x1;
/// `di_flags2`: blocks may be shared, times of 64 bits, counts of 64 bits.
pub(super) const FLAG2_REFLINK: u64 = 0x2;
pub(super) const FLAG2_BIGTIME: u64 = 0x8;
pub(super) const FLAG2_NREXT64: u64 = 0x10;

/// Blocks of trees of extents, version 4 and 5: `BMAP`, `BMA3`.
pub(super) const BMAP_MAGIC: [u32; 2] = [0x424D_4150, 0x424D_4133];
/// Blocks of trees of free space by place: `ABTB`, `AB3B`.
pub(super) const FREE_MAGIC: [u32; 2] = [0x4142_5442, 0x4142_3342];
/// Blocks of folders, several: `XD2D`, `XDD3`; one: `XD2B`, `XDB3`.
pub(super) const FOLDER_MAGIC: [u32; 2] = [0x5844_3244, 0x5844_4433];
pub(super) const FOLDER_ONE_MAGIC: [u32; 2] = [0x5844_3242, 0x5844_4233];
/// `agf_magicnum`: `XAGF`.
pub(super) const AGF_MAGIC: u32 = 0x5841_4746;
/// `sl_magic`: `XSLM`.
pub(super) const LINK_MAGIC: u32 = 0x5853_4C4D;

/// The super block.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SuperBlock {
    pub magic: U32,
    pub block_bytes: U32,
    pub blocks: U64,
    pub realtime_blocks: U64,
    pub realtime_extents: U64,
    pub uuid: [u8; 16],
    pub log_start: U64,
    pub root_inode: U64,
    pub realtime_inodes: [U64; 2],
    pub realtime_extent_blocks: U32,
    pub group_blocks: U32,
    pub group_count: U32,
    pub realtime_bitmap_blocks: U32,
    pub log_blocks: U32,
    pub version: U16,
    pub sector_bytes: U16,
    pub inode_bytes: U16,
    pub inodes_per_block: U16,
    pub label: [u8; 12],
    pub block_log: u8,
    pub sector_log: u8,
    pub inode_log: u8,
    pub inodes_per_block_log: u8,
    pub group_blocks_log: u8,
    pub realtime_extents_log: u8,
    pub in_progress: u8,
    pub inode_percent: u8,
    pub inode_count: U64,
    pub free_inodes: U64,
    pub free_blocks: U64,
    pub free_realtime: U64,
    pub quota_inodes: [U64; 2],
    pub quota_flags: U16,
    pub flags: u8,
    pub shared_version: u8,
    pub inode_alignment: U32,
    pub stripe: [U32; 2],
    pub folder_block_log: u8,
    pub log_sector_log: u8,
    pub log_sector_bytes: U16,
    pub log_stripe: U32,
    pub features2: U32,
    pub bad_features2: U32,
    pub compat: U32,
    pub ro_compat: U32,
    pub incompat: U32,
    pub log_incompat: U32,
    pub checksum: little_endian::U32,
    pub sparse_alignment: U32,
    pub project_quota_inode: U64,
    pub lsn: U64,
    pub meta_uuid: [u8; 16],
}
const _: () = assert!(size_of::<SuperBlock>() == 264);

/// The fields of an inode; in version 4, the first 100 bytes.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawInode {
    pub magic: U16,
    pub mode: U16,
    pub version: u8,
    pub format: u8,
    pub links_v1: U16,
    pub uid: U32,
    pub gid: U32,
    pub links: U32,
    pub project: [U16; 2],
    pub extents_wide: U64,
    pub accessed: U64,
    pub modified: U64,
    pub changed: U64,
    pub size: U64,
    pub blocks: U64,
    pub extent_size: U32,
    pub extents: U32,
    pub attribute_extents: U16,
    pub fork_offset: u8,
    pub attribute_format: u8,
    pub event_mask: U32,
    pub event_state: U16,
    pub flags: U16,
    pub generation: U32,
    pub next_unlinked: U32,
    pub checksum: little_endian::U32,
    pub change_count: U64,
    pub lsn: U64,
    pub flags2: U64,
    pub copy_extent_size: U32,
    pub padding: [u8; 12],
    pub created: U64,
    pub number: U64,
    pub uuid: [u8; 16],
}
const _: () = assert!(size_of::<RawInode>() == 176);

/// Bytes of the fields of version 4 and where the checksum of version 5 is.
pub(super) const SMALL_INODE_BYTES: usize = 100;

/// Head of a group of blocks' free space.
#[derive(Debug, Clone, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct GroupFree {
    pub magic: U32,
    pub version: U32,
    pub number: U32,
    pub length: U32,
    pub root: U32,
    pub other_roots: [U32; 2],
    pub levels: U32,
    pub other_levels: [U32; 2],
    pub list: [U32; 3],
    pub free_blocks: U32,
    pub longest: U32,
    pub tree_blocks: U32,
}
const _: () = assert!(size_of::<GroupFree>() == 64);

/// Where [`GroupFree`]'s checksum is.
pub(super) const GROUP_FREE_SUM: usize = 216;

/// Head of every block of a tree.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct TreeHead {
    pub magic: U32,
    pub level: U16,
    pub count: U16,
}
const _: () = assert!(size_of::<TreeHead>() == 8);

/// A kind of tree: its blocks' magic numbers, bytes of their heads, and where version 5 keeps the checksum.
pub(super) struct TreeKind {
    pub magic: [u32; 2],
    pub head_bytes: [usize; 2],
    pub sum: usize,
}
pub(super) const BMAP: TreeKind = TreeKind { magic: BMAP_MAGIC, head_bytes: [24, 72], sum: 64 };
pub(super) const FREE: TreeKind = TreeKind { magic: FREE_MAGIC, head_bytes: [16, 56], sum: 52 };

/// A block of a folder, version 5: the checksum, then others, then whose it is.
pub(super) const FOLDER_SUM: usize = 4;
pub(super) const FOLDER_OWNER: usize = 40;
/// Bytes of its head, version 4 and 5.
pub(super) const FOLDER_HEAD_BYTES: [usize; 2] = [16, 64];
/// Offset in a folder from which on there are only indexes.
pub(super) const FOLDER_INDEX_OFFSET: u64 = 32 << 30;

/// Head of a piece of a link's target, version 5.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct LinkHead {
    pub magic: U32,
    pub offset: U32,
    pub length: U32,
    pub checksum: little_endian::U32,
    pub uuid: [u8; 16],
    pub owner: U64,
    pub place: U64,
    pub lsn: U64,
}
const _: () = assert!(size_of::<LinkHead>() == 56);
