//! The log as the writer uses it: pages are logged before they change in place (MS-VHDX 2.3).
//!
//! An entry holds whole 4 KiB pages of the file and is there as a whole or not at all. The oldest entry
//! that a replay needs is its Tail; it moves on once the pages of older entries are durable in place,
//! which any later flush of the file brings about, so that retiring an entry costs no flush of its own.
//!
//! Windows begins each session with a new log GUID, a random sequence number and an empty entry, and so
//! does this. The empty entry is durable *before* a header names the GUID: a cut between the two would
//! else leave a header whose log has no entry, which every reader refuses.

use std::collections::VecDeque;

use uuid::Uuid;
use zerocopy::IntoBytes;

use super::format::checksum;
use super::log::layout::{
    DATA_DESCRIPTOR_SIGNATURE, DATA_SECTOR_SIGNATURE, DataDescriptor, DataSector, ENTRY_SIGNATURE,
    EntryHeader, LOG_SECTOR_BYTES,
};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;
use crate::range::ByteRange;

/// Bytes of a page: metadata is changed in whole ones.
pub(super) const PAGE_BYTES: u64 = LOG_SECTOR_BYTES;
/// Bytes of a page that its data sector holds; its descriptor holds the first eight and the last four.
const DATA_BYTES: usize = 4084;
/// Pages of one entry. With its descriptors an entry then takes a quarter of the smallest log, so that a
/// few fit beside each other; their descriptors fit the entry's first sector.
pub(super) const PAGES_PER_ENTRY: usize = 62;

/// A page of the file as it is to be.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// Place in the file, a multiple of the page size.
    pub offset: u64,
    /// Its bytes.
    pub bytes: Box<[u8]>,
}

/// What an entry says about the length of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    /// Surely durable (FlushedFileOffset).
    pub durable: u64,
    /// Needed by what the entry names (LastFileOffset).
    pub current: u64,
}

/// The writer's end of the log.
#[derive(Debug)]
pub(super) struct LogWriter {
    region: ByteRange,
    guid: Uuid,
    sequence: u64,
    /// Where the next entry goes, from the start of the region.
    head: u64,
    /// Entries that a replay still needs, oldest first.
    live: VecDeque<Entry>,
    /// Logged pages that are not written in place yet, in the order in which they were logged.
    waiting: Vec<Page>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: u64,
    bytes: u64,
    /// Its pages were written in place, durably or not.
    applied: bool,
}

impl LogWriter {
    /// Writes the empty first entry of a new session. The caller makes it durable and then names the
    /// GUID in the headers.
    pub(super) fn start(file: &dyn FileIo, region: ByteRange, length: u64) -> Result<Self> {
        let random = Uuid::new_v4().as_u64_pair().0;
        let mut log = Self {
            region,
            guid: Uuid::new_v4(),
            // Half of the range stays free for the session's entries.
            sequence: (random >> 1).max(1),
            head: 0,
            live: VecDeque::new(),
            waiting: Vec::new(),
        };
        log.append(file, &[], Lengths { durable: length, current: length })?;
        log.applied();
        Ok(log)
    }

    /// The GUID that the headers must name.
    pub(super) fn guid(&self) -> Uuid {
        self.guid
    }

    /// Writes entries for as many pages as there is room for now and returns how many that were. They
    /// count once the file was flushed; until then nothing may be written in place.
    pub(super) fn append_some(
        &mut self,
        file: &dyn FileIo,
        pages: &[Page],
        lengths: Lengths,
    ) -> Result<usize> {
        let mut done = 0;
        for part in pages.chunks(PAGES_PER_ENTRY) {
            if !self.has_room(part.len()) {
                break;
            }
            self.append(file, part, lengths)?;
            done += part.len();
        }
        Ok(done)
    }

    fn has_room(&self, pages: usize) -> bool {
        let used: u64 = self.live.iter().map(|entry| entry.bytes).sum();
        // One sector stays free, so that a full log is not taken for an empty one.
        used + entry_bytes(pages) + LOG_SECTOR_BYTES <= self.region.len()
    }

    fn append(&mut self, file: &dyn FileIo, pages: &[Page], lengths: Lengths) -> Result<()> {
        let tail = self.live.front().map_or(self.head, |entry| entry.at);
        let bytes = self.encode(pages, tail, lengths);
        let until_end = index(self.region.len() - self.head).min(bytes.len());
        let (first, wrapped) = bytes.split_at(until_end);
        let failed = |error| Error::io(file.name(), "write the log of", error);
        file.write_at(self.region.start + self.head, first).map_err(failed)?;
        if !wrapped.is_empty() {
            file.write_at(self.region.start, wrapped).map_err(failed)?;
        }
        let bytes = bytes.len() as u64;
        self.live.push_back(Entry { at: self.head, bytes, applied: false });
        self.waiting.extend_from_slice(pages);
        self.head = (self.head + bytes) % self.region.len();
        self.sequence += 1;
        Ok(())
    }

    fn encode(&self, pages: &[Page], tail: u64, lengths: Lengths) -> Vec<u8> {
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let mut header = EntryHeader {
            signature: ENTRY_SIGNATURE,
            checksum: 0.into(),
            entry_length: small(entry_bytes(pages.len())).into(),
            tail: small(tail).into(),
            sequence_number: self.sequence.into(),
            descriptor_count: small(pages.len() as u64).into(),
            reserved: 0.into(),
            log_guid: self.guid.into(),
            flushed_file_offset: lengths.durable.into(),
            last_file_offset: lengths.current.into(),
        };
        let mut entry = header.as_bytes().to_vec();
        let (high, low) = (small(self.sequence >> 32), small(self.sequence & u64::from(u32::MAX)));
        let mut sectors = Vec::with_capacity(pages.len() * index(LOG_SECTOR_BYTES));
        for page in pages {
            let (mut leading, mut trailing, mut middle) = ([0; 8], [0; 4], [0; DATA_BYTES]);
            leading.copy_from_slice(&page.bytes[..8]);
            middle.copy_from_slice(&page.bytes[8..8 + DATA_BYTES]);
            trailing.copy_from_slice(&page.bytes[8 + DATA_BYTES..]);
            let descriptor = DataDescriptor {
                signature: DATA_DESCRIPTOR_SIGNATURE,
                trailing_bytes: trailing,
                leading_bytes: leading,
                file_offset: page.offset.into(),
                sequence_number: self.sequence.into(),
            };
            entry.extend_from_slice(descriptor.as_bytes());
            let sector = DataSector {
                signature: DATA_SECTOR_SIGNATURE,
                sequence_high: high.into(),
                data: middle,
                sequence_low: low.into(),
            };
            sectors.extend_from_slice(sector.as_bytes());
        }
        entry.resize(index(LOG_SECTOR_BYTES), 0);
        entry.extend_from_slice(&sectors);
        header.checksum.set(checksum(&entry));
        entry[..size_of::<EntryHeader>()].copy_from_slice(header.as_bytes());
        entry
    }

    /// Writes the logged pages in place; the entries are durable.
    pub(super) fn apply(&mut self, file: &dyn FileIo) -> Result<()> {
        let failed = |error| Error::io(file.name(), "write the metadata of", error);
        for page in &self.waiting {
            file.write_at(page.offset, &page.bytes).map_err(failed)?;
        }
        self.applied();
        Ok(())
    }

    fn applied(&mut self) {
        self.waiting.clear();
        self.live.iter_mut().for_each(|entry| entry.applied = true);
    }

    /// Logged pages wait to be written in place, since that failed.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The file was flushed: what had been written in place before is durable, and replay no longer
    /// needs its entries.
    pub(super) fn flushed(&mut self) {
        while self.live.front().is_some_and(|entry| entry.applied) {
            self.live.pop_front();
        }
    }
}

fn entry_bytes(pages: usize) -> u64 {
    (1 + pages as u64) * LOG_SECTOR_BYTES
}
