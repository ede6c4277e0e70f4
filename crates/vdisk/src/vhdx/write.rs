//! `WritableDisk`: the one writer of the leaf of a chain.
//!
//! A block gets space at the end of the file when it is first written. Payload goes to the file at
//! once, and overwriting a block that is there costs that one write and nothing else. The block table
//! and the sector bitmaps stay in memory until [`WritableDisk::flush`], which brings them there through
//! the log (`flush`).
//!
//! In a differencing file a block that is written in part becomes PARTIALLY_PRESENT with a sector
//! bitmap, and FULLY_PRESENT once every sector is there (MS-VHDX 2.5.1.1).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::bat::{BlockOutcome, block_outcome, entry, state};
use super::image::Image;
use super::log_writer::LogWriter;
use super::session::Session;
use super::space::ZEROS;
use crate::chain::Chain;
use crate::disk::Disk;
use crate::error::Result;
use crate::number::{MIB, index};
use crate::range::ByteRange;

/// Blocks that one step of a long write or clearing plans at once, which bounds its memory.
const BLOCKS_PER_STEP: u64 = 1024;

/// Exclusive writer of the leaf of a chain.
///
/// It keeps the promise of a disk with a write cache. What was written before a [`WritableDisk::flush`]
/// that returned survives a power cut; of what was written later, each sector is there or holds what it
/// held before. The file opens after a cut at any moment: its log is replayed, in memory by readers and
/// for good by the next writer. [`WritableDisk::close`] also empties the log.
///
/// Nobody else may write the files meanwhile, and a file that has children must not be written at all:
/// they would refuse it.
#[derive(Debug)]
pub struct WritableDisk {
    pub(super) chain: Arc<Chain>,
    pub(super) image: Arc<Image>,
    pub(super) changes: Changes,
    pub(super) session: Session,
    /// The session's log, once a change needed it.
    pub(super) log: Option<LogWriter>,
    /// Where the next new space begins.
    pub(super) next_free: u64,
    /// Whether what lies behind the last part in use was cut off.
    pub(super) tail_is_clean: bool,
    /// Length of the file that is surely durable.
    pub(super) durable_length: u64,
    /// A flush failed, so that nobody knows what is durable.
    pub(super) failed: bool,
}

/// What the file does not hold durably yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Something was written since the last flush.
    pub payload: bool,
    /// Some of it must be durable before the table names it.
    pub ordered: bool,
    /// Pages of the block table to write, by number.
    pub table_pages: BTreeSet<u64>,
    /// Space of blocks given up; usable again once the table says so durably.
    pub given_up: Vec<u64>,
    /// Space usable again, with old bytes in it.
    pub reusable: Vec<u64>,
}

/// What is to happen to one block in a write.
#[derive(Debug)]
struct Placed {
    block: u64,
    run: ByteRange,
    /// Where bytes must be written; `None` when the state alone says it.
    file_offset: Option<u64>,
    /// The block's new table entry, if it changes.
    entry: Option<u64>,
    /// Whether the run's sectors must be marked in the sector bitmap.
    by_sector: bool,
    /// Whether the written bytes must be durable before the table or the bitmap changes.
    ordered: bool,
    /// Space that the block gives up.
    given_up: Option<u64>,
}

impl WritableDisk {
    /// Size of the virtual disk in bytes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.chain.capacity()
    }

    /// A view of the disk that also sees later writes of this writer.
    #[must_use]
    pub fn as_disk(&self) -> Disk {
        Disk::from_chain(Arc::clone(&self.chain))
    }

    /// Fills `buf` from `offset`, with everything written so far.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.chain.read_at(offset, buf)
    }

    /// Writes `data` at `offset`. Whole sectors are written directly; a sector written in part is
    /// read first.
    pub fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let range = self.chain.check_range(offset, data.len() as u64)?;
        if let Some(file_offset) = self.in_place(range) {
            self.begin_change()?;
            return self.write_file(file_offset, data);
        }
        let [first, whole, last] = range.split_at_units(self.sector());
        let part = |range: ByteRange| &data[index(range.start - offset)..index(range.end - offset)];
        self.write_part_of_sector(first, part(first))?;
        self.write_sectors(whole, Some(part(whole)))?;
        self.write_part_of_sector(last, part(last))
    }

    /// Makes a range read as zeros, by the state of blocks where that is enough.
    pub fn write_zeroes(&mut self, range: ByteRange) -> Result<()> {
        let range = self.chain.check_range(range.start, range.len())?;
        let [first, whole, last] = range.split_at_units(self.sector());
        for edge in [first, last] {
            self.write_part_of_sector(edge, &ZEROS[..index(edge.len())])?;
        }
        self.write_sectors(whole, None)
    }

    fn sector(&self) -> u64 {
        self.image.geometry.logical_sector.into()
    }

    fn write_part_of_sector(&mut self, range: ByteRange, data: &[u8]) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let sector = u64::from(self.image.geometry.logical_sector);
        let start = range.start - range.start % sector;
        let mut bytes = vec![0; index(sector)];
        self.read_at(start, &mut bytes)?;
        bytes[index(range.start - start)..index(range.end - start)].copy_from_slice(data);
        self.write_sectors(ByteRange::at(start, sector), Some(&bytes))
    }

    /// Where the range is in the file, if it lies in one block that is there as a whole.
    fn in_place(&self, range: ByteRange) -> Option<u64> {
        let geometry = &self.image.geometry;
        let sector = u64::from(geometry.logical_sector);
        let block = range.start / geometry.block();
        let aligned = range.start.is_multiple_of(sector) && range.end.is_multiple_of(sector);
        if !aligned || range.is_empty() || (range.end - 1) / geometry.block() != block {
            return None;
        }
        let entry = self.image.table().get(geometry.payload_entry(block));
        match block_outcome(entry, geometry.has_parent) {
            BlockOutcome::Data { file_offset, by_sector: false } => {
                Some(file_offset + range.start % geometry.block())
            }
            _ => None,
        }
    }

    /// Writes whole sectors; `None` means zeros.
    fn write_sectors(&mut self, range: ByteRange, data: Option<&[u8]>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.begin_change()?;
        let step = BLOCKS_PER_STEP * self.image.geometry.block();
        let mut at = range.start;
        while at < range.end {
            let part = ByteRange::new(at, range.end.min(at - at % step + step));
            let bytes =
                data.map(|data| &data[index(part.start - range.start)..index(part.end - range.start)]);
            self.write_step(part, bytes)?;
            at = part.end;
        }
        if self.image.bitmaps.is_crowded() { self.flush() } else { Ok(()) }
    }

    /// Finds or makes room for each block, writes each contiguous run at once, then publishes.
    fn write_step(&mut self, range: ByteRange, data: Option<&[u8]>) -> Result<()> {
        let block_bytes = self.image.geometry.block();
        let mut placed = Vec::new();
        for block in range.start / block_bytes..range.end.div_ceil(block_bytes) {
            let run = range.intersect(self.image.geometry.block_range(block));
            placed.push(self.place(block, run, data.is_none())?);
        }
        self.grow_file()?;
        for (run, file_offset) in contiguous_runs(&placed) {
            match data {
                Some(data) => {
                    let part = &data[index(run.start - range.start)..index(run.end - range.start)];
                    self.write_file(file_offset, part)?;
                }
                None => self.clear_file(file_offset, run.len())?,
            }
        }
        placed.iter().try_for_each(|placed| self.publish(placed))
    }

    /// Decides what a write of `run` does to a block, and allocates what it needs.
    fn place(&mut self, block: u64, run: ByteRange, zeros: bool) -> Result<Placed> {
        let geometry = self.image.geometry;
        let block_range = geometry.block_range(block);
        let (whole, delta) = (run == block_range, run.start - block_range.start);
        let mut placed = Placed {
            block,
            run,
            file_offset: None,
            entry: None,
            by_sector: false,
            ordered: true,
            given_up: None,
        };
        match self.image.outcome(block)? {
            BlockOutcome::Data { file_offset, .. } if zeros && whole && !geometry.leave_blocks_allocated => {
                placed.given_up = Some(file_offset);
                placed.entry = Some(entry(state::ZERO, 0));
            }
            BlockOutcome::Data { file_offset, by_sector } => {
                placed.file_offset = Some(file_offset + delta);
                placed.entry = (by_sector && whole).then(|| entry(state::FULLY_PRESENT, file_offset));
                placed.by_sector = by_sector && !whole;
            }
            BlockOutcome::Parent if geometry.has_parent && zeros && whole => {
                placed.entry = Some(entry(state::ZERO, 0));
            }
            BlockOutcome::Parent if geometry.has_parent && !whole => {
                self.prepare_bitmap(block)?;
                let space = self.allocate_block(false)?;
                placed.file_offset = (!zeros).then_some(space.offset + delta);
                placed.entry = Some(entry(state::PARTIALLY_PRESENT, space.offset));
                placed.by_sector = true;
            }
            outcome if zeros => debug_assert!(!matches!(outcome, BlockOutcome::Data { .. })),
            outcome => {
                let space = self.allocate_block(whole)?;
                placed.file_offset = Some(space.offset + delta);
                placed.entry = Some(entry(state::FULLY_PRESENT, space.offset));
                let was_zero = !geometry.has_parent || outcome == BlockOutcome::Zero;
                placed.ordered = !(space.fresh && was_zero);
            }
        }
        Ok(placed)
    }

    /// Makes the outcome of a write visible to readers.
    fn publish(&mut self, placed: &Placed) -> Result<()> {
        let payload_entry = self.image.geometry.payload_entry(placed.block);
        let mut new_entry = placed.entry;
        if placed.by_sector {
            let bits = self.image.bits(placed.block, placed.run)?;
            let any = self.image.bitmaps.set(&*self.image.file, bits, true)?;
            self.changes.ordered |= any;
            if any && self.has_every_sector(placed.block)? {
                let current = new_entry.unwrap_or_else(|| self.image.table().get(payload_entry));
                new_entry = Some(current & !(MIB - 1) | state::FULLY_PRESENT);
            }
        }
        if let Some(value) = new_entry {
            self.changes.ordered |= placed.ordered && placed.file_offset.is_some();
            self.set_entry(payload_entry, value);
        }
        self.changes.given_up.extend(placed.given_up);
        Ok(())
    }

    fn has_every_sector(&self, block: u64) -> Result<bool> {
        let mut bits = self.image.bits(block, self.image.geometry.block_range(block))?;
        while bits.bits.start < bits.bits.end {
            let (here, count) = self.image.bitmaps.run(&*self.image.file, &bits)?;
            if !here {
                return Ok(false);
            }
            bits.bits.start += count;
        }
        Ok(true)
    }
}

/// The bytes to write as runs that are contiguous both in the disk and in the file.
fn contiguous_runs(placed: &[Placed]) -> Vec<(ByteRange, u64)> {
    let mut runs: Vec<(ByteRange, u64)> = Vec::new();
    for placed in placed {
        let Some(file_offset) = placed.file_offset else { continue };
        match runs.last_mut() {
            Some((run, at)) if run.end == placed.run.start && *at + run.len() == file_offset => {
                run.end = placed.run.end;
            }
            _ => runs.push((placed.run, file_offset)),
        }
    }
    runs
}
