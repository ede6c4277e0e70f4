//! Which units of one disk file were last written under which sequence number, as runs.
//!
//! The real tracking file holds four bytes for every unit (disk notes section 4). A disk of 64 TiB has 2^25
//! units, so the simulator keeps runs of equal numbers instead: memory follows what was written, not the disk's size.

use std::collections::BTreeMap;
use std::ops::Range;

/// Sequence numbers of the units of one file; a unit that is not in the map was never written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ChangeMap {
    /// First unit of a run → (end of the run, sequence number). Runs are disjoint.
    runs: BTreeMap<u64, (u64, u32)>,
}

impl ChangeMap {
    /// Whether every unit of the range already carries `sequence`.
    pub(crate) fn holds(&self, units: &Range<u64>, sequence: u32) -> bool {
        let run = self.runs.range(..=units.start).next_back();
        run.is_some_and(|(_, &(end, found))| end >= units.end && found == sequence)
    }

    /// Stamps a range of units. Numbers only grow, so the newer stamp replaces what was there.
    pub(crate) fn stamp(&mut self, units: Range<u64>, sequence: u32) {
        if units.is_empty() || self.holds(&units, sequence) {
            return;
        }
        self.cut_at(units.start);
        self.cut_at(units.end);
        let covered: Vec<u64> = self.runs.range(units.clone()).map(|(&start, _)| start).collect();
        for start in covered {
            self.runs.remove(&start);
        }
        let joined = self.join_neighbours(units, sequence);
        self.runs.insert(joined.start, (joined.end, sequence));
    }

    /// Takes over the newer of both stamps for every unit of `child`.
    pub(crate) fn fold_in(&mut self, child: &ChangeMap) {
        for (units, sequence) in child.iter() {
            self.stamp(units, sequence);
        }
    }

    /// The runs in ascending order with their sequence numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Range<u64>, u32)> + '_ {
        self.runs.iter().map(|(&start, &(end, sequence))| (start..end, sequence))
    }

    /// The runs written after `sequence`, in ascending order, neighbours not yet joined.
    pub(crate) fn newer_than(&self, sequence: u32) -> impl Iterator<Item = Range<u64>> + '_ {
        self.iter().filter(move |(_, found)| *found > sequence).map(|(units, _)| units)
    }

    fn cut_at(&mut self, unit: u64) {
        let Some((&start, &(end, sequence))) = self.runs.range(..unit).next_back() else { return };
        if end > unit {
            self.runs.insert(start, (unit, sequence));
            self.runs.insert(unit, (end, sequence));
        }
    }

    fn join_neighbours(&mut self, mut units: Range<u64>, sequence: u32) -> Range<u64> {
        if let Some((&start, &(end, found))) = self.runs.range(..units.start).next_back()
            && end == units.start
            && found == sequence
        {
            units.start = start;
        }
        if let Some(&(end, found)) = self.runs.get(&units.end)
            && found == sequence
        {
            self.runs.remove(&units.end);
            units.end = end;
        }
        units
    }
}

/// Sorts ranges and joins those that touch.
pub(crate) fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    #[test]
    fn a_newer_stamp_splits_an_older_run() {
        let mut map = ChangeMap::default();
        map.stamp(0..10, 1);
        map.stamp(4..6, 2);
        let runs: Vec<_> = map.iter().collect();
        assert_eq!(runs, [(0..4, 1), (4..6, 2), (6..10, 1)]);
    }

    #[test]
    fn touching_runs_of_one_number_become_one() {
        let mut map = ChangeMap::default();
        map.stamp(0..2, 1);
        map.stamp(4..6, 1);
        map.stamp(2..4, 1);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(0..6, 1)]);
        assert!(map.holds(&(1..5), 1));
    }

    #[test]
    fn ranges_that_touch_or_overlap_are_joined() {
        assert_eq!(joined(vec![5..7, 0..2, 2..3, 6..9, 4..4]), [0..3, 5..9]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The map agrees with one number per unit, which is how the real file works.
        #[test]
        fn the_map_agrees_with_one_number_per_unit(
            writes in proptest::collection::vec((0_usize..40, 1_usize..12, 0_u32..3), 1..40)
        ) {
            let (mut map, mut model, mut sequence) = (ChangeMap::default(), [0_u32; 64], 1);
            for (start, length, step) in writes {
                sequence += step;
                map.stamp(start as u64..(start + length) as u64, sequence);
                model[start..start + length].fill(sequence);
            }
            let mut found = [0_u32; 64];
            for (units, sequence) in map.iter() {
                for unit in units {
                    found[usize::try_from(unit).unwrap()] = sequence;
                }
            }
            prop_assert_eq!(found, model);
        }
    }
}
