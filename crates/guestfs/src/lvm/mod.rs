//! LVM2: from physical volumes to logical volumes.
//!
//! Physical volumes are found by their label, volume groups by the newest text that any of them holds. A logical
//! volume is a map over the maps of its physical volumes. What a group names and we cannot put together becomes a
//! gap with its name; the other volumes stay usable.

mod group;
mod label;
mod segment;
mod text;

use std::collections::BTreeMap;

use self::group::Group;
use crate::content::Content;
use crate::layout::Gap;
use crate::map::{Disks, VolumeMap};
use crate::source::Source;
use crate::volume::Volume;

/// Physical volumes that are there: UUID without dashes, name for texts, map.
type PhysicalVolumes = BTreeMap<String, (String, VolumeMap)>;

/// Adds the logical volumes of the physical volumes among `volumes`.
pub(crate) fn assemble(volumes: &mut Vec<Volume>, gaps: &mut Vec<Gap>, disks: &Disks) {
    let mut present = PhysicalVolumes::new();
    let mut groups = BTreeMap::<String, Group>::new();
    for volume in volumes.iter().filter(|volume| volume.content == Content::LvmMember) {
        let damaged = |why: String| Gap { what: format!("LVM physical volume {}", volume.name), why };
        let label = match label::read(volume) {
            Ok(label) => label,
            Err(why) => {
                gaps.push(damaged(why));
                continue;
            }
        };
        gaps.extend(label.faults.into_iter().map(damaged));
        if let Some((first, _)) = present.get(&label.uuid) {
            gaps.push(damaged(format!("it is a copy of {first}, which is used")));
            continue;
        }
        present.insert(label.uuid, (volume.name().to_owned(), volume.map().clone()));
        for group in label.texts.iter().flat_map(Group::all_of) {
            match groups.get(&group.id) {
                Some(known) if known.seqno >= group.seqno => {}
                _ => {
                    groups.insert(group.id.clone(), group);
                }
            }
        }
    }
    for group in groups.values() {
        // Two groups of one name are told apart by the start of their UUID.
        let twin = groups.values().filter(|other| other.name == group.name).count() > 1;
        let id: String = group.id.chars().take(6).collect();
        let name = if twin { format!("{}-{id}", group.name) } else { group.name.clone() };
        group.add_volumes(&name, &present, volumes, gaps, disks);
    }
}
