//! $FILE_NAME: a name, and what the folder's index repeats of the file; and how names are ordered.
//!
//! A file has one such attribute for each of its names, and the index of the folder holds a copy as
//! its key. Names are ordered by their upper case as the volume's own table $UpCase gives it, and
//! among equals by the units themselves. Source: Microsoft's FILE_NAME structure, linux-ntfs
//! documentation ($FILE_NAME, $UpCase).

use std::cmp::Ordering;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::fault::{Fault, Outcome, part, view};
use super::record::Reference;

/// Units that $UpCase maps: all that there are.
const UNITS: usize = 1 << 16;
/// Bytes of $UpCase.
pub(super) const UPCASE_BYTES: u64 = 2 << 16;
/// `FILE_ATTRIBUTE_REPARSE_POINT` ([MS-FSCC] 2.6).
pub(super) const ATTRIBUTE_REPARSE: u32 = 0x400;
/// Bit that a $FILE_NAME has for folders.
const ATTRIBUTE_FOLDER: u32 = 0x1000_0000;
/// Namespace of short names that stand beside a long one.
const DOS_ONLY: u8 = 2;

/// What stands before the name.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    parent: U64,
    created: U64,
    modified: U64,
    changed: U64,
    accessed: U64,
    allocated: U64,
    size: U64,
    attributes: U32,
    reparse_tag: U32,
    name_units: u8,
    namespace: u8,
}
const _: () = assert!(size_of::<Header>() == 66);

/// One name of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileName<'a> {
    /// The folder it is in.
    pub parent: Reference,
    /// `FILE_ATTRIBUTE_*`, as the index repeats them.
    pub attributes: u32,
    /// Whether it is a short name that stands beside a long one.
    pub dos_only: bool,
    /// The name as UTF-16LE.
    pub name: &'a [u8],
}

impl<'a> FileName<'a> {
    /// Reads the value of a $FILE_NAME or the key of an index entry.
    pub(super) fn parse(bytes: &'a [u8]) -> Outcome<Self> {
        let header: &Header = view(bytes, 0, "a file name")?;
        let name = part(bytes, size_of::<Header>(), usize::from(header.name_units) * 2, "a file name")?;
        if name.is_empty() || header.namespace > 3 {
            return Err(Fault::damaged("a file name is empty or of an unknown kind"));
        }
        Ok(Self {
            parent: Reference(header.parent.get()),
            attributes: header.attributes.get(),
            dos_only: header.namespace == DOS_ONLY,
            name,
        })
    }

    /// Whether it names a folder.
    pub(super) const fn is_folder(&self) -> bool {
        self.attributes & ATTRIBUTE_FOLDER != 0
    }

    /// Whether it names a reparse point.
    pub(super) const fn is_reparse(&self) -> bool {
        self.attributes & ATTRIBUTE_REPARSE != 0
    }
}

/// The units of a name.
pub(super) fn units(name: &[u8]) -> impl Iterator<Item = u16> + '_ {
    name.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair))
}

/// The volume's table of upper-case units.
pub(super) struct UpCase(Vec<u16>);

impl UpCase {
    /// Reads the content of $UpCase.
    pub(super) fn parse(table: &[u8]) -> Outcome<Self> {
        let table: Vec<u16> = units(table).collect();
        match table.len() {
            UNITS => Ok(Self(table)),
            _ => Err(Fault::damaged(format!("$UpCase maps {} units", table.len()))),
        }
    }

    /// A unit's upper case.
    fn upper(&self, unit: u16) -> u16 {
        self.0.get(usize::from(unit)).copied().unwrap_or(unit)
    }

    /// Whether two names are one when case does not matter.
    pub(super) fn same(&self, left: &[u16], right: &[u16]) -> bool {
        self.folded(left, right) == Ordering::Equal
    }

    /// The order of names in an index.
    pub(super) fn order(&self, left: &[u16], right: &[u16]) -> Ordering {
        self.folded(left, right).then_with(|| left.cmp(right))
    }

    /// The order of names by their upper case.
    fn folded(&self, left: &[u16], right: &[u16]) -> Ordering {
        left.iter().map(|unit| self.upper(*unit)).cmp(right.iter().map(|unit| self.upper(*unit)))
    }
}
