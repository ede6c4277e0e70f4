//! Windows dynamic disks (LDM): from a group of disks to simple, spanned, striped, mirrored and RAID-5 volumes.
//!
//! Each disk of a group keeps a copy of the database that describes all of them; the newest one is believed. A
//! disk that it names and that is not given leaves a gap in the volumes on it; mirrors and RAID-5 volumes that lack
//! one disk are still whole.

mod header;
mod record;

use std::collections::BTreeMap;

use uuid::Uuid;

use self::header::{Header, SECTOR};
use self::record::{Component, Database, PartitionRecord, RAID5, SPANNED, STRIPED, VolumeRecord};
use crate::layout::Gap;
use crate::map::{Disks, VolumeMap};
use crate::number::bytes;
use crate::partition::{DiskTable, LDM_METADATA as METADATA_TYPE};
use crate::source::Source;
use crate::volume::Volume;

/// Volumes of one group at most. Each is looked at, and a Windows that shows more than a few hundred is not known.
const VOLUMES_MAX: usize = 4096;

/// A group of dynamic disks.
#[derive(Default)]
struct Group {
    name: String,
    database: Option<Database>,
    /// By their identity: position and first sector of the data.
    members: BTreeMap<Uuid, (usize, u64)>,
    notes: Vec<String>,
}

/// Adds the dynamic volumes of these disks.
pub(crate) fn assemble(tables: &[DiskTable], volumes: &mut Vec<Volume>, gaps: &mut Vec<Gap>, disks: &Disks) {
    let mut groups = BTreeMap::<Uuid, Group>::new();
    for (number, (disk, table)) in disks.iter().zip(tables).enumerate() {
        let Some(header) = Header::read(disk, table) else { continue };
        let what = || format!("dynamic disk disk{number}");
        match header {
            Err(why) => gaps.push(Gap { what: what(), why }),
            Ok(header) => {
                let group = groups.entry(header.group_id).or_default();
                if let Err(why) = group.add(number, disk, &header) {
                    gaps.push(Gap { what: what(), why });
                }
            }
        }
    }
    let many = groups.len() > 1;
    for group in groups.values() {
        let prefix = if many { format!("ldm/{}", group.name) } else { "ldm".to_owned() };
        group.add_volumes(&prefix, volumes, gaps, disks);
    }
}

impl Group {
    fn add(&mut self, number: usize, disk: &dyn Source, header: &Header) -> Result<(), String> {
        let database = header.database(disk).and_then(|bytes| Database::parse(&bytes));
        self.name.clone_from(&header.group_name);
        if let Some((first, _)) = self.members.get(&header.disk_id) {
            return Err(format!("it is a copy of disk{first}, which is used"));
        }
        self.members.insert(header.disk_id, (number, header.data_start));
        let database = database?;
        if let Some(known) = &self.database
            && known.committed != database.committed
        {
            self.notes.push("The disks of its group do not agree; the newest description is used.".into());
        }
        if self.database.as_ref().is_none_or(|known| known.committed < database.committed) {
            self.database = Some(database);
        }
        Ok(())
    }

    fn add_volumes(&self, prefix: &str, volumes: &mut Vec<Volume>, gaps: &mut Vec<Gap>, disks: &Disks) {
        let Some(database) = &self.database else { return };
        for disk in database.disks.values() {
            if disk.id.is_none_or(|id| !self.members.contains_key(&id)) {
                let what = format!("{} of the dynamic disk group {}", disk.name, self.name);
                gaps.push(Gap { what, why: "none of the disks given is it".into() });
            }
        }
        if database.volumes.len() > VOLUMES_MAX {
            let why = format!("it describes {} volumes", database.volumes.len());
            gaps.push(Gap { what: format!("the dynamic disk group {}", self.name), why });
            return;
        }
        for (id, record) in &database.volumes {
            let name = format!("{prefix}/{}", record.name);
            match self.volume_map(database, *id, record, disks) {
                Ok((map, kind, notes)) => {
                    let mut volume = Volume::new(name, kind, record.hint.clone(), map, disks);
                    volume.notes.extend(notes);
                    volume.notes.extend(self.notes.first().cloned());
                    if database.is_changing {
                        volume.notes.push("Windows was changing the description of its group.".into());
                    }
                    volumes.push(volume);
                }
                Err(why) => gaps.push(Gap { what: name, why }),
            }
        }
    }

    /// Map, kind and notes of a volume; the error says why it cannot be had.
    fn volume_map(
        &self,
        database: &Database,
        id: u64,
        record: &VolumeRecord,
        disks: &Disks,
    ) -> Result<(VolumeMap, String, Vec<String>), String> {
        let components = database.components.get(&id).map(Vec::as_slice).unwrap_or_default();
        if bytes(components.len()) != record.components || components.is_empty() {
            return Err(format!("it should have {} parts and has {}", record.components, components.len()));
        }
        let length = record.sectors.checked_mul(SECTOR).ok_or("it is larger than any disk")?;
        let mut notes = Vec::new();
        let active: Vec<&Component> = components.iter().filter(|part| part.state == "ACTIVE").collect();
        // A copy that Windows does not use may be old.
        let used = if active.is_empty() { components.iter().collect() } else { active };
        if used.len() < components.len() {
            notes.push("A copy of it that Windows does not use is left out.".to_owned());
        }
        if used.iter().any(|part| part.state != "ACTIVE") {
            notes.push("Windows does not call it active; its content may be old.".to_owned());
        }
        let mut maps = Vec::new();
        for component in &used {
            maps.push(self.component_map(database, component, length, disks)?);
        }
        let pieces = used.first().map_or(0, |part| part.partitions);
        let kind = kind(components, pieces);
        let map = match (maps.pop(), maps.is_empty()) {
            (Some(only), true) => Some(only),
            (Some(last), false) => VolumeMap::mirrored(length, maps.into_iter().chain([last]).collect()),
            (None, _) => None,
        };
        Ok((map.ok_or("its copies differ in size")?, kind, notes))
    }

    /// One copy of a volume of `length` bytes.
    fn component_map(
        &self,
        database: &Database,
        component: &Component,
        length: u64,
        disks: &Disks,
    ) -> Result<VolumeMap, String> {
        let mut pieces: Vec<&PartitionRecord> =
            database.partitions.get(&component.id).into_iter().flatten().collect();
        if bytes(pieces.len()) != component.partitions {
            return Err(format!("it should have {} pieces and has {}", component.partitions, pieces.len()));
        }
        let by_column = component.kind != SPANNED;
        pieces.sort_by_key(|piece| if by_column { piece.column } else { piece.offset });
        let columns = (0..).zip(&pieces).all(|(number, piece)| piece.column == number);
        let mut next = Some(0u64);
        let behind = pieces.iter().all(|piece| {
            let fits = Some(piece.offset) == next;
            next = piece.offset.checked_add(piece.sectors);
            fits
        });
        if (by_column && !columns) || (!by_column && !behind) {
            return Err("its pieces leave a hole or overlap".into());
        }
        let maps: Vec<VolumeMap> =
            pieces.iter().map(|piece| self.piece_map(database, piece, disks)).collect();
        let unit = component.stripe_sectors.checked_mul(SECTOR).unwrap_or_default();
        let map = match component.kind {
            SPANNED => VolumeMap::concat(maps).and_then(|whole| whole.slice(0, length)),
            STRIPED => VolumeMap::striped(length, unit, maps),
            RAID5 => VolumeMap::raid5(length, unit, maps),
            other => return Err(format!("its parts are arranged in the unknown way {other}")),
        };
        map.ok_or_else(|| "its pieces are smaller than it is".into())
    }

    /// A piece of a disk, or what is missing.
    fn piece_map(&self, database: &Database, piece: &PartitionRecord, disks: &Disks) -> VolumeMap {
        let disk = database.disks.get(&piece.disk);
        let length = piece.sectors.saturating_mul(SECTOR);
        let name = disk.map_or("an unknown disk", |disk| &disk.name);
        let member = disk.and_then(|disk| disk.id).and_then(|id| self.members.get(&id));
        let Some(&(number, data_start)) = member else {
            return VolumeMap::missing(length, &format!("{name} of the group {} is missing", self.name));
        };
        let start = data_start.checked_add(piece.start).and_then(|start| start.checked_mul(SECTOR));
        let end = start.and_then(|start| start.checked_add(length));
        match (start, end, disks.get(number)) {
            (Some(start), Some(end), Some(disk)) if end <= disk.len() => {
                VolumeMap::linear(number, start, length)
            }
            _ => VolumeMap::missing(length, &format!("it lies beyond the end of {name}")),
        }
    }
}

/// The kind of a volume for people, in Windows' words.
fn kind(components: &[Component], pieces: u64) -> String {
    match components {
        [_, _, ..] => "mirrored".to_owned(),
        [one] if one.kind == STRIPED => format!("striped over {pieces}"),
        [one] if one.kind == RAID5 => format!("RAID-5 over {pieces}"),
        _ if pieces > 1 => format!("spanned over {pieces}"),
        _ => "simple".to_owned(),
    }
}
