//! Byte ranges and sets of them.
//!
//! [`ChangedRanges`] is the one currency between change tracking, extent maps, exclusions and the
//! transfer. It is always sorted, disjoint and coalesced, so two equal sets compare equal and each
//! set operation is one pass over both sides.

use crate::number::align_up;

/// A half-open range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// The range from `start` up to `end`; empty when `end` is not above `start`.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }

    /// `length` bytes from `start`, ending at the largest offset at most.
    #[must_use]
    pub const fn at(start: u64, length: u64) -> Self {
        Self { start, end: start.saturating_add(length) }
    }

    /// Number of bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is no byte in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The range in three parts: up to the next border of units counted from 0, the whole units, and what is
    /// left of the last one. Each may be empty.
    pub(crate) fn split_at_units(&self, unit: u64) -> [Self; 3] {
        let head = align_up(self.start, unit).min(self.end);
        let tail = (self.end - self.end % unit).max(head);
        [Self::new(self.start, head), Self::new(head, tail), Self::new(tail, self.end)]
    }

    /// What this range shares with another.
    #[must_use]
    pub fn intersect(&self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }
}

/// A set of bytes as sorted, disjoint, coalesced ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangedRanges {
    ranges: Vec<ByteRange>,
}

impl ChangedRanges {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// All bytes of a disk.
    #[must_use]
    pub fn whole(capacity: u64) -> Self {
        Self::from_ranges([ByteRange::new(0, capacity)])
    }

    /// The union of ranges in any order, overlapping or not.
    #[must_use]
    pub fn from_ranges(ranges: impl IntoIterator<Item = ByteRange>) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        sorted.sort_unstable();
        let mut set = Self::new();
        for range in sorted {
            set.push(range);
        }
        set
    }

    /// Adds a range that starts at or after every range already there.
    fn push(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        match self.ranges.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => self.ranges.push(range),
        }
    }

    /// Whether there is no byte in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Number of separate ranges.
    #[must_use]
    pub const fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// The ranges in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ByteRange> + DoubleEndedIterator + '_ {
        self.ranges.iter().copied()
    }

    /// Number of bytes in the set.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.ranges.iter().map(ByteRange::len).sum()
    }

    /// Whether every byte of `range` is in the set.
    #[must_use]
    pub fn covers(&self, range: ByteRange) -> bool {
        let after = self.ranges.partition_point(|held| held.start <= range.start);
        range.is_empty() || (after > 0 && self.ranges[after - 1].end >= range.end)
    }

    /// Whether every byte of `other` is in the set.
    #[must_use]
    pub fn covers_all(&self, other: &Self) -> bool {
        other.iter().all(|range| self.covers(range))
    }

    /// Bytes in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut set = Self::new();
        let (mut left, mut right) = (self.iter().peekable(), other.iter().peekable());
        loop {
            let next = match (left.peek(), right.peek()) {
                (Some(l), Some(r)) if r.start < l.start => right.next(),
                (Some(_), _) => left.next(),
                (None, _) => right.next(),
            };
            match next {
                Some(range) => set.push(range),
                None => return set,
            }
        }
    }

    /// Bytes in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut set = Self::new();
        let (mut l, mut r) = (0, 0);
        while let (Some(left), Some(right)) = (self.ranges.get(l), other.ranges.get(r)) {
            set.push(left.intersect(*right));
            if left.end < right.end { l += 1 } else { r += 1 }
        }
        set
    }

    /// Bytes of this set that are not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut set = Self::new();
        let mut first = 0;
        for range in &self.ranges {
            let mut from = range.start;
            while other.ranges.get(first).is_some_and(|taken| taken.end <= from) {
                first += 1;
            }
            for taken in other.ranges[first..].iter().take_while(|taken| taken.start < range.end) {
                set.push(ByteRange::new(from, taken.start));
                from = from.max(taken.end);
            }
            set.push(ByteRange::new(from, range.end));
        }
        set
    }

    /// Every range grown to whole multiples of `unit`, cut at the disk's `capacity`.
    #[must_use]
    pub fn align_outward(&self, unit: u64, capacity: u64) -> Self {
        let unit = unit.max(1);
        let mut set = Self::new();
        for range in &self.ranges {
            let start = range.start - range.start % unit;
            let end = range.end.checked_next_multiple_of(unit).unwrap_or(u64::MAX);
            set.push(ByteRange::new(start.min(capacity), end.min(capacity)));
        }
        set
    }
}

impl FromIterator<ByteRange> for ChangedRanges {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> Self {
        Self::from_ranges(ranges)
    }
}

impl<'a> IntoIterator for &'a ChangedRanges {
    type Item = ByteRange;
    type IntoIter = std::iter::Copied<std::slice::Iter<'a, ByteRange>>;

    fn into_iter(self) -> Self::IntoIter {
        self.ranges.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The model: one bit per byte of a 128-byte disk.
    fn bits(set: &ChangedRanges) -> u128 {
        set.iter().flat_map(|range| range.start..range.end).fold(0, |bits, byte| bits | 1 << byte)
    }

    fn any_set() -> impl Strategy<Value = ChangedRanges> {
        prop::collection::vec((0u64..128, 0u64..20), 0..12).prop_map(|list| {
            list.into_iter().map(|(start, len)| ByteRange::new(start, (start + len).min(128))).collect()
        })
    }

    fn is_canonical(set: &ChangedRanges) -> bool {
        set.iter().all(|range| !range.is_empty())
            && set.ranges.windows(2).all(|pair| pair[0].end < pair[1].start)
    }

    proptest! {
        #[test]
        fn set_operations_agree_with_bits(a in any_set(), b in any_set()) {
            for (result, expected) in [
                (a.union(&b), bits(&a) | bits(&b)),
                (a.intersect(&b), bits(&a) & bits(&b)),
                (a.minus(&b), bits(&a) & !bits(&b)),
            ] {
                prop_assert_eq!(bits(&result), expected);
                prop_assert!(is_canonical(&result));
            }
            prop_assert_eq!(a.total_bytes(), u64::from(bits(&a).count_ones()));
            prop_assert_eq!(a.covers_all(&b), bits(&b) & !bits(&a) == 0);
        }

        #[test]
        fn aligning_outward_covers_the_set_in_whole_units(set in any_set(), unit in 1u64..40) {
            let aligned = set.align_outward(unit, 128);
            prop_assert!(is_canonical(&aligned) && aligned.covers_all(&set));
            for range in &aligned {
                prop_assert!(range.start % unit == 0 && (range.end % unit == 0 || range.end == 128));
            }
            // Not larger than needed: each unit in it holds a byte of the set.
            for start in (0..128).step_by(usize::try_from(unit).unwrap()) {
                let one = ChangedRanges::from_ranges([ByteRange::new(start, (start + unit).min(128))]);
                prop_assert_eq!(aligned.intersect(&one).is_empty(), set.intersect(&one).is_empty());
            }
        }
    }

    #[test]
    fn the_largest_offsets_do_not_overflow() {
        let set = ChangedRanges::from_ranges([ByteRange::at(u64::MAX - 1, 100)]);
        assert_eq!(set.align_outward(4096, u64::MAX).total_bytes(), 4095);
        assert!(ByteRange::new(5, 3).is_empty());
    }
}
