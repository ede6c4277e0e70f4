//! The block allocation table: what each entry means, and the table in memory (MS-VHDX 2.5).
//!
//! The table is read at open: eight bytes for each block, 16 MB for a 64 TiB disk of 32 MiB blocks and
//! 512 MB for one of 1 MiB blocks. Nearly all of a large table is empty, so holes of the file are not
//! read and pages of zeros not kept. Entries are atomic so that readers of a disk that is being written
//! see each block either before or after its allocation, without a lock on the read path.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::{MIB, index};
use crate::range::ByteRange;

/// Payload states (MS-VHDX 2.5.1.1) and the one present state of bitmap blocks (2.5.1.2).
pub(super) mod state {
    pub(crate) const NOT_PRESENT: u64 = 0;
    pub(crate) const UNDEFINED: u64 = 1;
    pub(crate) const ZERO: u64 = 2;
    pub(crate) const UNMAPPED: u64 = 3;
    /// UNMAPPED in draft 0.95 of the specification; not allowed since.
    pub(crate) const DRAFT_UNMAPPED: u64 = 5;
    pub(crate) const FULLY_PRESENT: u64 = 6;
    pub(crate) const PARTIALLY_PRESENT: u64 = 7;
}

/// Bits 0-2: the state.
const STATE_MASK: u64 = 7;
/// Bits 3-19: reserved, zero.
const RESERVED_MASK: u64 = (MIB - 1) & !STATE_MASK;

/// Where the content of a payload block comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockOutcome {
    /// From this file; with `by_sector` the sector bitmap decides between this file and the parent.
    Data {
        /// Place of the block in the file.
        file_offset: u64,
        /// Whether the sector bitmap decides.
        by_sector: bool,
    },
    /// Zeros, whatever the parent holds.
    Zero,
    /// From the parent; without one, nothing was ever written and zeros are read.
    Parent,
    /// The entry has a state or an offset that the format does not allow.
    Reserved,
}

/// What a payload entry means in a file with or without a parent.
///
/// UNDEFINED and UNMAPPED blocks may keep an old file offset ("soft anchor") whose data must not be
/// returned. PARTIALLY_PRESENT without a parent is invalid by the specification; Windows reads it
/// as FULLY_PRESENT and so does this. States 4 and 5 are refused.
#[must_use]
pub fn block_outcome(entry: u64, has_parent: bool) -> BlockOutcome {
    match entry & STATE_MASK {
        state::NOT_PRESENT => BlockOutcome::Parent,
        state::UNDEFINED | state::ZERO | state::UNMAPPED => BlockOutcome::Zero,
        kind @ (state::FULLY_PRESENT | state::PARTIALLY_PRESENT) => match file_offset(entry) {
            Some(file_offset) => {
                BlockOutcome::Data { file_offset, by_sector: has_parent && kind == state::PARTIALLY_PRESENT }
            }
            None => BlockOutcome::Reserved,
        },
        _ => BlockOutcome::Reserved,
    }
}

/// Whether an entry has the state that needs a sector bitmap.
pub(super) fn is_partial(entry: u64) -> bool {
    entry & STATE_MASK == state::PARTIALLY_PRESENT
}

/// Place of the sector bitmap block that an entry names; `None` when there is none.
pub(super) fn bitmap_offset(entry: u64) -> Option<u64> {
    if entry & STATE_MASK == state::FULLY_PRESENT { file_offset(entry) } else { None }
}

/// The entry for a block at a place in the file, which is a multiple of 1 MiB.
pub(super) fn entry(state: u64, file_offset: u64) -> u64 {
    assert!(file_offset.is_multiple_of(MIB) && state <= STATE_MASK);
    file_offset | state
}

fn file_offset(entry: u64) -> Option<u64> {
    let offset = entry & !(MIB - 1);
    (entry & RESERVED_MASK == 0 && offset >= MIB).then_some(offset)
}

/// Entries of a page: the 4 KiB in which the table is written, and in which files have holes.
const PAGE_ENTRIES: u64 = 512;
const PAGE_BYTES: u64 = PAGE_ENTRIES * 8;
/// Bytes read at a time when the table is loaded.
const LOAD_BYTES: u64 = MIB;
/// Absent pages that one call of [`Bat::absent_until`] passes over. A chain asks its files in turn,
/// again and again, so each answer must be cheap.
const SKIPPED_PAGES_MAX: u64 = 1024;

type Page = Box<[AtomicU64]>;

/// The table in memory. Pages that hold only zeros take none until an entry in them is set.
pub(super) struct Bat {
    pages: Box<[OnceLock<Page>]>,
    count: u64,
}

/// Without its entries, of which there can be millions.
impl std::fmt::Debug for Bat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bat of {} entries", self.count)
    }
}

impl Bat {
    /// Reads the first `count` entries of the region, which lies inside the file.
    pub(super) fn load(file: &dyn FileIo, region: ByteRange, count: u64) -> Result<Self> {
        if count * 8 > region.len() {
            let what = format!("its block allocation table has {} bytes for {count} entries", region.len());
            return Err(Error::damaged(file.name(), what));
        }
        let pages = std::iter::repeat_with(OnceLock::new).take(index(count.div_ceil(PAGE_ENTRIES))).collect();
        let table = Self { pages, count };
        table
            .read(file, region.start)
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

    /// Number of entries in use.
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

    /// Gives the entries of a file of draft 0.95 the state that their meaning has now.
    pub(super) fn translate_draft(&self) {
        for (at, entry) in self.used().filter(|(_, entry)| entry & STATE_MASK == state::DRAFT_UNMAPPED) {
            self.set(at, entry & !STATE_MASK | state::UNMAPPED);
        }
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
    use super::BlockOutcome::{Data, Parent, Reserved, Zero};
    use super::*;

    #[test]
    fn the_truth_table_of_states_holds_with_and_without_a_parent() {
        let at = 5 * MIB;
        let whole = Data { file_offset: at, by_sector: false };
        let by_sector = Data { file_offset: at, by_sector: true };
        let table = [
            // state, without parent, with parent
            (0, Parent, Parent),
            (1, Zero, Zero),
            (2, Zero, Zero),
            (3, Zero, Zero),
            (4, Reserved, Reserved),
            (5, Reserved, Reserved),
            (6, whole, whole),
            (7, whole, by_sector),
        ];
        for (state, alone, child) in table {
            assert_eq!(block_outcome(at | state, false), alone, "state {state} alone");
            assert_eq!(block_outcome(at | state, true), child, "state {state} in a child");
        }
    }

    #[test]
    fn only_present_states_need_a_sound_offset() {
        for state in 0..4 {
            assert_ne!(block_outcome(0x0f_fff8 | state, true), Reserved, "junk in state {state}");
        }
        for bad in [6, 7, (5 * MIB) | 8 | 6, (5 * MIB) | 0x8_0000 | 7] {
            assert_eq!(block_outcome(bad, true), Reserved, "{bad:#x}");
        }
        assert_eq!(bitmap_offset((7 * MIB) | 6), Some(7 * MIB));
        assert_eq!((bitmap_offset(0), bitmap_offset((7 * MIB) | 7), bitmap_offset(6)), (None, None, None));
    }

    fn table_of(words: &[(u64, u64)], count: u64) -> (crate::MemoryFile, Bat) {
        let file = crate::MemoryFile::new("x.vhdx");
        file.set_len(2 * MIB + (count * 8).next_multiple_of(MIB)).unwrap();
        for (entry, value) in words {
            file.write_at(2 * MIB + entry * 8, &value.to_le_bytes()).unwrap();
        }
        let region = ByteRange::new(2 * MIB, file.len().unwrap());
        let table = Bat::load(&file, region, count).unwrap();
        (file, table)
    }

    #[test]
    fn a_sparse_table_reads_and_changes_like_a_full_one() {
        let words = [(0, 7), (511, 8), (100_000, 9), (300_001, 10)];
        // The entry behind the last one in use is slack.
        let (_, table) = table_of(&[&words[..], &[(300_002, 11)]].concat(), 300_002);
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
        let (_, table) = table_of(&[(2_000_000, 7)], 4_000_001);
        let (mut at, mut steps) = (5, 0);
        while table.absent_until(at) > at {
            (at, steps) = (table.absent_until(at), steps + 1);
        }
        assert_eq!((at, steps), (2_000_000 - 2_000_000 % PAGE_ENTRIES, 4));
        assert_eq!(table.absent_until(4_000_000), 4_000_001, "the end of the table");
    }
}
