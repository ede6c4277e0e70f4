//! What a dynamic disk says about itself: the private header and the table of its database's parts.
//!
//! Microsoft has not published the layout. It is known from the Linux kernel's `block/partitions/ldm.h`, the LDM
//! documentation of the Linux-NTFS project, and from disks of Windows Server. Numbers are big-endian. The sum that
//! guards a sector was found on such disks: the sum of its bytes, the field itself left out.

use std::mem::size_of;

use uuid::Uuid;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::number::index;
use crate::partition::{DiskTable, TableKind, read_bytes};
use crate::source::Source;

/// Sectors of dynamic disks that have been seen are of 512 bytes.
pub(super) const SECTOR: u64 = 512;

/// Sectors of the private region at most; Windows uses 2048.
const CONFIG_SECTORS_MAX: u64 = 16_384;

/// Where copies of the private header are, in sectors of the private region.
const HEADER_COPIES: [u64; 2] = [1856, 2047];

/// Where tables of contents are, in sectors of the private region.
const TOC_COPIES: [u64; 4] = [1, 2, 2045, 2046];

/// Kernel `ldm.h`, "PRIVHEAD".
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 8],
    checksum: U32,
    version_major: U16,
    version_minor: U16,
    timestamp: U64,
    unknown: [u8; 24],
    disk_id: [u8; 64],
    host_id: [u8; 64],
    group_id: [u8; 64],
    group_name: [u8; 32],
    unknown_after_name: [u8; 11],
    data_start: U64,
    data_sectors: U64,
    config_start: U64,
    config_sectors: U64,
    rest: [u8; 197],
}
const _: () = assert!(size_of::<RawHeader>() == 512);

/// Kernel `ldm.h`, "TOCBLOCK".
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawContents {
    magic: [u8; 8],
    checksum: U32,
    sequence: U64,
    unknown: [u8; 16],
    config_name: [u8; 8],
    config_flags: [u8; 2],
    config_start: U64,
    config_sectors: U64,
    rest: [u8; 450],
}
const _: () = assert!(size_of::<RawContents>() == 512);

/// A dynamic disk.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) disk_id: Uuid,
    pub(super) group_id: Uuid,
    pub(super) group_name: String,
    /// First sector of the space for volumes; partitions count from it.
    pub(super) data_start: u64,
    config_start: u64,
    config_sectors: u64,
}

impl Header {
    /// The header of a disk; `None` when it is not a dynamic disk, an error text when it should be one.
    pub(super) fn read(disk: &dyn Source, table: &DiskTable) -> Option<Result<Self, String>> {
        let places = places(disk, table)?;
        if disk.logical_sector() != 512 {
            return Some(Err("dynamic disks with sectors of 4096 bytes cannot be read yet".into()));
        }
        let header = places.into_iter().find_map(|sector| Self::at(disk, sector));
        Some(header.ok_or_else(|| "its private header and the copies are damaged or missing".into()))
    }

    fn at(disk: &dyn Source, sector: u64) -> Option<Self> {
        let block = read_bytes(disk, sector.checked_mul(SECTOR)?, 512).ok()?;
        let raw = RawHeader::read_from_bytes(&block).ok()?;
        let is_header = &raw.magic == b"PRIVHEAD" && raw.version_major.get() == 2;
        if !is_header || raw.checksum.get() != sum(&block) {
            return None;
        }
        let header = Self {
            disk_id: Uuid::parse_str(&text(&raw.disk_id)).ok()?,
            group_id: Uuid::parse_str(&text(&raw.group_id)).ok()?,
            group_name: text(&raw.group_name),
            data_start: raw.data_start.get(),
            config_start: raw.config_start.get(),
            config_sectors: raw.config_sectors.get(),
        };
        let end = header.config_start.checked_add(header.config_sectors)?.checked_mul(SECTOR)?;
        (header.config_sectors <= CONFIG_SECTORS_MAX && end <= disk.len()).then_some(header)
    }

    /// The bytes of the disk's copy of the database.
    pub(super) fn database(&self, disk: &dyn Source) -> Result<Vec<u8>, String> {
        let tables = TOC_COPIES.iter().filter_map(|&sector| self.contents(disk, sector));
        let newest = tables.max_by_key(|table| table.sequence.get());
        let table = newest.ok_or("its table of contents and the copies are damaged")?;
        let (start, sectors) = (table.config_start.get(), table.config_sectors.get());
        let inside = start.checked_add(sectors).is_some_and(|end| end <= self.config_sectors);
        if !inside {
            return Err("its database lies outside its private region".into());
        }
        let bytes = read_bytes(disk, (self.config_start + start) * SECTOR, index(sectors * SECTOR));
        bytes.map_err(|error| format!("its database cannot be read: {error}"))
    }

    fn contents(&self, disk: &dyn Source, sector: u64) -> Option<RawContents> {
        let block = read_bytes(disk, (self.config_start + sector).checked_mul(SECTOR)?, 512).ok()?;
        let raw = RawContents::read_from_bytes(&block).ok()?;
        let is_table = &raw.magic == b"TOCBLOCK" && text(&raw.config_name) == "config";
        (is_table && raw.checksum.get() == sum(&block)).then_some(raw)
    }
}

/// Sectors where the header may be: the sixth of an MBR disk with its copies in the last 1 MiB; the last of the
/// metadata partition of a GPT disk with its copies. `None` when the disk is not marked as dynamic.
fn places(disk: &dyn Source, table: &DiskTable) -> Option<Vec<u64>> {
    let of_type = |id: &str| table.partitions.iter().find(|partition| partition.type_id == id);
    let end = match table.kind {
        TableKind::Mbr => of_type("42").map(|_| disk.len() / SECTOR)?,
        TableKind::Gpt => of_type(&super::METADATA_TYPE.to_string().to_uppercase())?.end() / SECTOR,
        TableKind::None => return None,
    };
    let config = end.saturating_sub(2048);
    let first = if table.kind == TableKind::Mbr { 6 } else { end.saturating_sub(1) };
    Some([first].into_iter().chain(HEADER_COPIES.iter().map(|copy| config + copy)).collect())
}

/// The sum that guards a sector; its own four bytes are at 8.
fn sum(block: &[u8]) -> u32 {
    let rest = block.iter().take(8).chain(block.iter().skip(12));
    rest.map(|&byte| u32::from(byte)).sum()
}

/// Text up to its first NUL.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
