//! One log entry: whether it is valid, sector by sector (MS-VHDX 2.3.1).
//!
//! An entry is checked while its sectors pass by, and given up at the first one that cannot belong to
//! it. All sectors behind the first begin with a descriptor or with the signature of a data sector,
//! so no entry reaches over the start of another: every sector of the log is looked at for one entry
//! only, whatever lengths a hostile log claims.

use uuid::Uuid;
use zerocopy::FromBytes;

use super::area::LogArea;
use super::layout::{
    DATA_DESCRIPTOR_SIGNATURE, DataDescriptor, DataSector, ENTRY_SIGNATURE, EntryHeader, LOG_SECTOR_BYTES,
    ZERO_DESCRIPTOR_SIGNATURE, ZeroDescriptor, table_sectors,
};
use crate::number::index;

/// A valid entry, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Number of its first sector in the log.
    pub sector: u64,
    /// Number of its sectors.
    pub sectors: u64,
    pub sequence_number: u64,
    /// Bytes from the start of the log.
    pub tail: u64,
    pub descriptor_count: u32,
    pub flushed_file_offset: u64,
    pub last_file_offset: u64,
}

/// A descriptor of an entry.
#[derive(Debug)]
pub(super) enum Descriptor {
    Data(DataDescriptor),
    Zero(ZeroDescriptor),
}

impl Descriptor {
    /// Reads a descriptor of the entry with that number.
    pub(super) fn parse(bytes: &[u8], sequence_number: u64) -> Option<Self> {
        let found = match *bytes.first_chunk()? {
            DATA_DESCRIPTOR_SIGNATURE => Self::Data(DataDescriptor::read_from_bytes(bytes).ok()?),
            ZERO_DESCRIPTOR_SIGNATURE => Self::Zero(ZeroDescriptor::read_from_bytes(bytes).ok()?),
            _ => return None,
        };
        let number = match &found {
            Self::Data(data) => data.sequence_number.get(),
            Self::Zero(zero) => zero.sequence_number.get(),
        };
        (number == sequence_number).then_some(found)
    }
}

/// The descriptors in one table sector; `index` counts the entry's table sectors.
pub(super) fn descriptors_of(sector: &[u8], index: u64, count: u32) -> impl Iterator<Item = &[u8]> {
    const FIRST: u64 = (LOG_SECTOR_BYTES - size_of::<EntryHeader>() as u64) / 32;
    let (skip, before) =
        if index == 0 { (size_of::<EntryHeader>(), 0) } else { (0, FIRST + (index - 1) * 128) };
    let left = u64::from(count).saturating_sub(before);
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    sector[skip..].chunks_exact(size_of::<DataDescriptor>()).take(left)
}

/// An entry of which some sectors have passed.
#[derive(Debug)]
pub(super) struct Candidate {
    entry: Entry,
    checksum: u32,
    crc: u32,
    passed: u64,
    table_sectors: u64,
    data_descriptors: u64,
}

impl Candidate {
    /// Starts with a sector that looks like the first of an entry of this log.
    pub(super) fn begin(log: &LogArea, number: u64, sector: &[u8]) -> Option<Self> {
        let (header, _) = EntryHeader::read_from_prefix(sector).ok()?;
        let length = u64::from(header.entry_length.get());
        let tables = table_sectors(header.descriptor_count.get());
        let plausible = header.signature == ENTRY_SIGNATURE
            && Uuid::from(header.log_guid) == log.guid
            && header.sequence_number.get() > 0
            && length.is_multiple_of(LOG_SECTOR_BYTES)
            && length < log.range.len()
            && tables * LOG_SECTOR_BYTES <= length;
        let entry = Entry {
            sector: number,
            sectors: length / LOG_SECTOR_BYTES,
            sequence_number: header.sequence_number.get(),
            tail: header.tail.get().into(),
            descriptor_count: header.descriptor_count.get(),
            flushed_file_offset: header.flushed_file_offset.get(),
            last_file_offset: header.last_file_offset.get(),
        };
        let checksum = header.checksum.get();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&ENTRY_SIGNATURE), &[0; 4]);
        let mut candidate =
            Self { entry, checksum, crc, passed: 0, table_sectors: tables, data_descriptors: 0 };
        (plausible && candidate.take(sector, &sector[8..])).then_some(candidate)
    }

    /// Takes the next sector; false when it cannot belong to the entry.
    pub(super) fn feed(&mut self, sector: &[u8]) -> bool {
        self.take(sector, sector)
    }

    fn take(&mut self, sector: &[u8], checked: &[u8]) -> bool {
        self.crc = crc32c::crc32c_append(self.crc, checked);
        let belongs = if self.passed < self.table_sectors {
            self.take_table(sector)
        } else {
            DataSector::ref_from_bytes(sector).is_ok_and(|data| data.belongs_to(self.entry.sequence_number))
        };
        self.passed += 1;
        belongs
    }

    /// The table must be followed by exactly as many data sectors as it has data descriptors.
    fn take_table(&mut self, sector: &[u8]) -> bool {
        for bytes in descriptors_of(sector, self.passed, self.entry.descriptor_count) {
            match Descriptor::parse(bytes, self.entry.sequence_number) {
                Some(Descriptor::Data(_)) => self.data_descriptors += 1,
                Some(Descriptor::Zero(_)) => {}
                None => return false,
            }
        }
        let last = self.passed + 1 == self.table_sectors;
        !last || self.table_sectors + self.data_descriptors == self.entry.sectors
    }

    /// Whether all sectors have passed.
    pub(super) fn is_complete(&self) -> bool {
        self.passed == self.entry.sectors
    }

    /// The entry, if its checksum is right.
    pub(super) fn finish(self) -> Option<Entry> {
        (self.is_complete() && self.crc == self.checksum).then_some(self.entry)
    }
}

/// A buffer for one sector of the log.
pub(super) fn sector_buffer() -> Vec<u8> {
    vec![0; index(LOG_SECTOR_BYTES)]
}
