//! The GUID partition table (UEFI specification 5.3).
//!
//! The primary table is used when its two checksums are right; otherwise the backup, which is looked for where
//! the primary says, at the end of the disk, and where the protecting MBR entry ends (a disk that has grown since).
//! A table counts in sectors, and an image may be read with other sectors than it was written for, so both sizes
//! are tried.

use std::mem::size_of;

use uuid::Uuid;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::mbr::Protective;
use super::types::gpt_type;
use super::{DiskTable, Partition, TableKind, read_bytes};
use crate::crc::crc32;
use crate::number::index;
use crate::source::Source;

/// Bytes of the array of entries at most: 128 entries of 128 bytes are usual, this is 16 times as much.
const ENTRIES_BYTES_MAX: u64 = 256 << 10;

/// UEFI 5.3.2, table 5-5.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    signature: [u8; 8],
    revision: U32,
    header_bytes: U32,
    header_crc: U32,
    reserved: U32,
    my_sector: U64,
    alternate_sector: U64,
    first_usable: U64,
    last_usable: U64,
    disk_guid: [u8; 16],
    entries_sector: U64,
    entry_count: U32,
    entry_bytes: U32,
    entries_crc: U32,
}
const _: () = assert!(size_of::<RawHeader>() == 92);

/// UEFI 5.3.3, table 5-6.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEntry {
    type_guid: [u8; 16],
    guid: [u8; 16],
    first_sector: U64,
    last_sector: U64,
    attributes: U64,
    name: [U16; 36],
}
const _: () = assert!(size_of::<RawEntry>() == 128);

/// A header whose checksums are right, with its entries.
struct Gpt {
    header: RawHeader,
    entries: Vec<u8>,
    sector: u64,
}

/// Adds what the GPT of a disk says, if there is one.
pub(crate) fn read(disk: &dyn Source, protective: Option<Protective>, table: &mut DiskTable) {
    let own = u64::from(disk.logical_sector());
    let other = if own == 4096 { 512 } else { 4096 };
    let found = [own, other].into_iter().find_map(|sector| find(disk, sector, protective, table));
    match found {
        Some(gpt) => {
            if gpt.sector != own {
                table.notes.push(format!(
                    "The partition table was written for sectors of {} bytes; the disk has {own}.",
                    gpt.sector
                ));
            }
            gpt.fill(table);
        }
        None if protective.is_some() => {
            table
                .notes
                .push("The disk is marked as GPT, but neither its table nor the backup is valid.".into());
        }
        None => {}
    }
}

/// The valid table for this sector size.
fn find(
    disk: &dyn Source,
    sector: u64,
    protective: Option<Protective>,
    table: &mut DiskTable,
) -> Option<Gpt> {
    let last = (disk.len() / sector).checked_sub(1)?;
    let primary = Gpt::read(disk, sector, 1);
    let hint = match &primary {
        Ok(gpt) => Some(gpt.header.alternate_sector.get()),
        Err(bad) => bad.alternate,
    };
    if let Ok(primary) = primary {
        note_backup(disk, &primary, last, table);
        return Some(primary);
    }
    let end_of_protection = protective.map(|entry| entry.last_sector);
    let places = [hint, Some(last), end_of_protection];
    let backup = places.into_iter().flatten().find_map(|at| Gpt::read(disk, sector, at).ok())?;
    table.notes.push("The partition table at the start of the disk is damaged; its backup is used.".into());
    Some(backup)
}

fn note_backup(disk: &dyn Source, primary: &Gpt, last: u64, table: &mut DiskTable) {
    let at = primary.header.alternate_sector.get();
    match Gpt::read(disk, primary.sector, at) {
        Ok(backup) if backup.entries != primary.entries => {
            table.notes.push("The partition table and its backup differ; the first one is used.".into());
        }
        Ok(_) if at < last => table
            .notes
            .push("The disk has grown: the backup of its partition table is not at its end.".into()),
        Ok(_) => {}
        Err(_) => table.notes.push("The backup of the partition table is damaged or missing.".into()),
    }
}

/// A header that is not valid.
struct BadHeader {
    /// Where it says that the other one is, if it looks like a header at all.
    alternate: Option<u64>,
}

impl Gpt {
    fn read(disk: &dyn Source, sector: u64, at: u64) -> Result<Self, BadHeader> {
        const NOTHING: BadHeader = BadHeader { alternate: None };
        let offset = at.checked_mul(sector).filter(|_| at > 0).ok_or(NOTHING)?;
        let block = read_bytes(disk, offset, index(sector)).map_err(|_| NOTHING)?;
        let (header, _) = RawHeader::read_from_prefix(&block).map_err(|_| NOTHING)?;
        if &header.signature != b"EFI PART" {
            return Err(NOTHING);
        }
        let bad = || BadHeader { alternate: Some(header.alternate_sector.get()) };
        if !header_is_right(&header, &block) || header.my_sector.get() != at {
            return Err(bad());
        }
        let entries = read_entries(disk, &header, sector).ok_or_else(bad)?;
        Ok(Self { header, entries, sector })
    }

    fn fill(&self, table: &mut DiskTable) {
        table.kind = TableKind::Gpt;
        table.sector_bytes = if self.sector == 4096 { 4096 } else { 512 };
        table.id = Uuid::from_bytes_le(self.header.disk_guid).to_string().to_uppercase();
        let entry_bytes = index(u64::from(self.header.entry_bytes.get()));
        for (number, bytes) in (1..).zip(self.entries.chunks_exact(entry_bytes)) {
            let Ok((entry, _)) = RawEntry::read_from_prefix(bytes) else { continue };
            if entry.type_guid == [0; 16] {
                continue;
            }
            match entry.to_partition(number, self.sector) {
                Some(partition) => table.partitions.push(partition),
                None => {
                    table.notes.push(format!("Partition {number} has an impossible place and is left out."));
                }
            }
        }
    }
}

fn header_is_right(header: &RawHeader, block: &[u8]) -> bool {
    let length = index(u64::from(header.header_bytes.get()));
    let Some(checked) = block.get(..length).filter(|_| length >= size_of::<RawHeader>()) else {
        return false;
    };
    let mut checked = checked.to_vec();
    checked[16..20].fill(0);
    crc32(&checked) == header.header_crc.get()
}

/// The array of entries, when it has a sane size and the right checksum.
fn read_entries(disk: &dyn Source, header: &RawHeader, sector: u64) -> Option<Vec<u8>> {
    let (count, each) = (u64::from(header.entry_count.get()), u64::from(header.entry_bytes.get()));
    let length = count.checked_mul(each).filter(|&length| length <= ENTRIES_BYTES_MAX)?;
    if each < 128 || each % 8 != 0 {
        return None;
    }
    let offset = header.entries_sector.get().checked_mul(sector)?;
    let entries = read_bytes(disk, offset, index(length)).ok()?;
    (crc32(&entries) == header.entries_crc.get()).then_some(entries)
}

impl RawEntry {
    /// `None` when it ends before it starts, or beyond any disk.
    fn to_partition(&self, number: u32, sector: u64) -> Option<Partition> {
        let (first, last) = (self.first_sector.get(), self.last_sector.get());
        let sectors = last.checked_sub(first)?.checked_add(1)?;
        let start = first.checked_mul(sector)?;
        let length = sectors.checked_mul(sector)?;
        start.checked_add(length)?;
        let type_guid = Uuid::from_bytes_le(self.type_guid);
        let (type_name, role) = gpt_type(type_guid);
        let units = self.name.iter().map(|unit| unit.get()).take_while(|&unit| unit != 0);
        let name = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Some(Partition {
            number,
            start,
            length,
            type_name: type_name.to_owned(),
            type_id: type_guid.to_string().to_uppercase(),
            name,
            id: Some(Uuid::from_bytes_le(self.guid)),
            role,
        })
    }
}
