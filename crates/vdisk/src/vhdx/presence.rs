//! What one VHDX file says of a place of the virtual disk: data here, zeros, or look below.
//!
//! The answer covers one block or a run of absent ones, and inside a partially present block at most a
//! run of equal bits. Joining neighbours is left to the extent iterator, which does it once for the whole chain.

use super::bat::{BlockOutcome, bitmap_offset};
use super::bitmap::Bits;
use super::format::BITMAP_BLOCK_BYTES;
use super::image::Image;
use crate::error::{Error, Result};
use crate::range::ByteRange;

/// Where the content of a run comes from, as far as one file knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// In this file from that offset on.
    Data { file_offset: u64 },
    /// Zeros, and nothing below counts.
    Zero,
    /// Whatever the file below holds.
    Below,
}

impl Image {
    /// The presence at the start of `range`, and the end of the run that surely has it. The range
    /// is not empty and lies inside the disk.
    pub(crate) fn presence(&self, range: ByteRange) -> Result<(Presence, u64)> {
        let block = range.start / self.geometry.block();
        let block_range = self.geometry.block_range(block);
        let run = range.intersect(block_range);
        match self.outcome(block)? {
            BlockOutcome::Data { file_offset, by_sector } => {
                let file_offset = file_offset + (run.start - block_range.start);
                if by_sector {
                    return self.presence_by_sector(block, run, file_offset);
                }
                Ok((Presence::Data { file_offset }, run.end))
            }
            BlockOutcome::Zero => Ok((Presence::Zero, run.end)),
            BlockOutcome::Parent | BlockOutcome::Reserved => {
                Ok((Presence::Below, self.below_until(block, range)?))
            }
        }
    }

    /// Where the absent blocks from `block` on surely end: far away when the pages of the block table
    /// are empty.
    fn below_until(&self, block: u64, range: ByteRange) -> Result<u64> {
        let end = self.absent_until(self.geometry.payload_entry(block))?;
        let next = self.geometry.first_block_from(end).max(block + 1);
        Ok(next.saturating_mul(self.geometry.block()).min(range.end))
    }

    fn presence_by_sector(&self, block: u64, run: ByteRange, file_offset: u64) -> Result<(Presence, u64)> {
        let sector = u64::from(self.geometry.logical_sector);
        let bits = self.bits(block, run)?;
        let (here, count) = self.bitmaps.run(&*self.file, &bits)?;
        let end = (run.start / sector + count) * sector;
        let presence = if here { Presence::Data { file_offset } } else { Presence::Below };
        Ok((presence, end.min(run.end)))
    }

    /// The bitmap bits of the sectors that `run` touches; it lies inside the block.
    pub(super) fn bits(&self, block: u64, run: ByteRange) -> Result<Bits> {
        let geometry = &self.geometry;
        let (ratio, sector) = (geometry.chunk_ratio(), u64::from(geometry.logical_sector));
        let chunk = block / ratio;
        let entry = self.entry(geometry.bitmap_entry(chunk))?;
        let Some(block_offset) = bitmap_offset(entry) else {
            return Err(Error::BadBlock {
                file: self.name().to_owned(),
                block,
                entry: self.entry(geometry.payload_entry(block))?,
                why: "which needs a sector bitmap, but its chunk has none",
            });
        };
        if block_offset.saturating_add(BITMAP_BLOCK_BYTES) > self.length() {
            let (file, length) = (self.name().to_owned(), self.length());
            let needed = block_offset.saturating_add(BITMAP_BLOCK_BYTES);
            return Err(Error::Truncated { file, what: format!("sector bitmap {chunk}"), needed, length });
        }
        let chunk_start = chunk * ratio * geometry.block();
        let first = (run.start - chunk_start) / sector;
        let end = (run.end - chunk_start).div_ceil(sector);
        Ok(Bits { chunk, block_offset, bits: first..end })
    }
}
