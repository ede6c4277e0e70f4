//! Making new VHDX files, laid out as Windows lays them out.
//!
//! Placement and order follow files made by Hyper-V: log 1 MiB at 1 MiB, metadata at 2 MiB, BAT from
//! 3 MiB, payload after it in write order; BAT before metadata in the region table; both regions
//! required; item flags 4 and 6; two headers with consecutive sequence numbers. Everything but the
//! headers is durable before the headers are written, so a file cut off earlier is refused by every
//! reader instead of being half read.

use std::sync::Arc;

use uuid::Uuid;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::bat::{entry, state};
use super::format::{
    CREATOR_BYTES, FILE_SIGNATURE, FileParameters, Guid, HAS_PARENT, Header, ITEM_IS_REQUIRED,
    ITEM_IS_VIRTUAL_DISK, LEAVE_BLOCKS_ALLOCATED, MetadataEntry, MetadataTableHeader, REGION_REQUIRED,
    REGION_TABLE_OFFSETS, RegionEntry, RegionTableHeader, TABLE_BYTES, checksum, guid,
};
use super::header::write_slot;
use super::metadata::{Geometry, Role};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::id::DiskId;
use crate::number::{MIB, align_up, index};
use crate::parent::ParentLocator;

/// Noted in new files as their maker.
const CREATOR: &str = concat!("Refpoint ", env!("CARGO_PKG_VERSION"));
const LOG_OFFSET: u64 = MIB;
const LOG_BYTES: u64 = MIB;
const METADATA_OFFSET: u64 = 2 * MIB;
const METADATA_BYTES: u64 = MIB;
const BAT_OFFSET: u64 = 3 * MIB;
/// Entries of the table of a fixed disk made at a time: 1 MiB of up to 512.
const TABLE_STEP_ENTRIES: u64 = MIB / 8;
/// Block size of dynamic and fixed disks made by Hyper-V.
const DYNAMIC_BLOCK_BYTES: u32 = 32 << 20;
/// Block size of differencing disks made by Hyper-V.
pub(super) const DIFFERENCING_BLOCK_BYTES: u32 = 2 << 20;

/// How a new disk without a parent keeps its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateKind {
    /// Blocks get space when first written.
    Dynamic,
    /// All blocks have space from the start (as a hole where the file system allows).
    Fixed,
}

/// Size and shape of a new disk.
#[derive(Debug, Clone)]
pub struct CreateOptions {
    /// Size of the virtual disk; a multiple of the logical sector, at most 64 TiB.
    pub capacity: u64,
    /// Bytes of a block; a power of two from 1 to 256 MiB.
    pub block_bytes: u32,
    /// 512 or 4096.
    pub logical_sector: u32,
    /// 512 or 4096.
    pub physical_sector: u32,
    /// Identity of the virtual disk; a fresh one when not given.
    pub disk_id: Option<DiskId>,
    /// Dynamic or fixed.
    pub kind: CreateKind,
}

impl CreateOptions {
    /// A dynamic disk with the defaults of Hyper-V: 32 MiB blocks, sectors of 512 on 4096 bytes.
    #[must_use]
    pub const fn dynamic(capacity: u64) -> Self {
        Self {
            capacity,
            block_bytes: DYNAMIC_BLOCK_BYTES,
            logical_sector: 512,
            physical_sector: 4096,
            disk_id: None,
            kind: CreateKind::Dynamic,
        }
    }

    /// A fixed disk with the defaults of Hyper-V.
    #[must_use]
    pub const fn fixed(capacity: u64) -> Self {
        Self { kind: CreateKind::Fixed, ..Self::dynamic(capacity) }
    }

    pub(super) fn blueprint(&self) -> Blueprint {
        let geometry = Geometry {
            capacity: self.capacity,
            block_bytes: self.block_bytes,
            logical_sector: self.logical_sector,
            physical_sector: self.physical_sector,
            has_parent: false,
            leave_blocks_allocated: self.kind == CreateKind::Fixed,
        };
        Blueprint { geometry, disk_id: self.disk_id.unwrap_or_else(DiskId::random), locator: None }
    }
}

/// Everything that decides the bytes of a new file, but for its random write GUIDs.
#[derive(Debug)]
pub(super) struct Blueprint {
    pub geometry: Geometry,
    pub disk_id: DiskId,
    pub locator: Option<ParentLocator>,
}

impl Blueprint {
    /// Writes the new file durably. The file must be empty.
    pub(super) fn write(&self, file: &Arc<dyn FileIo>) -> Result<()> {
        self.write_tables(file)?;
        file.flush().map_err(|error| Error::io(file.name(), "write the new file", error))?;
        Self::write_headers(&**file)
    }

    /// Writes everything but the headers, not durable yet, and returns where payload begins. The
    /// file must be empty; no reader accepts it before it has headers.
    pub(super) fn write_tables(&self, file: &Arc<dyn FileIo>) -> Result<u64> {
        self.check(&**file)?;
        let bat_bytes = align_up(self.geometry.bat_entries() * 8, MIB);
        let failed = |error| Error::io(file.name(), "write the new file", error);
        let payload = BAT_OFFSET + bat_bytes;
        let fixed = self.geometry.leave_blocks_allocated;
        let payload_bytes = if fixed { self.geometry.payload_blocks() * self.geometry.block() } else { 0 };
        file.set_len(payload + payload_bytes).map_err(failed)?;
        if fixed {
            self.write_fixed_table(&**file, payload).map_err(failed)?;
        }
        file.write_at(METADATA_OFFSET, &self.metadata()).map_err(failed)?;
        let regions = region_table(bat_bytes);
        for offset in REGION_TABLE_OFFSETS {
            file.write_at(offset, &regions).map_err(failed)?;
        }
        file.write_at(0, &identifier()).map_err(failed)?;
        Ok(payload)
    }

    /// Writes both headers durably, which makes the file complete.
    pub(super) fn write_headers(file: &dyn FileIo) -> Result<()> {
        let mut header = new_header();
        write_slot(file, 0, &header)?;
        header.sequence_number.set(2);
        write_slot(file, 1, &header)
    }

    /// Place of the block allocation table in new files.
    pub(super) const fn table_offset() -> u64 {
        BAT_OFFSET
    }

    fn check(&self, file: &dyn FileIo) -> Result<()> {
        let bad = |what: String| Error::BadOptions { file: file.name().to_owned(), what };
        self.geometry.check().map_err(bad)?;
        if self.locator.as_ref().is_some_and(|locator| !locator.fits()) {
            return Err(bad("the paths of its parent are longer than a parent locator can hold".into()));
        }
        match file.len() {
            Ok(0) => Ok(()),
            Ok(length) => Err(bad(format!("there are already {length} bytes in it"))),
            Err(error) => Err(Error::io(file.name(), "read the length of", error)),
        }
    }

    /// Every block present, one after the other; a piece of the table at a time.
    fn write_fixed_table(&self, file: &dyn FileIo, payload: u64) -> std::io::Result<()> {
        let geometry = &self.geometry;
        let entry_at = |at| match geometry.role_of(at) {
            Some(Role::Payload(block)) => entry(state::FULLY_PRESENT, payload + block * geometry.block()),
            _ => 0,
        };
        let entries = geometry.bat_entries();
        for first in (0..entries).step_by(index(TABLE_STEP_ENTRIES)) {
            let places = first..entries.min(first + TABLE_STEP_ENTRIES);
            let bytes: Vec<u8> = places.flat_map(|at| entry_at(at).to_le_bytes()).collect();
            file.write_at(BAT_OFFSET + first * 8, &bytes)?;
        }
        Ok(())
    }

    /// The metadata table (64 KiB), then the items packed as Windows packs them.
    fn metadata(&self) -> Vec<u8> {
        let geometry = &self.geometry;
        let has_parent = if geometry.has_parent { HAS_PARENT } else { 0 };
        let fixed = if geometry.leave_blocks_allocated { LEAVE_BLOCKS_ALLOCATED } else { 0 };
        let parameters =
            FileParameters { block_size: geometry.block_bytes.into(), flags: (has_parent | fixed).into() };
        let of_disk = ITEM_IS_REQUIRED | ITEM_IS_VIRTUAL_DISK;
        let mut items = vec![
            (guid::FILE_PARAMETERS, ITEM_IS_REQUIRED, parameters.as_bytes().to_vec()),
            (guid::VIRTUAL_DISK_SIZE, of_disk, U64::new(geometry.capacity).as_bytes().to_vec()),
            (guid::LOGICAL_SECTOR, of_disk, U32::new(geometry.logical_sector).as_bytes().to_vec()),
            (guid::PHYSICAL_SECTOR, of_disk, U32::new(geometry.physical_sector).as_bytes().to_vec()),
            (guid::VIRTUAL_DISK_ID, of_disk, Guid::from(self.disk_id.as_uuid()).as_bytes().to_vec()),
        ];
        items.extend(
            self.locator.as_ref().map(|locator| (guid::PARENT_LOCATOR, ITEM_IS_REQUIRED, locator.to_bytes())),
        );
        pack_items(&items)
    }
}

/// Table and items as they stand in the region.
fn pack_items(items: &[(Uuid, u32, Vec<u8>)]) -> Vec<u8> {
    let small = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let header = MetadataTableHeader {
        signature: *b"metadata",
        reserved: 0.into(),
        entry_count: u16::try_from(items.len()).unwrap_or(u16::MAX).into(),
        reserved2: [0; 20],
    };
    let mut table = header.as_bytes().to_vec();
    let mut offset = TABLE_BYTES;
    for (id, flags, bytes) in items {
        let entry = MetadataEntry {
            item_id: (*id).into(),
            offset: small(offset).into(),
            length: small(bytes.len()).into(),
            flags: (*flags).into(),
            reserved: 0.into(),
        };
        table.extend_from_slice(entry.as_bytes());
        offset += bytes.len();
    }
    table.resize(TABLE_BYTES, 0);
    table.extend(items.iter().flat_map(|(_, _, bytes)| bytes));
    table
}

fn region_table(bat_bytes: u64) -> Vec<u8> {
    let regions =
        [(guid::REGION_BAT, BAT_OFFSET, bat_bytes), (guid::REGION_METADATA, METADATA_OFFSET, METADATA_BYTES)];
    let mut header = RegionTableHeader {
        signature: *b"regi",
        checksum: 0.into(),
        entry_count: 2.into(),
        reserved: 0.into(),
    };
    let mut table = header.as_bytes().to_vec();
    for (id, offset, length) in regions {
        let entry = RegionEntry {
            guid: id.into(),
            file_offset: offset.into(),
            length: u32::try_from(length).unwrap_or(u32::MAX).into(),
            flags: REGION_REQUIRED.into(),
        };
        table.extend_from_slice(entry.as_bytes());
    }
    table.resize(TABLE_BYTES, 0);
    header.checksum.set(checksum(&table));
    table[..size_of::<RegionTableHeader>()].copy_from_slice(header.as_bytes());
    table
}

fn identifier() -> Vec<u8> {
    let mut bytes = FILE_SIGNATURE.to_vec();
    bytes.extend(CREATOR.encode_utf16().flat_map(u16::to_le_bytes));
    bytes.resize(FILE_SIGNATURE.len() + CREATOR_BYTES, 0);
    bytes
}

fn new_header() -> Header {
    Header {
        signature: *b"head",
        checksum: 0.into(),
        sequence_number: 1.into(),
        file_write_guid: Uuid::new_v4().into(),
        data_write_guid: Uuid::new_v4().into(),
        log_guid: Uuid::nil().into(),
        log_version: 0.into(),
        version: 1.into(),
        log_length: u32::try_from(LOG_BYTES).unwrap_or(u32::MAX).into(),
        log_offset: LOG_OFFSET.into(),
        reserved: [0; 4016],
    }
}
