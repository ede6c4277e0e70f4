//! Making a writer's changes durable, in the order that keeps the file readable wherever it is cut.
//!
//! ```text
//! payload ─► flush ─► log entries ─► flush ─► pages in place ┄┄► (a later flush) ─► entries retired
//!            only where old bytes could show                     closing ─► flush ─► log empty
//! ```
//!
//! The second flush is the moment at which a guest's flush is done: from then on a replay brings the
//! pages. The first one can be left out while the only new blocks lie in fresh space and read as zeros
//! before: a table entry without its payload then shows the zeros that were there anyway. Space that was
//! used before, blocks that hid a parent's bytes, and sector bitmaps always get it.
//!
//! When several entries are needed, any number of them may survive a cut, so they are ordered: sector
//! bitmaps before the table, and the table from its end, because a chunk's bitmap entry comes after its
//! payload entries and must be there before a block of it is called partially present.

use super::log_writer::{Lengths, LogWriter, PAGE_BYTES, PAGES_PER_ENTRY, Page};
use super::write::WritableDisk;
use crate::error::{Error, Result};
use crate::number::{MIB, index};
use crate::range::ByteRange;

const ENTRIES_PER_PAGE: u64 = PAGE_BYTES / 8;
/// Length of the log that a file gets when it has none: that of Windows.
const LOG_BYTES: u64 = MIB;
/// Longest log that is used as it is; it is the longest that is replayed (`log`).
const LOG_BYTES_MAX: u64 = 1 << 30;

impl WritableDisk {
    /// Returns once everything written so far is durable: it survives a power cut from here on.
    pub fn flush(&mut self) -> Result<()> {
        self.check_usable()?;
        self.apply_what_waits()?;
        if !self.changes.table_pages.is_empty() || self.image.bitmaps.has_changes() {
            if self.changes.ordered {
                self.flush_file()?;
            }
            self.log_changes()?;
        }
        if self.changes.payload {
            self.flush_file()?;
        }
        self.changes.table_pages.clear();
        self.changes.reusable.append(&mut self.changes.given_up);
        if let Some(log) = &mut self.log
            && log.is_waiting()
        {
            log.apply(&*self.image.file)?;
            self.image.bitmaps.forget_changes();
        }
        Ok(())
    }

    /// Flushes, empties the log and gives the file back: any program can then read it, also one that
    /// knows no log. Dropping a writer instead flushes but leaves the log to be replayed.
    pub fn close(mut self) -> Result<()> {
        self.flush()?;
        self.finish_log()
    }

    /// Changes a table entry in memory and notes its page for the next flush.
    pub(super) fn set_entry(&mut self, entry: u64, value: u64) {
        self.image.table().set(entry, value);
        self.changes.table_pages.insert(entry / ENTRIES_PER_PAGE);
    }

    /// Logs all changed pages. They count once the file was flushed.
    fn log_changes(&mut self) -> Result<()> {
        self.start_log()?;
        let mut batch = self.image.bitmaps.changed_pages();
        let numbers: Vec<u64> = self.changes.table_pages.iter().rev().copied().collect();
        for part in numbers.chunks(PAGES_PER_ENTRY) {
            batch.extend(part.iter().map(|number| self.table_page(*number)));
            self.log_pages(&batch)?;
            batch.clear();
        }
        self.log_pages(&batch)
    }

    /// Logs pages; when the log is full, what is in it is put in place first.
    pub(super) fn log_pages(&mut self, pages: &[Page]) -> Result<()> {
        let mut rest = pages;
        while !rest.is_empty() {
            self.changes.payload = true;
            let lengths = Lengths { durable: self.durable_length, current: self.image.length() };
            let Some(log) = &mut self.log else { return Err(self.unusable()) };
            let done = log.append_some(&*self.image.file, rest, lengths)?;
            rest = &rest[done..];
            if !rest.is_empty() {
                self.flush_file()?;
                self.apply_what_waits()?;
                self.flush_file()?;
            }
        }
        Ok(())
    }

    /// Puts logged pages in place, once their entries are surely durable.
    fn apply_what_waits(&mut self) -> Result<()> {
        if self.log.as_ref().is_none_or(|log| !log.is_waiting()) {
            return Ok(());
        }
        self.flush_file()?;
        match &mut self.log {
            Some(log) => log.apply(&*self.image.file),
            None => Ok(()),
        }
    }

    fn table_page(&self, number: u64) -> Page {
        let image = &self.image;
        let first = number * ENTRIES_PER_PAGE;
        let mut bytes = image.table().to_bytes(first..(first + ENTRIES_PER_PAGE).min(image.table().len()));
        // Slack behind the last entry means nothing.
        bytes.resize(index(PAGE_BYTES), 0);
        Page { offset: image.regions.bat.start + first * 8, bytes: bytes.into() }
    }

    /// Begins the session's log, if there is none yet.
    pub(super) fn start_log(&mut self) -> Result<()> {
        if self.log.is_some() {
            return Ok(());
        }
        let region = self.place_log()?;
        let log = LogWriter::start(&*self.image.file, region, self.image.length())?;
        let guid = log.guid();
        self.flush_file()?;
        self.log = Some(log);
        self.name_log(guid)
    }

    /// Where the log is. A file that has none, or one that is too long to be replayed, gets a new one.
    fn place_log(&mut self) -> Result<ByteRange> {
        let region = self.image.header().log_region();
        if !region.is_empty() && region.len() <= LOG_BYTES_MAX && region.end <= self.image.length() {
            return Ok(region);
        }
        let offset = self.take_space(LOG_BYTES)?;
        self.grow_file()?;
        let region = ByteRange::at(offset, LOG_BYTES);
        self.image.header().place_log(region);
        Ok(region)
    }

    /// Empties the log. Everything logged was put in place before.
    pub(super) fn finish_log(&mut self) -> Result<()> {
        if self.log.is_none() {
            return Ok(());
        }
        self.flush_file()?;
        self.name_log(uuid::Uuid::nil())?;
        self.log = None;
        Ok(())
    }

    /// After a failure here nobody knows which log the headers name, so the writer stops.
    fn name_log(&mut self, guid: uuid::Uuid) -> Result<()> {
        let outcome = self.image.header().set_log(&*self.image.file, guid);
        self.failed |= outcome.is_err();
        outcome
    }

    /// After a failed flush the operating system may have dropped what it could not write, and later
    /// flushes would succeed without it. So nothing more is written through this writer.
    pub(super) fn flush_file(&mut self) -> Result<()> {
        let file = &self.image.file;
        if let Err(error) = file.flush() {
            self.failed = true;
            return Err(Error::io(file.name(), "make durable", error));
        }
        self.changes.payload = false;
        self.changes.ordered = false;
        self.durable_length = self.image.length();
        if let Some(log) = &mut self.log {
            log.flushed();
        }
        Ok(())
    }

    pub(super) fn check_usable(&self) -> Result<()> {
        if self.failed { Err(self.unusable()) } else { Ok(()) }
    }

    fn unusable(&self) -> Error {
        let why = std::io::Error::other("the storage failed before; open the disk again");
        Error::io(self.image.name(), "go on writing", why)
    }
}

impl Drop for WritableDisk {
    fn drop(&mut self) {
        // Nobody is left to be told; `close` is the way to learn of a failure.
        let _ = self.flush();
    }
}
