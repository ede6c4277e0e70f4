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

/// Physical volumes of one guest at most, because each brings texts of up to 8 MiB. LVM advises far fewer.
const PHYSICAL_MAX: usize = 512;

/// Groups that one text describes at most; LVM writes one.
const GROUPS_MAX: usize = 4;

/// Adds the logical volumes of the physical volumes among `volumes`.
pub(crate) fn assemble(volumes: &mut Vec<Volume>, gaps: &mut Vec<Gap>, disks: &Disks) {
    let mut present = PhysicalVolumes::new();
    let mut groups = BTreeMap::<String, Group>::new();
    for (number, volume) in volumes.iter().filter(|volume| volume.content == Content::LvmMember).enumerate() {
        if number == PHYSICAL_MAX {
            let what = format!("LVM physical volumes from {} on", volume.name);
            gaps.push(Gap { what, why: format!("more than {PHYSICAL_MAX} are not read") });
            break;
        }
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
        for text in &label.texts {
            if Group::all_of(text).nth(GROUPS_MAX).is_some() {
                gaps.push(damaged(format!("a text describes more than {GROUPS_MAX} groups")));
            }
        }
        for group in label.texts.iter().flat_map(|text| Group::all_of(text).take(GROUPS_MAX)) {
            match groups.get(&group.id) {
                Some(known) if known.seqno >= group.seqno => {}
                _ => {
                    groups.insert(group.id.clone(), group);
                }
            }
        }
    }
    let mut names = BTreeMap::<&str, usize>::new();
    groups.values().for_each(|group| *names.entry(&group.name).or_default() += 1);
    for group in groups.values() {
        // Two groups of one name are told apart by the start of their UUID.
        let twin = names.get(group.name.as_str()).is_some_and(|count| *count > 1);
        let id: String = group.id.chars().take(6).collect();
        let name = if twin { format!("{}-{id}", group.name) } else { group.name.clone() };
        group.add_volumes(&name, &present, volumes, gaps, disks);
    }
}
