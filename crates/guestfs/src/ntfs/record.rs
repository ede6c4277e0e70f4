//! A record of the $MFT: one file, or a part of one.
//!
//! A record is used only when its signature, its update sequence and its own number are right: a
//! half-written or misplaced record is an error, never an old answer. Records are named by a
//! reference that holds the number and a sequence count, so that a name left behind by a deleted
//! file does not lead to its successor. Source: Microsoft's FILE_RECORD_SEGMENT_HEADER and
//! MFT_SEGMENT_REFERENCE, linux-ntfs documentation (FILE Record).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::attribute::{Attribute, parse_all};
use super::fault::{Fault, Outcome, view};
use super::fixup;

/// Bits of a reference that are the record number.
const NUMBER_MASK: u64 = (1 << 48) - 1;
/// Flag of a record: it describes something.
const IN_USE: u16 = 1;
/// Flag of a record: its index of names makes it a folder.
const FOLDER: u16 = 2;
/// Records made by Windows XP and later hold their own number, before the update sequence array.
const NUMBERED_HEADER_BYTES: u16 = 48;

/// What a record begins with.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    signature: [u8; 4],
    fixup_offset: U16,
    fixup_count: U16,
    log_sequence: U64,
    sequence: U16,
    links: U16,
    attributes_offset: U16,
    flags: U16,
    used_bytes: U32,
    allocated_bytes: U32,
    base: U64,
    next_instance: U16,
    reserved: U16,
    number: U32,
}
const _: () = assert!(size_of::<Header>() == 48);

/// A record number with its sequence count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Reference(pub u64);

impl Reference {
    /// Number of the record.
    pub(super) const fn number(self) -> u64 {
        self.0 & NUMBER_MASK
    }

    /// How often the record was in use, modulo 2^16; 0 for "any".
    pub(super) const fn sequence(self) -> u64 {
        self.0 >> 48
    }
}

/// A checked record.
#[derive(Debug)]
pub(super) struct Record {
    /// Its number and sequence count.
    pub reference: Reference,
    /// The base record when this one only extends another; zero otherwise.
    pub base: Reference,
    flags: u16,
    attributes_offset: usize,
    bytes: Vec<u8>,
}

impl Record {
    /// Checks the bytes of record `number`.
    pub(super) fn parse(mut bytes: Vec<u8>, number: u64) -> Outcome<Self> {
        let place = || format!("record {number} of the $MFT");
        fixup::restore(&mut bytes, *b"FILE").map_err(|fault| fault.inside(&place()))?;
        let header: &Header = view(&bytes, 0, "a record's header")?;
        let numbered = header.fixup_offset.get() >= NUMBERED_HEADER_BYTES;
        if numbered && u64::from(header.number.get()) != number & u64::from(u32::MAX) {
            return Err(Fault::damaged(format!(
                "{} says that it is record {}",
                place(),
                header.number.get()
            )));
        }
        let used = header.used_bytes.get() as usize;
        let attributes_offset = usize::from(header.attributes_offset.get());
        if used > bytes.len() || attributes_offset > used || !attributes_offset.is_multiple_of(8) {
            return Err(Fault::damaged(format!("{} says that {used} bytes of it are in use", place())));
        }
        let reference = Reference(number | u64::from(header.sequence.get()) << 48);
        let (base, flags) = (Reference(header.base.get()), header.flags.get());
        bytes.truncate(used);
        Ok(Self { reference, base, flags, attributes_offset, bytes })
    }

    /// Whether it describes something.
    pub(super) const fn in_use(&self) -> bool {
        self.flags & IN_USE != 0
    }

    /// Whether it is a folder.
    pub(super) const fn is_folder(&self) -> bool {
        self.flags & FOLDER != 0
    }

    /// Its attributes, in the order of their codes.
    pub(super) fn attributes(&self) -> Outcome<Vec<Attribute<'_>>> {
        parse_all(&self.bytes, self.attributes_offset)
            .map_err(|fault| fault.inside(&format!("record {} of the $MFT", self.reference.number())))
    }
}
