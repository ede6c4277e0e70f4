//! $ATTRIBUTE_LIST: where the attributes are that did not fit into a file's base record.
//!
//! The list names each attribute, or each extent of a long one, with the record that holds it. It
//! names the base record's own attributes too. Records it leads to are never asked for lists of
//! their own, so a list cannot lead in a circle. Source: Microsoft's ATTRIBUTE_LIST_ENTRY and the
//! linux-ntfs documentation.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::fault::{Fault, Outcome, part, view};
use super::record::Reference;

/// Longest list that Windows writes.
pub(super) const LIST_BYTES_MAX: u64 = 256 << 10;

/// One entry; the name follows.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    code: U32,
    length: U16,
    name_units: u8,
    name_offset: u8,
    lowest_vcn: U64,
    record: U64,
    instance: U16,
}
const _: () = assert!(size_of::<Header>() == 26);

/// Where one attribute, or one extent of it, stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListEntry {
    /// Type code.
    pub code: u32,
    /// Name as UTF-16LE.
    pub name: Vec<u8>,
    /// First cluster that the extent covers.
    pub lowest_vcn: u64,
    /// The record that holds it.
    pub record: Reference,
    /// Its number in that record.
    pub instance: u16,
}

/// All entries of a list.
pub(super) fn parse(list: &[u8]) -> Outcome<Vec<ListEntry>> {
    let mut entries = Vec::new();
    let mut offset = 0;
    // Up to seven bytes may follow the last entry for alignment.
    while list.len() - offset >= size_of::<Header>() {
        let header: &Header = view(list, offset, "an entry of an attribute list")?;
        let length = usize::from(header.length.get());
        if length < size_of::<Header>() || !length.is_multiple_of(8) {
            return Err(Fault::damaged(format!("an entry of an attribute list has a length of {length}")));
        }
        let whole = part(list, offset, length, "an entry of an attribute list")?;
        let name_bytes = usize::from(header.name_units) * 2;
        entries.push(ListEntry {
            code: header.code.get(),
            name: part(whole, usize::from(header.name_offset), name_bytes, "a name in an attribute list")?
                .to_vec(),
            lowest_vcn: header.lowest_vcn.get(),
            record: Reference(header.record.get()),
            instance: header.instance.get(),
        });
        offset += length;
    }
    Ok(entries)
}
