//! Rules of the two region tables (MS-VHDX 2.2.3).

use uuid::Uuid;
use zerocopy::FromBytes;

use super::{Part, length_of};
use crate::check::{Findings, vhdx_rules as rules};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::MIB;
use crate::range::ByteRange;
use crate::vhdx::format::{
    HEADER_SECTION_BYTES, REGION_REQUIRED, REGION_TABLE_OFFSETS, RegionEntry, RegionTableHeader, TABLE_BYTES,
    TABLE_ENTRIES_MAX, checksum, guid,
};

/// What the table in use names.
#[derive(Debug, Default)]
pub(super) struct Regions {
    pub bat: Option<ByteRange>,
    pub metadata: Option<ByteRange>,
    /// Every region that has a place.
    pub parts: Vec<Part>,
}

/// Checks both tables and the regions that the one in use names.
pub(super) fn check(file: &dyn FileIo, findings: &mut Findings) -> Result<Option<Regions>> {
    let mut valid = Vec::new();
    for (number, offset) in (1..).zip(REGION_TABLE_OFFSETS) {
        let mut table = vec![0; TABLE_BYTES];
        file.read_at(offset, &mut table)
            .map_err(|error| Error::io(file.name(), "read the region table of", error))?;
        if let Some(entries) = check_table(&table, number, findings) {
            valid.push((table, entries));
        }
    }
    if let [(one, _), (two, _)] = valid.as_slice() {
        findings.expect(one == two, &rules::REGION_DIFFER, "region tables", "both are valid and differ");
    }
    let Some((_, entries)) = valid.into_iter().next() else {
        findings.add(&rules::REGION_NONE, "region tables", "neither is valid");
        return Ok(None);
    };
    Ok(Some(check_entries(&entries, length_of(file)?, findings)))
}

fn check_table(table: &[u8], number: u32, findings: &mut Findings) -> Option<Vec<RegionEntry>> {
    let (header, mut rest) = RegionTableHeader::read_from_prefix(table).ok()?;
    let object = format!("region table {number}");
    if header.signature != *b"regi" {
        let found = format!("it begins with {}", header.signature.escape_ascii());
        findings.add(&rules::REGION_SIGNATURE, object, found);
        return None;
    }
    let (noted, computed) = (header.checksum.get(), checksum(table));
    if noted != computed {
        let found = format!("it is {noted:#010x}, the bytes have {computed:#010x}");
        findings.add(&rules::REGION_CHECKSUM, object, found);
        return None;
    }
    let count = header.entry_count.get();
    if usize::try_from(count).map_or(true, |count| count > TABLE_ENTRIES_MAX) {
        findings.add(&rules::REGION_COUNT, object, format!("it says {count}"));
        return None;
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        let (entry, after) = RegionEntry::read_from_prefix(rest).ok()?;
        entries.push(entry);
        rest = after;
    }
    Some(entries)
}

fn check_entries(entries: &[RegionEntry], length: u64, findings: &mut Findings) -> Regions {
    let mut regions = Regions::default();
    let mut ids = std::collections::BTreeSet::new();
    for entry in entries {
        let id = Uuid::from(entry.guid);
        let required = entry.flags.get() & REGION_REQUIRED != 0;
        let name = match id {
            guid::REGION_BAT => "block allocation table".to_owned(),
            guid::REGION_METADATA => "metadata region".to_owned(),
            other => format!("region {other}"),
        };
        findings.expect(ids.insert(id), &rules::REGION_DUPLICATE, &name, "it is named twice");
        let range = check_place(entry, &name, length, findings);
        match id {
            guid::REGION_BAT => regions.bat = regions.bat.or(range),
            guid::REGION_METADATA => regions.metadata = regions.metadata.or(range),
            _ if required => findings.add(&rules::REGION_UNKNOWN_REQUIRED, &name, "it is required"),
            _ => findings.add(&rules::REGION_UNKNOWN, &name, format!("{} bytes", entry.length)),
        }
        if matches!(id, guid::REGION_BAT | guid::REGION_METADATA) {
            findings.expect(required, &rules::REGION_REQUIRED_FLAG, &name, "the mark is not set");
        }
        regions.parts.extend(range.map(|range| Part { range, name }));
    }
    for (id, what) in
        [(guid::REGION_BAT, "block allocation table"), (guid::REGION_METADATA, "metadata region")]
    {
        findings.expect(ids.contains(&id), &rules::REGION_MISSING, what, "no entry names it");
    }
    regions
}

/// The region's place, if it is one that can be read.
fn check_place(entry: &RegionEntry, name: &str, length: u64, findings: &mut Findings) -> Option<ByteRange> {
    let (offset, bytes) = (entry.file_offset.get(), u64::from(entry.length.get()));
    let aligned = offset.is_multiple_of(MIB) && bytes.is_multiple_of(MIB) && bytes > 0;
    let end = offset.checked_add(bytes).filter(|_| aligned && offset >= HEADER_SECTION_BYTES);
    let Some(end) = end else {
        findings.add(&rules::REGION_PLACE, name, format!("{bytes} bytes at {offset}"));
        return None;
    };
    if end > length {
        findings.add(&rules::REGION_BOUNDS, name, format!("it ends at {end} of {length} bytes"));
        return None;
    }
    Some(ByteRange::new(offset, end))
}
