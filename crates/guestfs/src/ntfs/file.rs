//! A file: its base record, and the records that extend it.
//!
//! The rest of the folder asks a file for the value or the stream of an attribute and does not see
//! whether it stands in the base record or in ten others. Extension records must name this file as
//! their base, so that a stale list cannot bring in another file's data.

use super::attribute::{Attribute, Form, code};
use super::attribute_list::{self, LIST_BYTES_MAX, ListEntry};
use super::fault::{Fault, Outcome};
use super::mft::{self, Mft};
use super::record::{Record, Reference};
use super::stream::{Builder, Stream};

/// Longest value of an attribute that is taken into memory as a whole: file names, reparse points
/// and volume information are far shorter.
const VALUE_BYTES_MAX: u64 = 64 << 10;

/// A file with all of its attributes in reach.
pub(super) struct File<'m> {
    mft: &'m Mft,
    record: Record,
    list: Option<Vec<ListEntry>>,
}

impl<'m> File<'m> {
    /// The file of a reference.
    pub(super) fn open(mft: &'m Mft, reference: Reference) -> Outcome<Self> {
        Self::from_record(mft, mft.load(reference)?)
    }

    /// The file of a record number, whatever its sequence count is.
    pub(super) fn open_number(mft: &'m Mft, number: u64) -> Outcome<Self> {
        Self::open(mft, Reference(number))
    }

    /// The file of a base record.
    fn from_record(mft: &'m Mft, record: Record) -> Outcome<Self> {
        if record.base.0 != 0 {
            return Err(Fault::damaged(format!(
                "record {} of the $MFT is only a part of a file",
                record.reference.number()
            )));
        }
        let list = record
            .attributes()?
            .iter()
            .find(|attribute| attribute.code == code::ATTRIBUTE_LIST)
            .map(|attribute| {
                let stream = Stream::single(attribute, &mft.medium)?;
                attribute_list::parse(&stream.read_all(&mft.medium, LIST_BYTES_MAX, "an attribute list")?)
            })
            .transpose()
            .map_err(|fault| fault.inside(&place(&record)))?;
        Ok(Self { mft, record, list })
    }

    /// Its number and sequence count.
    pub(super) const fn reference(&self) -> Reference {
        self.record.reference
    }

    /// Whether it is a folder.
    pub(super) const fn is_folder(&self) -> bool {
        self.record.is_folder()
    }

    /// Calls `each` for every attribute, or first extent of one, of a type.
    pub(super) fn for_each(
        &self,
        code: u32,
        mut each: impl FnMut(&Attribute<'_>) -> Outcome<()>,
    ) -> Outcome<()> {
        let Some(list) = &self.list else {
            return self.record.attributes()?.iter().filter(|held| held.code == code).try_for_each(each);
        };
        for entry in list.iter().filter(|entry| entry.code == code && entry.lowest_vcn == 0) {
            self.with_record(entry, |record| each(mft::find(&record.attributes()?, entry)?))?;
        }
        Ok(())
    }

    /// The whole value of the unnamed attribute of a type.
    pub(super) fn value(&self, code: u32) -> Outcome<Option<Vec<u8>>> {
        let stream = self.stream(code, &[])?;
        stream
            .map(|stream| stream.read_all(&self.mft.medium, VALUE_BYTES_MAX, "an attribute's value"))
            .transpose()
    }

    /// The stream of the attribute of that type and name (UTF-16LE). Two of them are damage: which one counts, nobody
    /// can tell.
    pub(super) fn stream(&self, code: u32, name: &[u8]) -> Outcome<Option<Stream>> {
        let found = match &self.list {
            None => self.own_stream(code, name),
            Some(list) => {
                let mut entries: Vec<_> =
                    list.iter().filter(|entry| entry.code == code && entry.name == name).collect();
                entries.sort_by_key(|entry| entry.lowest_vcn);
                self.listed_stream(&entries)
            }
        };
        found.map_err(|fault| fault.inside(&place(&self.record)))
    }

    /// The stream of an attribute in the base record, without further extents.
    fn own_stream(&self, code: u32, name: &[u8]) -> Outcome<Option<Stream>> {
        let attributes = self.record.attributes()?;
        let mut found = attributes.iter().filter(|held| held.code == code && held.name == name);
        match (found.next(), found.next()) {
            (Some(only), None) => Stream::single(only, &self.mft.medium).map(Some),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(twice()),
        }
    }

    /// The stream of an attribute whose extents a list names.
    fn listed_stream(&self, entries: &[&ListEntry]) -> Outcome<Option<Stream>> {
        let Some((first, more)) = entries.split_first() else { return Ok(None) };
        if more.iter().any(|entry| entry.lowest_vcn == 0) {
            return Err(twice());
        }
        let medium = &self.mft.medium;
        let mut builder = None;
        let mut resident = None;
        self.with_record(first, |record| {
            let attributes = record.attributes()?;
            let attribute = mft::find(&attributes, first)?;
            match &attribute.form {
                Form::Resident(value) => resident = Some(Stream::resident(value, attribute.flags)),
                Form::NonResident(extent) => builder = Some(Builder::new(attribute, extent, medium)?),
            }
            Ok(())
        })?;
        let Some(mut builder) = builder else { return Ok(resident) };
        for entry in more {
            self.with_record(entry, |record| {
                builder.add(mft::find_extent(&record.attributes()?, entry)?, medium)
            })?;
        }
        builder.finish(medium).map(Some)
    }

    /// Calls `then` with the record that an entry of this file's list names.
    fn with_record(&self, entry: &ListEntry, then: impl FnOnce(&Record) -> Outcome<()>) -> Outcome<()> {
        if entry.record.number() == self.record.reference.number() {
            return then(&self.record);
        }
        let record = self.mft.load(entry.record)?;
        if record.base != self.record.reference {
            return Err(Fault::damaged(format!(
                "record {} of the $MFT does not belong to record {}",
                entry.record.number(),
                self.record.reference.number()
            )));
        }
        then(&record)
    }
}

/// Two attributes where only one can be.
pub(super) fn twice() -> Fault {
    Fault::damaged("two attributes have one type and name")
}

/// How a fault names the file.
fn place(record: &Record) -> String {
    format!("record {} of the $MFT", record.reference.number())
}
