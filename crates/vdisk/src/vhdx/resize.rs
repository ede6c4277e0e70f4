//! Giving a disk another size.
//!
//! Everything that the new size needs is prepared where the old size does not look: table entries behind
//! the last block mean nothing (MS-VHDX 2.5), and neither do bytes of the last block beyond the end of
//! the disk. What a table too small needs goes into a new region. Then one log entry changes the disk
//! size, and the region table with it, so that a cut leaves the old size or the new one.
//!
//! New space reads as zeros, also where the file held old bytes there and where a parent goes on.

use std::sync::Arc;

use super::bat::{BlockOutcome, entry, state};
use super::format::{REGION_TABLE_OFFSETS, RegionEntry, RegionTableHeader, TABLE_BYTES, checksum, guid};
use super::image::Image;
use super::log_writer::{PAGE_BYTES, Page};
use super::metadata::{Geometry, Role, read_table};
use super::region::valid_table;
use super::write::WritableDisk;
use crate::chain::Chain;
use crate::disk::{ExtentKind, Extents};
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::number::{MIB, align_up, index};
use crate::range::ByteRange;
use crate::zero::is_zero;
use uuid::Uuid;
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of the table written at a time.
const STEP_BYTES: u64 = MIB;

/// What to do with data beyond the end of a disk that becomes smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrinking {
    /// Refuse to resize when anything but zeros would be lost.
    KeepData,
    /// Cut it off.
    CutOff,
}

/// The block allocation table as the new size needs it.
struct NewTable {
    old: Geometry,
    new: Geometry,
    /// Entry of new blocks of a disk that gives them no space.
    absent: u64,
    /// Where the space of new blocks of a fixed disk begins.
    fixed_space: Option<u64>,
}

impl NewTable {
    /// The entry at a place. What the old table said stays for the blocks that both sizes have.
    fn entry(&self, image: &Image, at: u64) -> u64 {
        let old = || if at < image.table().len() { image.table().get(at) } else { 0 };
        let (old_blocks, ratio) = (self.old.payload_blocks(), self.old.chunk_ratio());
        match self.new.role_of(at) {
            Some(Role::Payload(block)) if block < old_blocks => old(),
            Some(Role::Payload(block)) => match self.fixed_space {
                Some(space) => entry(state::FULLY_PRESENT, space + (block - old_blocks) * self.new.block()),
                None => self.absent,
            },
            Some(Role::Bitmap(chunk)) if self.new.has_parent && chunk < old_blocks.div_ceil(ratio) => old(),
            _ => 0,
        }
    }
}

impl WritableDisk {
    /// Gives the disk another size, a multiple of its logical sector and at most 64 TiB. What is added
    /// reads as zeros. Guests keep their partitions as they are: a disk that becomes smaller must have
    /// been freed at its end in the guest. No view of this writer may be alive, and children that were
    /// made over the disk no longer fit it.
    pub fn resize(&mut self, capacity: u64, shrinking: Shrinking) -> Result<()> {
        let refused = |why: String| Error::NotResized { file: self.image.name().to_owned(), why };
        let old = self.image.geometry;
        let new = Geometry { capacity, ..old };
        new.check().map_err(refused)?;
        if self.has_readers() {
            return Err(Error::HasReaders { file: self.image.name().to_owned() });
        }
        if new.capacity == old.capacity {
            return Ok(());
        }
        if new.capacity < old.capacity
            && shrinking == Shrinking::KeepData
            && let Some(at) = self.last_data_behind(new.capacity)?
        {
            return Err(refused(format!("there is data up to {at}")));
        }
        self.begin_change()?;
        if new.capacity > old.capacity {
            self.clear_end_of_last_block()?;
        }
        self.settle()?;
        let outcome = self.change_size(old, new);
        // Nobody knows then which size the file has; opening it again tells.
        self.failed |= outcome.is_err();
        outcome
    }

    fn change_size(&mut self, old: Geometry, new: Geometry) -> Result<()> {
        let table = self.new_table(old, new)?;
        let region = self.table_region(new)?;
        self.grow_file()?;
        let grows = new.capacity > old.capacity;
        if grows {
            self.write_table(&table, region, new.bat_entries())?;
            self.flush_file()?;
        }
        self.log_size(new.capacity, region)?;
        self.finish_log()?;
        if !grows {
            // What is behind the new end means nothing any more.
            self.write_table(&table, region, old.bat_entries())?;
            self.flush_file()?;
        }
        self.reload()
    }

    /// The end of the last data that is not zero and lies behind a place of the disk.
    fn last_data_behind(&self, capacity: u64) -> Result<Option<u64>> {
        let mut last = None;
        let mut buf = vec![0; index(STEP_BYTES)];
        for extent in Extents::new(&self.chain, ByteRange::new(capacity, self.capacity())) {
            let extent = extent?;
            let mut at = extent.range.start;
            while matches!(extent.kind, ExtentKind::Data { .. }) && at < extent.range.end {
                let part = &mut buf[..index(STEP_BYTES.min(extent.range.end - at))];
                self.read_at(at, part)?;
                at += part.len() as u64;
                if let Some(byte) = part.iter().rposition(|byte| *byte != 0) {
                    last = Some(at - (part.len() - 1 - byte) as u64);
                }
            }
        }
        Ok(last)
    }

    /// Bytes of the last block beyond the end of the disk may hold anything; they become visible.
    fn clear_end_of_last_block(&mut self) -> Result<()> {
        let geometry = self.image.geometry;
        let block = geometry.payload_blocks() - 1;
        let used = geometry.block_range(block);
        let rest = ByteRange::new(used.end, used.start + geometry.block());
        if rest.is_empty() {
            return Ok(());
        }
        if self.image.outcome(block)? == BlockOutcome::Parent && self.shows_parent_beyond(rest.start) {
            // The block must hide what the parent has there.
            let sector = u64::from(geometry.logical_sector);
            let last = ByteRange::new(used.end - sector, used.end);
            let mut bytes = vec![0; index(sector)];
            self.read_at(last.start, &mut bytes)?;
            self.write_at(last.start, &bytes)?;
        }
        if let BlockOutcome::Data { file_offset, by_sector } = self.image.outcome(block)? {
            // The file may have ended inside the block.
            self.grow_file()?;
            let start = file_offset + used.len();
            self.clear_file(start, rest.len())?;
            self.changes.ordered = true;
            if by_sector {
                let bits = self.image.bits(block, rest)?;
                self.image.bitmaps.set(&*self.image.file, bits, true)?;
            }
        }
        Ok(())
    }

    /// Whether a file below goes on behind the end of this one.
    fn shows_parent_beyond(&self, capacity: u64) -> bool {
        self.chain.layers[1..].iter().any(|layer| layer.capacity() > capacity)
    }

    fn new_table(&mut self, old: Geometry, new: Geometry) -> Result<NewTable> {
        let hides_parent = new.has_parent && self.shows_parent_beyond(old.capacity);
        let absent = if hides_parent { entry(state::ZERO, 0) } else { 0 };
        let added = new.payload_blocks().saturating_sub(old.payload_blocks());
        let fixed_space = if new.leave_blocks_allocated && added > 0 {
            Some(self.take_space(added * new.block())?)
        } else {
            None
        };
        Ok(NewTable { old, new, absent, fixed_space })
    }

    /// Where the table is to be: where it was, if it fits there.
    fn table_region(&mut self, new: Geometry) -> Result<ByteRange> {
        let region = self.image.regions.bat;
        let needed = new.bat_entries() * 8;
        if needed <= region.len() {
            return Ok(region);
        }
        let bytes = align_up(needed, MIB);
        Ok(ByteRange::at(self.take_space(bytes)?, bytes))
    }

    /// Writes the entries, leaving holes where they are zero. Entries in use in the same place are
    /// written as they are, so that a torn write changes nothing of them.
    fn write_table(&mut self, table: &NewTable, region: ByteRange, entries: u64) -> Result<()> {
        let end = (entries * 8).next_multiple_of(PAGE_BYTES).min(region.len());
        for start in (0..end).step_by(index(STEP_BYTES)) {
            let length = STEP_BYTES.min(end - start);
            let places = start / 8..(start + length) / 8;
            let bytes: Vec<u8> = places.flat_map(|at| table.entry(&self.image, at).to_le_bytes()).collect();
            let at = region.start + start;
            let file = &self.image.file;
            let run = file.run_at(at).map_err(|error| Error::io(file.name(), "read", error))?;
            if !(run.is_hole && run.end >= at + length && is_zero(&bytes)) {
                self.write_file(at, &bytes)?;
            }
        }
        Ok(())
    }

    /// Changes the size, and where the table is, in one log entry, and puts it in place.
    fn log_size(&mut self, capacity: u64, table: ByteRange) -> Result<()> {
        let mut pages = self.size_pages(capacity)?;
        if table != self.image.regions.bat {
            pages.extend(self.region_pages(table)?);
        }
        self.start_log()?;
        self.log_pages(&pages)?;
        self.flush_file()?;
        match &mut self.log {
            Some(log) => log.apply(&*self.image.file),
            None => Ok(()),
        }
    }

    /// The page of the metadata region that has the disk size, or both when it lies across a border.
    fn size_pages(&self, capacity: u64) -> Result<Vec<Page>> {
        let (file, region) = (&self.image.file, self.image.regions.metadata);
        let entries = read_table(&**file, region)?;
        let item = entries.iter().find(|entry| Uuid::from(entry.item_id) == guid::VIRTUAL_DISK_SIZE);
        let Some(item) = item else {
            return Err(Error::damaged(file.name(), "its metadata has no disk size"));
        };
        let place = ByteRange::at(region.start + u64::from(item.offset.get()), 8);
        let first = place.start - place.start % PAGE_BYTES;
        let mut bytes = vec![0; index(place.end.next_multiple_of(PAGE_BYTES) - first)];
        file.read_at(first, &mut bytes)
            .map_err(|error| Error::io(file.name(), "read the metadata of", error))?;
        bytes[index(place.start - first)..index(place.end - first)].copy_from_slice(&capacity.to_le_bytes());
        Ok(pages_of(first, &bytes))
    }

    /// Both region tables, with the block allocation table at its new place.
    fn region_pages(&self, table: ByteRange) -> Result<Vec<Page>> {
        let file = &self.image.file;
        let mut bytes = valid_table(&**file)?;
        let at = (size_of::<RegionTableHeader>()..TABLE_BYTES)
            .step_by(size_of::<RegionEntry>())
            .find(|at| {
                RegionEntry::read_from_prefix(&bytes[*at..])
                    .is_ok_and(|(region, _)| Uuid::from(region.guid) == guid::REGION_BAT)
            })
            .ok_or_else(|| Error::damaged(file.name(), "its region table names no block allocation table"))?;
        let (mut region, _) = RegionEntry::read_from_prefix(&bytes[at..])
            .map_err(|_| Error::damaged(file.name(), "its region table cannot be read"))?;
        region.file_offset.set(table.start);
        region.length.set(u32::try_from(table.len()).unwrap_or(u32::MAX));
        bytes[at..at + size_of::<RegionEntry>()].copy_from_slice(region.as_bytes());
        let sum = checksum(&bytes);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        Ok(REGION_TABLE_OFFSETS.into_iter().flat_map(|offset| pages_of(offset, &bytes)).collect())
    }

    /// Reads the file again as it is now.
    fn reload(&mut self) -> Result<()> {
        let image = Arc::new(Image::open_for_writing(Arc::clone(&self.image.file))?);
        let parents = self.chain.layers[1..].to_vec();
        let layers = std::iter::once(Layer::Vhdx(Arc::clone(&image))).chain(parents).collect();
        self.next_free = align_up(image.length().max(image.used_end), MIB);
        self.tail_is_clean = false;
        self.changes = super::write::Changes::default();
        self.chain = Arc::new(Chain { layers });
        self.image = image;
        Ok(())
    }
}

fn pages_of(offset: u64, bytes: &[u8]) -> Vec<Page> {
    let pages = bytes.chunks(index(PAGE_BYTES)).zip((offset..).step_by(index(PAGE_BYTES)));
    pages.map(|(bytes, offset)| Page { offset, bytes: bytes.into() }).collect()
}
