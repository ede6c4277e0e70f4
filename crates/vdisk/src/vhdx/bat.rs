//! The block allocation table: what each entry means, and the table in memory (MS-VHDX 2.5).
//!
//! The table is read as a whole at open: eight bytes for each block, 16 MB for a 64 TiB disk of
//! 32 MiB blocks. Entries are atomic so that readers of a disk that is being written see each block
//! either before or after its allocation, without a lock on the read path.

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

/// The table in memory.
#[derive(Debug)]
pub(super) struct Bat {
    entries: Box<[AtomicU64]>,
}

/// Bytes read at a time when the table is loaded.
const LOAD_BYTES: u64 = MIB;

impl Bat {
    /// Reads the first `count` entries of the region, which lies inside the file.
    pub(super) fn load(file: &dyn FileIo, region: ByteRange, count: u64) -> Result<Self> {
        if count * 8 > region.len() {
            let what = format!("its block allocation table has {} bytes for {count} entries", region.len());
            return Err(Error::damaged(file.name(), what));
        }
        let mut entries = Vec::with_capacity(index(count));
        let mut buf = vec![0; index(LOAD_BYTES.min(count * 8))];
        while (entries.len() as u64) < count {
            let done = entries.len() as u64 * 8;
            let part = &mut buf[..index(LOAD_BYTES.min(count * 8 - done))];
            file.read_at(region.start + done, part)
                .map_err(|error| Error::io(file.name(), "read the block allocation table of", error))?;
            let (words, _) = part.as_chunks::<8>();
            entries.extend(words.iter().map(|word| AtomicU64::new(u64::from_le_bytes(*word))));
        }
        Ok(Self { entries: entries.into_boxed_slice() })
    }

    /// The entry as it is now.
    pub(super) fn get(&self, entry: u64) -> u64 {
        self.entries[index(entry)].load(Ordering::Acquire)
    }

    /// Publishes an entry; what it points to was written before.
    pub(super) fn set(&self, entry: u64, value: u64) {
        self.entries[index(entry)].store(value, Ordering::Release);
    }

    /// Number of entries in use.
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The bytes of some entries as they belong into the file.
    pub(super) fn to_bytes(&self, entries: std::ops::Range<u64>) -> Vec<u8> {
        let range = index(entries.start)..index(entries.end);
        self.entries[range].iter().flat_map(|entry| entry.load(Ordering::Acquire).to_le_bytes()).collect()
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
}
