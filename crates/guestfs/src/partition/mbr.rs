//! The master boot record and the chain of logical partitions.
//!
//! There is no specification; the layout is that of the UEFI specification 5.2.1, the chain as Windows and Linux
//! walk it: each link names one logical partition relative to itself, and the next link relative to the start of
//! the extended partition. A chain of a hostile disk may loop, so links are counted.

use std::collections::HashSet;
use std::io;
use std::mem::size_of;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::types::mbr_type;
use super::{DiskTable, Partition, Role, TableKind, read_bytes};
use crate::source::Source;

/// Logical partitions of one disk at most. Windows makes fewer than 128, Linux names fewer than 256.
const LOGICAL_MAX: usize = 256;

/// Type of the entry that protects a GPT disk.
const PROTECTIVE: u8 = 0xee;

/// Types of extended partitions: by cylinder and head, by sector number, and that of Linux.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// UEFI 5.2.1, table 5-1; a link of the chain has the same layout.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawRecord {
    code: [u8; 440],
    disk_signature: U32,
    reserved: [u8; 2],
    entries: [RawEntry; 4],
    signature: [u8; 2],
}
const _: () = assert!(size_of::<RawRecord>() == 512);

/// UEFI 5.2.1, table 5-2.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEntry {
    status: u8,
    first_chs: [u8; 3],
    kind: u8,
    last_chs: [u8; 3],
    first_sector: U32,
    sectors: U32,
}
const _: () = assert!(size_of::<RawEntry>() == 16);

/// The first sector of a disk, when it ends as an MBR does.
#[derive(Debug, Clone)]
pub(crate) struct Record(RawRecord);

/// The entry that protects a GPT disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protective {
    /// Its last sector, in the disk's own count.
    pub(crate) last_sector: u64,
}

impl RawEntry {
    fn is_used(&self) -> bool {
        self.kind != 0 && self.sectors.get() != 0
    }

    fn is_extended(&self) -> bool {
        EXTENDED.contains(&self.kind)
    }
}

impl Record {
    /// Reads the first 512 bytes; `None` when they are no MBR.
    pub(crate) fn read(disk: &dyn Source) -> io::Result<Option<Self>> {
        Ok(read_record(disk, 0)?.map(Self))
    }

    /// Whether there is at least one partition besides the protection of a GPT, and every entry is one that systems accept.
    pub(crate) fn has_partitions(&self) -> bool {
        let entries = &self.0.entries;
        entries.iter().all(|entry| matches!(entry.status, 0 | 0x80)) && self.has_more_than_protection()
    }

    fn has_more_than_protection(&self) -> bool {
        self.0.entries.iter().any(|entry| entry.is_used() && entry.kind != PROTECTIVE)
    }

    /// The protecting entry.
    pub(crate) fn protective(&self) -> Option<Protective> {
        let entry = self.0.entries.iter().find(|entry| entry.kind == PROTECTIVE)?;
        let last_sector = u64::from(entry.first_sector.get()) + u64::from(entry.sectors.get());
        Some(Protective { last_sector: last_sector.saturating_sub(1) })
    }

    /// Adds the partitions to the table, primary ones first.
    pub(crate) fn read_partitions(&self, disk: &dyn Source, table: &mut DiskTable) {
        table.kind = TableKind::Mbr;
        table.id = format!("{:08X}", self.0.disk_signature.get());
        let sector = u64::from(table.sector_bytes);
        for (number, entry) in (1..).zip(&self.0.entries) {
            if entry.is_used() && entry.kind != PROTECTIVE {
                table.partitions.push(partition(number, entry, 0, sector));
            }
        }
        let extended: Vec<u64> = self
            .0
            .entries
            .iter()
            .filter(|entry| entry.is_used() && entry.is_extended())
            .map(|entry| u64::from(entry.first_sector.get()))
            .collect();
        let mut seen = HashSet::new();
        for base in extended {
            read_chain(disk, base, &mut seen, table);
        }
    }
}

/// The record at a sector; `None` when it has not the signature of one.
fn read_record(disk: &dyn Source, offset: u64) -> io::Result<Option<RawRecord>> {
    let sector = read_bytes(disk, offset, 512)?;
    let record = RawRecord::read_from_bytes(&sector).ok();
    Ok(record.filter(|record| record.signature == [0x55, 0xaa]))
}

fn partition(number: u32, entry: &RawEntry, base: u64, sector: u64) -> Partition {
    let (type_name, role) = mbr_type(entry.kind);
    Partition {
        number,
        // 32-bit counts of sectors of 4096 bytes at most stay far below 64 bits.
        start: (base + u64::from(entry.first_sector.get())) * sector,
        length: u64::from(entry.sectors.get()) * sector,
        type_name: type_name.to_owned(),
        type_id: format!("{:02X}", entry.kind),
        name: String::new(),
        id: None,
        role: if entry.is_extended() { Role::Extended } else { role },
    }
}

/// Follows the links of one extended partition.
fn read_chain(disk: &dyn Source, base: u64, seen: &mut HashSet<u64>, table: &mut DiskTable) {
    let sector = u64::from(table.sector_bytes);
    let mut link = base;
    loop {
        if seen.len() >= LOGICAL_MAX || !seen.insert(link) {
            table.notes.push("The chain of logical partitions runs in a circle or is too long.".into());
            return;
        }
        let record = match read_record(disk, link * sector) {
            Ok(Some(record)) => record,
            Ok(None) if link == base => return,
            Ok(None) => {
                table.notes.push("The chain of logical partitions breaks off.".into());
                return;
            }
            Err(error) => {
                table.notes.push(format!("The chain of logical partitions cannot be read on: {error}."));
                return;
            }
        };
        for entry in record.entries.iter().filter(|entry| entry.is_used() && !entry.is_extended()) {
            let number = next_logical(table);
            table.partitions.push(partition(number, entry, link, sector));
        }
        let next = record.entries.iter().find(|entry| entry.is_used() && entry.is_extended());
        match next {
            Some(next) => link = base + u64::from(next.first_sector.get()),
            None => return,
        }
    }
}

fn next_logical(table: &DiskTable) -> u32 {
    table.partitions.iter().map(|partition| partition.number).max().unwrap_or(0).max(4) + 1
}
