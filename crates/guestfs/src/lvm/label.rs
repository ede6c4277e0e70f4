//! What LVM writes on a physical volume: the label, the header, and the metadata areas with their text.
//!
//! The layouts are those of LVM2's `lib/format_text/layout.h` and `lib/label/label.h`, as its documentation and
//! the libvslvm format page describe them. Checksums are the CRC-32 of Ethernet from another start, without the
//! final exclusive or.

use std::mem::size_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::text::Section;
use crate::crc::crc32_raw;
use crate::number::{bytes, index};
use crate::partition::read_bytes;
use crate::source::Source;

/// Start of LVM's checksums.
const CRC_START: u32 = 0xf597_a6cf;

/// A sector, in LVM always of 512 bytes.
pub(crate) const SECTOR: u64 = 512;

/// Text of one volume group at most. LVM makes areas of 1 MiB, of which a text takes less than half; parsed, a
/// hostile text takes about thirty times its length.
const TEXT_BYTES_MAX: u64 = 2 << 20;

/// Areas of one physical volume at most; LVM makes one or two.
const AREAS_MAX: usize = 4;

/// `struct label_header`.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawLabel {
    id: [u8; 8],
    sector: U64,
    crc: U32,
    offset: U32,
    kind: [u8; 8],
}
const _: () = assert!(size_of::<RawLabel>() == 32);

/// `struct pv_header`, before its lists.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawPhysicalVolume {
    uuid: [u8; 32],
    device_bytes: U64,
}
const _: () = assert!(size_of::<RawPhysicalVolume>() == 40);

/// `struct disk_locn`.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawArea {
    offset: U64,
    bytes: U64,
}
const _: () = assert!(size_of::<RawArea>() == 16);

/// `struct mda_header`, with its first slot, which names the committed text.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawAreaHeader {
    crc: U32,
    magic: [u8; 16],
    version: U32,
    start: U64,
    bytes: U64,
    text: RawText,
}
const _: () = assert!(size_of::<RawAreaHeader>() == 64);

/// `struct raw_locn`.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawText {
    offset: U64,
    bytes: U64,
    crc: U32,
    flags: U32,
}
const _: () = assert!(size_of::<RawText>() == 24);

/// A text is not to be used: another area has it (`RAW_LOCN_IGNORED`).
const IGNORED: u32 = 1;

/// A physical volume as it describes itself.
pub(crate) struct Label {
    /// Its UUID without dashes.
    pub(crate) uuid: String,
    /// The texts of its areas that are valid.
    pub(crate) texts: Vec<Section>,
    /// What is wrong with its areas.
    pub(crate) faults: Vec<String>,
}

/// Reads the label; the error completes "… is damaged:".
pub(crate) fn read(source: &dyn Source) -> Result<Label, String> {
    let head = read_bytes(source, 0, 4 * 512).map_err(|error| error.to_string())?;
    let (sector, header) = head
        .chunks_exact(512)
        .find_map(|sector| Some((sector, valid_label(sector)?)))
        .ok_or("the label's checksum is wrong")?;
    let body =
        sector.get(index(u64::from(header.offset.get()))..).ok_or("its header is outside the label")?;
    let (volume, mut lists) = RawPhysicalVolume::read_from_prefix(body).map_err(|_| "its header is cut")?;
    let uuid = String::from_utf8_lossy(&volume.uuid).into_owned();
    // The list of data areas comes first; where data starts is in the text.
    next_list(&mut lists).ok_or("the list of data areas is not closed")?;
    let areas = next_list(&mut lists).ok_or("the list of metadata areas is not closed")?;
    let mut label = Label { uuid, texts: Vec::new(), faults: Vec::new() };
    for area in areas {
        match read_area(source, &area) {
            Ok(Some(text)) => label.texts.push(text),
            Ok(None) => {}
            Err(fault) => label.faults.push(fault),
        }
    }
    Ok(label)
}

fn valid_label(sector: &[u8]) -> Option<RawLabel> {
    let (label, _) = RawLabel::read_from_prefix(sector).ok()?;
    let is_label = &label.id == b"LABELONE" && &label.kind == b"LVM2 001";
    // The sum covers what follows it in the sector.
    (is_label && crc32_raw(CRC_START, sector.get(20..)?) == label.crc.get()).then_some(label)
}

/// Areas up to the one that is all zeros.
fn next_list(bytes: &mut &[u8]) -> Option<Vec<RawArea>> {
    let mut list = Vec::new();
    loop {
        let (area, rest) = RawArea::read_from_prefix(bytes).ok()?;
        *bytes = rest;
        if area.offset.get() == 0 {
            return Some(list);
        }
        if list.len() == AREAS_MAX {
            return None;
        }
        list.push(area);
    }
}

/// The committed text of an area; `None` when it holds none.
fn read_area(source: &dyn Source, area: &RawArea) -> Result<Option<Section>, String> {
    let offset = area.offset.get();
    let block = read_bytes(source, offset, 512).map_err(|error| error.to_string())?;
    let (header, _) = RawAreaHeader::read_from_prefix(&block).map_err(|_| "a metadata area is cut")?;
    let sum = crc32_raw(CRC_START, &block[4..]);
    if &header.magic != b" LVM2 x[5A%r0N*>" || sum != header.crc.get() || header.start.get() != offset {
        return Err("the header of a metadata area is damaged".into());
    }
    if header.text.offset.get() == 0 || header.text.flags.get() & IGNORED != 0 {
        return Ok(None);
    }
    let text = read_text(source, &header).ok_or("the metadata text is outside its area or cannot be read")?;
    if crc32_raw(CRC_START, &text) != header.text.crc.get() {
        return Err("the checksum of the metadata text is wrong".into());
    }
    Section::parse(&text).map(Some).ok_or_else(|| "the metadata text breaks the grammar".into())
}

/// The text runs around the end of the area back to behind its header.
fn read_text(source: &dyn Source, header: &RawAreaHeader) -> Option<Vec<u8>> {
    let (area, start) = (header.bytes.get(), header.start.get());
    let (offset, length) = (header.text.offset.get(), header.text.bytes.get());
    let room = area.checked_sub(SECTOR)?;
    if length > room.min(TEXT_BYTES_MAX) || !(SECTOR..area).contains(&offset) {
        return None;
    }
    let first = length.min(area - offset);
    let mut text = read_bytes(source, start.checked_add(offset)?, index(first)).ok()?;
    if first < length {
        text.extend(read_bytes(source, start.checked_add(SECTOR)?, index(length - first)).ok()?);
    }
    debug_assert_eq!(bytes(text.len()), length);
    Some(text)
}
