//! Leaves and nodes of a disk's map (format document 4.6).
//!
//! Both are run-length lists in canonical form, so that equal content has equal bytes and is shared by
//! identity. A leaf covers 1 MiB in units of 4 KiB; that chunks have any length in units, not only the
//! block size, is what lets a later chunker choose its own borders.

use super::{CHUNK_BYTES_MAX, Parsed, UNIT_BYTES, damaged};
use crate::name::ChunkId;

/// Units in a leaf.
pub(crate) const LEAF_UNITS: u16 = 256;
/// Bytes of disk that a leaf covers.
pub(crate) const LEAF_BYTES: u64 = LEAF_UNITS as u64 * UNIT_BYTES as u64;
/// Children of a node.
pub(crate) const NODE_CHILDREN: u16 = 1024;
/// Most levels of nodes: 1 MiB × 1024⁴ is far beyond any virtual disk.
pub(crate) const LEVELS_MAX: u8 = 4;
/// Largest leaf or node that a reader accepts.
pub(crate) const MAP_BYTES_MAX: u32 = 32 * 1024;

const MAP_VERSION: u8 = 1;
const TAG_HOLE: u8 = 0;
const TAG_ID: u8 = 1;
const _: () = assert!(LEAF_BYTES == CHUNK_BYTES_MAX as u64);

/// A part of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// Units that hold zeros.
    Hole { units: u16 },
    /// Units that hold a chunk.
    Chunk { units: u16, id: ChunkId },
}

impl Item {
    pub(crate) const fn units(self) -> u16 {
        match self {
            Self::Hole { units } | Self::Chunk { units, .. } => units,
        }
    }
}

/// A child of a node, or the root of a map: `None` is a subtree of holes.
pub(crate) type Child = Option<ChunkId>;

/// Levels of nodes that a disk of this capacity needs.
pub(crate) fn levels_for(capacity_bytes: u64) -> u8 {
    (0..LEVELS_MAX).find(|level| span_bytes(*level) >= capacity_bytes).unwrap_or(LEVELS_MAX)
}

/// Bytes of disk that a tree with this many levels of nodes covers.
pub(crate) fn span_bytes(level: u8) -> u64 {
    LEAF_BYTES << (10 * u32::from(level.min(LEVELS_MAX)))
}

/// Joins neighbouring holes; the canonical form of a leaf.
pub(crate) fn canonical(items: impl IntoIterator<Item = Item>) -> Vec<Item> {
    let mut joined: Vec<Item> = Vec::new();
    for item in items {
        match (joined.last_mut(), item) {
            (_, Item::Hole { units: 0 }) => {}
            (Some(Item::Hole { units }), Item::Hole { units: more }) => *units += more,
            _ => joined.push(item),
        }
    }
    joined
}

/// A leaf's bytes, or `None` when it is all hole. `items` cover exactly one leaf, in canonical form.
pub(crate) fn encode_leaf(items: &[Item]) -> Option<Vec<u8>> {
    assert_eq!(items.iter().map(|item| u32::from(item.units())).sum::<u32>(), u32::from(LEAF_UNITS));
    if items.iter().all(|item| matches!(item, Item::Hole { .. })) {
        return None;
    }
    let mut bytes = head(0, items.len());
    for item in items {
        match item {
            Item::Hole { units } => push_tagged(&mut bytes, TAG_HOLE, *units),
            Item::Chunk { units, id } => {
                push_tagged(&mut bytes, TAG_ID, *units);
                bytes.extend_from_slice(&id.0);
            }
        }
    }
    Some(bytes)
}

/// A node's bytes, or `None` when it is all hole. `children` are exactly a node's.
pub(crate) fn encode_node(level: u8, children: &[Child]) -> Option<Vec<u8>> {
    assert_eq!(children.len(), usize::from(NODE_CHILDREN));
    if children.iter().all(Option::is_none) {
        return None;
    }
    let mut items = 0_usize;
    let mut body = Vec::new();
    for group in children.chunk_by(|a, b| a.is_none() && b.is_none()) {
        items += 1;
        if let Some(id) = group[0] {
            body.push(TAG_ID);
            body.extend_from_slice(&id.0);
        } else {
            let length = u16::try_from(group.len()).unwrap_or(NODE_CHILDREN);
            push_tagged(&mut body, TAG_HOLE, length);
        }
    }
    let mut bytes = head(level, items);
    bytes.append(&mut body);
    Some(bytes)
}

fn head(level: u8, items: usize) -> Vec<u8> {
    let count = u16::try_from(items).unwrap_or(u16::MAX);
    let mut bytes = vec![MAP_VERSION, level];
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes
}

fn push_tagged(bytes: &mut Vec<u8>, tag: u8, number: u16) {
    bytes.push(tag);
    bytes.extend_from_slice(&number.to_le_bytes());
}

/// Reads a leaf.
pub(crate) fn parse_leaf(bytes: &[u8]) -> Parsed<Vec<Item>> {
    let mut reader = Reader::new(bytes, 0)?;
    let mut items = Vec::with_capacity(usize::from(LEAF_UNITS.min(reader.items)));
    let mut covered = 0_u32;
    while let Some(tag) = reader.tag()? {
        let units = reader.number()?;
        let item = match tag {
            TAG_HOLE => Item::Hole { units },
            TAG_ID => Item::Chunk { units, id: reader.id()? },
            _ => return damaged("a leaf has an item of unknown kind"),
        };
        covered += u32::from(units);
        if units == 0 || covered > u32::from(LEAF_UNITS) {
            return damaged("a leaf's items do not cover it");
        }
        items.push(item);
    }
    reader.end(covered == u32::from(LEAF_UNITS))?;
    Ok(items)
}

/// Reads a node of the given level into its 1,024 children.
pub(crate) fn parse_node(bytes: &[u8], level: u8) -> Parsed<Vec<Child>> {
    let mut reader = Reader::new(bytes, level)?;
    let mut children = Vec::with_capacity(usize::from(NODE_CHILDREN));
    while let Some(tag) = reader.tag()? {
        let (count, child) = match tag {
            TAG_HOLE => (reader.number()?, None),
            TAG_ID => (1, Some(reader.id()?)),
            _ => return damaged("a node has an item of unknown kind"),
        };
        if count == 0 || children.len() + usize::from(count) > usize::from(NODE_CHILDREN) {
            return damaged("a node's items do not cover it");
        }
        children.extend(std::iter::repeat_n(child, usize::from(count)));
    }
    reader.end(children.len() == usize::from(NODE_CHILDREN))?;
    Ok(children)
}

struct Reader<'a> {
    rest: &'a [u8],
    items: u16,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], level: u8) -> Parsed<Self> {
        let [version, found, low, high, rest @ ..] = bytes else {
            return damaged("a map object is cut short");
        };
        if *version != MAP_VERSION || *found != level {
            return damaged("a map object has another version or level than expected");
        }
        Ok(Self { rest, items: u16::from_le_bytes([*low, *high]) })
    }

    fn bytes<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let Some((first, rest)) = self.rest.split_first_chunk::<N>() else {
            return damaged("a map object is cut short");
        };
        self.rest = rest;
        Ok(*first)
    }

    fn tag(&mut self) -> Parsed<Option<u8>> {
        let Some(left) = self.items.checked_sub(1) else { return Ok(None) };
        self.items = left;
        self.bytes::<1>().map(|[tag]| Some(tag))
    }

    fn number(&mut self) -> Parsed<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    fn id(&mut self) -> Parsed<ChunkId> {
        self.bytes().map(ChunkId)
    }

    fn end(&self, covered: bool) -> Parsed<()> {
        if covered && self.rest.is_empty() { Ok(()) } else { damaged("a map object's items do not cover it") }
    }
}
