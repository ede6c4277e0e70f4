//! Layouts of the log (MS-VHDX 2.3.1), declared once and with their sizes asserted.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::vhdx::format::Guid;

/// The unit of the log: entries, their tables and what they change are whole sectors of 4 KiB.
pub(in crate::vhdx) const LOG_SECTOR_BYTES: u64 = 4096;
/// Signature of [`EntryHeader`]. No other sector of a valid entry begins with it.
pub(in crate::vhdx) const ENTRY_SIGNATURE: [u8; 4] = *b"loge";
/// Signature of [`DataDescriptor`].
pub(in crate::vhdx) const DATA_DESCRIPTOR_SIGNATURE: [u8; 4] = *b"desc";
/// Signature of [`ZeroDescriptor`].
pub(in crate::vhdx) const ZERO_DESCRIPTOR_SIGNATURE: [u8; 4] = *b"zero";
/// Signature of [`DataSector`].
pub(in crate::vhdx) const DATA_SECTOR_SIGNATURE: [u8; 4] = *b"data";

/// Start of a log entry (MS-VHDX 2.3.1.1).
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(in crate::vhdx) struct EntryHeader {
    /// `loge`.
    pub signature: [u8; 4],
    /// CRC-32C over the whole entry with this field zero.
    pub checksum: U32,
    /// Bytes of the entry; a multiple of 4096.
    pub entry_length: U32,
    /// Place in the log of the oldest entry that was still needed when this one was written.
    pub tail: U32,
    /// Greater than 0, and one more than the entry before.
    pub sequence_number: U64,
    /// Number of descriptors that follow.
    pub descriptor_count: U32,
    /// Zero.
    pub reserved: U32,
    /// Which log the entry belongs to; the current header names it.
    pub log_guid: Guid,
    /// Length of the file that was durable when the entry was written.
    pub flushed_file_offset: U64,
    /// Length that the file needs for everything in it.
    pub last_file_offset: U64,
}
const _: () = assert!(size_of::<EntryHeader>() == 64);

/// A sector to be written (MS-VHDX 2.3.1.3). The first and last bytes of the sector stand here,
/// because their places in the data sector hold its signature and sequence number.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(in crate::vhdx) struct DataDescriptor {
    /// `desc`.
    pub signature: [u8; 4],
    /// Last four bytes of the sector.
    pub trailing_bytes: [u8; 4],
    /// First eight bytes of the sector.
    pub leading_bytes: [u8; 8],
    /// Where the sector goes; a multiple of 4096.
    pub file_offset: U64,
    /// As in the entry's header.
    pub sequence_number: U64,
}
const _: () = assert!(size_of::<DataDescriptor>() == 32);

/// A range to be cleared (MS-VHDX 2.3.1.2).
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(in crate::vhdx) struct ZeroDescriptor {
    /// `zero`.
    pub signature: [u8; 4],
    /// Zero.
    pub reserved: U32,
    /// Bytes to clear; a multiple of 4096.
    pub zero_length: U64,
    /// Where; a multiple of 4096.
    pub file_offset: U64,
    /// As in the entry's header.
    pub sequence_number: U64,
}
const _: () = assert!(size_of::<ZeroDescriptor>() == 32);

/// A data sector (MS-VHDX 2.3.1.4). Both halves of the sequence number tell a sector that was
/// written whole from one that was torn.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(in crate::vhdx) struct DataSector {
    /// `data`.
    pub signature: [u8; 4],
    /// Upper half of the entry's sequence number.
    pub sequence_high: U32,
    /// The sector's bytes 8 to 4091.
    pub data: [u8; 4084],
    /// Lower half of the entry's sequence number.
    pub sequence_low: U32,
}
const _: () = assert!(size_of::<DataSector>() == 4096);

impl DataSector {
    /// Whether the sector was written whole with the entry of that number.
    pub(in crate::vhdx) fn belongs_to(&self, sequence_number: u64) -> bool {
        let halves = u64::from(self.sequence_high.get()) << 32 | u64::from(self.sequence_low.get());
        self.signature == DATA_SECTOR_SIGNATURE && halves == sequence_number
    }
}

/// Sectors that an entry's header and descriptors fill: 126 descriptors fit behind the header, 128
/// in each further sector.
pub(in crate::vhdx) const fn table_sectors(descriptor_count: u32) -> u64 {
    let bytes = size_of::<EntryHeader>() as u64 + descriptor_count as u64 * 32;
    bytes.div_ceil(LOG_SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sector_holds_126_descriptors_and_each_later_one_128() {
        for (count, sectors) in [(0, 1), (126, 1), (127, 2), (254, 2), (255, 3)] {
            assert_eq!(table_sectors(count), sectors, "{count} descriptors");
        }
    }
}
