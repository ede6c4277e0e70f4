//! Layouts of the journal (jbd2) of ext3 and ext4.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/journal`. All numbers are big-endian.

use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `h_magic`.
pub(super) const MAGIC: u32 = 0xC03B_3998;

/// `h_blocktype`.
pub(super) const TYPE_DESCRIPTOR: u32 = 1;
pub(super) const TYPE_COMMIT: u32 = 2;
pub(super) const TYPE_SUPER_V1: u32 = 3;
pub(super) const TYPE_SUPER_V2: u32 = 4;
pub(super) const TYPE_REVOKE: u32 = 5;

/// `s_feature_compat`: commit blocks hold a checksum over their transaction.
pub(super) const COMPAT_CHECKSUM: u32 = 0x1;
/// `s_feature_incompat`: block numbers of 64 bits.
pub(super) const INCOMPAT_64BIT: u32 = 0x2;
/// `s_feature_incompat`: checksums over every block, 16 bits in tags.
pub(super) const INCOMPAT_CSUM_V2: u32 = 0x8;
/// `s_feature_incompat`: checksums over every block, 32 bits in tags.
pub(super) const INCOMPAT_CSUM_V3: u32 = 0x10;
/// `s_feature_incompat`: small changes at the end of the journal in a form of their own.
pub(super) const INCOMPAT_FAST_COMMIT: u32 = 0x20;
/// These, revocations (0x1) and commit blocks written early (0x4), which need nothing more here.
pub(super) const INCOMPAT_KNOWN: u32 = 0x3F;

/// `t_flags`: the copy's first four bytes were the magic number and were zeroed.
pub(super) const TAG_ESCAPED: u32 = 0x1;
/// `t_flags`: no UUID follows.
pub(super) const TAG_SAME_UUID: u32 = 0x2;
/// `t_flags`: the last tag of the block.
pub(super) const TAG_LAST: u32 = 0x8;

/// Blocks of the area of fast commits when the super block does not say.
pub(super) const DEFAULT_FAST_COMMIT_BLOCKS: u32 = 256;
/// First tag of a fast commit: `EXT4_FC_TAG_HEAD`, little-endian, its length, features and the transaction.
pub(super) const FAST_COMMIT_HEAD: u16 = 0x0009;

/// What every block of the journal that is not a copy begins with.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub magic: U32,
    pub block_type: U32,
    pub sequence: U32,
}
const _: () = assert!(size_of::<Header>() == 12);

/// The journal's super block.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct JournalSuper {
    pub magic: U32,
    pub block_type: U32,
    pub header_sequence: U32,
    pub block_size: U32,
    pub length: U32,
    pub first: U32,
    pub sequence: U32,
    pub start: U32,
    pub error: U32,
    pub compat: U32,
    pub incompat: U32,
    pub ro_compat: U32,
    pub uuid: [u8; 16],
    pub users: U32,
    pub super_copy: U32,
    pub max_transaction: U32,
    pub max_data: U32,
    pub checksum_type: u8,
    pub padding: [u8; 3],
    pub fast_commit_blocks: U32,
    pub head: U32,
    pub reserved: [u8; 160],
    pub checksum: U32,
    pub user_uuids: [u8; 768],
}
const _: () = assert!(size_of::<JournalSuper>() == 1024);

/// What follows the header of a commit block.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct CommitTail {
    pub checksum_type: u8,
    pub checksum_size: u8,
    pub padding: [u8; 2],
    pub checksum: U32,
}
const _: () = assert!(size_of::<CommitTail>() == 8);

/// A tag with `CSUM_V3`.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Tag3 {
    pub block_lo: U32,
    pub flags: U32,
    pub block_hi: U32,
    pub checksum: U32,
}
const _: () = assert!(size_of::<Tag3>() == 16);

/// A tag without; with `64BIT`, the high bits of the block follow, and with `CSUM_V2` two more bytes are reserved.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Tag {
    pub block_lo: U32,
    pub checksum: U16,
    pub flags: U16,
}
const _: () = assert!(size_of::<Tag>() == 8);
