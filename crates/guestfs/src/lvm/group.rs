//! A volume group: its physical volumes by the names that its text uses, and its logical volumes.

use std::collections::{BTreeMap, BTreeSet};

use super::PhysicalVolumes;
use super::label::SECTOR;
use super::segment::{Builder, Part};
use super::text::Section;
use crate::layout::Gap;
use crate::map::{Disks, VolumeMap};
use crate::volume::Volume;

/// A volume group as one text describes it.
pub(super) struct Group {
    pub(super) name: String,
    /// UUID as the text writes it.
    pub(super) id: String,
    /// Grows with each change.
    pub(super) seqno: u64,
    text: Section,
}

/// Where the extents of a physical volume are.
pub(super) struct Extents {
    /// What texts call it.
    pub(super) called: String,
    /// Its bytes, `None` when it is missing.
    pub(super) map: Option<VolumeMap>,
    /// First byte of its first extent.
    pub(super) start: u64,
}

impl Group {
    /// The groups of a text; there is one.
    pub(super) fn all_of(text: &Section) -> impl Iterator<Item = Self> {
        text.sections().filter_map(|(name, group)| {
            Some(Self {
                name: name.to_owned(),
                id: group.text("id")?.to_owned(),
                seqno: group.number("seqno")?,
                text: group.clone(),
            })
        })
    }

    /// Adds each logical volume that a guest sees, under `shown`, the name of the group.
    pub(super) fn add_volumes(
        &self,
        shown: &str,
        present: &PhysicalVolumes,
        volumes: &mut Vec<Volume>,
        gaps: &mut Vec<Gap>,
        disks: &Disks,
    ) {
        let Some(extent_bytes) = self.text.number("extent_size").and_then(|size| size.checked_mul(SECTOR))
        else {
            gaps.push(Gap {
                what: format!("LVM volume group {shown}"),
                why: "its extent size is missing".into(),
            });
            return;
        };
        let Some(logical) = self.text.section("logical_volumes") else { return };
        let physical = self.physical_volumes(present);
        for missing in physical.values().filter(|volume| volume.map.is_none()) {
            gaps.push(Gap { what: missing.called.clone(), why: "none of the disks given holds it".into() });
        }
        let odd = Snapshots::of(logical);
        let mut builder = Builder::new(logical, &physical, extent_bytes);
        for (name, text) in logical.sections() {
            if !is_visible(text) {
                continue;
            }
            let full = format!("lvm/{shown}/{name}");
            let built = odd.refusal(name).map_or_else(|| builder.volume(name), Err);
            match built {
                Ok(Part { map, kind, notes }) => {
                    let mut volume = Volume::new(full, kind, name.to_owned(), map, disks);
                    volume.notes.extend(notes);
                    volumes.push(volume);
                }
                Err(why) => gaps.push(Gap { what: full, why }),
            }
        }
    }

    /// The physical volumes by the names that segments use.
    fn physical_volumes(&self, present: &PhysicalVolumes) -> BTreeMap<String, Extents> {
        let list = self.text.section("physical_volumes").into_iter().flat_map(Section::sections);
        list.map(|(name, text)| {
            let uuid = text.text("id").unwrap_or_default();
            let plain: String = uuid.chars().filter(|&c| c != '-').collect();
            let device = text.text("device").unwrap_or("an unknown device");
            let called = format!("LVM physical volume {name} of {} ({device}, {uuid})", self.name);
            let start = text.number("pe_start").and_then(|start| start.checked_mul(SECTOR));
            let map = present.get(&plain).map(|(_, map)| map.clone()).filter(|_| start.is_some());
            (name.to_owned(), Extents { called, map, start: start.unwrap_or_default() })
        })
        .collect()
    }
}

/// Internal volumes, such as the images of a mirror, are not visible.
fn is_visible(text: &Section) -> bool {
    text.get("status").is_none() || text.has_flag("status", "VISIBLE")
}

/// Volumes that are not what their segments say, because of snapshots in the old style.
struct Snapshots<'a> {
    stores: BTreeSet<&'a str>,
    merging: BTreeSet<&'a str>,
}

impl<'a> Snapshots<'a> {
    fn of(logical: &'a Section) -> Self {
        let (mut stores, mut merging) = (BTreeSet::new(), BTreeSet::new());
        let segments = logical.sections().flat_map(|(_, text)| text.sections()).map(|(_, segment)| segment);
        for segment in segments.filter(|segment| segment.text("type") == Some("snapshot")) {
            stores.extend(segment.text("cow_store"));
            if let Some(store) = segment.text("merging_store") {
                stores.insert(store);
                merging.extend(segment.text("origin"));
            }
        }
        Self { stores, merging }
    }

    fn refusal(&self, name: &str) -> Option<String> {
        if self.stores.contains(name) {
            Some("it is an LVM snapshot, which cannot be read; its origin can".into())
        } else if self.merging.contains(name) {
            Some("a snapshot is being merged into it, which cannot be read".into())
        } else {
            None
        }
    }
}
