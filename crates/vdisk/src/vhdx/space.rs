//! Space in the file: where new blocks and bitmaps go, and writing there.
//!
//! New space is taken from the end of the file, where it reads as zeros. Space that a cleared block
//! gave up is used again once its table entry is durably gone (see `flush`), or a cut could show one
//! block's bytes in another. It holds old bytes, so it is cleared first unless the whole block is about
//! to be written.

use std::sync::Arc;

use super::bat::{bitmap_offset, entry, state};
use super::format::BITMAP_BLOCK_BYTES;
use super::metadata::Role;
use super::write::WritableDisk;
use crate::error::{Error, Result};
use crate::number::{MIB, align_up, index};

/// Zeros written at a time where a range must be cleared in the file.
pub(super) const ZEROS: &[u8] = &[0; 1 << 20];

/// Space for a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockSpace {
    pub offset: u64,
    /// It never held anything: also durably it reads as zeros.
    pub fresh: bool,
}

impl WritableDisk {
    /// Gives the block's chunk a sector bitmap, and clears the bits that the block may have there.
    pub(super) fn prepare_bitmap(&mut self, block: u64) -> Result<()> {
        let geometry = self.image.geometry;
        let bitmap_entry = geometry.bitmap_entry(block / geometry.chunk_ratio());
        if bitmap_offset(self.image.table().get(bitmap_entry)).is_none() {
            let offset = self.take_space(BITMAP_BLOCK_BYTES)?;
            self.grow_file()?;
            self.set_entry(bitmap_entry, entry(state::FULLY_PRESENT, offset));
        }
        let bits = self.image.bits(block, geometry.block_range(block))?;
        self.image.bitmaps.set(&*self.image.file, bits, false)?;
        Ok(())
    }

    /// Space for a block that reads as zeros, unless all of it is about to be written.
    pub(super) fn allocate_block(&mut self, written_whole: bool) -> Result<BlockSpace> {
        let block_bytes = self.image.geometry.block();
        // A reader beside the writer may have looked up a block's place just before it was given up.
        let offset = if self.has_readers() { None } else { self.changes.reusable.pop() };
        let Some(offset) = offset else {
            return Ok(BlockSpace { offset: self.take_space(block_bytes)?, fresh: true });
        };
        if !written_whole {
            self.clear_file(offset, block_bytes)?;
        }
        Ok(BlockSpace { offset, fresh: false })
    }

    /// Whether a view made from this writer is alive.
    pub(super) fn has_readers(&self) -> bool {
        Arc::strong_count(&self.chain) > 1 || Arc::strong_count(&self.image) > 2
    }

    pub(super) fn take_space(&mut self, bytes: u64) -> Result<u64> {
        self.clean_tail()?;
        let offset = self.next_free;
        self.next_free += bytes;
        Ok(offset)
    }

    /// Before the first new space is taken: what lies behind the last part in use was left by a writer
    /// that was cut. It is not zero, so it is cut off, durably before the space is used again. Entries
    /// that only reserve space there ("soft anchors") let go of it first.
    fn clean_tail(&mut self) -> Result<()> {
        if self.tail_is_clean {
            return Ok(());
        }
        self.tail_is_clean = true;
        let end = self.used_end();
        if self.drop_anchors_behind(end) {
            self.flush()?;
            self.finish_log()?;
        }
        // A file that had no log may have got one just now.
        let end = end.max(self.image.header().log_region().end);
        if self.image.length() > end && self.log.is_none() {
            let file = &self.image.file;
            file.set_len(end).map_err(|error| Error::io(file.name(), "shorten", error))?;
            self.image.set_length(end);
            self.flush_file()?;
        }
        self.next_free = align_up(self.image.length().max(end), MIB);
        Ok(())
    }

    /// One past the last byte in use when the file was opened.
    fn used_end(&self) -> u64 {
        align_up(self.image.used_end, MIB)
    }

    fn drop_anchors_behind(&mut self, end: u64) -> bool {
        let geometry = self.image.geometry;
        let reaches_behind = |(at, value): &(u64, u64)| {
            let is_anchor = matches!(value & 7, state::UNDEFINED | state::UNMAPPED) && *value >= MIB;
            let anchor_end = (value & !(MIB - 1)).saturating_add(geometry.block());
            matches!(geometry.role_of(*at), Some(Role::Payload(_))) && is_anchor && anchor_end > end
        };
        let anchors: Vec<_> = self.image.table().used().filter(reaches_behind).collect();
        for (at, value) in &anchors {
            self.set_entry(*at, entry(value & 7, 0));
        }
        !anchors.is_empty()
    }

    /// Makes the file long enough for the space taken; the new part reads as zeros.
    pub(super) fn grow_file(&mut self) -> Result<()> {
        if self.next_free > self.image.length() {
            let file = &self.image.file;
            if let Err(error) = file.set_len(self.next_free) {
                // What was taken and is not there has no owner yet.
                self.next_free = align_up(self.image.length(), MIB).max(self.used_end());
                return Err(Error::io(file.name(), "enlarge", error));
            }
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
