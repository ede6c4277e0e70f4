//! The block allocation table of a sparse VHD: for each block the sector at which its bitmap begins.
//!
//! Only the entries that the disk's size needs are read; the file must hold them all, so a small file
//! cannot claim much memory. Entries are atomic because readers share the table with the one writer.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::format::{ABSENT, SECTOR};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;

/// Bytes of the table read at a time.
const READ_BYTES: u64 = 1 << 20;

/// The table's entries in use.
#[derive(Debug, Default)]
pub(super) struct Bat {
    entries: Vec<AtomicU32>,
}

impl Bat {
    /// Reads `count` entries from `offset`.
    pub(super) fn load(file: &dyn FileIo, offset: u64, count: u64, length: u64) -> Result<Self> {
        let needed = offset.saturating_add(count * 4);
        if needed > length {
            let what = "its block allocation table".to_owned();
            return Err(Error::Truncated { file: file.name().to_owned(), what, needed, length });
        }
        let mut entries = Vec::with_capacity(index(count));
        let mut piece = vec![0; index((count * 4).min(READ_BYTES))];
        let mut at = offset;
        while at < needed {
            let part = &mut piece[..index((needed - at).min(READ_BYTES))];
            file.read_at(at, part)
                .map_err(|error| Error::io(file.name(), "read the block allocation table of", error))?;
            let (words, _) = part.as_chunks::<4>();
            entries.extend(words.iter().map(|word| AtomicU32::new(u32::from_be_bytes(*word))));
            at += words.len() as u64 * 4;
        }
        Ok(Self { entries })
    }

    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Place of a block's bitmap in the file, if the block has space.
    pub(super) fn offset(&self, block: u64) -> Option<u64> {
        let sector = self.entries[index(block)].load(Ordering::Acquire);
        (sector != ABSENT).then(|| u64::from(sector) * SECTOR)
    }

    /// Notes the sector at which a block begins.
    pub(super) fn set(&self, block: u64, sector: u32) {
        self.entries[index(block)].store(sector, Ordering::Release);
    }

    /// The sector of each block that has space, with the block's number.
    pub(super) fn present(&self) -> impl Iterator<Item = (u64, u32)> {
        let entries = (0u64..).zip(&self.entries);
        entries.filter_map(|(block, entry)| {
            let sector = entry.load(Ordering::Acquire);
            (sector != ABSENT).then_some((block, sector))
        })
    }

    /// Entries as they stand in the file.
    pub(super) fn to_bytes(&self, blocks: Range<u64>) -> Vec<u8> {
        let entries = &self.entries[index(blocks.start)..index(blocks.end)];
        entries.iter().flat_map(|entry| entry.load(Ordering::Acquire).to_be_bytes()).collect()
    }
}
