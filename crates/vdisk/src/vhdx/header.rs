//! The two headers of a VHDX: choosing the current one, and replacing it safely.
//!
//! MS-VHDX 2.2.2: a header is valid when its signature and checksum are right, and the valid one
//! with the greater sequence number is current. Disk2vhd writes two identical headers with the same
//! number, which Windows opens, so identical twins are accepted. An update goes to the slot that is
//! not current and is flushed; doing it twice leaves both slots good.

use uuid::Uuid;
use zerocopy::{FromBytes, IntoBytes};

use super::format::{HEADER_OFFSETS, HEADER_SECTION_BYTES, Header, checksum};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::MIB;
use crate::range::ByteRange;

/// The current header and the slot it was read from.
#[derive(Debug, Clone)]
pub(super) struct CurrentHeader {
    pub header: Header,
    slot: usize,
}

/// GUIDs to be replaced in a header update.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewGuids {
    /// Always new when a file is about to be written.
    pub file_write: Uuid,
    /// New when what the guest sees is about to change.
    pub data_write: Option<Uuid>,
}

impl CurrentHeader {
    /// Reads both slots and returns the current header.
    pub(super) fn read(file: &dyn FileIo) -> Result<Self> {
        let first = read_slot(file, 0)?;
        let second = read_slot(file, 1)?;
        let current = match (first, second) {
            (Some(one), Some(two)) => newer(file, one, two)?,
            (Some(header), None) => Self { header, slot: 0 },
            (None, Some(header)) => Self { header, slot: 1 },
            (None, None) => return Err(Error::damaged(file.name(), "neither of its two headers is valid")),
        };
        current.check(file)?;
        Ok(current)
    }

    fn check(&self, file: &dyn FileIo) -> Result<()> {
        let header = &self.header;
        if header.version.get() != 1 {
            let what = format!("VHDX version {}", header.version.get());
            return Err(Error::unsupported(file.name(), what));
        }
        let (offset, length) = (header.log_offset.get(), u64::from(header.log_length.get()));
        let aligned = offset.is_multiple_of(MIB) && length.is_multiple_of(MIB);
        if length != 0 && (!aligned || offset < HEADER_SECTION_BYTES) {
            let what = format!("its log is at {offset} with {length} bytes, which no log can be");
            return Err(Error::damaged(file.name(), what));
        }
        Ok(())
    }

    /// Where the log lies; an empty range when there is none.
    pub(super) fn log_range(&self) -> ByteRange {
        ByteRange::at(self.header.log_offset.get(), self.header.log_length.get().into())
    }

    /// Nil when the log is empty.
    pub(super) fn log_guid(&self) -> Uuid {
        self.header.log_guid.into()
    }

    /// Identity of the file's content as a parent.
    pub(super) fn data_write_guid(&self) -> Uuid {
        self.header.data_write_guid.into()
    }

    /// Identity of the file's bytes.
    pub(super) fn file_write_guid(&self) -> Uuid {
        self.header.file_write_guid.into()
    }

    /// Writes new GUIDs durably into both slots, one after the other.
    pub(super) fn replace_guids(&mut self, file: &dyn FileIo, guids: NewGuids) -> Result<()> {
        self.update(file, |header| {
            header.file_write_guid = guids.file_write.into();
            if let Some(data_write) = guids.data_write {
                header.data_write_guid = data_write.into();
            }
        })
    }

    /// Names the log that is to be replayed, or none with the nil GUID, durably in both slots.
    pub(super) fn set_log(&mut self, file: &dyn FileIo, guid: Uuid) -> Result<()> {
        self.update(file, |header| {
            header.log_guid = guid.into();
            header.log_version.set(0);
        })
    }

    /// Gives the file a log elsewhere; the next update of the headers says so.
    pub(super) fn place_log(&mut self, region: ByteRange) {
        self.header.log_offset.set(region.start);
        self.header.log_length.set(u32::try_from(region.len()).unwrap_or(u32::MAX));
    }

    /// Where the log is; of no length when the file has none.
    pub(super) fn log_region(&self) -> ByteRange {
        ByteRange::at(self.header.log_offset.get(), self.header.log_length.get().into())
    }

    fn update(&mut self, file: &dyn FileIo, change: impl FnOnce(&mut Header)) -> Result<()> {
        let mut header = self.header.clone();
        change(&mut header);
        for _ in 0..2 {
            let Some(number) = header.sequence_number.get().checked_add(1) else {
                return Err(Error::unsupported(file.name(), "a header sequence number beyond the largest"));
            };
            header.sequence_number.set(number);
            let slot = 1 - self.slot;
            write_slot(file, slot, &header)?;
            *self = Self { header: header.clone(), slot };
        }
        Ok(())
    }
}

/// Writes the checksummed header into a slot and waits until it is durable.
pub(super) fn write_slot(file: &dyn FileIo, slot: usize, header: &Header) -> Result<()> {
    let mut header = header.clone();
    header.checksum.set(checksum(header.as_bytes()));
    file.write_at(HEADER_OFFSETS[slot], header.as_bytes())
        .and_then(|()| file.flush())
        .map_err(|error| Error::io(file.name(), "write a header of", error))
}

fn read_slot(file: &dyn FileIo, slot: usize) -> Result<Option<Header>> {
    let mut bytes = [0; size_of::<Header>()];
    file.read_at(HEADER_OFFSETS[slot], &mut bytes)
        .map_err(|error| Error::io(file.name(), "read the headers of", error))?;
    let header = Header::read_from_bytes(&bytes).ok();
    Ok(header.filter(|header| header.signature == *b"head" && header.checksum.get() == checksum(&bytes)))
}

fn newer(file: &dyn FileIo, one: Header, two: Header) -> Result<CurrentHeader> {
    let (first, second) = (one.sequence_number.get(), two.sequence_number.get());
    if first == second && one.as_bytes() != two.as_bytes() {
        return Err(Error::damaged(file.name(), "its two headers differ but carry the same sequence number"));
    }
    let slot = usize::from(second > first);
    Ok(CurrentHeader { header: if slot == 0 { one } else { two }, slot })
}
