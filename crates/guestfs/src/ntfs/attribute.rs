//! The attributes of a record: everything NTFS knows of a file is one.
//!
//! An attribute is resident (its value stands in the record) or not (its value lies in data runs).
//! All offsets and lengths are checked against the record here, so that the rest of this folder
//! handles slices only. Source: Microsoft's ATTRIBUTE_RECORD_HEADER and the linux-ntfs
//! documentation (Attributes).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::fault::{Fault, Outcome, part, view};

/// Type codes of the attributes that this crate reads.
pub(super) mod code {
    /// $STANDARD_INFORMATION: times and attributes.
    pub(in super::super) const STANDARD_INFORMATION: u32 = 0x10;
    /// $ATTRIBUTE_LIST: where the attributes are that did not fit into the base record.
    pub(in super::super) const ATTRIBUTE_LIST: u32 = 0x20;
    /// $FILE_NAME: one name of the file.
    pub(in super::super) const FILE_NAME: u32 = 0x30;
    /// $VOLUME_NAME: the label.
    pub(in super::super) const VOLUME_NAME: u32 = 0x60;
    /// $VOLUME_INFORMATION: version and dirty flag.
    pub(in super::super) const VOLUME_INFORMATION: u32 = 0x70;
    /// $DATA: a stream.
    pub(in super::super) const DATA: u32 = 0x80;
    /// $INDEX_ROOT: the top node of an index.
    pub(in super::super) const INDEX_ROOT: u32 = 0x90;
    /// $INDEX_ALLOCATION: the other nodes.
    pub(in super::super) const INDEX_ALLOCATION: u32 = 0xA0;
    /// $BITMAP: which of them are in use.
    pub(in super::super) const BITMAP: u32 = 0xB0;
    /// $REPARSE_POINT: a tag and what belongs to it.
    pub(in super::super) const REPARSE_POINT: u32 = 0xC0;
    /// After the last attribute.
    pub(in super::super) const END: u32 = 0xFFFF_FFFF;
}

/// Bits of an attribute's flags.
pub(super) mod flag {
    /// Any kind of compression; 1 is LZNT1.
    pub(in super::super) const COMPRESSION_MASK: u16 = 0x00FF;
    /// Encrypted by EFS.
    pub(in super::super) const ENCRYPTED: u16 = 0x4000;
}

/// What both forms begin with.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    code: U32,
    length: U32,
    non_resident: u8,
    name_units: u8,
    name_offset: U16,
    flags: U16,
    instance: U16,
}
const _: () = assert!(size_of::<Header>() == 16);

/// What follows in a resident attribute.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ResidentPart {
    value_length: U32,
    value_offset: U16,
    indexed: u8,
    reserved: u8,
}
const _: () = assert!(size_of::<ResidentPart>() == 8);

/// What follows in a non-resident attribute.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct NonResidentPart {
    lowest_vcn: U64,
    highest_vcn: U64,
    runs_offset: U16,
    compression_unit: u8,
    reserved: [u8; 5],
    allocated: U64,
    size: U64,
    initialized: U64,
}
const _: () = assert!(size_of::<NonResidentPart>() == 48);

/// One attribute, or one extent of one.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    /// Type code.
    pub code: u32,
    /// Name as UTF-16LE; empty for the unnamed one.
    pub name: &'a [u8],
    /// See [`flag`].
    pub flags: u16,
    /// Number that tells attributes of one record apart.
    pub instance: u16,
    /// Its value, or where that lies.
    pub form: Form<'a>,
}

/// Where the value is.
#[derive(Debug)]
pub(super) enum Form<'a> {
    /// In the record.
    Resident(&'a [u8]),
    /// In clusters.
    NonResident(Extent<'a>),
}

/// The clusters that one non-resident attribute covers.
#[derive(Debug)]
pub(super) struct Extent<'a> {
    /// First cluster, counted in the stream.
    pub lowest_vcn: u64,
    /// One past the last cluster.
    pub end_vcn: u64,
    /// Clusters of a compression unit as a power of two; 0 for none.
    pub compression_unit: u8,
    /// Bytes of all clusters that the stream covers; valid in the first extent, like the next two.
    pub allocated: u64,
    /// Bytes of the stream.
    pub size: u64,
    /// Bytes that were ever written; the rest reads as zeros.
    pub initialized: u64,
    /// The run list.
    pub runs: &'a [u8],
}

/// The attributes that stand in `record` from `offset` on.
pub(super) fn parse_all(record: &[u8], mut offset: usize) -> Outcome<Vec<Attribute<'_>>> {
    let mut found = Vec::with_capacity(6);
    loop {
        let next: &U32 = view(record, offset, "the attribute table")?;
        if next.get() == code::END {
            return Ok(found);
        }
        let header: &Header = view(record, offset, "an attribute")?;
        let length = header.length.get() as usize;
        if !length.is_multiple_of(8) || length < size_of::<Header>() + size_of::<ResidentPart>() {
            return Err(Fault::damaged(format!(
                "the attribute {:#x} has a length of {length}",
                header.code.get()
            )));
        }
        let whole = part(record, offset, length, "an attribute")?;
        found.push(parse(header, whole)?);
        offset += length;
    }
}

/// One attribute; `whole` is all of its bytes.
fn parse<'a>(header: &Header, whole: &'a [u8]) -> Outcome<Attribute<'a>> {
    let name_bytes = usize::from(header.name_units) * 2;
    let name = match name_bytes {
        0 => &[],
        _ => part(whole, usize::from(header.name_offset.get()), name_bytes, "an attribute's name")?,
    };
    let form = match header.non_resident {
        0 => Form::Resident(resident(whole)?),
        1 => Form::NonResident(non_resident(whole)?),
        other => return Err(Fault::damaged(format!("an attribute has the form {other}"))),
    };
    Ok(Attribute {
        code: header.code.get(),
        name,
        flags: header.flags.get(),
        instance: header.instance.get(),
        form,
    })
}

/// The value of a resident attribute.
fn resident(whole: &[u8]) -> Outcome<&[u8]> {
    let form: &ResidentPart = view(whole, size_of::<Header>(), "a resident attribute")?;
    let (offset, length) = (usize::from(form.value_offset.get()), form.value_length.get() as usize);
    part(whole, offset, length, "the value of a resident attribute")
}

/// The extent of a non-resident attribute.
fn non_resident(whole: &[u8]) -> Outcome<Extent<'_>> {
    let form: &NonResidentPart = view(whole, size_of::<Header>(), "a non-resident attribute")?;
    let lowest_vcn = form.lowest_vcn.get();
    // An empty stream ends at cluster -1.
    let end_vcn = form.highest_vcn.get().wrapping_add(1);
    if end_vcn < lowest_vcn || end_vcn > i64::MAX as u64 {
        return Err(Fault::damaged(format!(
            "an attribute covers clusters {lowest_vcn} to {:#x}",
            form.highest_vcn.get()
        )));
    }
    let runs = whole
        .get(usize::from(form.runs_offset.get())..)
        .filter(|_| usize::from(form.runs_offset.get()) >= size_of::<Header>() + size_of::<NonResidentPart>())
        .ok_or_else(|| Fault::damaged("the run list lies outside its attribute"))?;
    Ok(Extent {
        lowest_vcn,
        end_vcn,
        compression_unit: form.compression_unit,
        allocated: form.allocated.get(),
        size: form.size.get(),
        initialized: form.initialized.get(),
        runs,
    })
}
