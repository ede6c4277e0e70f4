//! Making a writer's changes durable, in the order that keeps the file readable.
//!
//! Payload first, then a flush, then sector bitmaps and the changed pages of the block table, then a
//! flush again: a table entry never becomes durable before the bytes it points to. Space that a
//! cleared block gave up is used again only after its entry is durably gone, or a power cut could
//! show one block's bytes in another.

use super::write::WritableDisk;
use crate::error::{Error, Result};
use crate::number::MIB;

/// Pages in which the block table is written (MS-VHDX 2.3: metadata changes in 4 KiB units).
const TABLE_PAGE_BYTES: u64 = 4096;
const ENTRIES_PER_PAGE: u64 = TABLE_PAGE_BYTES / 8;
/// Neighbouring pages written together at most.
const PAGES_PER_WRITE: u64 = MIB / TABLE_PAGE_BYTES;

impl WritableDisk {
    /// Returns once everything written so far is durable and the file is complete.
    pub fn flush(&mut self) -> Result<()> {
        let has_metadata = !self.changes.table_pages.is_empty();
        if self.changes.payload || has_metadata {
            self.flush_file()?;
            self.changes.payload = false;
        }
        let wrote_bitmaps = self.image.bitmaps.write_changes(&*self.image.file)?;
        if wrote_bitmaps || has_metadata {
            self.write_table_pages()?;
            self.flush_file()?;
        }
        self.changes.table_pages.clear();
        self.changes.reusable.append(&mut self.changes.given_up);
        Ok(())
    }

    /// Flushes and gives the file back. Dropping a writer flushes too, but cannot tell of errors.
    pub fn close(mut self) -> Result<()> {
        self.flush()
    }

    /// Changes a table entry in memory and notes its page for the next flush.
    pub(super) fn set_entry(&mut self, entry: u64, value: u64) {
        self.image.bat.set(entry, value);
        self.changes.table_pages.insert(entry / ENTRIES_PER_PAGE);
    }

    fn write_table_pages(&self) -> Result<()> {
        let mut pages = self.changes.table_pages.iter().copied().peekable();
        while let Some(first) = pages.next() {
            let mut end = first + 1;
            while end - first < PAGES_PER_WRITE && pages.next_if_eq(&end).is_some() {
                end += 1;
            }
            self.write_entries(first * ENTRIES_PER_PAGE..end * ENTRIES_PER_PAGE)?;
        }
        Ok(())
    }

    /// Writes entries in use; slack after them in the region is left as it is.
    fn write_entries(&self, entries: std::ops::Range<u64>) -> Result<()> {
        let image = &self.image;
        let entries = entries.start..entries.end.min(image.bat.len());
        let offset = image.regions.bat.start + entries.start * 8;
        let file = &image.file;
        file.write_at(offset, &image.bat.to_bytes(entries))
            .map_err(|error| Error::io(file.name(), "write the block allocation table of", error))
    }

    fn flush_file(&self) -> Result<()> {
        let file = &self.image.file;
        file.flush().map_err(|error| Error::io(file.name(), "make durable", error))
    }
}

impl Drop for WritableDisk {
    fn drop(&mut self) {
        // Nobody is left to be told; `close` is the way to learn of a failure.
        let _ = self.flush();
    }
}
