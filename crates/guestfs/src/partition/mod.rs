//! Partition tables: MBR with logical partitions, and GPT.
//!
//! Our own parsers rather than a crate's, since the disk is a guest's: every count is bounded, a damaged table
//! leads to its backup or to a plain sentence, and a table written for the other sector size is still found.

pub(crate) mod gpt;
pub(crate) mod mbr;
mod types;

pub(crate) use types::LDM_METADATA;

use std::fmt;

use uuid::Uuid;

use crate::content::Content;
use crate::detect::detect;
use crate::error::{Error, Result};
use crate::number::bytes;
use crate::source::Source;

/// How one disk is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskTable {
    /// Name of the disk's file.
    pub name: String,
    /// Bytes of the disk.
    pub size: u64,
    /// Bytes of a sector, by which the table counts.
    pub sector_bytes: u32,
    /// Kind of table.
    pub kind: TableKind,
    /// Identity of the disk in its table: the GUID of GPT, the signature of MBR in hexadecimal; empty without.
    pub id: String,
    /// The partitions in the order of their numbers.
    pub partitions: Vec<Partition>,
    /// What the operator should know about the table, as sentences.
    pub notes: Vec<String>,
}

/// Kind of a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// No table: a file system, a swap area or a volume manager has the whole disk, or nothing is on it.
    None,
    /// Master boot record.
    Mbr,
    /// GUID partition table.
    Gpt,
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Mbr => "MBR",
            Self::Gpt => "GPT",
        })
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number as Linux gives it: the slot of the table, from 5 on for logical partitions.
    pub number: u32,
    /// First byte on the disk.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// The type in the field's words.
    pub type_name: String,
    /// The type as the table keeps it: `07`, or a GUID in upper case.
    pub type_id: String,
    /// Name given by GPT; empty without.
    pub name: String,
    /// Unique GUID given by GPT.
    pub id: Option<Uuid>,
    /// What the type says about the content.
    pub role: Role,
}

/// What the type of a partition says about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A volume of its own.
    Volume,
    /// The space of logical partitions.
    Extended,
    /// This content, whatever its bytes look like.
    Holds(Content),
}

impl DiskTable {
    /// A disk without a table.
    pub(crate) fn empty(disk: &dyn Source) -> Self {
        Self {
            name: disk.name().to_owned(),
            size: disk.len(),
            sector_bytes: disk.logical_sector(),
            kind: TableKind::None,
            id: String::new(),
            partitions: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Notes what is odd about the places of partitions.
    fn check_places(&mut self) {
        let mut ends: Vec<(u64, u64, u32)> = self
            .partitions
            .iter()
            .filter(|partition| partition.role != Role::Extended)
            .map(|partition| (partition.start, partition.end(), partition.number))
            .collect();
        ends.sort_unstable();
        for pair in ends.windows(2) {
            if pair[1].0 < pair[0].1 {
                self.notes.push(format!("Partitions {} and {} overlap.", pair[0].2, pair[1].2));
            }
        }
        for (_, end, number) in ends {
            if end > self.size {
                self.notes.push(format!("Partition {number} reaches beyond the end of the disk."));
            }
        }
    }
}

impl Partition {
    /// One past its last byte, at the largest offset at most.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }
}

/// Reads the partition table of a disk.
pub(crate) fn read(disk: &dyn Source) -> Result<DiskTable> {
    let mut table = DiskTable::empty(disk);
    if disk.len() < 512 {
        return Ok(table);
    }
    let record =
        mbr::Record::read(disk).map_err(|error| Error::io(disk.name(), "the first sector", error))?;
    let content = detect(disk).map_or(Content::Unreadable, |found| found.content);
    if BOOT_SECTORS.contains(&content) {
        return Ok(table);
    }
    let protective = record.as_ref().and_then(mbr::Record::protective);
    let entries = record.as_ref().filter(|record| record.has_partitions());
    // Systems use a GPT only where the MBR says so; without an MBR, it is better than nothing.
    if protective.is_some() || (entries.is_none() && matches!(content, Content::Empty | Content::Unknown)) {
        gpt::read(disk, protective, &mut table);
    }
    match (entries, table.kind) {
        (Some(record), TableKind::None) => record.read_partitions(disk, &mut table),
        (Some(_), _) => {
            table.notes.push("The disk also has MBR partitions (a hybrid table); the GPT is used.".into());
        }
        (None, _) => {}
    }
    table.check_places();
    Ok(table)
}

/// What begins with a boot sector that ends like an MBR.
const BOOT_SECTORS: [Content; 5] =
    [Content::Ntfs, Content::Fat, Content::ExFat, Content::Refs, Content::BitLocker];

/// Reads `count` bytes at `offset`.
pub(crate) fn read_bytes(source: &dyn Source, offset: u64, count: usize) -> std::io::Result<Vec<u8>> {
    // Checked before memory is taken.
    if offset.checked_add(bytes(count)).is_none_or(|end| end > source.len()) {
        return Err(crate::source::beyond_end(source.name(), offset, bytes(count), source.len()));
    }
    let mut buf = vec![0; count];
    source.read_at(offset, &mut buf)?;
    Ok(buf)
}
