//! The block allocation table: what each entry means, and where the table is kept (MS-VHDX 2.5).
//!
//! It has eight bytes for each block: 16 MiB for a 64 TiB disk of 32 MiB blocks, and 512 MiB for one of
//! 1 MiB blocks. A small table, and that of a file that is written, is read and checked when the file is
//! opened (`whole_table`). Of a large one that is only read, pages are read and checked when they are
//! first needed (`paged_table`), so that opening costs the same for every disk.

use std::sync::Arc;

use super::metadata::Geometry;
use super::paged_table::PagedTable;
use super::placement::Placement;
use super::whole_table::WholeTable;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::MIB;
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

/// An entry of a file of draft 0.95 of the specification, with the state that its meaning has now.
pub(super) fn from_draft(entry: u64) -> u64 {
    let is_unmapped = entry & STATE_MASK == state::DRAFT_UNMAPPED;
    if is_unmapped { entry & !STATE_MASK | state::UNMAPPED } else { entry }
}

/// Largest table that is read at open to be read from only: that of 16 TiB in blocks of 32 MiB, or of
/// 512 GiB in blocks of 1 MiB. Reading and checking it takes a few milliseconds.
const WHOLE_BYTES_MAX: u64 = 4 * MIB;

/// The table of an opened file.
#[derive(Debug)]
pub(super) enum Bat {
    /// All of it is in memory and was checked.
    Whole(WholeTable),
    /// It is read and checked as it is needed.
    Paged(PagedTable),
}

impl Bat {
    /// The table of a file that is only read.
    pub(super) fn open(file: &Arc<dyn FileIo>, region: ByteRange, placement: Placement) -> Result<Self> {
        let count = entries_in(&**file, region, placement.geometry())?;
        if count * 8 <= WHOLE_BYTES_MAX {
            return Self::open_whole(file, region, placement);
        }
        Ok(Self::Paged(PagedTable::new(Arc::clone(file), region.start, count, placement)))
    }

    /// The table of a file that is written: who allocates must know all that is taken.
    pub(super) fn open_whole(
        file: &Arc<dyn FileIo>,
        region: ByteRange,
        mut placement: Placement,
    ) -> Result<Self> {
        let count = entries_in(&**file, region, placement.geometry())?;
        let table = WholeTable::load(&**file, region.start, count)?;
        table.used().try_for_each(|(at, entry)| placement.admit(at, entry))?;
        Ok(Self::Whole(table))
    }

    /// The entry as it is now.
    pub(super) fn get(&self, entry: u64) -> Result<u64> {
        match self {
            Self::Whole(table) => Ok(table.get(entry)),
            Self::Paged(table) => table.get(entry),
        }
    }

    /// Where the entries that are surely 0 end, from `entry` on; `entry` itself when it may not be.
    pub(super) fn absent_until(&self, entry: u64) -> Result<u64> {
        match self {
            Self::Whole(table) => Ok(table.absent_until(entry)),
            Self::Paged(table) => table.absent_until(entry),
        }
    }

    /// Visits all entries that are not 0, with their numbers.
    pub(super) fn for_each_used(&self, visit: &mut dyn FnMut(u64, u64)) -> Result<()> {
        match self {
            Self::Whole(table) => {
                table.used().for_each(|(at, entry)| visit(at, entry));
                Ok(())
            }
            Self::Paged(table) => table.for_each_used(visit),
        }
    }

    /// The table of a file that was opened for writing.
    pub(super) fn whole(&self) -> &WholeTable {
        match self {
            Self::Whole(table) => table,
            Self::Paged(_) => unreachable!("a file that is written has its table in memory"),
        }
    }
}

/// The number of entries in use, for which the region must have room.
fn entries_in(file: &dyn FileIo, region: ByteRange, geometry: &Geometry) -> Result<u64> {
    let count = geometry.bat_entries();
    if count * 8 > region.len() {
        let what = format!("its block allocation table has {} bytes for {count} entries", region.len());
        return Err(Error::damaged(file.name(), what));
    }
    Ok(count)
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
