//! The sector bitmap before each block: for each sector, whether the block holds it.
//!
//! VHD counts bits from the *high* end of a byte, the other way round than VHDX. A zero bit means
//! "never written" in a dynamic disk and "ask the parent" in a differencing one. Bitmaps are cached in
//! a few windows; blocks whose bits are all ones are remembered, so that reading them again needs
//! neither the cache nor its lock. Bits are only ever set, hence such a mark stays true.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::SECTOR;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::{align_up, index};

/// Bytes of a window; 32 MiB of disk, the bitmaps of most blocks being far smaller.
const WINDOW_BYTES: u64 = 8 * 1024;
const WINDOW_BITS: u64 = WINDOW_BYTES * 8;
/// Clean windows kept for each file: 128 KiB, so that a chain of 256 files stays at 32 MiB.
const CLEAN_WINDOWS: usize = 16;
/// Changed windows (at most 8 MiB) after which the writer flushes before it goes on.
const DIRTY_WINDOWS: usize = 1024;
/// Longest run reported at once, so that a caller who takes only a part does not scan it again and
/// again; the extent iterator joins neighbours.
const RUN_BITS: u64 = 4096;

/// Bytes of a block's bitmap in the file: a bit for each sector, in whole sectors.
pub(super) const fn bitmap_bytes(block_bytes: u64) -> u64 {
    align_up((block_bytes / SECTOR).div_ceil(8), SECTOR)
}

/// Some sectors of one block.
#[derive(Debug, Clone)]
pub(super) struct Bits {
    /// Number of the block.
    pub block: u64,
    /// Place of its bitmap in the file.
    pub bitmap_offset: u64,
    /// Sectors inside the block.
    pub bits: Range<u64>,
    /// Sectors that the block has inside the disk.
    pub block_bits: u64,
}

impl Bits {
    fn window_offset(&self) -> u64 {
        self.bitmap_offset + self.bits.start / WINDOW_BITS * WINDOW_BYTES
    }

    /// Bytes of the window, in whole sectors as the bitmap itself.
    fn window_length(&self) -> u64 {
        let before = self.bits.start / WINDOW_BITS * WINDOW_BYTES;
        align_up((self.block_bits - before * 8).div_ceil(8), SECTOR).min(WINDOW_BYTES)
    }

    /// The part of the bits that the first window holds, as bits of that window.
    fn in_window(&self) -> Range<u64> {
        let start = self.bits.start % WINDOW_BITS;
        start..(start + (self.bits.end - self.bits.start)).min(WINDOW_BITS)
    }
}

/// The bitmaps of one file.
#[derive(Debug, Default)]
pub(super) struct SectorBitmaps {
    windows: Mutex<Windows>,
    /// A bit for each block, set once all its sectors are known to be there.
    whole: Vec<AtomicU64>,
}

#[derive(Default)]
struct Windows {
    clean: Vec<(u64, Arc<[u8]>)>,
    dirty: BTreeMap<u64, Box<[u8]>>,
}

impl std::fmt::Debug for Windows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} clean, {} changed", self.clean.len(), self.dirty.len())
    }
}

impl SectorBitmaps {
    pub(super) fn new(blocks: u64) -> Self {
        let words = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { windows: Mutex::default(), whole: words }
    }

    /// Whether the block is known to hold all its sectors.
    pub(super) fn is_whole(&self, block: u64) -> bool {
        self.whole[index(block / 64)].load(Ordering::Relaxed) >> (block % 64) & 1 == 1
    }

    pub(super) fn set_whole(&self, block: u64) {
        self.whole[index(block / 64)].fetch_or(1 << (block % 64), Ordering::Relaxed);
    }

    /// The value of the first bit, and how many bits from there surely have it (at least one).
    pub(super) fn run(&self, file: &dyn FileIo, bits: &Bits) -> Result<(bool, u64)> {
        let mut windows = self.lock();
        let range = bits.in_window();
        let short = range.start..range.end.min(range.start + RUN_BITS);
        if let Some(dirty) = windows.dirty.get(&bits.window_offset()) {
            return Ok(run_of(dirty, short));
        }
        let (window, is_new) = windows.clean_window(file, bits)?;
        drop(windows);
        if is_new && bits.block_bits <= WINDOW_BITS {
            let all = 0..bits.block_bits;
            if run_of(&window, all) == (true, bits.block_bits) {
                self.set_whole(bits.block);
            }
        }
        Ok(run_of(&window, short))
    }

    /// Sets bits; they reach the file with [`SectorBitmaps::write_changes`].
    pub(super) fn set(&self, file: &dyn FileIo, mut bits: Bits) -> Result<()> {
        let mut windows = self.lock();
        while bits.bits.start < bits.bits.end {
            let range = bits.in_window();
            let length = range.end - range.start;
            set_range(windows.dirty_window(file, &bits)?, range);
            bits.bits.start += length;
        }
        Ok(())
    }

    /// Whether the writer should flush before changing more.
    pub(super) fn is_crowded(&self) -> bool {
        self.lock().dirty.len() >= DIRTY_WINDOWS
    }

    /// Whether bits wait to be written.
    pub(super) fn has_changes(&self) -> bool {
        !self.lock().dirty.is_empty()
    }

    /// Writes changed windows into the file.
    pub(super) fn write_changes(&self, file: &dyn FileIo) -> Result<()> {
        let mut windows = self.lock();
        for (offset, bytes) in &windows.dirty {
            file.write_at(*offset, bytes)
                .map_err(|error| Error::io(file.name(), "write a sector bitmap of", error))?;
        }
        windows.dirty.clear();
        Ok(())
    }

    /// Blocks lie elsewhere now; windows are read anew.
    pub(super) fn forget_clean(&self) {
        self.lock().clean.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Windows {
    /// The window, and whether it was read just now.
    fn clean_window(&mut self, file: &dyn FileIo, bits: &Bits) -> Result<(Arc<[u8]>, bool)> {
        let offset = bits.window_offset();
        if let Some(at) = self.clean.iter().position(|(held, _)| *held == offset) {
            let found = self.clean.remove(at);
            let window = Arc::clone(&found.1);
            self.clean.push(found);
            return Ok((window, false));
        }
        let window: Arc<[u8]> = read_window(file, bits)?.into();
        if self.clean.len() == CLEAN_WINDOWS {
            self.clean.remove(0);
        }
        self.clean.push((offset, Arc::clone(&window)));
        Ok((window, true))
    }

    fn dirty_window(&mut self, file: &dyn FileIo, bits: &Bits) -> Result<&mut [u8]> {
        let offset = bits.window_offset();
        self.clean.retain(|(held, _)| *held != offset);
        let bytes = match self.dirty.entry(offset) {
            std::collections::btree_map::Entry::Occupied(held) => held.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(read_window(file, bits)?.into_boxed_slice())
            }
        };
        Ok(bytes)
    }
}

fn read_window(file: &dyn FileIo, bits: &Bits) -> Result<Vec<u8>> {
    let mut bytes = vec![0; index(bits.window_length())];
    file.read_at(bits.window_offset(), &mut bytes)
        .map_err(|error| Error::io(file.name(), "read a sector bitmap of", error))?;
    Ok(bytes)
}

const fn mask(at: u64) -> u8 {
    0x80 >> (at % 8)
}

fn run_of(bytes: &[u8], range: Range<u64>) -> (bool, u64) {
    let is_set = |at: u64| bytes[index(at / 8)] & mask(at) != 0;
    let value = is_set(range.start);
    let same = if value { 0xff } else { 0 };
    let mut at = range.start;
    while at < range.end {
        if at.is_multiple_of(8) && range.end - at >= 8 && bytes[index(at / 8)] == same {
            at += 8;
        } else if is_set(at) == value {
            at += 1;
        } else {
            break;
        }
    }
    (value, at - range.start)
}

fn set_range(bytes: &mut [u8], range: Range<u64>) {
    let mut at = range.start;
    while at < range.end {
        let byte = &mut bytes[index(at / 8)];
        if at.is_multiple_of(8) && range.end - at >= 8 {
            *byte = 0xff;
            at += 8;
        } else {
            *byte |= mask(at);
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_sector_is_the_highest_bit_of_the_first_byte() {
        let mut bytes = [0; 4];
        set_range(&mut bytes, 0..1);
        set_range(&mut bytes, 10..12);
        assert_eq!(bytes, [0x80, 0b0011_0000, 0, 0]);
    }

    #[test]
    fn a_bitmap_takes_whole_sectors() {
        assert_eq!(bitmap_bytes(2 << 20), 512);
        assert_eq!(bitmap_bytes(512 << 10), 512);
        assert_eq!(bitmap_bytes(4 << 20), 1024);
    }

    proptest! {
        #[test]
        fn runs_and_ranges_of_bits_agree_with_single_bits(
            changes in prop::collection::vec((0u64..300, 0u64..120), 0..8),
            start in 0u64..300,
            length in 1u64..120,
        ) {
            let (mut bytes, mut model) = (vec![0u8; 64], vec![false; 512]);
            for (from, count) in changes {
                set_range(&mut bytes, from..from + count);
                model[index(from)..index(from + count)].fill(true);
            }
            let (value, run) = run_of(&bytes, start..start + length);
            let rest = &model[index(start)..index(start + length)];
            prop_assert_eq!(value, rest[0]);
            prop_assert_eq!(index(run), rest.iter().take_while(|bit| **bit == value).count());
        }
    }
}
