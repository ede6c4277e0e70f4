//! Sector bitmaps of a differencing file (MS-VHDX 2.4): for each sector, this file or the parent.
//!
//! A bitmap block of 1 MiB covers 2^23 sectors. Reading a whole one to answer for one block would
//! waste memory in long chains, so bitmaps are cached in windows of 32 KiB: a few clean ones, and
//! those that a writer changed until its next flush. Bit 0 of a byte is its lowest bit; 1 means
//! "take the sector from this file".

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::BITMAP_BLOCK_BYTES;
use super::log_writer::{PAGE_BYTES, Page};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;

/// Bytes of one window; 128 MiB of disk with 512-byte sectors.
const WINDOW_BYTES: u64 = 32 * 1024;
const WINDOW_BITS: u64 = WINDOW_BYTES * 8;
const PAGE_BITS: u64 = PAGE_BYTES * 8;
/// Clean windows kept for each file: 128 KiB, so that a chain of 256 files stays at 32 MiB.
const CLEAN_WINDOWS: usize = 4;
/// Changed windows (8 MiB) after which the writer flushes before it goes on.
const DIRTY_WINDOWS: usize = 256;
/// Longest run reported at once, so that a caller who takes only a part does not scan it again and
/// again; the extent iterator joins neighbours.
const RUN_BITS: u64 = 4096;

/// Cached windows of all bitmap blocks of one file, numbered through the chunks.
#[derive(Debug, Default)]
pub(super) struct SectorBitmaps {
    windows: Mutex<Windows>,
}

#[derive(Default)]
struct Windows {
    clean: Vec<(u64, Arc<[u8]>)>,
    dirty: BTreeMap<u64, Dirty>,
}

struct Dirty {
    file_offset: u64,
    bytes: Box<[u8]>,
    /// Which of its pages differ from the file, a bit each.
    pages: u8,
}
const _: () = assert!(WINDOW_BYTES / PAGE_BYTES == 8);

impl std::fmt::Debug for Windows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} clean, {} changed", self.clean.len(), self.dirty.len())
    }
}

/// Some bits of one chunk's bitmap block.
#[derive(Debug, Clone)]
pub(super) struct Bits {
    /// Number of the chunk.
    pub chunk: u64,
    /// Place of its bitmap block in the file.
    pub block_offset: u64,
    /// Bits inside the block.
    pub bits: Range<u64>,
}

impl Bits {
    fn window(&self) -> u64 {
        self.chunk * (BITMAP_BLOCK_BYTES / WINDOW_BYTES) + self.bits.start / WINDOW_BITS
    }

    fn window_offset(&self) -> u64 {
        self.block_offset + self.bits.start / WINDOW_BITS * WINDOW_BYTES
    }

    /// The part of the bits that the first window holds, as bits of that window.
    fn in_window(&self) -> Range<u64> {
        let start = self.bits.start % WINDOW_BITS;
        start..(start + (self.bits.end - self.bits.start)).min(WINDOW_BITS)
    }
}

impl SectorBitmaps {
    /// The value of the first bit, and how many bits from there surely have it (at least one).
    pub(super) fn run(&self, file: &dyn FileIo, bits: &Bits) -> Result<(bool, u64)> {
        let mut windows = self.lock();
        let range = bits.in_window();
        let range = range.start..range.end.min(range.start + RUN_BITS);
        if let Some(dirty) = windows.dirty.get(&bits.window()) {
            return Ok(run_of(&dirty.bytes, range));
        }
        let window = windows.clean_window(file, bits)?;
        drop(windows);
        Ok(run_of(&window, range))
    }

    /// Sets or clears bits in memory; [`SectorBitmaps::changed_pages`] brings them to the file. Returns
    /// whether any had the other value.
    pub(super) fn set(&self, file: &dyn FileIo, mut bits: Bits, value: bool) -> Result<bool> {
        let mut windows = self.lock();
        let mut any = false;
        while bits.bits.start < bits.bits.end {
            let range = bits.in_window();
            let length = range.end - range.start;
            if !windows.holds(file, &bits, range.clone(), value)? {
                let dirty = windows.dirty_window(file, &bits)?;
                set_range(&mut dirty.bytes, range.clone(), value);
                let pages = range.start / PAGE_BITS..(range.end - 1) / PAGE_BITS + 1;
                pages.for_each(|page| dirty.pages |= 1 << page);
                any = true;
            }
            bits.bits.start += length;
        }
        Ok(any)
    }

    /// Whether the writer should flush before changing more.
    pub(super) fn is_crowded(&self) -> bool {
        self.lock().dirty.len() >= DIRTY_WINDOWS
    }

    /// Whether there are changes that are not in the file.
    pub(super) fn has_changes(&self) -> bool {
        !self.lock().dirty.is_empty()
    }

    /// The pages of the file as they are to be.
    pub(super) fn changed_pages(&self) -> Vec<Page> {
        let windows = self.lock();
        let mut changed = Vec::new();
        for dirty in windows.dirty.values() {
            let pages = dirty.bytes.chunks_exact(index(PAGE_BYTES)).zip(0u64..);
            for (bytes, page) in pages.filter(|(_, page)| dirty.pages >> page & 1 == 1) {
                changed.push(Page { offset: dirty.file_offset + page * PAGE_BYTES, bytes: bytes.into() });
            }
        }
        changed
    }

    /// All changes are in the file.
    pub(super) fn forget_changes(&self) {
        self.lock().dirty.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Windows {
    fn clean_window(&mut self, file: &dyn FileIo, bits: &Bits) -> Result<Arc<[u8]>> {
        let number = bits.window();
        if let Some(at) = self.clean.iter().position(|(held, _)| *held == number) {
            let found = self.clean.remove(at);
            let window = Arc::clone(&found.1);
            self.clean.push(found);
            return Ok(window);
        }
        let window: Arc<[u8]> = read_window(file, bits)?.into();
        if self.clean.len() == CLEAN_WINDOWS {
            self.clean.remove(0);
        }
        self.clean.push((number, Arc::clone(&window)));
        Ok(window)
    }

    /// Whether all of the bits, which one window has, have the value already.
    fn holds(&mut self, file: &dyn FileIo, bits: &Bits, range: Range<u64>, value: bool) -> Result<bool> {
        let (found, count) = match self.dirty.get(&bits.window()) {
            Some(dirty) => run_of(&dirty.bytes, range.clone()),
            None => run_of(&self.clean_window(file, bits)?, range.clone()),
        };
        Ok(found == value && count == range.end - range.start)
    }

    fn dirty_window(&mut self, file: &dyn FileIo, bits: &Bits) -> Result<&mut Dirty> {
        let number = bits.window();
        self.clean.retain(|(held, _)| *held != number);
        let dirty = match self.dirty.entry(number) {
            std::collections::btree_map::Entry::Occupied(held) => held.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                let bytes = read_window(file, bits)?.into_boxed_slice();
                free.insert(Dirty { file_offset: bits.window_offset(), bytes, pages: 0 })
            }
        };
        Ok(dirty)
    }
}

fn read_window(file: &dyn FileIo, bits: &Bits) -> Result<Vec<u8>> {
    let mut bytes = vec![0; index(WINDOW_BYTES)];
    file.read_at(bits.window_offset(), &mut bytes)
        .map_err(|error| Error::io(file.name(), "read a sector bitmap of", error))?;
    Ok(bytes)
}

fn bit(bytes: &[u8], at: u64) -> bool {
    bytes[index(at / 8)] >> (at % 8) & 1 == 1
}

fn run_of(bytes: &[u8], range: Range<u64>) -> (bool, u64) {
    let value = bit(bytes, range.start);
    let same = if value { 0xff } else { 0 };
    let mut at = range.start;
    while at < range.end {
        if at.is_multiple_of(8) && range.end - at >= 8 && bytes[index(at / 8)] == same {
            at += 8;
        } else if bit(bytes, at) == value {
            at += 1;
        } else {
            break;
        }
    }
    (value, at - range.start)
}

fn set_range(bytes: &mut [u8], range: Range<u64>, value: bool) {
    let mut at = range.start;
    while at < range.end {
        let byte = &mut bytes[index(at / 8)];
        if at.is_multiple_of(8) && range.end - at >= 8 {
            *byte = if value { 0xff } else { 0 };
            at += 8;
        } else {
            let mask = 1 << (at % 8);
            *byte = if value { *byte | mask } else { *byte & !mask };
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_and_ranges_of_bits_agree_with_single_bits(
            changes in prop::collection::vec((0u64..300, 0u64..120, any::<bool>()), 0..8),
            start in 0u64..300,
            length in 1u64..120,
        ) {
            let (mut bytes, mut model) = (vec![0u8; 64], vec![false; 512]);
            for (from, count, value) in changes {
                set_range(&mut bytes, from..from + count, value);
                model[index(from)..index(from + count)].fill(value);
            }
            let (value, run) = run_of(&bytes, start..start + length);
            let rest = &model[index(start)..index(start + length)];
            prop_assert_eq!(value, rest[0]);
            prop_assert_eq!(index(run), rest.iter().take_while(|bit| **bit == value).count());
        }
    }
}
