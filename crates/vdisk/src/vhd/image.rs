//! One VHD file, opened: footer, dynamic header, table and placement checked.
//!
//! A fixed disk is its bytes followed by the footer. A sparse one has a table of blocks, each behind
//! its own bitmap. After opening, a read only looks up and copies.

use std::sync::Arc;

use uuid::Uuid;
use zerocopy::{FromZeros, IntoBytes};

use super::bat::Bat;
use super::bitmap::{Bits, SectorBitmaps, bitmap_bytes};
use super::footer::{FoundFooter, header_offset};
use super::format::{DynamicHeader, FOOTER_BYTES, Footer, HEADER_BYTES, HEADER_COOKIE, SECTOR, VERSION};
use super::{locator, placement};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::parent::ParentLocator;
use crate::range::ByteRange;
use crate::vhdx::{DiskKind, Presence};

/// Block sizes that are read. Windows writes 512 KiB and 2 MiB; smaller ones only make tables long.
pub(super) const BLOCK_BYTES: std::ops::RangeInclusive<u32> = 64 * 1024..=256 << 20;

/// An opened VHD file.
#[derive(Debug)]
pub(crate) struct VhdImage {
    pub(super) file: Arc<dyn FileIo>,
    pub(super) footer: Footer,
    kind: DiskKind,
    creator: String,
    capacity: u64,
    /// Where the data ended when the file was opened, and the footer began.
    pub(super) data_end: u64,
    /// Whether there was a good footer at the end.
    pub(super) has_end_footer: bool,
    /// `None` in a fixed disk.
    pub(super) sparse: Option<Sparse>,
    locator: Option<ParentLocator>,
}

/// What a dynamic or differencing disk has besides.
#[derive(Debug)]
pub(super) struct Sparse {
    pub block_bytes: u32,
    /// Bytes of the bitmap before each block.
    pub bitmap_bytes: u64,
    pub table_offset: u64,
    pub bat: Bat,
    pub bitmaps: SectorBitmaps,
}

impl VhdImage {
    /// Opens and checks a file.
    pub(crate) fn open(file: Arc<dyn FileIo>) -> Result<Self> {
        let length = file.len().map_err(|error| Error::io(file.name(), "read the length of", error))?;
        let found = FoundFooter::read(&*file, length)?;
        let capacity = found.capacity(file.name())?;
        let mut image = Self {
            footer: found.footer,
            kind: found.kind(),
            creator: found.creator(),
            capacity,
            data_end: found.at_end.unwrap_or(length),
            has_end_footer: found.at_end.is_some(),
            sparse: None,
            locator: None,
            file,
        };
        if image.kind == DiskKind::Fixed {
            return image.checked_fixed(length);
        }
        let (offset, header) = read_header(&*image.file, &image.footer, length)?;
        image.sparse = Some(Sparse::read(&*image.file, &header, capacity, length)?);
        if image.kind == DiskKind::Differencing {
            image.locator = Some(locator::read(&*image.file, &header, length)?);
        }
        placement::check(&image, ByteRange::at(offset, HEADER_BYTES), &header)?;
        Ok(image)
    }

    fn checked_fixed(self, length: u64) -> Result<Self> {
        if self.capacity > self.data_end {
            let needed = self.capacity.saturating_add(FOOTER_BYTES);
            let (file, what) = (self.name().to_owned(), "the disk".to_owned());
            return Err(Error::Truncated { file, what, needed, length });
        }
        Ok(self)
    }

    pub(crate) fn name(&self) -> &str {
        self.file.name()
    }

    pub(crate) fn file(&self) -> &Arc<dyn FileIo> {
        &self.file
    }

    pub(crate) fn kind(&self) -> DiskKind {
        self.kind
    }

    pub(crate) fn creator(&self) -> &str {
        &self.creator
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Identity of the disk in this file, which a child notes of its parent.
    pub(crate) fn unique_id(&self) -> Uuid {
        Uuid::from_bytes(self.footer.unique_id)
    }

    pub(crate) fn locator(&self) -> Option<&ParentLocator> {
        self.locator.as_ref()
    }

    /// Bytes of a block; 0 in a fixed disk.
    pub(crate) fn block_bytes(&self) -> u32 {
        self.sparse.as_ref().map_or(0, |sparse| sparse.block_bytes)
    }

    /// Number of blocks that have data in this file; 0 in a fixed disk.
    pub(crate) fn present_blocks(&self) -> u64 {
        self.sparse.as_ref().map_or(0, |sparse| sparse.bat.present().count() as u64)
    }

    /// The bytes of the disk that a block holds.
    pub(super) fn block_range(&self, block: u64) -> ByteRange {
        let bytes = u64::from(self.block_bytes());
        ByteRange::new(block * bytes, ((block + 1) * bytes).min(self.capacity))
    }

    /// The presence at the start of `range`, and the end of the run that surely has it. The range
    /// is not empty and lies inside the disk.
    pub(crate) fn presence(&self, range: ByteRange) -> Result<(Presence, u64)> {
        let Some(sparse) = &self.sparse else {
            return Ok((Presence::Data { file_offset: range.start }, range.end));
        };
        let block = range.start / u64::from(sparse.block_bytes);
        let block_range = self.block_range(block);
        let run = range.intersect(block_range);
        let Some(bitmap_offset) = sparse.bat.offset(block) else { return Ok((Presence::Below, run.end)) };
        let file_offset = bitmap_offset + sparse.bitmap_bytes + (run.start - block_range.start);
        if sparse.bitmaps.is_whole(block) {
            return Ok((Presence::Data { file_offset }, run.end));
        }
        let (here, count) = sparse.bitmaps.run(&*self.file, &self.bits(block, bitmap_offset, run))?;
        let end = (run.start / SECTOR + count) * SECTOR;
        let presence = if here { Presence::Data { file_offset } } else { Presence::Below };
        Ok((presence, end.min(run.end)))
    }

    /// The bitmap bits of the sectors that `run` touches; it lies inside the block.
    pub(super) fn bits(&self, block: u64, bitmap_offset: u64, run: ByteRange) -> Bits {
        let range = self.block_range(block);
        let bits = (run.start - range.start) / SECTOR..(run.end - range.start).div_ceil(SECTOR);
        Bits { block, bitmap_offset, bits, block_bits: range.len() / SECTOR }
    }
}

impl Sparse {
    fn read(file: &dyn FileIo, header: &DynamicHeader, capacity: u64, length: u64) -> Result<Self> {
        let block_bytes = header.block_size.get();
        if !block_bytes.is_power_of_two() || !BLOCK_BYTES.contains(&block_bytes) {
            return Err(Error::damaged(file.name(), format!("its block size is {block_bytes} bytes")));
        }
        let (blocks, entries) = (capacity.div_ceil(block_bytes.into()), header.max_table_entries.get());
        if u64::from(entries) < blocks {
            let what = format!("its table has {entries} entries, and the disk has {blocks} blocks");
            return Err(Error::damaged(file.name(), what));
        }
        let table_offset = header.table_offset.get();
        Ok(Self {
            block_bytes,
            bitmap_bytes: bitmap_bytes(block_bytes.into()),
            table_offset,
            bat: Bat::load(file, table_offset, blocks, length)?,
            bitmaps: SectorBitmaps::new(blocks),
        })
    }
}

pub(super) fn read_header(file: &dyn FileIo, footer: &Footer, length: u64) -> Result<(u64, DynamicHeader)> {
    let name = file.name();
    let offset = header_offset(footer).ok_or_else(|| Error::damaged(name, "its footer names no header"))?;
    let needed = offset.saturating_add(HEADER_BYTES);
    if needed > length {
        let what = "its dynamic header".to_owned();
        return Err(Error::Truncated { file: name.to_owned(), what, needed, length });
    }
    let mut header = DynamicHeader::new_zeroed();
    file.read_at(offset, header.as_mut_bytes()).map_err(|error| Error::io(name, "read", error))?;
    if &header.cookie != HEADER_COOKIE {
        return Err(Error::damaged(name, "its dynamic header is missing"));
    }
    if !header.has_right_checksum() {
        return Err(Error::damaged(name, "the checksum of its dynamic header is wrong"));
    }
    if header.version.get() >> 16 != VERSION >> 16 {
        return Err(Error::unsupported(
            name,
            format!("dynamic header version {}", header.version.get() >> 16),
        ));
    }
    Ok((offset, header))
}
