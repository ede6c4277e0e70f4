//! What a backup leaves out of a guest's disks, and what it keeps although it might be left out.
//!
//! Volumes answer in their own bytes; here they become bytes of disks, whole pages of 4 KiB only, so that a page that is
//! excluded in part is kept. Where a byte of a disk serves more than one purpose (parity, overlapping volumes, the
//! tables by which volumes are found), it is kept.

use std::collections::BTreeMap;

use vdisk::{ByteRange, ChangedRanges};

use super::telling;
use crate::content::Content;
use crate::layout::Layout;
use crate::source::Source;
use crate::volume::Volume;

/// Ranges are cut to whole pages of this size.
const PAGE_BYTES: u64 = 4096;

/// Bytes of disks, by their position.
type Parts = BTreeMap<usize, ChangedRanges>;

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
    let places = Places::of(layout);
    for (number, volume) in layout.volumes.iter().enumerate() {
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
            let placed = exclusion.outcome.and_then(|ranges| places.only_of(number, &ranges));
            match placed {
                Ok(disks) => plan.add(&volume.name, exclusion.what, disks),
                Err(why) => plan.kept.push(keep(&exclusion.what, why)),
            }
        }
    }
    plan
}

impl Exclusions {
    fn add(&mut self, volume: &str, what: String, disks: Parts) {
        let bytes = disks.values().map(ChangedRanges::total_bytes).sum();
        for (disk, ranges) in disks {
            let held = self.disks.entry(disk).or_default();
            *held = held.union(&ranges);
        }
        self.items.push(Excluded { volume: volume.to_owned(), what, bytes });
    }
}

/// Where all volumes lie.
struct Places<'a> {
    volumes: &'a [Volume],
    /// All bytes of each volume; `None` where parity hides them.
    whole: Vec<Option<Parts>>,
    /// What tells where the volumes are.
    telling: Parts,
}

impl<'a> Places<'a> {
    fn of(layout: &'a Layout) -> Self {
        let volumes = &layout.volumes[..];
        let whole = volumes.iter().map(|volume| volume.on_disks(&ChangedRanges::whole(volume.len())));
        let telling = volumes.first().map(|volume| telling::of(volume.sources())).unwrap_or_default();
        Self { volumes, whole: whole.collect(), telling }
    }

    /// The whole pages of the disks that hold these bytes of a volume and nothing else.
    fn only_of(&self, number: usize, ranges: &ChangedRanges) -> Result<Parts, String> {
        let volume = &self.volumes[number];
        if let Some(gap) = volume.map().gaps().first() {
            return Err(format!("some of the volume cannot be read: {gap}"));
        }
        let on_disks = |ranges| {
            let parity = "its bytes are protected by parity, which cannot be left out in parts";
            volume.on_disks(ranges).ok_or(parity)
        };
        let disks = on_disks(ranges)?;
        if overlap(&disks, &on_disks(&ChangedRanges::whole(volume.len()).minus(ranges))?) {
            return Err("other bytes of the volume lie at the same place".to_owned());
        }
        for (other, whole) in self.volumes.iter().zip(&self.whole) {
            if std::ptr::eq(other, volume) || lies_on_members(volume) && is_member(other) {
                continue;
            }
            let overlaps = match whole {
                Some(whole) => overlap(&disks, whole),
                // Parity that cannot be told apart matters only on the same disks.
                None => other.disks().iter().any(|disk| disks.contains_key(disk)),
            };
            if overlaps {
                return Err(format!("the volume {} may lie on the same bytes", other.name));
            }
        }
        let nothing = ChangedRanges::default();
        let pages = disks.into_iter().map(|(disk, ranges)| {
            let telling = self.telling.get(&disk).unwrap_or(&nothing);
            (disk, whole_pages(&ranges.minus(telling)))
        });
        Ok(pages.collect())
    }
}

fn overlap(one: &Parts, other: &Parts) -> bool {
    one.iter().any(|(disk, held)| other.get(disk).is_some_and(|other| share(held, other)))
}

/// Whether two sets share a byte; most volumes lie apart, which their ends tell.
fn share(one: &ChangedRanges, other: &ChangedRanges) -> bool {
    span(one).is_some_and(|one| span(other).is_some_and(|other| !one.intersect(other).is_empty()))
        && !one.intersect(other).is_empty()
}

/// From the first byte to the last one.
fn span(ranges: &ChangedRanges) -> Option<ByteRange> {
    let (first, last) = (ranges.iter().next()?, ranges.iter().next_back()?);
    Some(ByteRange::new(first.start, last.end))
}

/// Whether a volume is put together from members; a partition is not.
fn lies_on_members(volume: &Volume) -> bool {
    volume.name.starts_with("lvm/") || volume.name.starts_with("ldm/")
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
    use std::sync::Arc;

    use super::*;
    use crate::block::Bytes;

    #[test]
    fn only_whole_pages_are_left_out() {
        let ranges = [ByteRange::new(1, 8192), ByteRange::new(9000, 12_000), ByteRange::new(12_288, 20_481)];
        let expected = [ByteRange::new(4096, 8192), ByteRange::new(12_288, 20_480)];
        assert_eq!(whole_pages(&ranges.into_iter().collect()), expected.into_iter().collect());
    }

    /// A disk of 4 MiB: MBR entries (type, first sector, sectors), and bytes at places.
    fn layout(entries: &[(u8, u32, u32)], put: &[(usize, &[u8])]) -> Layout {
        let mut disk = vec![0; 4 << 20];
        for (number, (kind, first, sectors)) in entries.iter().enumerate() {
            let entry = &mut disk[446 + 16 * number..][..16];
            entry[4] = *kind;
            entry[8..12].copy_from_slice(&first.to_le_bytes());
            entry[12..].copy_from_slice(&sectors.to_le_bytes());
        }
        for (at, bytes) in [(510, &b"\x55\xaa"[..])].iter().chain(put) {
            disk[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        Layout::read(&[Arc::new(Bytes(disk))]).unwrap()
    }

    /// A swap area of 500 pages that begins at sector 64.
    const SWAP: [(usize, &[u8]); 2] =
        [(64 * 512 + 1024, &[1, 0, 0, 0, 243, 1, 0, 0]), (64 * 512 + 4086, b"SWAPSPACE2")];

    #[test]
    fn a_partition_over_a_physical_volume_of_lvm_is_kept() {
        let label = (2064 * 512 + 512, &b"LABELONE\x01\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0LVM2 001"[..]);
        let both = layout(&[(0x82, 64, 4000), (0x8e, 2064, 1000)], &[SWAP[0], SWAP[1], label]);

        let plan = plan(&both, ExclusionOptions::default());

        assert!(plan.items.is_empty(), "{:?}", plan.items);
        assert_eq!(plan.kept[0].why, "the volume disk0/part2 may lie on the same bytes");
    }

    #[test]
    fn a_table_inside_a_swap_area_is_kept() {
        let record = (2056 * 512 + 510, &b"\x55\xaa"[..]);
        let both = layout(&[(0x82, 64, 4000), (0x05, 2056, 1000)], &[SWAP[0], SWAP[1], record]);

        let excluded = &plan(&both, ExclusionOptions::default()).disks[&0];

        let table = ChangedRanges::from_ranges([ByteRange::at(2056 * 512, 4096)]);
        assert!(excluded.total_bytes() > 1 << 20 && excluded.intersect(&table).is_empty(), "{excluded:?}");
    }
}
