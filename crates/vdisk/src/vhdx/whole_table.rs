//! A block table in memory as a whole: a small one, and that of every file that is written.
//!
//! Holes of the file are not read and pages of zeros not kept, because nearly all of a table can be
//! empty. Entries are atomic so that readers of a disk that is being written see each block either
//! before or after its allocation, without a lock on the read path.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::{MIB, index};

/// Entries of a page: the 4 KiB in which the table is written, and in which files have holes.
const PAGE_ENTRIES: u64 = 512;
const PAGE_BYTES: u64 = PAGE_ENTRIES * 8;
/// Bytes read at a time when the table is loaded.
const LOAD_BYTES: u64 = MIB;
/// Absent pages that one call of [`WholeTable::absent_until`] passes over. A chain asks its files in
/// turn, again and again, so each answer must be cheap.
const SKIPPED_PAGES_MAX: u64 = 1024;

type Page = Box<[AtomicU64]>;

/// The table. Pages that hold only zeros take no memory until an entry in them is set.
pub(super) struct WholeTable {
    pages: Box<[OnceLock<Page>]>,
    count: u64,
}

/// Without its entries, of which there can be millions.
impl std::fmt::Debug for WholeTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} entries", self.count)
    }
}

impl WholeTable {
    /// Reads `count` entries from a place of the file, which has them.
    pub(super) fn load(file: &dyn FileIo, start: u64, count: u64) -> Result<Self> {
        let pages = std::iter::repeat_with(OnceLock::new).take(index(count.div_ceil(PAGE_ENTRIES))).collect();
        let table = Self { pages, count };
        table
            .read(file, start)
            .map_err(|error| Error::io(file.name(), "read the block allocation table of", error))?;
        Ok(table)
    }

    /// Reads all pages that are not in a hole of the file.
    fn read(&self, file: &dyn FileIo, start: u64) -> std::io::Result<()> {
        let bytes = self.count * 8;
        let mut buf = vec![0; index(LOAD_BYTES.min(bytes))];
        let mut at = 0;
        while at < bytes {
            let run = file.run_at(start + at)?;
            let end = run.end.saturating_sub(start).min(bytes);
            let hole_end = if end == bytes { end } else { end - end % PAGE_BYTES };
            if run.is_hole && hole_end > at {
                at = hole_end;
                continue;
            }
            // What is not a hole is read up to the next one, in whole pages.
            let end = if run.is_hole { at + 1 } else { end.max(at + 1) };
            let end = end.next_multiple_of(PAGE_BYTES).min(bytes).min(at + LOAD_BYTES);
            let part = &mut buf[..index(end - at)];
            file.read_at(start + at, part)?;
            for (page, number) in part.chunks(index(PAGE_BYTES)).zip(at / PAGE_BYTES..) {
                self.keep(number, page);
            }
            at = end;
        }
        Ok(())
    }

    fn keep(&self, number: u64, bytes: &[u8]) {
        let (words, _) = bytes.as_chunks::<8>();
        if words.iter().all(|word| *word == [0; 8]) {
            return;
        }
        let page = self.page_or_new(number);
        for (entry, word) in page.iter().zip(words) {
            entry.store(u64::from_le_bytes(*word), Ordering::Relaxed);
        }
    }

    fn page(&self, number: u64) -> Option<&Page> {
        self.pages[index(number)].get()
    }

    fn page_or_new(&self, number: u64) -> &Page {
        let zeros = || std::iter::repeat_with(AtomicU64::default).take(index(PAGE_ENTRIES)).collect();
        self.pages[index(number)].get_or_init(zeros)
    }

    /// The entry as it is now.
    pub(super) fn get(&self, entry: u64) -> u64 {
        let page = self.page(entry / PAGE_ENTRIES);
        page.map_or(0, |page| page[index(entry % PAGE_ENTRIES)].load(Ordering::Acquire))
    }

    /// Publishes an entry; what it points to was written before.
    pub(super) fn set(&self, entry: u64, value: u64) {
        assert!(entry < self.count, "the table has no such entry");
        let page = self.page_or_new(entry / PAGE_ENTRIES);
        page[index(entry % PAGE_ENTRIES)].store(value, Ordering::Release);
    }

    /// Number of entries.
    pub(super) fn len(&self) -> u64 {
        self.count
    }

    /// The bytes of some entries as they belong into the file.
    pub(super) fn to_bytes(&self, entries: Range<u64>) -> Vec<u8> {
        entries.flat_map(|entry| self.get(entry).to_le_bytes()).collect()
    }

    /// Where the entries that are surely 0 end, from `entry` on; `entry` itself when it may not be.
    pub(super) fn absent_until(&self, entry: u64) -> u64 {
        let first = entry / PAGE_ENTRIES;
        let limit = (self.pages.len() as u64).min(first + SKIPPED_PAGES_MAX);
        let end = (first..limit).find(|number| self.page(*number).is_some()).unwrap_or(limit);
        if end == first { entry } else { (end * PAGE_ENTRIES).min(self.count) }
    }

    /// All entries that are not 0, with their numbers.
    pub(super) fn used(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let pages = self.pages.iter().zip(0u64..).filter_map(|(page, number)| Some((page.get()?, number)));
        let entries = pages.flat_map(|(page, number)| page.iter().zip(number * PAGE_ENTRIES..));
        let entries = entries.map(|(entry, at)| (at, entry.load(Ordering::Acquire)));
        entries.filter(|(at, entry)| *entry != 0 && *at < self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table_of(words: &[(u64, u64)], count: u64) -> WholeTable {
        let file = crate::MemoryFile::new("x.vhdx");
        file.set_len(2 * MIB + (count * 8).next_multiple_of(MIB)).unwrap();
        for (entry, value) in words {
            file.write_at(2 * MIB + entry * 8, &value.to_le_bytes()).unwrap();
        }
        WholeTable::load(&file, 2 * MIB, count).unwrap()
    }

    #[test]
    fn a_sparse_table_reads_and_changes_like_a_full_one() {
        let words = [(0, 7), (511, 8), (100_000, 9), (300_001, 10)];
        // The entry behind the last one in use is slack.
        let table = table_of(&[&words[..], &[(300_002, 11)]].concat(), 300_002);
        assert_eq!(table.used().collect::<Vec<_>>(), words);
        assert!((0..300_002).all(|entry| {
            table.get(entry) == words.iter().find(|word| word.0 == entry).map_or(0, |word| word.1)
        }));
        table.set(200_000, 5);
        assert_eq!((table.get(200_000), table.get(200_001), table.used().count()), (5, 0, 5));
        assert_eq!(table.to_bytes(200_000..200_002), [[5, 0, 0, 0, 0, 0, 0, 0], [0; 8]].concat());
    }

    #[test]
    fn absent_entries_are_passed_over_in_bounded_steps() {
        let table = table_of(&[(2_000_000, 7)], 4_000_001);
        let (mut at, mut steps) = (5, 0);
        while table.absent_until(at) > at {
            (at, steps) = (table.absent_until(at), steps + 1);
        }
        assert_eq!((at, steps), (2_000_000 - 2_000_000 % PAGE_ENTRIES, 4));
        assert_eq!(table.absent_until(4_000_000), 4_000_001, "the end of the table");
    }
}
