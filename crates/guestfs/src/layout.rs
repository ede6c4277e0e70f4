//! `Layout`: from a guest's disks to its volumes.
//!
//! All disks of a VM are given together, since a volume may lie on several. What cannot be put together is a gap
//! with its reason; it does not hinder the rest.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::Result;
use crate::ldm;
use crate::lvm;
use crate::map::{Disks, VolumeMap};
use crate::partition::{self, DiskTable, Partition, Role, TableKind};
use crate::source::Source;
use crate::volume::Volume;

/// What there is on a guest's disks.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// A table for each disk, in the order given.
    pub disks: Vec<DiskTable>,
    /// The volumes, by disk and place, then those that are put together from several places.
    pub volumes: Vec<Volume>,
    /// What could not be put together.
    pub gaps: Vec<Gap>,
}

/// Something that is named on the disks but cannot be put together from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What is missing or not understood.
    pub what: String,
    /// Why.
    pub why: String,
}

impl Layout {
    /// Reads the tables of these disks. A disk that cannot be read becomes a gap.
    pub fn read(disks: &[Arc<dyn Source>]) -> Result<Self> {
        let disks: Disks = disks.into();
        let mut layout = Self::default();
        for (number, disk) in disks.iter().enumerate() {
            let table = partition::read(disk).unwrap_or_else(|error| {
                layout
                    .gaps
                    .push(Gap { what: format!("disk{number} ({})", disk.name()), why: with_cause(&error) });
                DiskTable::empty(disk)
            });
            layout.add_partitions(number, &table, &disks);
            layout.disks.push(table);
        }
        ldm::assemble(&layout.disks, &mut layout.volumes, &mut layout.gaps, &disks);
        lvm::assemble(&mut layout.volumes, &mut layout.gaps, &disks);
        layout.tell_names_apart();
        Ok(layout)
    }

    /// Volumes are asked for by name, so that a second one of a name gets another, `NAME~2`.
    fn tell_names_apart(&mut self) {
        let mut used: HashSet<String> = HashSet::new();
        let mut counts: HashMap<String, u32> = HashMap::new();
        for volume in &mut self.volumes {
            let count = counts.entry(volume.name.clone()).or_default();
            let mut name = volume.name.clone();
            while used.contains(&name) {
                *count += 1;
                name = format!("{}~{}", volume.name, *count + 1);
            }
            if name != volume.name {
                volume.notes.push(format!("Another volume has the name {}.", volume.name));
                volume.name.clone_from(&name);
            }
            used.insert(name);
        }
    }

    fn add_partitions(&mut self, number: usize, table: &DiskTable, disks: &Disks) {
        if table.kind == TableKind::None && table.notes.is_empty() {
            let map = VolumeMap::linear(number, 0, table.size);
            let kind = "disk without partitions".to_owned();
            self.volumes.push(Volume::new(format!("disk{number}"), kind, String::new(), map, disks));
        } else if table.kind == TableKind::None {
            self.gaps.push(Gap { what: format!("partitions of disk{number}"), why: clause(&table.notes) });
        }
        for partition in table.partitions.iter().filter(|partition| partition.role != Role::Extended) {
            let name = format!("disk{number}/part{}", partition.number);
            let Some(map) = place(number, partition, table.size) else {
                self.gaps.push(Gap { what: name, why: "it lies beyond the end of the disk".into() });
                continue;
            };
            let (kind, label) = (partition.type_name.clone(), partition.name.clone());
            self.volumes.push(match partition.role {
                Role::Holds(content) => Volume::of_content(name, kind, label, map, content, disks),
                _ => Volume::new(name, kind, label, map, disks),
            });
        }
    }

    /// The volume of that name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }
}

/// The map of a partition; what lies beyond the disk is missing. `None` when all of it does.
fn place(disk: usize, partition: &Partition, size: u64) -> Option<VolumeMap> {
    let there = partition.end().min(size).checked_sub(partition.start).filter(|&there| there > 0)?;
    let rest = VolumeMap::missing(partition.length - there, "the disk ends before the partition does");
    VolumeMap::concat([VolumeMap::linear(disk, partition.start, there), rest])
}

/// Sentences as one clause.
fn clause(notes: &[String]) -> String {
    notes.join(" ").trim_end_matches('.').to_owned()
}

/// The text of an error with its cause, as a clause.
fn with_cause(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    match error.source() {
        Some(cause) => format!("{text} {cause}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;

    #[test]
    fn volumes_of_one_name_are_told_apart() {
        let disks: Disks = Arc::new([]);
        let volume = |name: &str| {
            let map = VolumeMap::missing(512, "it is made up");
            Volume::of_content(name.into(), String::new(), String::new(), map, Content::Unknown, &disks)
        };
        let volumes = ["ldm/a", "ldm/a", "ldm/a~2", "ldm/a"].map(volume).into();
        let mut layout = Layout { volumes, ..Layout::default() };

        layout.tell_names_apart();

        let names: Vec<_> = layout.volumes.iter().map(|volume| volume.name.as_str()).collect();
        assert_eq!(names, ["ldm/a", "ldm/a~2", "ldm/a~2~2", "ldm/a~3"]);
        assert!(layout.volumes[1].notes.iter().any(|note| note == "Another volume has the name ldm/a."));
    }
}
