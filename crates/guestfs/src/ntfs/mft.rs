//! The $MFT: the table of all records.
//!
//! Its first record describes the table itself and is found by the boot sector; when that record is
//! unreadable, the copy in $MFTMirr serves, and the tree's condition says so. A long table's extents
//! stand in records of the table, which are reached through the extents known so far. Source:
//! linux-ntfs documentation ($MFT, $MFTMirr).

use std::sync::atomic::{AtomicBool, Ordering};

use super::attribute::{Attribute, Form, code};
use super::attribute_list::{self, LIST_BYTES_MAX, ListEntry};
use super::fault::{Fault, Outcome};
use super::medium::{Medium, PieceCache};
use super::record::{Record, Reference};
use super::stream::{Builder, Stream};
use crate::number::{bytes, index};

/// Records that $MFTMirr holds at least.
const MIRRORED_RECORDS: u64 = 4;

/// The table of all records.
pub(super) struct Mft {
    /// The volume it lies on.
    pub medium: Medium,
    table: Stream,
    cache: PieceCache,
    mirror_used: AtomicBool,
}

impl Mft {
    /// Finds the table.
    pub(super) fn open(medium: Medium) -> Outcome<Self> {
        let (first, mirrored) = first_record(&medium)?;
        let attributes = first.attributes()?;
        let (attribute, extent) = attributes
            .iter()
            .find_map(|attribute| match &attribute.form {
                Form::NonResident(extent) if is_table(attribute) && extent.lowest_vcn == 0 => {
                    Some((attribute, extent))
                }
                _ => None,
            })
            .ok_or_else(|| Fault::damaged("the $MFT has no $DATA"))?;
        let mut builder = Builder::new(attribute, extent, &medium)?;
        let mut mft = Self {
            table: builder.so_far(&medium),
            medium,
            cache: PieceCache::default(),
            mirror_used: AtomicBool::new(mirrored),
        };
        if let Some(list) = attributes.iter().find(|attribute| attribute.code == code::ATTRIBUTE_LIST) {
            mft.add_extents(list, &mut builder)?;
        }
        mft.table = builder.finish(&mft.medium).map_err(|fault| fault.inside("the $MFT"))?;
        mft.cache = PieceCache::default();
        Ok(mft)
    }

    /// Collects the extents that stand in other records, each reachable by those before it.
    fn add_extents(&mut self, list: &Attribute<'_>, builder: &mut Builder) -> Outcome<()> {
        let list = Stream::single(list, &self.medium)?.read_all(
            &self.medium,
            LIST_BYTES_MAX,
            "an attribute list",
        )?;
        for entry in attribute_list::parse(&list)? {
            if entry.code != code::DATA || !entry.name.is_empty() || entry.lowest_vcn == 0 {
                continue;
            }
            let record = self.load(entry.record)?;
            let attributes = record.attributes()?;
            let extent = find_extent(&attributes, &entry)?;
            builder.add(extent, &self.medium)?;
            self.table = builder.so_far(&self.medium);
            self.cache = PieceCache::default();
        }
        Ok(())
    }

    /// Number of records that the table has room for.
    pub(super) fn records(&self) -> u64 {
        self.table.size / self.medium.geometry.record_bytes
    }

    /// Whether a record had to be taken from $MFTMirr.
    pub(super) fn mirror_used(&self) -> bool {
        self.mirror_used.load(Ordering::Relaxed)
    }

    /// The record of a reference, which must be in use and have that sequence count.
    pub(super) fn load(&self, reference: Reference) -> Outcome<Record> {
        let record = self.load_number(reference.number())?;
        let sequence = reference.sequence();
        if !record.in_use() || sequence != 0 && sequence != record.reference.sequence() {
            return Err(Fault::damaged(format!(
                "record {} of the $MFT was given to another file since it was named",
                reference.number()
            )));
        }
        Ok(record)
    }

    /// A record by its number.
    pub(super) fn load_number(&self, number: u64) -> Outcome<Record> {
        match self.read(number).and_then(|bytes| Record::parse(bytes, number)) {
            Err(Fault::Damaged(_)) if number < MIRRORED_RECORDS => {
                let record = mirrored(&self.medium, number)?;
                self.mirror_used.store(true, Ordering::Relaxed);
                Ok(record)
            }
            other => other,
        }
    }

    /// The bytes of a record.
    fn read(&self, number: u64) -> Outcome<Vec<u8>> {
        let size = self.medium.geometry.record_bytes;
        let mut record = vec![0; index(size)];
        let offset = number.checked_mul(size).filter(|_| number < self.records());
        let offset =
            offset.ok_or_else(|| Fault::damaged(format!("record {number} lies outside the $MFT")))?;
        match bytes(self.cache.read(&self.medium, &self.table, offset, &mut record)?) {
            count if count == size => Ok(record),
            _ => Err(Fault::damaged(format!("record {number} is cut short"))),
        }
    }
}

/// Whether an attribute is the table itself.
fn is_table(attribute: &Attribute<'_>) -> bool {
    attribute.code == code::DATA && attribute.name.is_empty()
}

/// The extent that a list entry names.
pub(super) fn find_extent<'a, 'b>(
    attributes: &'a [Attribute<'b>],
    entry: &ListEntry,
) -> Outcome<&'a super::attribute::Extent<'b>> {
    match &find(attributes, entry)?.form {
        Form::NonResident(extent) if extent.lowest_vcn == entry.lowest_vcn => Ok(extent),
        _ => Err(Fault::damaged("an attribute list names an extent that is not there")),
    }
}

/// The attribute that a list entry names.
pub(super) fn find<'a, 'b>(attributes: &'a [Attribute<'b>], entry: &ListEntry) -> Outcome<&'a Attribute<'b>> {
    attributes
        .iter()
        .find(|held| held.code == entry.code && held.instance == entry.instance && held.name == entry.name)
        .ok_or_else(|| {
            Fault::damaged(format!(
                "an attribute list names an attribute {:#x} that record {} does not have",
                entry.code,
                entry.record.number()
            ))
        })
}

/// Record 0, from its place or from the mirror; and whether it was the mirror.
fn first_record(medium: &Medium) -> Outcome<(Record, bool)> {
    let mut record = vec![0; index(medium.geometry.record_bytes)];
    medium.read_cluster(medium.geometry.mft_cluster, 0, &mut record)?;
    match Record::parse(record, 0) {
        Err(Fault::Damaged(what)) => {
            mirrored(medium, 0).map(|found| (found, true)).map_err(|fault| match fault {
                Fault::Damaged(_) => Fault::Damaged(what),
                other => other,
            })
        }
        other => Ok((other?, false)),
    }
}

/// A record of $MFTMirr.
fn mirrored(medium: &Medium, number: u64) -> Outcome<Record> {
    let geometry = &medium.geometry;
    if geometry.mirror_cluster == 0 || geometry.mirror_cluster >= geometry.clusters {
        return Err(Fault::damaged("the boot sector places $MFTMirr outside the volume"));
    }
    let mut record = vec![0; index(geometry.record_bytes)];
    medium.read_cluster(geometry.mirror_cluster, number * geometry.record_bytes, &mut record)?;
    Record::parse(record, number).map_err(|fault| fault.inside("$MFTMirr"))
}
