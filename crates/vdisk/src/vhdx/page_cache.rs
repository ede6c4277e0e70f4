//! A bounded cache of pages of a block table, read without a lock.
//!
//! Every read of a disk looks an entry up, from several threads at once, so a hit must cost no more than
//! a table in memory does. A slot is a sequence lock made of atomics (H.-J. Boehm, "Can seqlocks get
//! along with programming language memory models?", 2012): a reader takes what it found only if the
//! slot's tag is the same before and after. A page has one slot that it may be in, by its number, so
//! that nothing must be noted when it is used.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::paged_table::PAGE_ENTRIES;
use crate::number::index;

/// Pages that are kept: 16 MiB for each file, and 2 TiB of a disk with blocks of 1 MiB.
const SLOTS: u64 = 256;
/// The part of a tag that tells the page, counted from 1; 0 while the slot is being filled. The rest
/// counts how often the slot was filled, so that a page that left and came back has another tag.
const TAG_PAGE: u64 = u32::MAX as u64;

/// Pages by their number modulo the number of slots. A slot takes memory once it is used.
pub(super) struct PageCache {
    slots: Box<[OnceLock<Slot>]>,
}

struct Slot {
    tag: AtomicU64,
    entries: Box<[AtomicU64]>,
}

impl PageCache {
    pub(super) fn new() -> Self {
        Self { slots: std::iter::repeat_with(OnceLock::new).take(index(SLOTS)).collect() }
    }

    /// An entry of a page, if the page is here.
    pub(super) fn get(&self, page: u64, within: u64) -> Option<u64> {
        self.slot(page).get()?.read(page, |entries| entries[index(within)].load(Ordering::Relaxed))
    }

    /// How many entries from the start of a range of a page are 0; none if the page is not here.
    pub(super) fn zeros(&self, page: u64, range: Range<u64>) -> u64 {
        let count = |entries: &[AtomicU64]| {
            let entries = &entries[index(range.start)..index(range.end)];
            entries.iter().take_while(|entry| entry.load(Ordering::Relaxed) == 0).count() as u64
        };
        self.slot(page).get().and_then(|slot| slot.read(page, count)).unwrap_or(0)
    }

    /// Keeps a page, instead of another one perhaps. The caller sees to it that one thread at a time
    /// does this.
    pub(super) fn keep(&self, page: u64, entries: &[u64]) {
        self.slot(page).get_or_init(Slot::empty).fill(page, entries);
    }

    fn slot(&self, page: u64) -> &OnceLock<Slot> {
        &self.slots[index(page % SLOTS)]
    }
}

impl Slot {
    fn empty() -> Self {
        let entries = std::iter::repeat_with(AtomicU64::default).take(index(PAGE_ENTRIES)).collect();
        Self { tag: AtomicU64::new(0), entries }
    }

    /// What `look` finds in the page, unless the slot has another page by the end.
    fn read<T>(&self, page: u64, look: impl FnOnce(&[AtomicU64]) -> T) -> Option<T> {
        let tag = self.tag.load(Ordering::Acquire);
        if tag & TAG_PAGE != page + 1 {
            return None;
        }
        let found = look(&self.entries);
        // Whoever saw an entry of a later filling sees that filling's tag too.
        fence(Ordering::Acquire);
        (self.tag.load(Ordering::Relaxed) == tag).then_some(found)
    }

    fn fill(&self, page: u64, entries: &[u64]) {
        let filling = (self.tag.load(Ordering::Relaxed) | TAG_PAGE).wrapping_add(1);
        self.tag.store(filling, Ordering::Relaxed);
        fence(Ordering::Release);
        for (place, entry) in self.entries.iter().zip(entries) {
            place.store(*entry, Ordering::Relaxed);
        }
        self.tag.store(filling | (page + 1), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn page_of(number: u64) -> Vec<u64> {
        vec![number; index(PAGE_ENTRIES)]
    }

    #[test]
    fn a_page_is_found_until_another_one_takes_its_slot() {
        let cache = PageCache::new();
        assert_eq!(cache.get(3, 0), None);
        cache.keep(3, &page_of(30));
        cache.keep(4, &[0, 0, 7].repeat(index(PAGE_ENTRIES / 3)));
        assert_eq!((cache.get(3, PAGE_ENTRIES - 1), cache.get(4, 2)), (Some(30), Some(7)));
        assert_eq!((cache.zeros(4, 0..100), cache.zeros(4, 1..2), cache.zeros(4, 2..9)), (2, 1, 0));
        cache.keep(3 + SLOTS, &page_of(31));
        assert_eq!((cache.get(3, 5), cache.get(3 + SLOTS, 5), cache.zeros(3, 0..9)), (None, Some(31), 0));
    }

    /// Four readers while four pages take one slot from each other.
    #[test]
    fn no_reader_ever_sees_an_entry_of_another_page() {
        let (cache, done, writing) = (PageCache::new(), AtomicBool::new(false), Mutex::new(()));
        let hits: u64 = std::thread::scope(|scope| {
            let read = |first: u64| {
                let mut hits = 0;
                for step in first.. {
                    let (page, within) = (step % 4 * SLOTS, step.wrapping_mul(7919) % PAGE_ENTRIES);
                    if let Some(entry) = cache.get(page, within) {
                        assert_eq!(entry, page);
                        hits += 1;
                    }
                    if done.load(Ordering::Relaxed) && hits > 0 {
                        break;
                    }
                }
                hits
            };
            let readers: Vec<_> = (0..4).map(|first| scope.spawn(move || read(first))).collect();
            for step in 0..2000 {
                let _one_at_a_time = writing.lock();
                cache.keep(step % 4 * SLOTS, &page_of(step % 4 * SLOTS));
            }
            done.store(true, Ordering::Relaxed);
            readers.into_iter().map(|reader| reader.join().unwrap()).sum()
        });
        assert!(hits >= 4);
    }
}
