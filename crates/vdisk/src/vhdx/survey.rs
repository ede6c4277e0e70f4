//! What the block table of a file says as a whole.
//!
//! A reader does not need it, and it costs the reading of the whole table; a writer does, who must know
//! what is taken.

use super::bat::{Bat, BlockOutcome, block_outcome, is_partial};
use super::image::Oddity;
use super::metadata::{Geometry, Role};
use super::placement::Space;
use crate::error::Result;

/// Sums over all entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Survey {
    /// Payload blocks that have data in the file.
    pub present_blocks: u64,
    /// Blocks marked as partially present in a file without a parent, which are read as present.
    partial_without_parent: u64,
    /// Sector bitmap entries that are not empty in a file without a parent.
    junk_bitmap_entries: u64,
    /// Present blocks and sector bitmaps that do not lie inside the file.
    pub beyond_end: u64,
    /// One past the last byte that a block or sector bitmap inside the file takes.
    pub used_end: u64,
}

impl Survey {
    pub(super) fn of(bat: &Bat, geometry: &Geometry, length: u64) -> Result<Self> {
        let mut found = Self::default();
        bat.for_each_used(&mut |at, entry| found.count(geometry, length, at, entry))?;
        Ok(found)
    }

    fn count(&mut self, geometry: &Geometry, length: u64, at: u64, entry: u64) {
        match geometry.role_of(at) {
            Some(Role::Payload(_)) => {
                let outcome = block_outcome(entry, geometry.has_parent);
                let is_present = matches!(outcome, BlockOutcome::Data { .. });
                self.present_blocks += u64::from(is_present);
                let is_partial = is_present && !geometry.has_parent && is_partial(entry);
                self.partial_without_parent += u64::from(is_partial);
            }
            Some(Role::Bitmap(_)) => self.junk_bitmap_entries += u64::from(!geometry.has_parent),
            None => {}
        }
        match Space::of_entry(geometry, length, at, entry) {
            Some(Space { range, is_inside: true }) => self.used_end = self.used_end.max(range.end),
            Some(_) => self.beyond_end += 1,
            None => {}
        }
    }

    /// What is odd about the file, though it can be read.
    pub(crate) fn oddities(&self) -> Vec<Oddity> {
        let all = [
            (self.partial_without_parent, Oddity::PartialWithoutParent as fn(u64) -> Oddity),
            (self.junk_bitmap_entries, Oddity::JunkBitmapEntries),
            (self.beyond_end, Oddity::BlocksBeyondEnd),
        ];
        all.into_iter().filter(|(count, _)| *count > 0).map(|(count, oddity)| oddity(count)).collect()
    }
}
