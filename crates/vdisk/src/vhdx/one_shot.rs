//! Writing a whole VHDX in one pass, for conversion and restore (MS-VHDX 2.2 to 2.5).
//!
//! No log is needed, since the file is nobody's until it is complete: payload and tables first, then
//! one flush, then the headers. Blocks get space in ascending order, so the pages of the block table
//! are written once, each when the next one begins, and the table is never in memory as a whole.

use std::sync::Arc;

use super::bat::{entry, state};
use super::create::{Blueprint, CreateOptions};
use crate::convert::{Placed, Sink};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;
use crate::range::ByteRange;

/// Entries of the block table in memory.
const PAGE_ENTRIES: u64 = 8192;

/// A VHDX being written; not readable before `finish`.
pub(crate) struct OneShot {
    file: Arc<dyn FileIo>,
    blueprint: Blueprint,
    /// Where the first payload block lies.
    payload: u64,
    next_free: u64,
    /// The block written last and its place.
    current: Option<(u64, u64)>,
    /// Number and entries of the page of the block table being filled.
    page: Option<(u64, Vec<u8>)>,
}

impl OneShot {
    pub(crate) fn begin(file: Arc<dyn FileIo>, options: &CreateOptions) -> Result<Self> {
        let blueprint = options.blueprint();
        let payload = blueprint.write_tables(&file)?;
        Ok(Self { file, blueprint, payload, next_free: payload, current: None, page: None })
    }

    /// The place of a block, given space now if it has none yet.
    fn block_place(&mut self, block: u64) -> Result<u64> {
        let geometry = self.blueprint.geometry;
        if geometry.leave_blocks_allocated {
            return Ok(self.payload + block * geometry.block());
        }
        if let Some((current, place)) = self.current
            && current == block
        {
            return Ok(place);
        }
        let place = self.next_free;
        self.next_free += geometry.block();
        self.current = Some((block, place));
        self.set_entry(geometry.payload_entry(block), entry(state::FULLY_PRESENT, place))?;
        Ok(place)
    }

    fn set_entry(&mut self, at: u64, value: u64) -> Result<()> {
        let number = at / PAGE_ENTRIES;
        if self.page.as_ref().is_some_and(|(current, _)| *current != number) {
            self.write_page()?;
        }
        let (_, bytes) = self.page.get_or_insert_with(|| (number, vec![0; index(PAGE_ENTRIES * 8)]));
        let (words, _) = bytes.as_chunks_mut::<8>();
        words[index(at % PAGE_ENTRIES)] = value.to_le_bytes();
        Ok(())
    }

    /// The region is a multiple of 1 MiB, so a whole page always lies in it.
    fn write_page(&mut self) -> Result<()> {
        let Some((number, bytes)) = self.page.take() else { return Ok(()) };
        self.put(Blueprint::table_offset() + number * PAGE_ENTRIES * 8, &bytes)
    }

    fn put(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.file.write_at(offset, data).map_err(|error| Error::io(self.file.name(), "write", error))
    }
}

impl Sink for OneShot {
    fn place(&mut self, data: ByteRange) -> Result<Vec<Placed>> {
        let block_bytes = self.blueprint.geometry.block();
        Placed::by_block(data, block_bytes, |block| self.block_place(block))
    }

    fn finish(&mut self) -> Result<()> {
        self.write_page()?;
        if !self.blueprint.geometry.leave_blocks_allocated {
            let failed = |error| Error::io(self.file.name(), "enlarge", error);
            self.file.set_len(self.next_free).map_err(failed)?;
        }
        self.file.flush().map_err(|error| Error::io(self.file.name(), "make durable", error))?;
        Blueprint::write_headers(&*self.file)
    }
}
