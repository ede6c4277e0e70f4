//! Builds a disk's map while blocks arrive in any order.
//!
//! A leaf whose blocks have all been given is encoded at once, and so is a node whose children are all
//! there; only what is incomplete stays in memory. What is still incomplete at the end is completed from
//! the base (or with holes) by `disk`. This file has no I/O: it returns encoded objects to its caller,
//! who stores them and reports their ids back.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::format::UNIT_BYTES;
use crate::format::map::{
    Child, Item, LEAF_BYTES, LEAF_UNITS, NODE_CHILDREN, canonical, encode_leaf, encode_node, levels_for,
};
use crate::name::ChunkId;

/// A block as given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Hole,
    Chunk { units: u16, id: ChunkId },
}

/// A block that was given twice: the first byte of its leaf or block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GivenTwice(pub(super) u64);

/// A leaf (level 0) or node that became complete; `None` bytes when it is all hole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complete {
    pub(super) level: u8,
    pub(super) index: u64,
    pub(super) bytes: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct MapBuilder {
    capacity_bytes: u64,
    block_bytes: u64,
    levels: u8,
    /// Leaves with some blocks given: block within the leaf and its slot.
    partial: BTreeMap<u64, Vec<(u16, Slot)>>,
    /// Per level, the objects whose id is known and whose parent is not complete.
    done: Vec<BTreeMap<u64, Child>>,
    /// How many children of an incomplete node are done.
    counts: BTreeMap<(u8, u64), u64>,
}

impl MapBuilder {
    pub(super) fn new(capacity_bytes: u64, block_bytes: u32) -> Self {
        let levels = levels_for(capacity_bytes);
        Self {
            capacity_bytes,
            block_bytes: u64::from(block_bytes),
            levels,
            partial: BTreeMap::new(),
            done: vec![BTreeMap::new(); usize::from(levels) + 1],
            counts: BTreeMap::new(),
        }
    }

    pub(super) const fn levels(&self) -> u8 {
        self.levels
    }

    /// Takes consecutive blocks of one leaf, from the block at byte `offset` of the disk.
    pub(super) fn give(&mut self, offset: u64, slots: &[Slot]) -> Result<Option<Complete>, GivenTwice> {
        let leaf = offset / LEAF_BYTES;
        if self.is_done(leaf) {
            return Err(GivenTwice(offset));
        }
        let first = u16::try_from(offset % LEAF_BYTES / self.block_bytes).unwrap_or(u16::MAX);
        let known = self.partial.entry(leaf).or_default();
        for (block, slot) in (first..).zip(slots) {
            match known.binary_search_by_key(&block, |(block, _)| *block) {
                Ok(_) => return Err(GivenTwice(leaf * LEAF_BYTES + u64::from(block) * self.block_bytes)),
                Err(place) => known.insert(place, (block, *slot)),
            }
        }
        if (known.len() as u64) < self.blocks_of(leaf) {
            return Ok(None);
        }
        let slots = self.partial.remove(&leaf).unwrap_or_default();
        let items = self.items(&slots, &[Item::Hole { units: LEAF_UNITS }]).ok_or(GivenTwice(offset))?;
        Ok(Some(Complete { level: 0, index: leaf, bytes: encode_leaf(&items) }))
    }

    /// Takes the id of an object that was complete; its parent may be complete now.
    pub(super) fn settle(&mut self, level: u8, index: u64, child: Child) -> Option<Complete> {
        self.done[usize::from(level)].insert(index, child);
        if level == self.levels {
            return None;
        }
        let parent = index / u64::from(NODE_CHILDREN);
        let count = self.counts.entry((level + 1, parent)).or_default();
        *count += 1;
        if *count < self.children_of(level + 1, parent) {
            return None;
        }
        self.counts.remove(&(level + 1, parent));
        let mut children = vec![None; usize::from(NODE_CHILDREN)];
        self.take_children(level + 1, parent, &mut children);
        Some(Complete { level: level + 1, index: parent, bytes: encode_node(level + 1, &children) })
    }

    /// Makes whole leaves holes, hiding what a base has there. Called once at the end.
    pub(super) fn hide(&mut self, leaves: Range<u64>) -> Result<(), GivenTwice> {
        let (mut low, mut high) = (leaves.start, leaves.end);
        let fan = u64::from(NODE_CHILDREN);
        for level in 0..=self.levels {
            while low < high && (level == self.levels || low % fan != 0) {
                self.hide_one(level, low)?;
                low += 1;
            }
            while low < high && high % fan != 0 {
                high -= 1;
                self.hide_one(level, high)?;
            }
            (low, high) = (low / fan, high / fan);
        }
        Ok(())
    }

    fn hide_one(&mut self, level: u8, index: u64) -> Result<(), GivenTwice> {
        let below = |down: u8| (index << (10 * u32::from(down)))..((index + 1) << (10 * u32::from(down)));
        let given = self.partial.range(below(level)).next().is_some()
            || (0..=level).any(|at| self.done[usize::from(at)].range(below(level - at)).next().is_some());
        if given {
            return Err(GivenTwice(below(level).start * LEAF_BYTES));
        }
        self.done[usize::from(level)].insert(index, None);
        Ok(())
    }

    /// Leaves with some blocks given, to be completed by the caller.
    pub(super) fn take_partial(&mut self) -> BTreeMap<u64, Vec<(u16, Slot)>> {
        self.counts.clear();
        std::mem::take(&mut self.partial)
    }

    /// Sets an object at the end, where parents are built level by level.
    pub(super) fn set(&mut self, level: u8, index: u64, child: Child) {
        self.done[usize::from(level)].insert(index, child);
    }

    /// Sets an object at the end unless it is known, by itself or as a part of a node that is: a complete node has
    /// taken its children, and a hidden one has none.
    pub(super) fn set_if_absent(&mut self, level: u8, index: u64, child: Child) {
        let is_within =
            |at: u8| self.done[usize::from(at)].contains_key(&(index >> (10 * u32::from(at - level))));
        if !(level..=self.levels).any(is_within) {
            self.set(level, index, child);
        }
    }

    /// Nodes of `level` with at least one known child.
    pub(super) fn touched(&self, level: u8) -> Vec<u64> {
        let mut nodes: Vec<_> =
            self.done[usize::from(level) - 1].keys().map(|index| index / u64::from(NODE_CHILDREN)).collect();
        nodes.dedup();
        nodes
    }

    /// Moves the known children of a node over those of the base.
    pub(super) fn take_children(&mut self, level: u8, index: u64, children: &mut [Child]) {
        let below = &mut self.done[usize::from(level) - 1];
        let first = index * u64::from(NODE_CHILDREN);
        for (place, child) in (first..).zip(children) {
            if let Some(known) = below.remove(&place) {
                *child = known;
            }
        }
    }

    /// The root, once all levels are settled.
    pub(super) fn root(&self) -> Child {
        self.done[usize::from(self.levels)].get(&0).copied().flatten()
    }

    /// The items of a leaf: `slots` over `base`. `None` when a base chunk would be cut.
    pub(super) fn items(&self, slots: &[(u16, Slot)], base: &[Item]) -> Option<Vec<Item>> {
        let block_units = self.block_bytes / u64::from(UNIT_BYTES);
        let mut items = Vec::with_capacity(base.len() + slots.len());
        let mut at = 0_u64;
        for (block, slot) in slots {
            let start = u64::from(*block) * block_units;
            push_base(&mut items, base, at..start)?;
            at = start + block_units;
            let used = match slot {
                Slot::Hole => 0,
                Slot::Chunk { units, id } => {
                    items.push(Item::Chunk { units: *units, id: *id });
                    u64::from(*units)
                }
            };
            items.push(Item::Hole { units: u16::try_from(block_units - used).ok()? });
        }
        push_base(&mut items, base, at..u64::from(LEAF_UNITS))?;
        Some(canonical(items))
    }

    fn is_done(&self, leaf: u64) -> bool {
        (0_u32..).zip(&self.done).any(|(level, done)| done.contains_key(&(leaf >> (10 * level))))
    }

    /// Blocks of this leaf within the capacity.
    fn blocks_of(&self, leaf: u64) -> u64 {
        let bytes = self.capacity_bytes.saturating_sub(leaf * LEAF_BYTES).min(LEAF_BYTES);
        bytes.div_ceil(self.block_bytes)
    }

    /// Children of this node within the capacity.
    fn children_of(&self, level: u8, index: u64) -> u64 {
        let child_span = crate::format::map::span_bytes(level - 1);
        let children = self.capacity_bytes.div_ceil(child_span);
        let fan = u64::from(NODE_CHILDREN);
        children.saturating_sub(index * fan).min(fan)
    }
}

/// Copies the part of a leaf in `units`; `None` when a chunk crosses its borders.
fn push_base(items: &mut Vec<Item>, base: &[Item], units: Range<u64>) -> Option<()> {
    let mut at = 0_u64;
    for item in base {
        let mine = at..at + u64::from(item.units());
        at = mine.end;
        let (start, end) = (mine.start.max(units.start), mine.end.min(units.end));
        if start >= end {
            continue;
        }
        match item {
            Item::Hole { .. } => items.push(Item::Hole { units: u16::try_from(end - start).ok()? }),
            Item::Chunk { .. } if start == mine.start && end == mine.end => items.push(*item),
            Item::Chunk { .. } => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u32 = 65536;
    const MIB: u64 = 1 << 20;

    fn chunk(id: u8) -> Slot {
        Slot::Chunk { units: 16, id: ChunkId([id; 16]) }
    }

    fn give_leaf(map: &mut MapBuilder, leaf: u64) -> Complete {
        assert_eq!(map.give(leaf * MIB, &[chunk(1); 15]), Ok(None));
        map.give(leaf * MIB + 15 * u64::from(BLOCK), &[chunk(2)]).unwrap().unwrap()
    }

    #[test]
    fn a_leaf_is_complete_with_its_last_block() {
        let mut map = MapBuilder::new(10 * MIB, BLOCK);
        let complete = give_leaf(&mut map, 3);
        assert_eq!((complete.level, complete.index), (0, 3));
        assert_eq!(map.settle(0, 3, Some(ChunkId([9; 16]))), None);
        assert_eq!(map.give(3 * MIB, &[chunk(1)]), Err(GivenTwice(3 * MIB)));
        assert!(map.take_partial().is_empty());
    }

    #[test]
    fn the_last_leaf_and_node_need_only_what_the_capacity_has() {
        let mut map = MapBuilder::new(2 * MIB + 512, BLOCK);
        for leaf in 0..2 {
            let complete = give_leaf(&mut map, leaf);
            assert_eq!(map.settle(0, complete.index, Some(ChunkId([9; 16]))), None);
        }
        let tail = Slot::Chunk { units: 1, id: ChunkId([3; 16]) };
        let complete = map.give(2 * MIB, &[tail]).unwrap().unwrap();
        let root = map.settle(0, complete.index, Some(ChunkId([8; 16]))).unwrap();
        assert_eq!((root.level, root.index), (1, 0));
        assert_eq!(map.settle(1, 0, Some(ChunkId([7; 16]))), None);
        assert_eq!(map.root(), Some(ChunkId([7; 16])));
        assert_eq!(map.give(0, &[chunk(1)]), Err(GivenTwice(0)));
    }

    #[test]
    fn memory_does_not_grow_with_what_is_complete() {
        let mut map = MapBuilder::new(1 << 40, BLOCK);
        for leaf in 0..3000 {
            let mut next = Some(give_leaf(&mut map, leaf));
            while let Some(Complete { level, index, .. }) = next {
                next = map.settle(level, index, Some(ChunkId([9; 16])));
            }
        }
        let held: Vec<_> = map.done.iter().map(BTreeMap::len).collect();
        assert_eq!((map.partial.len(), held), (0, vec![3000 - 2 * 1024, 2, 0]));
    }

    #[test]
    fn hiding_a_huge_range_names_few_objects() {
        let mut map = MapBuilder::new(64 << 40, BLOCK);
        map.hide(5..(64 << 20) - 3).unwrap();
        let held: Vec<_> = map.done.iter().map(BTreeMap::len).collect();
        assert_eq!(held, [1019 + 1021, 1023 + 1023, 62, 0]);
        assert_eq!(map.hide(7..8), Err(GivenTwice(7 * MIB)));
    }

    #[test]
    fn slots_lie_over_the_base_and_cut_no_chunk() {
        let map = MapBuilder::new(MIB, BLOCK);
        let base_chunk = |units, id: u8| Item::Chunk { units, id: ChunkId([id; 16]) };
        let base =
            [base_chunk(16, 1), Item::Hole { units: 32 }, base_chunk(16, 2), Item::Hole { units: 192 }];
        let slots = [(0, Slot::Hole), (1, chunk(7)), (15, Slot::Chunk { units: 3, id: ChunkId([8; 16]) })];
        let expected = [
            Item::Hole { units: 16 },
            base_chunk(16, 7),
            Item::Hole { units: 16 },
            base_chunk(16, 2),
            Item::Hole { units: 176 },
            base_chunk(3, 8),
            Item::Hole { units: 13 },
        ];
        assert_eq!(map.items(&slots, &base).unwrap(), expected);
        let crossing = [Item::Hole { units: 10 }, base_chunk(16, 1), Item::Hole { units: 230 }];
        assert_eq!(map.items(&[(0, Slot::Hole)], &crossing), None);
    }
}
