//! A set of byte ranges that grows one by one, for the ranges that a log clears.
//!
//! `ChangedRanges` is made from a finished list; a log clears ranges in the order of its entries, and
//! how many there are must be known before the next one is taken. Length costs nothing here.

use std::collections::BTreeMap;

use crate::range::ByteRange;

/// Disjoint ranges, coalesced, by their start.
#[derive(Debug, Default)]
pub(super) struct ZeroRanges {
    ends: BTreeMap<u64, u64>,
}

impl ZeroRanges {
    /// Number of separate ranges.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Adds a range; each range that it swallows was added before, so the work is amortised.
    pub(super) fn insert(&mut self, mut range: ByteRange) {
        if range.is_empty() {
            return;
        }
        while let Some((&start, &end)) = self.ends.range(..=range.end).next_back() {
            if end < range.start {
                break;
            }
            self.ends.remove(&start);
            range = ByteRange::new(range.start.min(start), range.end.max(end));
        }
        self.ends.insert(range.start, range.end);
    }

    /// The first part of the set at or after `from`.
    pub(super) fn next(&self, from: u64) -> Option<ByteRange> {
        let before = self.ends.range(..=from).next_back().filter(|(_, end)| **end > from);
        let (start, end) = before.or_else(|| self.ends.range(from..).next())?;
        Some(ByteRange::new(from.max(*start), *end))
    }

    /// All ranges in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = ByteRange> + '_ {
        self.ends.iter().map(|(start, end)| ByteRange::new(*start, *end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::range::ChangedRanges;

    proptest! {
        #[test]
        fn ranges_added_one_by_one_equal_the_set_made_at_once(
            list in prop::collection::vec((0u64..100, 0u64..20), 0..20),
            from in 0u64..130,
        ) {
            let ranges = || list.iter().map(|(start, length)| ByteRange::at(*start, *length));
            let mut zeros = ZeroRanges::default();
            ranges().for_each(|range| zeros.insert(range));
            let model = ChangedRanges::from_ranges(ranges());
            prop_assert_eq!(zeros.iter().collect::<Vec<_>>(), model.iter().collect::<Vec<_>>());
            let rest = model.intersect(&ChangedRanges::from_ranges([ByteRange::new(from, 1000)]));
            prop_assert_eq!(zeros.next(from), rest.iter().next());
        }
    }
}
