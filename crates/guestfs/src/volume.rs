//! `Volume`: what a guest sees as one block device with content: a partition, a logical volume, a dynamic volume.
//!
//! A volume is itself a [`Source`], so that a file system on it does not know how many disks it lies on. Clones
//! share the disks.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use vdisk::ChangedRanges;

use crate::content::Content;
use crate::detect::detect;
use crate::error::{Error, Result};
use crate::map::{Disks, VolumeMap};
use crate::open;
use crate::source::Source;
use crate::tree::Tree;

/// A partition, logical volume, dynamic volume, or a disk without any of them.
#[derive(Clone)]
pub struct Volume {
    /// Stable name: `disk0/part2`, `lvm/vg0/root`, `ldm/Volume1`, or `disk0` for a disk without partitions.
    pub name: String,
    /// What kind of volume it is, for people: a partition's type, `linear`, `striped over 3 disks`.
    pub kind: String,
    /// The label that its table gives it: the name of a GPT partition; empty when there is none.
    pub label: String,
    /// What lies on it.
    pub content: Content,
    /// The content more exactly: `FAT32`, `LUKS2`, `RAID 1.2 member`; the same as `content` where nothing is to add.
    pub detail: String,
    /// What the operator should know about it, as sentences.
    pub notes: Vec<String>,
    map: Arc<VolumeMap>,
    disks: Disks,
}

impl Volume {
    /// A volume by its map over these disks; looks at its content.
    pub(crate) fn new(name: String, kind: String, label: String, map: VolumeMap, disks: &Disks) -> Self {
        let mut volume = Self::of_content(name, kind, label, map, Content::Unreadable, disks);
        match detect(&volume) {
            Ok(found) => (volume.content, volume.detail) = (found.content, found.detail),
            Err(error) => volume.notes.push(format!("Its content cannot be looked at: {error}.")),
        }
        volume
    }

    /// A volume whose content is known by its type.
    pub(crate) fn of_content(
        name: String,
        kind: String,
        label: String,
        map: VolumeMap,
        content: Content,
        disks: &Disks,
    ) -> Self {
        let notes = map.gaps().into_iter().map(|gap| format!("Some of it cannot be read: {gap}.")).collect();
        let (map, disks) = (Arc::new(map), Arc::clone(disks));
        Self { name, kind, label, content, detail: content.to_string(), notes, map, disks }
    }

    /// Opens the file system on it.
    pub fn open(&self) -> Result<Box<dyn Tree>> {
        match open::opener(self.content) {
            Some(open) => open(Arc::new(self.clone())),
            None => Err(Error::unsupported(&self.name, self.refusal())),
        }
    }

    /// Why there are no files to be had, as a sentence without its full stop.
    fn refusal(&self) -> String {
        match self.content {
            Content::Ntfs | Content::Ext | Content::Xfs | Content::Fat | Content::ExFat => {
                format!("{} cannot be read yet", self.detail)
            }
            other => other.sentence().trim_end_matches('.').to_owned(),
        }
    }

    /// What can and cannot be done with it, as a plain sentence.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        self.content.sentence()
    }

    /// Where its bytes lie on the disks.
    #[must_use]
    pub fn map(&self) -> &VolumeMap {
        &self.map
    }

    /// The bytes of the disks that hold these bytes of the volume; see [`VolumeMap::on_disks`].
    #[must_use]
    pub fn on_disks(&self, ranges: &ChangedRanges) -> Option<BTreeMap<usize, ChangedRanges>> {
        self.map.on_disks(ranges)
    }

    /// All disks of its guest.
    pub(crate) fn sources(&self) -> &Disks {
        &self.disks
    }

    /// The disks that it lies on, by their position.
    #[must_use]
    pub fn disks(&self) -> Vec<usize> {
        self.map.disks()
    }
}

impl Source for Volume {
    fn len(&self) -> u64 {
        self.map.length()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.map.read(&self.disks, &self.name, offset, buf)
    }

    /// The largest of its disks' sectors.
    fn logical_sector(&self) -> u32 {
        self.disks()
            .into_iter()
            .filter_map(|disk| self.disks.get(disk))
            .map(Source::logical_sector)
            .max()
            .unwrap_or(512)
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("label", &self.label)
            .field("detail", &self.detail)
            .field("size", &self.len())
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}
