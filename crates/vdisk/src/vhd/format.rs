//! Layouts of the VHD format, all fields big-endian (Virtual Hard Disk Image Format Specification 1.0).
//!
//! The footer and the dynamic header each carry the ones' complement of their byte sum, taken with
//! the checksum field as zero. Nothing here decides anything; what may be used is decided in `footer`
//! and `header`.

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a sector; VHD knows no other size.
pub(crate) const SECTOR: u64 = 512;
/// First bytes of a footer and of its copy at the start of the file.
pub(crate) const FOOTER_COOKIE: &[u8; 8] = b"conectix";
/// First bytes of the dynamic header.
pub(super) const HEADER_COOKIE: &[u8; 8] = b"cxsparse";
/// Bytes of a footer; Virtual PC before 2004 wrote one less.
pub(crate) const FOOTER_BYTES: u64 = 512;
/// Bytes of the footers that Virtual PC wrote before 2004.
pub(crate) const OLD_FOOTER_BYTES: u64 = 511;
/// Bytes of the dynamic header.
pub(super) const HEADER_BYTES: u64 = 1024;
/// Version 1.0, of footer and header alike.
pub(super) const VERSION: u32 = 0x0001_0000;
/// Feature bit that is always set.
pub(super) const FEATURE_RESERVED: u32 = 2;
/// "No further structure" in offset fields.
pub(super) const NO_OFFSET: u64 = u64::MAX;
/// Table entry of a block that has no space.
pub(super) const ABSENT: u32 = u32::MAX;

/// Disk types of the footer.
pub(super) mod disk_type {
    pub(in crate::vhd) const FIXED: u32 = 2;
    pub(in crate::vhd) const DYNAMIC: u32 = 3;
    pub(in crate::vhd) const DIFFERENCING: u32 = 4;
}

/// Platform codes of parent locators. Both hold UTF-16LE.
pub(super) mod platform {
    /// Path relative to the child's folder.
    pub(in crate::vhd) const W2RU: [u8; 4] = *b"W2ru";
    /// Absolute path.
    pub(in crate::vhd) const W2KU: [u8; 4] = *b"W2ku";
}

/// The footer: what the disk is. At the end of the file; sparse files have a copy at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Footer {
    /// `conectix`.
    pub cookie: [u8; 8],
    /// Bit 1 is always set.
    pub features: U32,
    /// 1.0 in two halves of 16 bits.
    pub version: U32,
    /// Place of the dynamic header; all ones in a fixed disk.
    pub data_offset: U64,
    /// Seconds since 2000-01-01 UTC.
    pub timestamp: U32,
    /// Program that made the file.
    pub creator_app: [u8; 4],
    /// Its version in two halves of 16 bits.
    pub creator_version: U32,
    /// `Wi2k` or `Mac `.
    pub creator_os: [u8; 4],
    /// Size when the disk was made.
    pub original_size: U64,
    /// Size now.
    pub current_size: U64,
    /// Cylinders of the geometry shown to old guests.
    pub cylinders: U16,
    /// Heads of that geometry.
    pub heads: u8,
    /// Sectors per track of that geometry.
    pub sectors: u8,
    /// See [`disk_type`].
    pub disk_type: U32,
    /// Ones' complement of the sum of all other bytes.
    pub checksum: U32,
    /// Identity of the disk, which a child notes of its parent.
    pub unique_id: [u8; 16],
    /// Not zero when a VM's saved state belongs to the disk.
    pub saved_state: u8,
    /// Zeros.
    pub reserved: [u8; 427],
}
const _: () = assert!(size_of::<Footer>() == 512);

/// The dynamic header: where the blocks of a sparse disk are.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct DynamicHeader {
    /// `cxsparse`.
    pub cookie: [u8; 8],
    /// All ones.
    pub data_offset: U64,
    /// Place of the block allocation table.
    pub table_offset: U64,
    /// 1.0 in two halves of 16 bits.
    pub version: U32,
    /// Entries of the table.
    pub max_table_entries: U32,
    /// Bytes of a block, without its bitmap.
    pub block_size: U32,
    /// Ones' complement of the sum of all other bytes.
    pub checksum: U32,
    /// Identity of the parent of a differencing disk.
    pub parent_id: [u8; 16],
    /// When the parent was last changed; copies change it, so it decides nothing.
    pub parent_timestamp: U32,
    /// Zero.
    pub reserved: U32,
    /// Name of the parent in UTF-16BE, padded with zeros.
    pub parent_name: [u8; 512],
    /// Where paths of the parent stand.
    pub locators: [LocatorEntry; 8],
    /// Zeros.
    pub reserved2: [u8; 256],
}
const _: () = assert!(size_of::<DynamicHeader>() == 1024);

/// Where one path of the parent stands.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct LocatorEntry {
    /// See [`platform`]; zero when the entry is unused.
    pub code: [u8; 4],
    /// Space kept for the path: bytes as Windows writes it, sectors as the specification says.
    pub data_space: U32,
    /// Bytes of the path.
    pub data_length: U32,
    /// Zero.
    pub reserved: U32,
    /// Place of the path in the file.
    pub data_offset: U64,
}
const _: () = assert!(size_of::<LocatorEntry>() == 24);

/// Ones' complement of the byte sum, with the four bytes at `field` taken as zero.
pub(super) fn checksum(bytes: &[u8], field: usize) -> u32 {
    let sum = |part: &[u8]| part.iter().fold(0u32, |sum, byte| sum.wrapping_add((*byte).into()));
    !sum(bytes).wrapping_sub(sum(&bytes[field..field + 4]))
}

/// Place of the checksum in a footer.
const FOOTER_CHECKSUM: usize = std::mem::offset_of!(Footer, checksum);
/// Place of the checksum in a dynamic header.
const HEADER_CHECKSUM: usize = std::mem::offset_of!(DynamicHeader, checksum);

impl Footer {
    pub(super) fn has_right_checksum(&self) -> bool {
        self.checksum.get() == checksum(self.as_bytes(), FOOTER_CHECKSUM)
    }

    /// With its checksum made right.
    pub(super) fn sealed(mut self) -> Self {
        self.checksum = checksum(self.as_bytes(), FOOTER_CHECKSUM).into();
        self
    }
}

impl DynamicHeader {
    pub(super) fn has_right_checksum(&self) -> bool {
        self.checksum.get() == checksum(self.as_bytes(), HEADER_CHECKSUM)
    }

    /// With its checksum made right.
    pub(super) fn sealed(mut self) -> Self {
        self.checksum = checksum(self.as_bytes(), HEADER_CHECKSUM).into();
        self
    }
}
