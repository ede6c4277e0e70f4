//! Space in the file: where new blocks and bitmaps go, and writing there.
//!
//! New space is taken from the end of the file, where it reads as zeros. Space that a cleared block
//! gave up is used again after a flush (see `flush`); it holds old bytes, so it is cleared first
//! unless the whole block is about to be written.

use super::bat::{bitmap_offset, entry, state};
use super::format::BITMAP_BLOCK_BYTES;
use super::write::WritableDisk;
use crate::error::{Error, Result};
use crate::number::index;

/// Zeros written at a time where a range must be cleared in the file.
pub(super) const ZEROS: &[u8] = &[0; 1 << 20];

impl WritableDisk {
    /// Gives the block's chunk a sector bitmap, and clears the bits that the block may have there.
    pub(super) fn prepare_bitmap(&mut self, block: u64) -> Result<()> {
        let geometry = self.image.geometry;
        let bitmap_entry = geometry.bitmap_entry(block / geometry.chunk_ratio());
        if bitmap_offset(self.image.bat.get(bitmap_entry)).is_none() {
            let offset = self.take_space(BITMAP_BLOCK_BYTES);
            self.grow_file()?;
            self.set_entry(bitmap_entry, entry(state::FULLY_PRESENT, offset));
        }
        let bits = self.image.bits(block, geometry.block_range(block))?;
        self.image.bitmaps.set(&*self.image.file, bits, false)
    }

    /// Space for a block that reads as zeros, unless all of it is about to be written.
    pub(super) fn allocate_block(&mut self, written_whole: bool) -> Result<u64> {
        let block_bytes = self.image.geometry.block();
        let Some(offset) = self.changes.reusable.pop() else {
            return Ok(self.take_space(block_bytes));
        };
        if !written_whole {
            self.clear_file(offset, block_bytes)?;
        }
        Ok(offset)
    }

    fn take_space(&mut self, bytes: u64) -> u64 {
        let offset = self.next_free;
        self.next_free += bytes;
        offset
    }

    /// Makes the file long enough for the space taken; the new part reads as zeros.
    pub(super) fn grow_file(&mut self) -> Result<()> {
        if self.next_free > self.image.length() {
            let file = &self.image.file;
            file.set_len(self.next_free).map_err(|error| Error::io(file.name(), "enlarge", error))?;
            self.image.set_length(self.next_free);
            self.changes.payload = true;
        }
        Ok(())
    }

    pub(super) fn write_file(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.changes.payload = true;
        let file = &self.image.file;
        file.write_at(offset, data).map_err(|error| Error::io(file.name(), "write", error))
    }

    pub(super) fn clear_file(&mut self, offset: u64, length: u64) -> Result<()> {
        let mut done = 0;
        while done < length {
            let part = (length - done).min(ZEROS.len() as u64);
            self.write_file(offset + done, &ZEROS[..index(part)])?;
            done += part;
        }
        Ok(())
    }
}
