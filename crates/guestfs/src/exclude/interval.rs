//! Exclusions from one backup to the next.
//!
//! Change tracking reports what was written since the last backup, page files among it. What was left out of the last
//! backup and is not left out now (a page file that shrank, moved or went away) was never read, and tracking need not
//! report it, so it has to be read now. The excluded ranges of a backup are therefore kept with it.

use vdisk::ChangedRanges;

/// What has to be read of a disk now: what changed and what was left out before, without what is left out now.
#[must_use]
pub fn changed_with_exclusions(
    changed: &ChangedRanges,
    excluded_before: &ChangedRanges,
    excluded_now: &ChangedRanges,
) -> ChangedRanges {
    changed.union(excluded_before).minus(excluded_now)
}

#[cfg(test)]
mod tests {
    use vdisk::ByteRange;

    use super::*;

    fn set(ranges: &[(u64, u64)]) -> ChangedRanges {
        ranges.iter().map(|(start, end)| ByteRange::new(*start, *end)).collect()
    }

    #[test]
    fn changes_of_a_page_file_are_not_read() {
        let file = set(&[(100, 200)]);
        assert_eq!(changed_with_exclusions(&set(&[(50, 150)]), &file, &file), set(&[(50, 100)]));
    }

    #[test]
    fn what_a_page_file_gave_back_is_read_although_nothing_reports_it() {
        let (before, now) = (set(&[(100, 200), (300, 400)]), set(&[(100, 150)]));
        assert_eq!(changed_with_exclusions(&set(&[]), &before, &now), set(&[(150, 200), (300, 400)]));
    }

    #[test]
    fn a_page_file_that_moved_is_left_out_at_its_new_place_only() {
        let (before, now) = (set(&[(0, 10)]), set(&[(20, 30)]));
        assert_eq!(changed_with_exclusions(&set(&[(5, 25)]), &before, &now), set(&[(0, 20)]));
    }
}
