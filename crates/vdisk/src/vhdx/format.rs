//! Layouts, GUIDs and fixed places of a VHDX file (MS-VHDX 2.1 to 2.6).
//!
//! Every structure is declared once, little-endian, with its size asserted. GUIDs are in the
//! mixed-endian Windows layout; [`Guid`] converts at the border so that the rest sees `Uuid`.

use uuid::Uuid;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::number::MIB;

/// Eight bytes at the start of the file (MS-VHDX 2.2.1).
pub(super) const FILE_SIGNATURE: [u8; 8] = *b"vhdxfile";
/// Bytes of the Creator field: UTF-16LE, informative.
pub(super) const CREATOR_BYTES: usize = 512;
/// Places of the two headers (MS-VHDX 2.2).
pub(super) const HEADER_OFFSETS: [u64; 2] = [0x1_0000, 0x2_0000];
/// Places of the two region tables (MS-VHDX 2.2).
pub(super) const REGION_TABLE_OFFSETS: [u64; 2] = [0x3_0000, 0x4_0000];
/// Bytes of one region table and of the metadata table.
pub(super) const TABLE_BYTES: usize = 0x1_0000;
/// The header section; everything else starts at or after its end (MS-VHDX 2.1).
pub(super) const HEADER_SECTION_BYTES: u64 = MIB;
/// Entries that a region or metadata table can hold (MS-VHDX 2.2.3, 2.6.1).
pub(super) const TABLE_ENTRIES_MAX: usize = 2047;
/// Largest metadata item that is read; Windows keeps the same limit.
pub(super) const ITEM_BYTES_MAX: u32 = 1 << 20;
/// Largest virtual disk: 64 TiB (MS-VHDX 2.6.2.2).
pub(super) const CAPACITY_MAX: u64 = 64 << 40;
/// Smallest and largest payload block (MS-VHDX 2.6.2.1).
pub(super) const BLOCK_BYTES_MIN: u32 = 1 << 20;
/// See [`BLOCK_BYTES_MIN`].
pub(super) const BLOCK_BYTES_MAX: u32 = 256 << 20;
/// Sectors that one sector bitmap block covers (MS-VHDX 2.5).
pub(super) const SECTORS_PER_CHUNK: u64 = 1 << 23;
/// Bytes of a sector bitmap block (MS-VHDX 2.4).
pub(super) const BITMAP_BLOCK_BYTES: u64 = MIB;

/// A GUID as Windows stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(transparent)]
pub(super) struct Guid([u8; 16]);

impl From<Guid> for Uuid {
    fn from(guid: Guid) -> Self {
        Self::from_bytes_le(guid.0)
    }
}

impl From<Uuid> for Guid {
    fn from(id: Uuid) -> Self {
        Self(id.to_bytes_le())
    }
}

/// Header, 4096 bytes, checksummed as a whole (MS-VHDX 2.2.2).
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    /// `head`.
    pub signature: [u8; 4],
    /// CRC-32C over the structure with this field zero.
    pub checksum: U32,
    /// The valid header with the greater number is current.
    pub sequence_number: U64,
    /// New before the first write of any kind since the file was opened.
    pub file_write_guid: Guid,
    /// New before the first change of what the guest sees.
    pub data_write_guid: Guid,
    /// Zero when the log holds nothing to replay.
    pub log_guid: Guid,
    /// 0.
    pub log_version: U16,
    /// 1.
    pub version: U16,
    /// Multiple of 1 MiB.
    pub log_length: U32,
    /// Multiple of 1 MiB.
    pub log_offset: U64,
    /// Zero when written, ignored when read.
    pub reserved: [u8; 4016],
}
const _: () = assert!(size_of::<Header>() == 4096);

/// Start of a region table (MS-VHDX 2.2.3.1).
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RegionTableHeader {
    /// `regi`.
    pub signature: [u8; 4],
    /// CRC-32C over the 64 KiB of the table with this field zero.
    pub checksum: U32,
    /// At most 2047.
    pub entry_count: U32,
    /// Zero.
    pub reserved: U32,
}
const _: () = assert!(size_of::<RegionTableHeader>() == 16);

/// Entry of a region table (MS-VHDX 2.2.3.2).
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RegionEntry {
    /// Which region it is.
    pub guid: Guid,
    /// Multiple of 1 MiB, at least 1 MiB.
    pub file_offset: U64,
    /// Multiple of 1 MiB.
    pub length: U32,
    /// Bit 0: a reader that does not know the region must refuse the file.
    pub flags: U32,
}
const _: () = assert!(size_of::<RegionEntry>() == 32);
/// Bit 0 of [`RegionEntry::flags`].
pub(super) const REGION_REQUIRED: u32 = 1;

/// Start of the metadata table (MS-VHDX 2.6.1.1).
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct MetadataTableHeader {
    /// `metadata`.
    pub signature: [u8; 8],
    /// Zero.
    pub reserved: U16,
    /// At most 2047.
    pub entry_count: U16,
    /// Zero.
    pub reserved2: [u8; 20],
}
const _: () = assert!(size_of::<MetadataTableHeader>() == 32);

/// Entry of the metadata table (MS-VHDX 2.6.1.2).
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct MetadataEntry {
    /// Which item it is.
    pub item_id: Guid,
    /// From the start of the region, at least 64 KiB; 0 only with length 0.
    pub offset: U32,
    /// Bytes of the item.
    pub length: U32,
    /// Bits `ITEM_IS_*`.
    pub flags: U32,
    /// Zero.
    pub reserved: U32,
}
const _: () = assert!(size_of::<MetadataEntry>() == 32);
/// The item belongs to a user of the file, not to the format.
pub(super) const ITEM_IS_USER: u32 = 1;
/// The item describes the virtual disk, not the file.
pub(super) const ITEM_IS_VIRTUAL_DISK: u32 = 2;
/// A reader that does not know the item must refuse the file.
pub(super) const ITEM_IS_REQUIRED: u32 = 4;

/// File parameters item (MS-VHDX 2.6.2.1).
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct FileParameters {
    /// Bytes of a payload block.
    pub block_size: U32,
    /// Bit 0 LeaveBlocksAllocated (fixed disks), bit 1 HasParent.
    pub flags: U32,
}
const _: () = assert!(size_of::<FileParameters>() == 8);
/// Bit 0 of [`FileParameters::flags`].
pub(super) const LEAVE_BLOCKS_ALLOCATED: u32 = 1;
/// Bit 1 of [`FileParameters::flags`].
pub(super) const HAS_PARENT: u32 = 2;

/// Start of the parent locator item (MS-VHDX 2.6.2.6.1).
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct LocatorHeader {
    /// Kind of the parent; only VHDX is defined.
    pub locator_type: Guid,
    /// Zero.
    pub reserved: U16,
    /// Number of entries that follow.
    pub key_value_count: U16,
}
const _: () = assert!(size_of::<LocatorHeader>() == 20);

/// Entry of the parent locator (MS-VHDX 2.6.2.6.2); offsets count from the start of the item.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct LocatorEntry {
    /// Place of the key.
    pub key_offset: U32,
    /// Place of the value.
    pub value_offset: U32,
    /// Bytes of the key, UTF-16LE without terminator.
    pub key_length: U16,
    /// Bytes of the value, UTF-16LE without terminator.
    pub value_length: U16,
}
const _: () = assert!(size_of::<LocatorEntry>() == 12);

/// GUIDs of the format.
pub(super) mod guid {
    use uuid::{Uuid, uuid};

    /// BAT region (MS-VHDX 2.2.3.2).
    pub(crate) const REGION_BAT: Uuid = uuid!("2DC27766-F623-4200-9D64-115E9BFD4A08");
    /// Metadata region (MS-VHDX 2.2.3.2).
    pub(crate) const REGION_METADATA: Uuid = uuid!("8B7CA206-4790-4B9A-B8FE-575F050F886E");
    /// File parameters (MS-VHDX 2.6.2.1).
    pub(crate) const FILE_PARAMETERS: Uuid = uuid!("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
    /// Virtual disk size (MS-VHDX 2.6.2.2).
    pub(crate) const VIRTUAL_DISK_SIZE: Uuid = uuid!("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
    /// Logical sector size (MS-VHDX 2.6.2.4).
    pub(crate) const LOGICAL_SECTOR: Uuid = uuid!("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");
    /// Physical sector size (MS-VHDX 2.6.2.5).
    pub(crate) const PHYSICAL_SECTOR: Uuid = uuid!("CDA348C7-445D-4471-9CC9-E9885251C556");
    /// Virtual disk id (MS-VHDX 2.6.2.3).
    pub(crate) const VIRTUAL_DISK_ID: Uuid = uuid!("BECA12AB-B2E6-4523-93EF-C309E000C746");
    /// Parent locator (MS-VHDX 2.6.2.6).
    pub(crate) const PARENT_LOCATOR: Uuid = uuid!("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C");
    /// Type of a locator whose parent is a VHDX (MS-VHDX 2.6.2.6).
    pub(crate) const LOCATOR_VHDX: Uuid = uuid!("B04AEFB7-D19E-4A81-B789-25B8E9445913");
    /// Cylinders, heads, sectors. Not in MS-VHDX; known from Microsoft's openvmm.
    pub(crate) const CHS: Uuid = uuid!("DA02D7BC-3D3A-423C-AC88-2A36AB21479B");
    /// Mark of a file whose creation was not finished; from openvmm.
    pub(crate) const INCOMPLETE: Uuid = uuid!("71CC85F0-1B69-4E28-9558-C3BF83AE75D3");
    /// Label storage of persistent-memory disks; from openvmm.
    pub(crate) const PMEM_LABELS: Uuid = uuid!("10E1AE8A-4B7E-4169-A40F-CD70DE928393");
}

/// CRC-32C of `bytes` with the four bytes at 4 (the checksum field) taken as zero.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&bytes[..4]);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, &bytes[8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_stored_in_the_mixed_endian_windows_layout() {
        let stored = Guid::from(guid::REGION_BAT);
        assert_eq!(stored.0[..8], [0x66, 0x77, 0xC2, 0x2D, 0x23, 0xF6, 0x00, 0x42]);
        assert_eq!(Uuid::from(stored), guid::REGION_BAT);
    }

    #[test]
    fn the_checksum_is_crc_32c_with_its_own_field_as_zero() {
        // Check value of CRC-32C for "123456789" is E3069283 (RFC 3720, B.4 lists the polynomial).
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(checksum(b"head\xff\xff\xff\xfftail"), crc32c::crc32c(b"head\0\0\0\0tail"));
    }
}
