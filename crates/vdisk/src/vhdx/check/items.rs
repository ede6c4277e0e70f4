//! Rules of the metadata region: its table, the items, and what they say (MS-VHDX 2.6).

use std::collections::BTreeMap;

use uuid::Uuid;
use zerocopy::FromBytes;
use zerocopy::little_endian::{U32, U64};

use crate::check::{Findings, Rule, vhdx_rules as rules};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;
use crate::parent::ParentLocator;
use crate::range::ByteRange;
use crate::vhdx::format::{
    BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, CAPACITY_MAX, FileParameters, HAS_PARENT, ITEM_BYTES_MAX,
    ITEM_IS_REQUIRED, ITEM_IS_USER, ITEM_IS_VIRTUAL_DISK, LEAVE_BLOCKS_ALLOCATED, MetadataEntry,
    MetadataTableHeader, TABLE_BYTES, TABLE_ENTRIES_MAX, guid,
};
use crate::vhdx::metadata::Geometry;

/// Items of the specification: id, name, length (0: varies), marks as Windows writes them.
const KNOWN: &[(Uuid, &str, u32, u32)] = &[
    (guid::FILE_PARAMETERS, "file parameters", 8, ITEM_IS_REQUIRED),
    (guid::VIRTUAL_DISK_SIZE, "disk size", 8, ITEM_IS_REQUIRED | ITEM_IS_VIRTUAL_DISK),
    (guid::VIRTUAL_DISK_ID, "disk id", 16, ITEM_IS_REQUIRED | ITEM_IS_VIRTUAL_DISK),
    (guid::LOGICAL_SECTOR, "logical sector size", 4, ITEM_IS_REQUIRED | ITEM_IS_VIRTUAL_DISK),
    (guid::PHYSICAL_SECTOR, "physical sector size", 4, ITEM_IS_REQUIRED | ITEM_IS_VIRTUAL_DISK),
    (guid::PARENT_LOCATOR, "parent locator", 0, ITEM_IS_REQUIRED),
];

/// Bytes of the known items that could be read.
type Items = BTreeMap<Uuid, Vec<u8>>;

/// Checks the region; returns the shape of the disk if all of it is sound.
pub(super) fn check(
    file: &dyn FileIo,
    region: ByteRange,
    findings: &mut Findings,
) -> Result<Option<Geometry>> {
    let mut table = vec![0; TABLE_BYTES];
    file.read_at(region.start, &mut table)
        .map_err(|error| Error::io(file.name(), "read the metadata of", error))?;
    let Ok((header, mut rest)) = MetadataTableHeader::read_from_prefix(&table) else { return Ok(None) };
    let object = "metadata table";
    if header.signature != *b"metadata" {
        let found = format!("it begins with {}", header.signature.escape_ascii());
        findings.add(&rules::METADATA_SIGNATURE, object, found);
        return Ok(None);
    }
    let count = usize::from(header.entry_count.get());
    if count > TABLE_ENTRIES_MAX {
        findings.add(&rules::METADATA_COUNT, object, format!("it says {count}"));
        return Ok(None);
    }
    let mut entries = Vec::new();
    while entries.len() < count
        && let Ok((entry, after)) = MetadataEntry::read_from_prefix(rest)
    {
        entries.push(entry);
        rest = after;
    }
    check_overlap(&entries, region, findings);
    let items = read_items(file, region, &entries, findings)?;
    Ok(check_items(&items, findings))
}

fn place(entry: &MetadataEntry) -> ByteRange {
    ByteRange::at(entry.offset.get().into(), entry.length.get().into())
}

fn is_placed(entry: &MetadataEntry, region: ByteRange) -> bool {
    let place = place(entry);
    place.start >= TABLE_BYTES as u64
        && !place.is_empty()
        && place.end <= region.len()
        && entry.length.get() <= ITEM_BYTES_MAX
}

fn check_overlap(entries: &[MetadataEntry], region: ByteRange, findings: &mut Findings) {
    let mut places: Vec<_> = entries.iter().filter(|entry| is_placed(entry, region)).map(place).collect();
    places.sort_unstable();
    for pair in places.windows(2).filter(|pair| pair[0].end > pair[1].start) {
        let found = format!("two items share the bytes at {}", pair[1].start);
        findings.add(&rules::ITEM_OVERLAP, "metadata table", found);
    }
}

fn read_items(
    file: &dyn FileIo,
    region: ByteRange,
    entries: &[MetadataEntry],
    findings: &mut Findings,
) -> Result<Items> {
    let mut items = Items::new();
    let mut ids = std::collections::BTreeSet::new();
    for entry in entries {
        let (id, flags) = (Uuid::from(entry.item_id), entry.flags.get());
        let known = KNOWN.iter().find(|(known, ..)| *known == id && flags & ITEM_IS_USER == 0);
        let name = known.map_or_else(|| format!("item {id}"), |(_, name, ..)| (*name).to_owned());
        let new = ids.insert((id, flags & ITEM_IS_USER));
        findings.expect(new, &rules::ITEM_DUPLICATE, &name, "it is named twice");
        let length = entry.length.get();
        let is_empty = length == 0 && entry.offset.get() == 0;
        if !is_empty && !is_placed(entry, region) {
            findings.add(&rules::ITEM_PLACE, &name, format!("{length} bytes at {}", entry.offset));
            continue;
        }
        let Some((_, _, expected, marks)) = known else {
            check_unknown(id, flags, length, &name, findings);
            continue;
        };
        findings.expect(flags & 7 == *marks, &rules::ITEM_FLAGS, &name, format!("they are {flags:#x}"));
        if length == 0 || (*expected != 0 && length != *expected) {
            findings.add(&rules::ITEM_LENGTH, &name, format!("{length} bytes"));
        } else if new {
            let mut bytes = vec![0; index(length.into())];
            file.read_at(region.start + place(entry).start, &mut bytes)
                .map_err(|error| Error::io(file.name(), "read the metadata of", error))?;
            items.insert(id, bytes);
        }
    }
    Ok(items)
}

/// Items that are not of the specification.
fn check_unknown(id: Uuid, flags: u32, length: u32, name: &str, findings: &mut Findings) {
    if flags & ITEM_IS_USER != 0 {
        let required = flags & ITEM_IS_REQUIRED != 0;
        findings.expect(!required, &rules::ITEM_USER_REQUIRED, name, "it is");
        findings.add(&rules::ITEM_UNKNOWN, name, format!("{length} bytes of a user"));
        return;
    }
    match id {
        guid::INCOMPLETE => findings.add(&rules::ITEM_INCOMPLETE, name, "it does"),
        guid::CHS | guid::PMEM_LABELS => {}
        _ if flags & ITEM_IS_REQUIRED != 0 => {
            findings.add(&rules::ITEM_UNKNOWN_REQUIRED, name, "it is required");
        }
        _ => findings.add(&rules::ITEM_UNKNOWN, name, format!("{length} bytes")),
    }
}

fn fixed<T: FromBytes>(items: &Items, id: Uuid) -> Option<T> {
    T::read_from_bytes(items.get(&id)?).ok()
}

/// Checks what the items say. Every rule is checked as far as its item is there.
fn check_items(items: &Items, findings: &mut Findings) -> Option<Geometry> {
    let parameters: Option<FileParameters> = fixed(items, guid::FILE_PARAMETERS);
    let has_parent = parameters.as_ref().is_some_and(|parameters| parameters.flags.get() & HAS_PARENT != 0);
    for (id, name, ..) in KNOWN {
        let needed = *id != guid::PARENT_LOCATOR || has_parent;
        let there = items.contains_key(id);
        findings.expect(there || !needed, &rules::ITEM_MISSING, name, "it is not there");
    }
    let capacity = fixed::<U64>(items, guid::VIRTUAL_DISK_SIZE).map(U64::get);
    let logical = sector(items, guid::LOGICAL_SECTOR, &rules::LOGICAL_SECTOR, findings);
    let physical = sector(items, guid::PHYSICAL_SECTOR, &rules::PHYSICAL_SECTOR, findings);
    let block = parameters.as_ref().and_then(|parameters| check_parameters(parameters, findings));
    if let Some(capacity) = capacity {
        let whole = capacity.is_multiple_of(u64::from(logical.unwrap_or(512)));
        let fits = capacity > 0 && capacity <= CAPACITY_MAX && whole;
        findings.expect(fits, &rules::DISK_SIZE, "disk size", format!("it is {capacity} bytes"));
    }
    check_locator(items, has_parent, findings);
    let geometry = Geometry {
        capacity: capacity?,
        block_bytes: block?,
        logical_sector: logical?,
        physical_sector: physical?,
        has_parent,
        leave_blocks_allocated: parameters?.flags.get() & LEAVE_BLOCKS_ALLOCATED != 0 && !has_parent,
    };
    geometry.check().is_ok().then_some(geometry)
}

fn sector(items: &Items, id: Uuid, rule: &'static Rule, findings: &mut Findings) -> Option<u32> {
    let bytes = fixed::<U32>(items, id)?.get();
    let allowed = bytes == 512 || bytes == 4096;
    findings.expect(allowed, rule, "metadata", format!("it is {bytes}"));
    allowed.then_some(bytes)
}

fn check_parameters(parameters: &FileParameters, findings: &mut Findings) -> Option<u32> {
    let (block, flags) = (parameters.block_size.get(), parameters.flags.get());
    let unknown = flags & !(LEAVE_BLOCKS_ALLOCATED | HAS_PARENT);
    findings.expect(unknown == 0, &rules::PARAMETER_FLAGS, "file parameters", format!("{flags:#x}"));
    let allowed = block.is_power_of_two() && (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&block);
    findings.expect(allowed, &rules::BLOCK_SIZE, "file parameters", format!("it is {block}"));
    allowed.then_some(block)
}

fn check_locator(items: &Items, has_parent: bool, findings: &mut Findings) {
    let object = "parent locator";
    let Some(bytes) = items.get(&guid::PARENT_LOCATOR) else { return };
    if !has_parent {
        findings.add(&rules::LOCATOR_ORPHAN, object, "there is one");
        return;
    }
    match ParentLocator::parse(bytes) {
        Ok(locator) => {
            findings.expect(locator.first_path().is_some(), &rules::LOCATOR_PATH, object, "it has none");
            if let Some(second) = locator.linkage2 {
                findings.add(&rules::LOCATOR_LINKAGE2, object, format!("a second one is {second}"));
            }
        }
        Err(why) => findings.add(&rules::LOCATOR, object, why),
    }
}
