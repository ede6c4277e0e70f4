//! Folders of FAT with their long names, and folders of exFAT with their sets of entries.
//!
//! A long name of FAT stands before its entry, last piece first, each with a sum of the short name; a name whose sum or
//! order is wrong is left over from another system and the short name counts. A set of exFAT carries a sum over
//! all of its entries; a wrong one is damage.

use zerocopy::FromBytes;

use super::format::{
    ATTRIBUTE_LABEL, ATTRIBUTES_LONG, EXFAT_BITMAP, EXFAT_FILE, EXFAT_LABEL, EXFAT_NAME, EXFAT_STREAM,
    ExFatFile, ExFatStream, FatEntry, LongEntry,
};
use super::node::Node;
use super::table::Chain;
use crate::name::Name;
use crate::tree::{Entry, FileExtent, NodeId, NodeKind};

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = 32;
/// Units of a name in a piece of FAT, and in one of exFAT.
const LONG_UNITS: usize = 13;
const NAME_UNITS: usize = 15;

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub entries: Vec<Entry>,
    pub label: String,
    /// The bitmap of exFAT.
    pub bitmap: Option<Chain>,
}

/// Place on the volume of a byte of the folder.
fn place(extents: &[FileExtent], offset: usize) -> Option<u64> {
    let offset = offset as u64;
    let after = extents.partition_point(|extent| extent.file_offset <= offset);
    let extent = extents.get(after.checked_sub(1)?)?;
    Some(extent.volume_offset + (offset - extent.file_offset))
}

/// Reads a folder of FAT; `None` when an entry is none.
pub(super) fn fat(content: &[u8], extents: &[FileExtent]) -> Option<Found> {
    let (mut found, mut long) = (Found::default(), LongName::default());
    for (number, raw) in content.chunks_exact(ENTRY_BYTES).enumerate() {
        let entry = FatEntry::read_from_bytes(raw).ok()?;
        match entry.name[0] {
            0 => break,
            0xE5 => long = LongName::default(),
            _ if entry.attributes & 0x3F == ATTRIBUTES_LONG => {
                long.add(&LongEntry::read_from_bytes(raw).ok()?);
            }
            _ if entry.attributes & ATTRIBUTE_LABEL != 0 => {
                found.label = String::from_utf8_lossy(&entry.name).trim_end().to_owned();
                long = LongName::default();
            }
            _ => {
                let name = std::mem::take(&mut long).take(&entry.name).unwrap_or_else(|| short_name(&entry));
                if !(name.is(".") || name.is("..")) {
                    let kind = Node::of_fat(&entry)?.kind;
                    found.entries.push(Entry {
                        name,
                        node: NodeId(place(extents, number * ENTRY_BYTES)?),
                        kind,
                    });
                }
            }
        }
    }
    Some(found)
}

/// A long name being put together from its end.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    /// Piece that has to come next, and the sum of the short name.
    next: u8,
    sum: u8,
}

impl LongName {
    fn add(&mut self, entry: &LongEntry) {
        let order = entry.order & 0x3F;
        if entry.order & 0x40 != 0 {
            *self = Self { units: Vec::new(), next: order, sum: entry.checksum };
        }
        if order == 0 || order > 20 || order != self.next || entry.checksum != self.sum {
            *self = Self::default();
            return;
        }
        let raw = [&entry.first[..], &entry.second, &entry.third].concat();
        let piece: Vec<u16> = raw.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        debug_assert_eq!(piece.len(), LONG_UNITS);
        let end = piece.iter().position(|unit| *unit == 0).unwrap_or(piece.len());
        self.units.splice(0..0, piece[..end].iter().copied());
        self.next = order - 1;
    }

    /// The name, when it is whole and belongs to this short name.
    fn take(self, short: &[u8; 11]) -> Option<Name> {
        let sum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        (self.next == 0 && self.sum == sum && !self.units.is_empty()).then_some(Name::Wide(self.units))
    }
}

/// Eight and three characters; two bits tell which of them Windows shows in lower case.
fn short_name(entry: &FatEntry) -> Name {
    let part = |bytes: &[u8], lower: bool| {
        let end = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        if lower { bytes[..end].to_ascii_lowercase() } else { bytes[..end].to_vec() }
    };
    let mut base = part(&entry.name[..8], entry.case & 0x08 != 0);
    if base.first() == Some(&0x05) {
        base[0] = 0xE5;
    }
    let extension = part(&entry.name[8..], entry.case & 0x10 != 0);
    if !extension.is_empty() {
        base.push(b'.');
        base.extend_from_slice(&extension);
    }
    Name::Bytes(base)
}

/// Reads a folder of exFAT; `None` when a set is none or its sum is wrong.
pub(super) fn exfat(content: &[u8], extents: &[FileExtent], contiguous: bool) -> Option<Found> {
    let mut found = Found::default();
    let mut offset = 0;
    while let Some(raw) = content.get(offset..offset + ENTRY_BYTES) {
        let mut length = ENTRY_BYTES;
        match raw[0] {
            0 => break,
            EXFAT_FILE => {
                length = ENTRY_BYTES * (1 + usize::from(raw[1]));
                let set = content.get(offset..offset + length)?;
                let node = NodeId(place(extents, offset)? | u64::from(contiguous));
                found.entries.push(exfat_entry(set, node)?);
            }
            EXFAT_LABEL => {
                let units: Vec<u16> =
                    raw[2..24].as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
                found.label = String::from_utf16_lossy(units.get(..usize::from(raw[1]))?);
            }
            EXFAT_BITMAP if raw[1] & 1 == 0 => {
                let stream = ExFatStream::read_from_bytes(raw).ok()?;
                let (first, bytes) = (stream.first_cluster.get(), Some(stream.bytes.get()));
                found.bitmap = Some(Chain { first, contiguous: false, bytes });
            }
            _ => {}
        }
        offset += length;
    }
    Some(found)
}

fn exfat_entry(set: &[u8], node: NodeId) -> Option<Entry> {
    let (file, rest) = ExFatFile::read_from_prefix(set).ok()?;
    let (stream, names) = ExFatStream::read_from_prefix(rest).ok()?;
    let sum = set.iter().enumerate().filter(|(place, _)| !matches!(place, 2 | 3));
    let sum = sum.fold(0_u16, |sum, (_, byte)| sum.rotate_right(1).wrapping_add(u16::from(*byte)));
    let length = usize::from(stream.name_length);
    let pieces = names.chunks_exact(ENTRY_BYTES).take(length.div_ceil(NAME_UNITS));
    let fits = pieces.clone().all(|piece| piece[0] == EXFAT_NAME)
        && pieces.len() * NAME_UNITS >= length
        && stream.kind == EXFAT_STREAM
        && sum == file.checksum.get()
        && length > 0;
    let units =
        pieces.flat_map(|piece| piece[2..].as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit)));
    let kind: NodeKind = Node::of_exfat(&file, &stream).kind;
    fits.then(|| Entry { name: Name::Wide(units.take(length).collect()), node, kind })
}
