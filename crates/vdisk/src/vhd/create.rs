//! Making new VHD files, laid out as Windows lays them out.
//!
//! Fixed: the disk, then the footer. Dynamic: copy of the footer, header at 512, table at 1536, then
//! blocks in write order, then the footer. Differencing: absolute path at 4 KiB, table at 8 KiB, after
//! it the relative path in 64 KiB. The footers are written last, when everything else is durable, so a
//! file cut off earlier is no VHD at all. The creator is `win `, because every reader takes the size of
//! such a disk from the Current Size field; others would be rounded down to a geometry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;
use zerocopy::{FromZeros, IntoBytes};

use super::chs::Chs;
use super::format::{
    DynamicHeader, FEATURE_RESERVED, FOOTER_BYTES, FOOTER_COOKIE, Footer, HEADER_BYTES, HEADER_COOKIE,
    LocatorEntry, NO_OFFSET, SECTOR, VERSION, disk_type, platform,
};
use super::image::BLOCK_BYTES;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::{align_up, index};
use crate::vhdx::CreateKind;

/// Largest disk that Hyper-V makes.
pub(super) const CAPACITY_MAX: u64 = 2040 << 30;
/// Seconds from 1970 to 2000, where the time stamps of VHD begin.
const EPOCH: Duration = Duration::from_secs(946_684_800);
/// The creator by whose name every reader takes the size from its field.
pub(super) const CREATOR_APP: [u8; 4] = *b"win ";
/// Version of Windows noted with the creator, 10.0.
const CREATOR_VERSION: u32 = 0x000A_0000;
const HEADER_OFFSET: u64 = FOOTER_BYTES;
const TABLE_OFFSET: u64 = HEADER_OFFSET + HEADER_BYTES;
/// Where a differencing disk of Windows has its parts, and how much space each path gets.
const ABSOLUTE_OFFSET: u64 = 0x1000;
const ABSOLUTE_BYTES: u64 = 0x1000;
const CHILD_TABLE_OFFSET: u64 = 0x2000;
const RELATIVE_BYTES: u64 = 0x1_0000;
/// Bytes of the table written at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Size and shape of a new VHD.
#[derive(Debug, Clone)]
pub struct VhdOptions {
    /// Size of the virtual disk; a multiple of 512, at most 2040 GiB.
    pub capacity: u64,
    /// Bytes of a block of a dynamic disk; a power of two from 64 KiB to 256 MiB.
    pub block_bytes: u32,
    /// Dynamic or fixed.
    pub kind: CreateKind,
    /// Identity of the disk; a fresh one when not given.
    pub unique_id: Option<Uuid>,
    /// When the disk was made; now when not given.
    pub made_at: Option<SystemTime>,
}

impl VhdOptions {
    /// A dynamic disk with the block size of Hyper-V, 2 MiB.
    #[must_use]
    pub const fn dynamic(capacity: u64) -> Self {
        Self {
            capacity,
            block_bytes: DEFAULT_BLOCK_BYTES,
            kind: CreateKind::Dynamic,
            unique_id: None,
            made_at: None,
        }
    }

    /// A fixed disk.
    #[must_use]
    pub const fn fixed(capacity: u64) -> Self {
        Self { kind: CreateKind::Fixed, ..Self::dynamic(capacity) }
    }

    pub(super) fn blueprint(&self) -> Blueprint {
        Blueprint {
            capacity: self.capacity,
            block_bytes: match self.kind {
                CreateKind::Dynamic => Some(self.block_bytes),
                CreateKind::Fixed => None,
            },
            unique_id: self.unique_id.unwrap_or_else(Uuid::new_v4),
            timestamp: timestamp(self.made_at.unwrap_or_else(SystemTime::now)),
            parent: None,
        }
    }
}

/// Block size of dynamic and differencing disks made by Hyper-V.
pub(super) const DEFAULT_BLOCK_BYTES: u32 = 2 << 20;

/// Everything that decides the bytes of a new file.
#[derive(Debug)]
pub(super) struct Blueprint {
    pub capacity: u64,
    /// `None` makes a fixed disk.
    pub block_bytes: Option<u32>,
    pub unique_id: Uuid,
    /// Seconds since 2000.
    pub timestamp: u32,
    pub parent: Option<NewParent>,
}

/// What a new child notes of its parent.
#[derive(Debug)]
pub(super) struct NewParent {
    pub unique_id: Uuid,
    /// Seconds since 2000.
    pub timestamp: u32,
    pub relative_path: String,
    pub absolute_path: Option<String>,
}

impl Blueprint {
    /// Writes the new file durably. The file must be empty.
    pub(super) fn write(&self, file: &dyn FileIo) -> Result<()> {
        self.check(file)?;
        if self.block_bytes.is_some() {
            let failed = |error| Error::io(file.name(), "write the new file", error);
            file.set_len(self.data_start()).and_then(|()| self.write_table(file)).map_err(failed)?;
            self.write_header(file)?;
        }
        self.write_footers(file, self.data_start())
    }

    /// Writes the dynamic header and the paths of the parent.
    pub(super) fn write_header(&self, file: &dyn FileIo) -> Result<()> {
        file.write_at(HEADER_OFFSET, self.header().as_bytes())
            .and_then(|()| self.write_paths(file))
            .map_err(|error| Error::io(file.name(), "write the new file", error))
    }

    /// Makes everything before `end` durable, then writes the footer there and its copy durably.
    pub(super) fn write_footers(&self, file: &dyn FileIo, end: u64) -> Result<()> {
        let failed = |error| Error::io(file.name(), "write the new file", error);
        let footer = self.footer();
        file.set_len(end + FOOTER_BYTES).and_then(|()| file.flush()).map_err(failed)?;
        if self.block_bytes.is_some() {
            file.write_at(0, footer.as_bytes()).map_err(failed)?;
        }
        file.write_at(end, footer.as_bytes()).and_then(|()| file.flush()).map_err(failed)
    }

    pub(super) fn check(&self, file: &dyn FileIo) -> Result<()> {
        let bad = |what: String| Err(Error::BadOptions { file: file.name().to_owned(), what });
        let capacity = self.capacity;
        if capacity == 0 || !capacity.is_multiple_of(SECTOR) || capacity > CAPACITY_MAX {
            return bad(format!("a VHD of {capacity} bytes; it may have up to 2040 GiB in sectors of 512"));
        }
        if let Some(bytes) = self.block_bytes
            && !(bytes.is_power_of_two() && BLOCK_BYTES.contains(&bytes))
        {
            return bad(format!("blocks of {bytes} bytes; VHD has powers of two from 64 KiB to 256 MiB"));
        }
        if let Some(parent) = &self.parent {
            let too_long = |path: &str, space: u64| path.encode_utf16().count() as u64 * 2 > space - 2;
            let absolute = parent.absolute_path.as_deref().unwrap_or_default();
            if too_long(&parent.relative_path, RELATIVE_BYTES) || too_long(absolute, ABSOLUTE_BYTES) {
                return bad("the paths of its parent are longer than the file has room for".into());
            }
        }
        match file.len() {
            Ok(0) => Ok(()),
            Ok(length) => bad(format!("there are already {length} bytes in it")),
            Err(error) => Err(Error::io(file.name(), "read the length of", error)),
        }
    }

    pub(super) fn blocks(&self) -> u64 {
        self.block_bytes.map_or(0, |bytes| self.capacity.div_ceil(bytes.into()))
    }

    pub(super) fn table_offset(&self) -> u64 {
        if self.parent.is_some() { CHILD_TABLE_OFFSET } else { TABLE_OFFSET }
    }

    fn relative_offset(&self) -> u64 {
        align_up(CHILD_TABLE_OFFSET + self.blocks() * 4, 0x1000)
    }

    /// Where the first block goes; in a fixed disk, where the disk ends.
    pub(super) fn data_start(&self) -> u64 {
        match (self.block_bytes, &self.parent) {
            (None, _) => self.capacity,
            (Some(_), None) => align_up(TABLE_OFFSET + self.blocks() * 4, SECTOR),
            (Some(_), Some(_)) => self.relative_offset() + RELATIVE_BYTES,
        }
    }

    /// The footer, which in a sparse file also stands at the start.
    fn footer(&self) -> Footer {
        let geometry = Chs::for_capacity(self.capacity);
        let (kind, data_offset) = match (self.block_bytes, &self.parent) {
            (None, _) => (disk_type::FIXED, NO_OFFSET),
            (Some(_), None) => (disk_type::DYNAMIC, HEADER_OFFSET),
            (Some(_), Some(_)) => (disk_type::DIFFERENCING, HEADER_OFFSET),
        };
        let footer = Footer {
            cookie: *FOOTER_COOKIE,
            features: FEATURE_RESERVED.into(),
            version: VERSION.into(),
            data_offset: data_offset.into(),
            timestamp: self.timestamp.into(),
            creator_app: CREATOR_APP,
            creator_version: CREATOR_VERSION.into(),
            creator_os: *b"Wi2k",
            original_size: self.capacity.into(),
            current_size: self.capacity.into(),
            cylinders: geometry.cylinders.into(),
            heads: geometry.heads,
            sectors: geometry.sectors,
            disk_type: kind.into(),
            checksum: 0.into(),
            unique_id: self.unique_id.into_bytes(),
            saved_state: 0,
            reserved: [0; 427],
        };
        footer.sealed()
    }

    fn header(&self) -> DynamicHeader {
        let mut header = DynamicHeader {
            cookie: *HEADER_COOKIE,
            data_offset: NO_OFFSET.into(),
            table_offset: self.table_offset().into(),
            version: VERSION.into(),
            max_table_entries: u32::try_from(self.blocks()).unwrap_or(u32::MAX).into(),
            block_size: self.block_bytes.unwrap_or_default().into(),
            ..DynamicHeader::new_zeroed()
        };
        if let Some(parent) = &self.parent {
            header.parent_id = parent.unique_id.into_bytes();
            header.parent_timestamp = parent.timestamp.into();
            header.parent_name = parent_name(parent);
            let absolute = parent.absolute_path.iter();
            let absolute =
                absolute.map(|path| locator(platform::W2KU, path, ABSOLUTE_OFFSET, ABSOLUTE_BYTES));
            let relative =
                locator(platform::W2RU, &parent.relative_path, self.relative_offset(), RELATIVE_BYTES);
            for (entry, new) in header.locators.iter_mut().zip(absolute.chain([relative])) {
                *entry = new;
            }
        }
        header.sealed()
    }

    /// A table of absent blocks, filled up to a whole sector.
    fn write_table(&self, file: &dyn FileIo) -> std::io::Result<()> {
        let end = align_up(self.table_offset() + self.blocks() * 4, SECTOR);
        let piece = vec![0xff; index((end - self.table_offset()).min(PIECE_BYTES))];
        let mut at = self.table_offset();
        while at < end {
            let part = &piece[..index((end - at).min(PIECE_BYTES))];
            file.write_at(at, part)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    fn write_paths(&self, file: &dyn FileIo) -> std::io::Result<()> {
        let Some(parent) = &self.parent else { return Ok(()) };
        if let Some(path) = &parent.absolute_path {
            file.write_at(ABSOLUTE_OFFSET, &utf16_le(path))?;
        }
        file.write_at(self.relative_offset(), &utf16_le(&parent.relative_path))
    }
}

/// The space is told in bytes, as Windows does.
fn locator(code: [u8; 4], path: &str, offset: u64, space: u64) -> LocatorEntry {
    let small = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    LocatorEntry {
        code,
        data_space: small(index(space)).into(),
        data_length: small(utf16_le(path).len()).into(),
        reserved: 0.into(),
        data_offset: offset.into(),
    }
}

fn utf16_le(path: &str) -> Vec<u8> {
    path.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The parent's whole path, or its file name where that is too long for the field.
fn parent_name(parent: &NewParent) -> [u8; 512] {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    let whole = parent.absolute_path.as_deref().unwrap_or(&parent.relative_path);
    let file = whole.rsplit(['\\', '/']).next().unwrap_or_default();
    let mut field = [0; 512];
    if let Some(name) = [wide(whole), wide(file)].iter().find(|name| name.len() < field.len()) {
        field[..name.len()].copy_from_slice(name);
    }
    field
}

/// Seconds since 2000; the format ends in 2136.
fn timestamp(at: SystemTime) -> u32 {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since_1970.saturating_sub(EPOCH).as_secs()).unwrap_or(u32::MAX)
}
