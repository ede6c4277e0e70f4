//! The region table: where BAT and metadata lie (MS-VHDX 2.2.3).
//!
//! Two copies exist; the first valid one counts. Unknown optional regions are kept, reported and
//! never allocated over, since users' files may show regions that nobody has described. A region
//! that is unknown and required means that the file cannot be read rightly, so it is refused.

use uuid::Uuid;
use zerocopy::FromBytes;

use super::format::{
    HEADER_SECTION_BYTES, REGION_REQUIRED, REGION_TABLE_OFFSETS, RegionEntry, RegionTableHeader, TABLE_BYTES,
    TABLE_ENTRIES_MAX, checksum, guid,
};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::MIB;
use crate::range::ByteRange;

/// One region of the file.
#[derive(Debug, Clone)]
pub(super) struct Region {
    pub id: Uuid,
    pub range: ByteRange,
}

/// All regions of the file, with the two that must exist.
#[derive(Debug, Clone)]
pub(super) struct Regions {
    pub bat: ByteRange,
    pub metadata: ByteRange,
    /// Regions this version does not know; optional ones only.
    pub unknown: Vec<Region>,
}

impl Regions {
    /// Reads and checks the first valid table.
    pub(super) fn read(file: &dyn FileIo) -> Result<Self> {
        let entries = valid_entries(&valid_table(file)?).unwrap_or_default();
        Self::from_entries(file, &entries)
    }

    fn from_entries(file: &dyn FileIo, entries: &[RegionEntry]) -> Result<Self> {
        let length = file.len().map_err(|error| Error::io(file.name(), "read the length of", error))?;
        let (mut bat, mut metadata, mut unknown) = (None, None, Vec::new());
        for entry in entries {
            let id = Uuid::from(entry.guid);
            let range = placed(file.name(), entry, length)?;
            let place = match id {
                guid::REGION_BAT => &mut bat,
                guid::REGION_METADATA => &mut metadata,
                _ if entry.flags.get() & REGION_REQUIRED != 0 => {
                    return Err(Error::unsupported(file.name(), format!("the required region {id}")));
                }
                _ => {
                    unknown.push(Region { id, range });
                    continue;
                }
            };
            if place.replace(range).is_some() {
                return Err(Error::damaged(file.name(), format!("its region table names {id} twice")));
            }
        }
        let missing = |what| Error::damaged(file.name(), format!("its region table names no {what}"));
        Ok(Self {
            bat: bat.ok_or_else(|| missing("block allocation table"))?,
            metadata: metadata.ok_or_else(|| missing("metadata"))?,
            unknown,
        })
    }

    /// Every region with its name for error texts.
    pub(super) fn all(&self) -> impl Iterator<Item = (ByteRange, &'static str)> + '_ {
        let known = [(self.bat, "block allocation table"), (self.metadata, "metadata region")];
        known.into_iter().chain(self.unknown.iter().map(|region| (region.range, "unknown region")))
    }
}

/// The bytes of the first valid table.
pub(super) fn valid_table(file: &dyn FileIo) -> Result<Vec<u8>> {
    let mut table = vec![0; TABLE_BYTES];
    for offset in REGION_TABLE_OFFSETS {
        file.read_at(offset, &mut table)
            .map_err(|error| Error::io(file.name(), "read the region table of", error))?;
        if valid_entries(&table).is_some() {
            return Ok(table);
        }
    }
    Err(Error::damaged(file.name(), "neither of its two region tables is valid"))
}

fn valid_entries(table: &[u8]) -> Option<Vec<RegionEntry>> {
    let (header, mut rest) = RegionTableHeader::read_from_prefix(table).ok()?;
    let count = usize::try_from(header.entry_count.get()).ok()?;
    let valid = header.signature == *b"regi" && header.checksum.get() == checksum(table);
    if !valid || count > TABLE_ENTRIES_MAX {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (entry, after) = RegionEntry::read_from_prefix(rest).ok()?;
        entries.push(entry);
        rest = after;
    }
    Some(entries)
}

fn placed(name: &str, entry: &RegionEntry, file_length: u64) -> Result<ByteRange> {
    let (offset, length) = (entry.file_offset.get(), u64::from(entry.length.get()));
    let aligned = offset.is_multiple_of(MIB) && length.is_multiple_of(MIB) && length > 0;
    let end = offset.checked_add(length);
    match end {
        Some(end) if aligned && offset >= HEADER_SECTION_BYTES => {
            if end > file_length {
                let what = format!("the region {}", Uuid::from(entry.guid));
                return Err(Error::Truncated {
                    file: name.to_owned(),
                    what,
                    needed: end,
                    length: file_length,
                });
            }
            Ok(ByteRange::new(offset, end))
        }
        _ => {
            let what = format!("the region {} is at {offset} with {length} bytes", Uuid::from(entry.guid));
            Err(Error::damaged(name, what))
        }
    }
}
