//! `Layout`: from a guest's disks to its volumes.
//!
//! All disks of a VM are given together, since a volume may lie on several. What cannot be put together is a gap
//! with its reason; it does not hinder the rest.

use std::sync::Arc;

use crate::error::Result;
use crate::map::{Disks, VolumeMap};
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

/// How one disk is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskTable {
    /// Name of the disk's file.
    pub name: String,
    /// Bytes of the disk.
    pub size: u64,
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
    /// Reads the tables of these disks.
    pub fn read(disks: &[Arc<dyn Source>]) -> Result<Self> {
        let disks: Disks = disks.into();
        let mut layout = Self::default();
        for (number, disk) in disks.iter().enumerate() {
            layout.disks.push(DiskTable { name: disk.name().to_owned(), size: disk.len() });
            let map = VolumeMap::linear(number, 0, disk.len());
            let kind = "disk without partitions".to_owned();
            layout.volumes.push(Volume::new(format!("disk{number}"), kind, String::new(), map, &disks));
        }
        Ok(layout)
    }

    /// The volume of that name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }
}
