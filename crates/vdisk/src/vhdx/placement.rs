//! Whether the parts of a file lie apart from each other.
//!
//! A table that lets two blocks share space, or a block lie over the table itself, would return wrong
//! data without any error, so such a file is refused: when it is opened, or, if its table is read as it
//! is needed, before an entry of the second block's page is used. A block that reaches beyond the end of
//! the file harms only who reads it: it is an error there, and at open only for a writer, who would let
//! the file grow under it.
//!
//! The space of blocks is noted with a bit for each MiB of the file (8 MiB for a file of 64 TiB).

use super::bat::{BlockOutcome, bitmap_offset, block_outcome};
use super::format::{BITMAP_BLOCK_BYTES, HEADER_SECTION_BYTES};
use super::metadata::{Geometry, Role};
use super::region::Regions;
use crate::error::{Error, Result};
use crate::number::{MIB, index};
use crate::range::ByteRange;

/// Memory for comparing blocks at most, beside the table itself: blocks below 512 TiB of a file.
const CLAIMS_BYTES_MAX: u64 = 64 << 20;
/// The space of a file whose bits stay together: 32 GiB. Where no block lies they take no memory.
const GROUP_UNITS: u64 = 32 << 10;
const GROUP_WORDS: usize = index(GROUP_UNITS / 64);

/// A part of the file and its name for error texts.
type Part = (ByteRange, &'static str);

/// The space that an entry of the table gives to a block or a sector bitmap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Space {
    /// All of it; of the last block in the file not all need be there.
    pub range: ByteRange,
    /// Whether the file has the bytes of it that count.
    pub is_inside: bool,
}

impl Space {
    /// What an entry takes in a file of that length; nothing if no reader may use it.
    pub(super) fn of_entry(geometry: &Geometry, length: u64, at: u64, entry: u64) -> Option<Self> {
        let (offset, bytes, needed) = match geometry.role_of(at)? {
            Role::Payload(block) => match block_outcome(entry, geometry.has_parent) {
                BlockOutcome::Data { file_offset, .. } => {
                    (file_offset, geometry.block(), geometry.block_range(block).len())
                }
                _ => return None,
            },
            Role::Bitmap(_) if geometry.has_parent => {
                (bitmap_offset(entry)?, BITMAP_BLOCK_BYTES, BITMAP_BLOCK_BYTES)
            }
            // Junk that QEMU before 8.0 left.
            Role::Bitmap(_) => return None,
        };
        let is_inside = offset.saturating_add(needed) <= length;
        Some(Self { range: ByteRange::at(offset, bytes), is_inside })
    }
}

/// What takes space in a file, as far as its table was looked at.
#[derive(Debug)]
pub(super) struct Placement {
    name: String,
    geometry: Geometry,
    length: u64,
    /// The parts that are no blocks, by their place.
    fixed: Vec<Part>,
    claims: Claims,
}

impl Placement {
    /// The parts of a file besides its blocks, checked against each other.
    pub(super) fn new(
        name: &str,
        length: u64,
        geometry: Geometry,
        regions: &Regions,
        log: ByteRange,
    ) -> Result<Self> {
        let mut fixed = vec![(ByteRange::new(0, HEADER_SECTION_BYTES), "header section"), (log, "log")];
        fixed.extend(regions.all());
        fixed.retain(|(range, _)| !range.is_empty());
        fixed.sort_unstable();
        let found = Self { name: name.to_owned(), geometry, length, fixed, claims: Claims::default() };
        match found.fixed.windows(2).find(|pair| pair[0].0.end > pair[1].0.start) {
            Some(pair) => Err(found.shared(pair[0].1, pair[1].1)),
            None => Ok(found),
        }
    }

    /// One past the last byte of the parts that are no blocks.
    pub(super) fn fixed_end(&self) -> u64 {
        self.fixed.last().map_or(0, |(range, _)| range.end)
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Notes the space of an entry, which nothing may have that was noted before. Space beyond the end of
    /// the file is left for the read.
    pub(super) fn admit(&mut self, at: u64, entry: u64) -> Result<()> {
        let Some(Space { range, is_inside: true }) = Space::of_entry(&self.geometry, self.length, at, entry)
        else {
            return Ok(());
        };
        let one = if self.geometry.has_parent { "a block or sector bitmap" } else { "a payload block" };
        let next = self.fixed.partition_point(|(part, _)| part.end <= range.start);
        if let Some((_, name)) = self.fixed.get(next).filter(|(part, _)| part.start < range.end) {
            return Err(self.shared(one, name));
        }
        match self.claims.take(range) {
            Some(true) => Ok(()),
            Some(false) => Err(self.shared(one, "another one")),
            None => Err(Error::unsupported(&self.name, format!("a block at {}", range.start))),
        }
    }

    fn shared(&self, one: &str, other: &str) -> Error {
        Error::damaged(&self.name, format!("{one} and {other} share space"))
    }
}

/// A bit for each MiB of a file that a block takes, in groups.
#[derive(Default)]
struct Claims {
    groups: Vec<Option<Box<[u64; GROUP_WORDS]>>>,
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} GiB looked at", self.groups.len() as u64 * GROUP_UNITS / 1024)
    }
}

impl Claims {
    /// Takes a range, and tells whether all of it was free; `None` when it lies too far behind.
    fn take(&mut self, range: ByteRange) -> Option<bool> {
        let units = range.start / MIB..range.end.div_ceil(MIB);
        if units.end > CLAIMS_BYTES_MAX * 8 {
            return None;
        }
        let groups = index(units.end.div_ceil(GROUP_UNITS));
        if self.groups.len() < groups {
            self.groups.resize_with(groups, || None);
        }
        let (mut at, mut free) = (units.start, true);
        while at < units.end {
            let end = units.end.min(at - at % 64 + 64);
            let mask = (u64::MAX >> (64 - (end - at))) << (at % 64);
            let group =
                self.groups[index(at / GROUP_UNITS)].get_or_insert_with(|| Box::new([0; GROUP_WORDS]));
            let word = &mut group[index(at % GROUP_UNITS / 64)];
            free &= *word & mask == 0;
            *word |= mask;
            at = end;
        }
        Some(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_once_wherever_it_lies() {
        let mut claims = Claims::default();
        let mut take = |first: u64, count: u64| claims.take(ByteRange::at(first * MIB, count * MIB));
        assert_eq!(take(60, 8), Some(true), "over the border of two words");
        assert_eq!(take(GROUP_UNITS - 100, 256), Some(true), "over the border of two groups");
        for taken in [60, 63, 64, 67, GROUP_UNITS - 100, GROUP_UNITS, GROUP_UNITS + 155] {
            assert_eq!(take(taken, 1), Some(false), "{taken}");
        }
        for free in [59, 68, GROUP_UNITS - 101, GROUP_UNITS + 156] {
            assert_eq!(take(free, 1), Some(true), "{free}");
        }
        assert_eq!(take(CLAIMS_BYTES_MAX * 8, 1), None);
    }
}
