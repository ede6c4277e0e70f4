//! What a backup leaves out of a guest's disks, and what it keeps although it might be left out.
//!
//! Volumes answer in their own bytes; here they become bytes of disks, whole pages of 4 KiB only, so that a page that is
//! excluded in part is kept. Where a byte of a disk serves more than one purpose (parity, overlapping volumes), it is
//! kept.

use std::collections::BTreeMap;

use vdisk::{ByteRange, ChangedRanges};

use crate::content::Content;
use crate::layout::Layout;
use crate::source::Source;
use crate::volume::Volume;

/// Ranges are cut to whole pages of this size.
const PAGE_BYTES: u64 = 4096;

/// What may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExclusionOptions {
    /// Also what file systems call free.
    pub free_space: bool,
}

/// What a backup leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exclusions {
    /// Bytes of each disk, by its position among the layout's disks.
    pub disks: BTreeMap<usize, ChangedRanges>,
    /// What they are.
    pub items: Vec<Excluded>,
    /// What was looked at and is kept.
    pub kept: Vec<Kept>,
}

/// Something that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excluded {
    /// Name of its volume.
    pub volume: String,
    /// A file's path, `swap area` or `free space`.
    pub what: String,
    /// Bytes of disks, every copy counted.
    pub bytes: u64,
}

/// Something that is kept because leaving it out is not certain to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Name of its volume.
    pub volume: String,
    /// A file's path, `swap area`, `free space`, or `everything`.
    pub what: String,
    /// Why, as a clause.
    pub why: String,
}

/// Looks at every volume and says what a backup leaves out.
#[must_use]
pub fn plan(layout: &Layout, options: ExclusionOptions) -> Exclusions {
    let mut plan = Exclusions::default();
    for volume in &layout.volumes {
        let keep = |what: &str, why: String| Kept { volume: volume.name.clone(), what: what.to_owned(), why };
        let exclusions = match volume.exclusions() {
            Ok(exclusions) => exclusions,
            Err(error) => {
                plan.kept.push(keep("everything", error.to_string()));
                continue;
            }
        };
        for exclusion in exclusions {
            if exclusion.what == "free space" && !options.free_space {
                continue;
            }
            let placed = exclusion.outcome.and_then(|ranges| on_disks(layout, volume, &ranges));
            match placed {
                Ok(disks) => plan.add(&volume.name, exclusion.what, disks),
                Err(why) => plan.kept.push(keep(&exclusion.what, why)),
            }
        }
    }
    plan
}

impl Exclusions {
    fn add(&mut self, volume: &str, what: String, disks: BTreeMap<usize, ChangedRanges>) {
        let bytes = disks.values().map(ChangedRanges::total_bytes).sum();
        for (disk, ranges) in disks {
            let held = self.disks.entry(disk).or_default();
            *held = held.union(&ranges);
        }
        self.items.push(Excluded { volume: volume.to_owned(), what, bytes });
    }
}

/// The whole pages of the disks that hold only these bytes of a volume.
fn on_disks(
    layout: &Layout,
    volume: &Volume,
    ranges: &ChangedRanges,
) -> Result<BTreeMap<usize, ChangedRanges>, String> {
    if let Some(gap) = volume.map().gaps().first() {
        return Err(format!("some of the volume cannot be read: {gap}"));
    }
    let disks = volume
        .on_disks(ranges)
        .ok_or("its bytes are protected by parity, which cannot be left out in parts")?;
    for other in layout.volumes.iter().filter(|other| other.name != volume.name && !is_member(other)) {
        let whole = other.on_disks(&ChangedRanges::whole(other.len()));
        let overlaps = whole.is_none_or(|whole| {
            whole
                .iter()
                .any(|(disk, held)| disks.get(disk).is_some_and(|own| !own.intersect(held).is_empty()))
        });
        // Parity that cannot be told apart matters only on the same disks.
        if overlaps && other.disks().iter().any(|disk| disks.contains_key(disk)) {
            return Err(format!("the volume {} may lie on the same bytes", other.name));
        }
    }
    Ok(disks.into_iter().map(|(disk, ranges)| (disk, whole_pages(&ranges))).collect())
}

/// Whether other volumes lie on this one by design.
fn is_member(volume: &Volume) -> bool {
    matches!(volume.content, Content::LvmMember | Content::LdmMember)
}

/// Every range cut to the whole pages inside it.
fn whole_pages(ranges: &ChangedRanges) -> ChangedRanges {
    let cut = ranges.iter().map(|range| {
        let start = range.start.checked_next_multiple_of(PAGE_BYTES).unwrap_or(u64::MAX);
        ByteRange::new(start, range.end - range.end % PAGE_BYTES)
    });
    cut.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_pages_are_left_out() {
        let ranges = [ByteRange::new(1, 8192), ByteRange::new(9000, 12_000), ByteRange::new(12_288, 20_481)];
        let expected = [ByteRange::new(4096, 8192), ByteRange::new(12_288, 20_480)];
        assert_eq!(whole_pages(&ranges.into_iter().collect()), expected.into_iter().collect());
    }
}
