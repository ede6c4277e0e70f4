//! Layouts of FAT12, FAT16, FAT32 and exFAT.
//!
//! Source: Microsoft's *FAT: General Overview of On-Disk Format* 1.03 and *exFAT File System Specification*. Numbers
//! are little-endian.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The boot sector of FAT.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct FatBoot {
    pub jump: [u8; 3],
    pub oem: [u8; 8],
    pub sector_bytes: U16,
    pub cluster_sectors: u8,
    pub reserved_sectors: U16,
    pub tables: u8,
    pub root_entries: U16,
    pub sectors_16: U16,
    pub media: u8,
    pub table_sectors_16: U16,
    pub track: [u8; 4],
    pub hidden: U32,
    pub sectors_32: U32,
    pub table_sectors_32: U32,
    pub flags_32: U16,
    pub version_32: U16,
    pub root_cluster: U32,
    pub info_sector: U16,
    pub backup_sector: U16,
    pub reserved: [u8; 12],
    pub drive_32: [u8; 3],
    pub serial_32: U32,
    pub label_32: [u8; 11],
}
const _: () = assert!(size_of::<FatBoot>() == 82);

/// Where FAT12 and FAT16 keep the serial number.
pub(super) const SERIAL_16_OFFSET: usize = 39;

/// An entry of a folder of FAT.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct FatEntry {
    pub name: [u8; 11],
    pub attributes: u8,
    pub case: u8,
    pub created_hundredths: u8,
    pub created_time: U16,
    pub created_date: U16,
    pub accessed_date: U16,
    pub cluster_hi: U16,
    pub modified_time: U16,
    pub modified_date: U16,
    pub cluster_lo: U16,
    pub size: U32,
}
const _: () = assert!(size_of::<FatEntry>() == 32);

/// A piece of a long name.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct LongEntry {
    pub order: u8,
    pub first: [u8; 10],
    pub attributes: u8,
    pub kind: u8,
    pub checksum: u8,
    pub second: [u8; 12],
    pub cluster: U16,
    pub third: [u8; 4],
}
const _: () = assert!(size_of::<LongEntry>() == 32);

/// `ATTR_VOLUME_ID`, `ATTR_DIRECTORY`, and the combination that marks a long name.
pub(super) const ATTRIBUTE_LABEL: u8 = 0x08;
pub(super) const ATTRIBUTE_FOLDER: u8 = 0x10;
pub(super) const ATTRIBUTES_LONG: u8 = 0x0F;

/// The boot sector of exFAT.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ExFatBoot {
    pub jump: [u8; 3],
    pub name: [u8; 8],
    pub zero: [u8; 53],
    pub partition: U64,
    pub sectors: U64,
    pub table_offset: U32,
    pub table_sectors: U32,
    pub heap_offset: U32,
    pub clusters: U32,
    pub root_cluster: U32,
    pub serial: U32,
    pub revision: U16,
    pub flags: U16,
    pub sector_log: u8,
    pub cluster_log: u8,
    pub tables: u8,
}
const _: () = assert!(size_of::<ExFatBoot>() == 111);

/// `VolumeFlags`: the second table is the one in use; changes were under way.
pub(super) const EXFAT_SECOND_TABLE: u16 = 0x1;
pub(super) const EXFAT_DIRTY: u16 = 0x2;

/// Kinds of entries of exFAT, in use.
pub(super) const EXFAT_BITMAP: u8 = 0x81;
pub(super) const EXFAT_LABEL: u8 = 0x83;
pub(super) const EXFAT_FILE: u8 = 0x85;
pub(super) const EXFAT_STREAM: u8 = 0xC0;
pub(super) const EXFAT_NAME: u8 = 0xC1;

/// First entry of a set of exFAT.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ExFatFile {
    pub kind: u8,
    pub others: u8,
    pub checksum: U16,
    pub attributes: U16,
    pub reserved: U16,
    pub created: U32,
    pub modified: U32,
    pub accessed: U32,
    pub created_hundredths: u8,
    pub modified_hundredths: u8,
    pub created_zone: u8,
    pub modified_zone: u8,
    pub accessed_zone: u8,
    pub rest: [u8; 7],
}
const _: () = assert!(size_of::<ExFatFile>() == 32);

/// Second entry of a set, and the form of the entry of the bitmap from `first_cluster` on.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ExFatStream {
    pub kind: u8,
    pub flags: u8,
    pub reserved: u8,
    pub name_length: u8,
    pub name_hash: U16,
    pub reserved_2: U16,
    pub valid_bytes: U64,
    pub reserved_3: U32,
    pub first_cluster: U32,
    pub bytes: U64,
}
const _: () = assert!(size_of::<ExFatStream>() == 32);

/// `GeneralSecondaryFlags`: the clusters follow each other and the table does not tell them.
pub(super) const EXFAT_CONTIGUOUS: u8 = 0x2;
