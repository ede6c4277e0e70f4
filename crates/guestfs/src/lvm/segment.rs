//! The segments of a logical volume, and what each kind of them means.
//!
//! A segment takes its bytes from physical volumes or from other logical volumes (the images of a mirror, the
//! volume that a running move goes through). A hostile text may name volumes in a circle or in a tree without
//! end, so depth and pieces are counted.

use std::collections::BTreeMap;

use super::group::Extents;
use super::label::SECTOR;
use super::text::{Section, Value};
use crate::map::VolumeMap;

/// Volumes inside volumes at most; a moved image of a mirror has three.
const DEPTH_MAX: usize = 6;

/// Pieces of all logical volumes of a group at most.
const PIECES_MAX: usize = 500_000;

/// Reads the segments of the logical volumes of one group.
pub(super) struct Builder<'a> {
    logical: &'a Section,
    physical: &'a BTreeMap<String, Extents>,
    extent_bytes: u64,
    pieces: usize,
    notes: Vec<String>,
}

/// A logical volume.
pub(super) struct Part {
    pub(super) map: VolumeMap,
    /// Its kind for people.
    pub(super) kind: String,
    /// Sentences for people.
    pub(super) notes: Vec<String>,
}

type Built<T> = Result<T, String>;

impl<'a> Builder<'a> {
    pub(super) fn new(
        logical: &'a Section,
        physical: &'a BTreeMap<String, Extents>,
        extent_bytes: u64,
    ) -> Self {
        Self { logical, physical, extent_bytes, pieces: 0, notes: Vec::new() }
    }

    /// The volume of this name; the error says why it cannot be had.
    pub(super) fn volume(&mut self, name: &str) -> Built<Part> {
        self.notes.clear();
        let map = self.map(name, 0)?;
        let segments = self.segments(name)?;
        let mut kinds: Vec<String> = segments.iter().map(|(_, segment)| kind(segment)).collect();
        kinds.dedup();
        let mut kind = kinds.join(", ");
        if segments.len() > 1 {
            kind = format!("{kind}, {} segments", segments.len());
        }
        self.notes.dedup();
        Ok(Part { map, kind, notes: std::mem::take(&mut self.notes) })
    }

    /// The segments by their first extent.
    fn segments(&self, name: &str) -> Built<Vec<(u64, &'a Section)>> {
        let text = self.logical.section(name).ok_or_else(|| format!("the volume {name} is not described"))?;
        let mut segments: Vec<(u64, &Section)> = text
            .sections()
            .filter_map(|(_, segment)| Some((segment.number("start_extent")?, segment)))
            .collect();
        segments.sort_by_key(|(start, _)| *start);
        let count = text.number("segment_count").unwrap_or_default();
        if count != crate::number::bytes(segments.len()) || segments.is_empty() {
            return Err(format!("{name} should have {count} segments and has {}", segments.len()));
        }
        Ok(segments)
    }

    fn map(&mut self, name: &str, depth: usize) -> Built<VolumeMap> {
        if depth > DEPTH_MAX {
            return Err("its parts lie inside each other too deeply".into());
        }
        if self.logical.section(name).is_some_and(|text| text.has_flag("status", "NOTSYNCED")) {
            self.notes.push("It was never fully synchronised; its copies may differ.".into());
        }
        let mut next = 0u64;
        let mut parts = Vec::new();
        for (start, segment) in self.segments(name)? {
            let count = segment.number("extent_count").unwrap_or_default();
            if start != next {
                return Err(format!("the segments of {name} leave a hole or overlap at extent {next}"));
            }
            next = start.checked_add(count).ok_or("its segments are beyond any disk")?;
            let length = count.checked_mul(self.extent_bytes).ok_or("its segments are beyond any disk")?;
            parts.push(self.segment(segment, length, depth)?);
        }
        VolumeMap::concat(parts).ok_or_else(|| "its segments are beyond any disk".into())
    }

    fn segment(&mut self, segment: &Section, length: u64, depth: usize) -> Built<VolumeMap> {
        match segment.text("type").unwrap_or("no type") {
            "striped" | "linear" => self.striped(segment, segment.list("stripes"), length, depth),
            "raid0" => self.striped(segment, segment.list("raid0_lvs"), length, depth),
            "raid0_meta" => self.striped(segment, &images(segment), length, depth),
            "mirror" => {
                let copies = self.places(segment.list("mirrors"), length, depth)?;
                mirrored(length, copies)
            }
            "raid1" => {
                let copies = self.places(&images(segment), length, depth)?;
                mirrored(length, copies)
            }
            other => Err(format!("segments of type {other} cannot be read")),
        }
    }

    fn striped(&mut self, segment: &Section, list: &[Value], length: u64, depth: usize) -> Built<VolumeMap> {
        let count = segment.number("stripe_count").unwrap_or(1).max(1);
        if !length.is_multiple_of(count) {
            return Err("its length is no multiple of its stripes".into());
        }
        let mut columns = self.places(list, length / count, depth)?;
        if crate::number::bytes(columns.len()) != count {
            return Err(format!("it should have {count} stripes and has {}", columns.len()));
        }
        if count == 1 {
            return columns.pop().ok_or_else(|| "it has no place".into());
        }
        let unit = segment.number("stripe_size").and_then(|size| size.checked_mul(SECTOR));
        unit.and_then(|unit| VolumeMap::striped(length, unit, columns))
            .ok_or_else(|| "its stripes do not fit their columns".into())
    }

    /// `length` bytes from each place of a list: a physical volume and its extent, or a logical volume and, in
    /// most lists, its extent.
    fn places(&mut self, list: &[Value], length: u64, depth: usize) -> Built<Vec<VolumeMap>> {
        let mut maps = Vec::new();
        let mut rest = list.iter().peekable();
        while let Some(value) = rest.next() {
            let name = value.text().ok_or("a place has no name")?;
            let extent = rest.next_if(|next| next.number().is_some()).and_then(Value::number).unwrap_or(0);
            let offset = extent.checked_mul(self.extent_bytes).ok_or("a place is beyond any disk")?;
            let map = self.place(name, offset, length, depth)?;
            // A physical volume may itself lie in many pieces.
            self.pieces += map.run_count().max(1);
            maps.push(map);
            if self.pieces > PIECES_MAX {
                return Err("its group has too many pieces".into());
            }
        }
        Ok(maps)
    }

    fn place(&mut self, name: &str, offset: u64, length: u64, depth: usize) -> Built<VolumeMap> {
        if let Some(volume) = self.physical.get(name) {
            let Some(map) = &volume.map else {
                return Ok(VolumeMap::missing(length, &format!("{} is missing", volume.called)));
            };
            let start = volume.start.checked_add(offset);
            let part = start.and_then(|start| map.slice(start, length));
            let beyond =
                || VolumeMap::missing(length, &format!("it lies beyond the end of {}", volume.called));
            return Ok(part.unwrap_or_else(beyond));
        }
        let inner = self.map(name, depth + 1)?;
        inner.slice(offset, length).ok_or_else(|| format!("a place in {name} is beyond its end"))
    }
}

/// The images among pairs of a metadata volume and an image.
fn images(segment: &Section) -> Vec<Value> {
    segment.list("raids").chunks_exact(2).filter_map(|pair| pair.get(1).cloned()).collect()
}

fn mirrored(length: u64, copies: Vec<VolumeMap>) -> Built<VolumeMap> {
    VolumeMap::mirrored(length, copies).ok_or_else(|| "its copies are too short, or there are none".into())
}

/// The kind of a segment for people.
fn kind(segment: &Section) -> String {
    let stripes = segment.number("stripe_count").unwrap_or(1);
    match segment.text("type").unwrap_or_default() {
        "striped" | "linear" if stripes <= 1 => "linear".to_owned(),
        "striped" | "raid0" | "raid0_meta" => format!("striped over {stripes}"),
        "mirror" | "raid1" => "mirrored".to_owned(),
        other => other.to_owned(),
    }
}
