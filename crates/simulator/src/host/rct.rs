//! Resilient change tracking of one virtual disk: what changed since a mark.
//!
//! One sequence number per unit of each file of the chain, as the only public account of the real files has it
//! (disk notes section 4), with a unit that grows with the disk (VSS notes 4.3):
//! `unit = max(16 KiB, pow2ceil(size / 2^25))`. A mark closes a sequence number; everything written later gets a
//! higher one, so any number of marks is served at once. Each file of a chain has its own map: writes after a
//! checkpoint land in the child's map and join the parent's when the child is merged.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::change_file::{self, ChangeFile, ChangeFileHeader, LoadedChanges};
use super::change_map::{ChangeMap, joined};
use crate::ids::ChangeMark;

/// Smallest unit of tracking.
const UNIT_BYTES_MIN: u64 = 16 * 1024;
/// A disk never has more units than this.
const UNITS_MAX: u64 = 1 << 25;

/// Bytes per tracked unit of a disk of this size.
pub(crate) fn unit_bytes(capacity: u64) -> u64 {
    capacity.div_ceil(UNITS_MAX).next_power_of_two().max(UNIT_BYTES_MIN)
}

/// Why changes since a mark cannot be told; each stands for an error code of the real host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackingLoss {
    /// The id belongs to no history of this disk: `ERROR_VHD_INVALID_CHANGE_TRACKING_ID`.
    UnknownMark,
    /// Tracking was never switched on: `ERROR_VHD_CHANGE_TRACKING_DISABLED`.
    Disabled,
    /// The side file is gone or damaged: `ERROR_VHD_MISSING_CHANGE_TRACKING_INFORMATION`.
    Missing,
}

impl TrackingLoss {
    /// The HRESULT that stands in the host's error text.
    pub(crate) fn hresult(self) -> u32 {
        match self {
            TrackingLoss::UnknownMark => 0xC03A_0029,
            TrackingLoss::Disabled => 0xC03A_002A,
            TrackingLoss::Missing => 0xC03A_0030,
        }
    }
}

/// Tracking of one disk over all files of its chain, root first.
#[derive(Debug)]
pub(crate) struct ChangeTracking {
    capacity: u64,
    unit_bytes: u64,
    state: Tracking,
}

#[derive(Debug)]
enum Tracking {
    Off,
    Lost,
    On { branch: Uuid, sequence: u32, layers: Vec<Layer> },
}

#[derive(Debug)]
struct Layer {
    disk_file: PathBuf,
    map: ChangeMap,
    file: ChangeFile,
}

impl ChangeTracking {
    /// Picks tracking up where the side files of the chain left it.
    pub(crate) fn open(capacity: u64, disk_files: &[PathBuf]) -> io::Result<ChangeTracking> {
        let unit_bytes = unit_bytes(capacity);
        let mut found = Vec::new();
        for disk_file in disk_files {
            match ChangeFile::open(disk_file) {
                Ok(loaded) => found.push(loaded.map(|(file, loaded)| (disk_file.clone(), file, loaded))),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => found.push(None),
                Err(error) => return Err(error),
            }
        }
        let state = match found.iter().filter(|layer| layer.is_some()).count() {
            0 if !disk_files.iter().any(|file| change_file::beside(file).exists()) => Tracking::Off,
            held if held == disk_files.len() => {
                joined_layers(found.into_iter().flatten().collect(), unit_bytes)
            }
            _ => Tracking::Lost,
        };
        Ok(ChangeTracking { capacity, unit_bytes, state })
    }

    /// Notes a write to the leaf; must be called before the data is written.
    pub(crate) fn record(&mut self, bytes: &Range<u64>) -> io::Result<()> {
        let Tracking::On { sequence, layers, .. } = &mut self.state else { return Ok(()) };
        let Some(leaf) = layers.last_mut() else { return Ok(()) };
        let units = bytes.start / self.unit_bytes..bytes.end.div_ceil(self.unit_bytes);
        if leaf.map.holds(&units, *sequence) {
            return Ok(());
        }
        leaf.file.append_run(*sequence, &units)?;
        leaf.map.stamp(units, *sequence);
        Ok(())
    }

    /// Takes a mark of this instant. Switches tracking on, under a new branch, where it is off or lost.
    pub(crate) fn mark(&mut self, disk_files: &[PathBuf], new_branch: Uuid) -> io::Result<ChangeMark> {
        if !matches!(self.state, Tracking::On { .. }) {
            self.restart(disk_files, new_branch)?;
        }
        let Tracking::On { branch, sequence, layers } = &mut self.state else {
            return Err(io::Error::other("change tracking did not start"));
        };
        if let Some(leaf) = layers.last_mut() {
            leaf.file.append_mark(*sequence)?;
        }
        let mark = ChangeMark { branch: *branch, sequence: *sequence };
        *sequence += 1;
        Ok(mark)
    }

    /// A differencing child became the leaf.
    pub(crate) fn push_layer(&mut self, disk_file: &Path) -> io::Result<()> {
        let unit_bytes = self.unit_bytes;
        if let Tracking::On { branch, sequence, layers } = &mut self.state {
            layers.push(new_layer(disk_file, *branch, *sequence, unit_bytes)?);
        }
        Ok(())
    }

    /// The leaf is about to be merged into its parent: what changed in it counts for the parent from now on.
    /// Safe to do twice, and safe to be killed after: the leaf keeps its own map until [`Self::pop_layer`].
    pub(crate) fn fold_leaf(&mut self) -> io::Result<()> {
        let unit_bytes = self.unit_bytes;
        let Tracking::On { branch, sequence, layers } = &mut self.state else { return Ok(()) };
        let [.., parent, leaf] = layers.as_mut_slice() else { return Ok(()) };
        parent.map.fold_in(&leaf.map);
        let header = ChangeFileHeader { branch: *branch, sequence: *sequence, unit_bytes };
        parent.file = ChangeFile::create(&parent.disk_file, header, &parent.map)?;
        Ok(())
    }

    /// The leaf was merged and is gone.
    pub(crate) fn pop_layer(&mut self) -> io::Result<()> {
        let Tracking::On { layers, .. } = &mut self.state else { return Ok(()) };
        layers.pop().map_or(Ok(()), |leaf| leaf.file.remove())
    }

    /// Ranges written after the mark in the files up to and including number `last_layer`, clipped to the disk.
    pub(crate) fn changed_since(
        &self,
        mark: &ChangeMark,
        last_layer: usize,
    ) -> Result<Vec<Range<u64>>, TrackingLoss> {
        let (branch, sequence, layers) = match &self.state {
            Tracking::Off => return Err(TrackingLoss::Disabled),
            Tracking::Lost => return Err(TrackingLoss::Missing),
            Tracking::On { branch, sequence, layers } => (branch, *sequence, layers),
        };
        if mark.branch != *branch || mark.sequence >= sequence {
            return Err(TrackingLoss::UnknownMark);
        }
        let newer = layers.iter().take(last_layer + 1).flat_map(|layer| layer.map.newer_than(mark.sequence));
        let bytes = newer.map(|units| {
            units.start * self.unit_bytes..units.end.saturating_mul(self.unit_bytes).min(self.capacity)
        });
        Ok(joined(bytes.collect()))
    }

    /// Everything known is forgotten; the next mark starts a new branch.
    pub(crate) fn lose(&mut self) -> io::Result<()> {
        if let Tracking::On { layers, .. } = std::mem::replace(&mut self.state, Tracking::Lost) {
            for layer in layers {
                layer.file.remove()?;
            }
        }
        Ok(())
    }

    fn restart(&mut self, disk_files: &[PathBuf], branch: Uuid) -> io::Result<()> {
        let layers = disk_files.iter().map(|disk_file| new_layer(disk_file, branch, 1, self.unit_bytes));
        let layers = layers.collect::<io::Result<Vec<_>>>()?;
        self.state = Tracking::On { branch, sequence: 1, layers };
        Ok(())
    }
}

fn new_layer(disk_file: &Path, branch: Uuid, sequence: u32, unit_bytes: u64) -> io::Result<Layer> {
    let header = ChangeFileHeader { branch, sequence, unit_bytes };
    let file = ChangeFile::create(disk_file, header, &ChangeMap::default())?;
    Ok(Layer { disk_file: disk_file.to_owned(), map: ChangeMap::default(), file })
}

fn joined_layers(found: Vec<(PathBuf, ChangeFile, LoadedChanges)>, unit_bytes: u64) -> Tracking {
    let Some(branch) = found.first().map(|(_, _, loaded)| loaded.header.branch) else { return Tracking::Off };
    let alike =
        |loaded: &LoadedChanges| loaded.header.branch == branch && loaded.header.unit_bytes == unit_bytes;
    if !found.iter().all(|(_, _, loaded)| alike(loaded)) {
        return Tracking::Lost;
    }
    let sequence = found.iter().map(|(_, _, loaded)| loaded.sequence).max().unwrap_or(1);
    let layers =
        found.into_iter().map(|(disk_file, file, loaded)| Layer { disk_file, map: loaded.map, file });
    Tracking::On { branch, sequence, layers: layers.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn chain(folder: &Path) -> Vec<PathBuf> {
        vec![folder.join("a.vhdx"), folder.join("a_1.avhdx")]
    }

    #[test]
    fn the_unit_grows_with_the_disk() {
        let gib = 1 << 30;
        for (capacity, unit_kib) in [(gib, 16), (512 * gib, 16), (1024 * gib, 32), (64 * 1024 * gib, 2048)] {
            assert_eq!(unit_bytes(capacity), unit_kib * 1024);
        }
    }

    #[test]
    fn changes_since_a_mark_are_whole_units_inside_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let files = &chain(folder.path())[..1];
        let mut tracking = ChangeTracking::open(MIB + 512, files).unwrap();
        tracking.record(&(0..512)).unwrap();
        let mark = tracking.mark(files, Uuid::from_u128(1)).unwrap();
        tracking.record(&(20_000..20_512)).unwrap();
        tracking.record(&(MIB..MIB + 512)).unwrap();
        let changed = tracking.changed_since(&mark, 0).unwrap();
        assert_eq!(changed, [16_384..32_768, MIB..MIB + 512]);
    }

    #[test]
    fn writes_after_a_checkpoint_are_the_childs_until_it_is_merged() {
        let folder = tempfile::tempdir().unwrap();
        let files = chain(folder.path());
        let mut tracking = ChangeTracking::open(MIB, &files[..1]).unwrap();
        let mark = tracking.mark(&files[..1], Uuid::from_u128(1)).unwrap();
        tracking.push_layer(&files[1]).unwrap();
        tracking.record(&(0..512)).unwrap();
        assert_eq!(tracking.changed_since(&mark, 0).unwrap(), []);
        assert_eq!(tracking.changed_since(&mark, 1).unwrap(), std::slice::from_ref(&(0..16_384)));
        tracking.fold_leaf().unwrap();
        tracking.pop_layer().unwrap();
        assert_eq!(tracking.changed_since(&mark, 0).unwrap(), std::slice::from_ref(&(0..16_384)));
        assert!(!change_file::beside(&files[1]).exists());
    }

    #[test]
    fn tracking_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let files = chain(folder.path());
        let mut tracking = ChangeTracking::open(MIB, &files[..1]).unwrap();
        let first = tracking.mark(&files[..1], Uuid::from_u128(1)).unwrap();
        tracking.push_layer(&files[1]).unwrap();
        tracking.record(&(0..512)).unwrap();
        drop(tracking);
        let mut tracking = ChangeTracking::open(MIB, &files).unwrap();
        assert_eq!(tracking.changed_since(&first, 1).unwrap(), std::slice::from_ref(&(0..16_384)));
        let second = tracking.mark(&files, Uuid::from_u128(2)).unwrap();
        assert_eq!((second.branch, second.sequence), (first.branch, first.sequence + 1));
    }

    #[test]
    fn a_mark_of_lost_tracking_is_unknown_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let files = &chain(folder.path())[..1];
        let mut tracking = ChangeTracking::open(MIB, files).unwrap();
        let old = tracking.mark(files, Uuid::from_u128(1)).unwrap();
        assert_eq!(tracking.changed_since(&old, 0).unwrap(), []);
        tracking.lose().unwrap();
        assert_eq!(tracking.changed_since(&old, 0), Err(TrackingLoss::Missing));
        tracking.mark(files, Uuid::from_u128(2)).unwrap();
        assert_eq!(tracking.changed_since(&old, 0), Err(TrackingLoss::UnknownMark));
    }

    #[test]
    fn a_disk_without_marks_has_no_tracking() {
        let folder = tempfile::tempdir().unwrap();
        let tracking = ChangeTracking::open(MIB, &chain(folder.path())[..1]).unwrap();
        let mark = ChangeMark { branch: Uuid::nil(), sequence: 0 };
        assert_eq!(tracking.changed_since(&mark, 0), Err(TrackingLoss::Disabled));
    }
}
