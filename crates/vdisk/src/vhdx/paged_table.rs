//! A block table that is read as it is needed: a large one of a file that is only read.
//!
//! Pages of 64 KiB are read when an entry of them is asked for, and a bounded number of them is kept
//! (`page_cache`). Each page is checked before the first of its entries is used: what its blocks take in
//! the file must not be taken by a structure, nor by a block of any page that was used before
//! (`placement`). So whoever reads all of a disk learns of blocks that share space, as the validator
//! does, and whoever reads a part learns of those in that part. A page that leaves the cache and comes
//! back must be the same, or the file was changed under its reader.
//!
//! Pages in holes of the file, and pages of zeros, are noted and never read again.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::page_cache::PageCache;
use super::placement::Placement;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;

/// Entries of a page.
pub(super) const PAGE_ENTRIES: u64 = 8192;
const PAGE_BYTES: u64 = PAGE_ENTRIES * 8;
/// Entries of one page, and absent pages, that one call of [`PagedTable::absent_until`] passes over. A
/// chain asks its files in turn, again and again, so each answer must be cheap.
const SKIPPED_ENTRIES_MAX: u64 = 512;
const SKIPPED_PAGES_MAX: u64 = 128;

/// What is known of a page.
mod known {
    /// Nothing yet.
    pub(super) const NOTHING: u8 = 0;
    /// All of its entries are 0.
    pub(super) const ABSENT: u8 = 1;
    /// It must be read.
    pub(super) const STORED: u8 = 2;
}

/// The table.
pub(super) struct PagedTable {
    file: Arc<dyn FileIo>,
    start: u64,
    count: u64,
    known: Box<[AtomicU8]>,
    cache: PageCache,
    checked: Mutex<Checked>,
}

/// What was learned from the pages that were used.
struct Checked {
    placement: Placement,
    /// A sum of the bytes of each page that was used.
    sums: Box<[Option<u32>]>,
}

impl std::fmt::Debug for PagedTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} entries, read as they are needed", self.count)
    }
}

impl PagedTable {
    /// The table of `count` entries at a place of the file, which has them. Nothing is read yet.
    pub(super) fn new(file: Arc<dyn FileIo>, start: u64, count: u64, placement: Placement) -> Self {
        let pages = index(count.div_ceil(PAGE_ENTRIES));
        let checked = Checked { placement, sums: vec![None; pages].into() };
        Self {
            file,
            start,
            count,
            known: std::iter::repeat_with(AtomicU8::default).take(pages).collect(),
            cache: PageCache::new(),
            checked: Mutex::new(checked),
        }
    }

    /// The entry.
    pub(super) fn get(&self, entry: u64) -> Result<u64> {
        let (page, within) = (entry / PAGE_ENTRIES, entry % PAGE_ENTRIES);
        if let Some(entry) = self.cache.get(page, within) {
            return Ok(entry);
        }
        Ok(self.page(page)?.map_or(0, |entries| entries[index(within)]))
    }

    /// Where the entries that are surely 0 end, from `entry` on; `entry` itself when it may not be.
    pub(super) fn absent_until(&self, entry: u64) -> Result<u64> {
        let (mut page, within) = (entry / PAGE_ENTRIES, entry % PAGE_ENTRIES);
        if !self.is_absent(page)? {
            let end = PAGE_ENTRIES.min(within + SKIPPED_ENTRIES_MAX);
            let zeros = self.cache.zeros(page, within..end);
            if within + zeros < PAGE_ENTRIES {
                return Ok((entry + zeros).min(self.count));
            }
            page += 1;
        }
        let limit = (self.known.len() as u64).min(page + SKIPPED_PAGES_MAX);
        while page < limit && self.is_absent(page)? {
            page += 1;
        }
        Ok((page * PAGE_ENTRIES).min(self.count))
    }

    /// Visits all entries that are not 0, with their numbers.
    pub(super) fn for_each_used(&self, visit: &mut dyn FnMut(u64, u64)) -> Result<()> {
        for page in 0..self.known.len() as u64 {
            let Some(entries) = self.page(page)? else { continue };
            let entries = (page * PAGE_ENTRIES..).zip(entries);
            entries.filter(|(_, entry)| *entry != 0).for_each(|(at, entry)| visit(at, entry));
        }
        Ok(())
    }

    /// Reads a page, checks it, and keeps it; `None` when all of it is 0.
    fn page(&self, page: u64) -> Result<Option<Vec<u64>>> {
        if self.is_absent(page)? {
            return Ok(None);
        }
        let bytes = self.read(page).map_err(|error| self.unreadable(error))?;
        let (words, _) = bytes.as_chunks::<8>();
        let mut entries: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        // Slack behind the last entry means nothing.
        entries.resize(index(PAGE_ENTRIES), 0);

        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = crc32c::crc32c(&bytes);
        match checked.sums[index(page)] {
            Some(before) if before == sum => {}
            Some(_) => {
                return Err(self.unreadable(std::io::Error::other("it was changed while the disk was open")));
            }
            None if entries.iter().all(|entry| *entry == 0) => {
                self.known[index(page)].store(known::ABSENT, Ordering::Relaxed);
                return Ok(None);
            }
            None => {
                for (at, entry) in (page * PAGE_ENTRIES..).zip(&entries) {
                    checked.placement.admit(at, *entry)?;
                }
                checked.sums[index(page)] = Some(sum);
            }
        }
        self.cache.keep(page, &entries);
        Ok(Some(entries))
    }

    /// The entries of a page that are in use.
    fn read(&self, page: u64) -> std::io::Result<Vec<u8>> {
        let bytes = PAGE_BYTES.min(self.count * 8 - page * PAGE_BYTES);
        let mut bytes = vec![0; index(bytes)];
        self.file.read_at(self.start + page * PAGE_BYTES, &mut bytes)?;
        Ok(bytes)
    }

    /// Whether a page is known to be 0, or found to lie in a hole now.
    fn is_absent(&self, page: u64) -> Result<bool> {
        match self.known[index(page)].load(Ordering::Relaxed) {
            known::ABSENT => return Ok(true),
            known::STORED => return Ok(false),
            _ => {}
        }
        let run = self.file.run_at(self.start + page * PAGE_BYTES).map_err(|error| self.unreadable(error))?;
        let bytes = self.count * 8;
        let end = run.end.saturating_sub(self.start).min(bytes);
        let end = if end == bytes { self.known.len() as u64 } else { end / PAGE_BYTES };
        if !run.is_hole || end <= page {
            self.note(page, known::STORED);
            return Ok(false);
        }
        (page..end).for_each(|page| self.note(page, known::ABSENT));
        Ok(true)
    }

    /// Notes what a page is, unless that is known.
    fn note(&self, page: u64, what: u8) {
        let known = &self.known[index(page)];
        let _ = known.compare_exchange(known::NOTHING, what, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn unreadable(&self, error: std::io::Error) -> Error {
        Error::io(self.file.name(), "read the block allocation table of", error)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::MemoryFile;
    use crate::number::MIB;
    use crate::range::ByteRange;
    use crate::vhdx::metadata::Geometry;
    use crate::vhdx::region::Regions;
    use crate::vhdx::whole_table::WholeTable;

    const START: u64 = 3 * MIB;
    const COUNT: u64 = 4 * PAGE_ENTRIES + 100;

    fn placement(file: &MemoryFile) -> Placement {
        let bat = ByteRange::at(START, (COUNT * 8).next_multiple_of(MIB));
        let regions = Regions { bat, metadata: ByteRange::at(2 * MIB, MIB), unknown: Vec::new() };
        let geometry = Geometry {
            capacity: COUNT * MIB,
            block_bytes: 1 << 20,
            logical_sector: 512,
            physical_sector: 512,
            has_parent: false,
            leave_blocks_allocated: false,
        };
        let log = ByteRange::at(MIB, MIB);
        Placement::new("x.vhdx", file.len().unwrap(), geometry, &regions, log).unwrap()
    }

    /// Blocks in the order of their entries, and ones in states that need no space.
    fn table() -> impl Strategy<Value = Vec<(u64, bool)>> {
        prop::collection::vec((0..COUNT, any::<bool>()), 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_table_read_as_needed_tells_what_the_whole_one_tells(
            entries in table(),
            holes in any::<bool>(),
            questions in prop::collection::vec(0..COUNT, 1..40),
        ) {
            let file = MemoryFile::new("x.vhdx");
            let end = START + (COUNT * 8).next_multiple_of(MIB);
            for (number, (at, is_present)) in (0..).zip(&entries) {
                let entry = if *is_present { (end + number * MIB) | 6 } else { 2 };
                file.write_at(START + at * 8, &u64::to_le_bytes(entry)).unwrap();
            }
            file.write_at(START + COUNT * 8, &[0xff; 64]).unwrap();
            file.set_len(end + 40 * MIB).unwrap();
            let shared: Arc<dyn FileIo> = if holes { Arc::new(file.clone()) } else { Arc::new(NoHoles(file.clone())) };
            let whole = WholeTable::load(&file, START, COUNT).unwrap();
            let paged = PagedTable::new(shared, START, COUNT, placement(&file));

            for at in questions {
                prop_assert_eq!(paged.get(at).unwrap(), whole.get(at));
                let end = paged.absent_until(at).unwrap();
                prop_assert!(end >= at && end <= COUNT && (at..end).all(|at| whole.get(at) == 0));
                prop_assert_eq!(end == at, whole.get(at) != 0, "a step is made, if there is one");
            }
            let mut used = Vec::new();
            paged.for_each_used(&mut |at, entry| used.push((at, entry))).unwrap();
            prop_assert_eq!(used, whole.used().collect::<Vec<_>>());
        }
    }

    /// A file that cannot tell where it has holes.
    #[derive(Debug)]
    struct NoHoles(MemoryFile);

    impl FileIo for NoHoles {
        fn len(&self) -> std::io::Result<u64> {
            self.0.len()
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
            self.0.read_at(offset, buf)
        }
        fn write_at(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
            self.0.write_at(offset, data)
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn set_len(&self, len: u64) -> std::io::Result<()> {
            self.0.set_len(len)
        }
        fn name(&self) -> &str {
            self.0.name()
        }
    }
}
