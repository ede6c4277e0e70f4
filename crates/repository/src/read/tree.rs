//! A disk's map as a tree: finding leaves, listing what is not hole, descending for a base.
//!
//! Nodes and leaves are chunks; they are fetched like data and parsed once. Errors carry the exact range
//! of the disk that cannot be known any more.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::fetch::{Wanted, fetch};
use crate::cache::Cache;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::format::Fault;
use crate::format::map::{self, Child, Item, LEAF_BYTES, NODE_CHILDREN};
use crate::format::point::DiskRecord;
use crate::name::{ChunkId, DiskKey, PointId};

/// Memory for parsed leaves and nodes of one view.
const MAP_CACHE_BYTES: usize = 4 << 20;

/// Leaf index and content; only leaves that exist.
pub(crate) type Leaf = (u64, Arc<Vec<Item>>);

#[derive(Clone)]
enum MapObject {
    Leaf(Arc<Vec<Item>>),
    Node(Arc<Vec<Child>>),
}

/// The map of one disk of one restore point.
pub(crate) struct Tree {
    core: Arc<Core>,
    point: PointId,
    disk: DiskKey,
    capacity_bytes: u64,
    levels: u8,
    root: Child,
    cache: Cache<ChunkId, MapObject>,
}

impl Tree {
    pub(crate) fn new(core: &Arc<Core>, point: PointId, record: &DiskRecord) -> Self {
        Self {
            core: Arc::clone(core),
            point,
            disk: record.key.clone(),
            capacity_bytes: record.capacity_bytes,
            levels: record.levels,
            root: record.root,
            cache: Cache::new(MAP_CACHE_BYTES),
        }
    }

    pub(crate) const fn levels(&self) -> u8 {
        self.levels
    }

    pub(crate) const fn root(&self) -> Child {
        self.root
    }

    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The leaf with this index; `None` when it is all hole.
    pub(crate) async fn leaf(&self, index: u64) -> Result<Option<Arc<Vec<Item>>>> {
        let child = if self.levels == 0 {
            if index == 0 { self.root } else { None }
        } else {
            let place = usize::try_from(index % u64::from(NODE_CHILDREN)).unwrap_or(0);
            match self.node(1, index / u64::from(NODE_CHILDREN)).await? {
                Some(children) => children[place],
                None => None,
            }
        };
        let Some(id) = child else { return Ok(None) };
        match self.object(id, 0, index).await? {
            MapObject::Leaf(items) => Ok(Some(items)),
            MapObject::Node(_) => Err(Error::internal("a node was cached as a leaf")),
        }
    }

    /// The children of the node `index` on `level` (1 and up); `None` when it is all hole or beyond the
    /// tree.
    pub(crate) async fn node(&self, level: u8, index: u64) -> Result<Option<Arc<Vec<Child>>>> {
        let mut child = self.root;
        // From the root down; each step picks the child on the way to `index`.
        for above in (level..=self.levels).rev() {
            let on_level = index >> (10 * u32::from(above - level));
            if above == self.levels && on_level != 0 {
                return Ok(None);
            }
            let Some(id) = child else { return Ok(None) };
            let MapObject::Node(children) = self.object(id, above, on_level).await? else {
                return Err(Error::internal("a leaf was cached as a node"));
            };
            if above == level {
                return Ok(Some(children));
            }
            let next = (index >> (10 * u32::from(above - 1 - level))) % u64::from(NODE_CHILDREN);
            child = children[usize::try_from(next).unwrap_or(0)];
        }
        Ok(None)
    }

    /// Walks all leaves that exist, in order.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { tree: self, pending: self.root.map(|root| (self.levels, 0, root)).into_iter().collect() }
    }

    async fn leaves(&self, ids: &[(u64, ChunkId)]) -> Step {
        let wanted: Vec<_> = ids.iter().map(|(_, id)| Wanted { id: *id, bytes: None }).collect();
        let mut step = Step { leaves: Vec::with_capacity(ids.len()), lost: Vec::new() };
        fetch(&self.core, &wanted, |position, result| {
            let index = ids[position].0;
            match self.checked(result).and_then(|bytes| self.parsed(&bytes, map::parse_leaf)) {
                Ok(items) => step.leaves.push((index, Arc::new(items))),
                Err(cause) => step.lost.push(self.lost(0, index, cause)),
            }
        })
        .await;
        step.leaves.sort_by_key(|(index, _)| *index);
        step
    }

    async fn object(&self, id: ChunkId, level: u8, index: u64) -> Result<MapObject> {
        if let Some(found) = self.cache.get(&id)
            && matches!((&found, level), (MapObject::Leaf(_), 0) | (MapObject::Node(_), 1..))
        {
            return Ok(found);
        }
        let mut bytes = None;
        fetch(&self.core, &[Wanted { id, bytes: None }], |_, result| bytes = Some(result)).await;
        let bytes = bytes.unwrap_or_else(|| Err(Arc::new(Error::internal("a chunk was not delivered"))));
        let parsed = self.checked(bytes).and_then(|bytes| {
            Ok(if level == 0 {
                let items = self.parsed(&bytes, map::parse_leaf)?;
                (MapObject::Leaf(Arc::new(items)), bytes.len() * 2)
            } else {
                let children = self.parsed(&bytes, |bytes| map::parse_node(bytes, level))?;
                (MapObject::Node(Arc::new(children)), usize::from(NODE_CHILDREN) * size_of::<Child>())
            })
        });
        let (object, weight) = parsed.map_err(|cause| self.lost(level, index, cause))?;
        self.cache.put(id, object.clone(), weight);
        Ok(object)
    }

    fn checked(
        &self,
        result: std::result::Result<Bytes, Arc<Error>>,
    ) -> std::result::Result<Bytes, Arc<Error>> {
        result.and_then(|bytes| {
            if bytes.len() <= map::MAP_BYTES_MAX as usize {
                return Ok(bytes);
            }
            Err(Arc::new(self.core.store.damaged("the disk's map", "a part of it is too large")))
        })
    }

    fn parsed<T>(
        &self,
        bytes: &[u8],
        parse: impl FnOnce(&[u8]) -> std::result::Result<T, Fault>,
    ) -> std::result::Result<T, Arc<Error>> {
        parse(bytes).map_err(|fault| Arc::new(fault.at(self.core.store.place(), "the disk's map")))
    }

    /// The error for what the leaf or node `index` on `level` covers.
    fn lost(&self, level: u8, index: u64, cause: Arc<Error>) -> Error {
        let span = map::span_bytes(level);
        self.lost_range(index.saturating_mul(span)..index.saturating_add(1).saturating_mul(span), cause)
    }

    /// The error for a range of the disk that cannot be read.
    pub(crate) fn lost_range(&self, range: Range<u64>, source: Arc<Error>) -> Error {
        let (point, disk) = (self.point, self.disk.clone());
        let (start, end) = (range.start, range.end.min(self.capacity_bytes));
        Error::DamagedRange { point, disk, start, end, source }
    }
}

/// What one step of a walk found: at most a node's worth of leaves, and what cannot be read.
#[derive(Default)]
pub(crate) struct Step {
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) lost: Vec<Error>,
}

/// A walk over all leaves that exist, in order of the disk.
pub(crate) struct Walk<'a> {
    tree: &'a Tree,
    /// Level, index and id of subtrees still to visit; the next one is last.
    pending: Vec<(u8, u64, ChunkId)>,
}

impl Walk<'_> {
    /// The next leaves, `None` at the end. Parts of the map that cannot be read are told and passed over.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        while let Some((level, index, id)) = self.pending.pop() {
            if level == 0 {
                return Some(self.tree.leaves(&[(index, id)]).await);
            }
            let children = match self.tree.object(id, level, index).await {
                Ok(MapObject::Node(children)) => children,
                Ok(MapObject::Leaf(_)) => continue,
                Err(cause) => return Some(Step { lost: vec![cause], ..Step::default() }),
            };
            let first = index * u64::from(NODE_CHILDREN);
            let below = (first..).zip(children.iter());
            let below: Vec<_> = below.filter_map(|(at, child)| child.map(|id| (at, id))).collect();
            if level == 1 {
                return Some(self.tree.leaves(&below).await);
            }
            self.pending.extend(below.into_iter().rev().map(|(at, id)| (level - 1, at, id)));
        }
        None
    }
}

/// The items of a leaf that hold data, with their place on the disk.
pub(crate) fn chunks_of(leaf: u64, items: &[Item]) -> impl Iterator<Item = (Range<u64>, ChunkId)> + '_ {
    let mut at = leaf * LEAF_BYTES;
    items.iter().filter_map(move |item| {
        let start = at;
        at += u64::from(item.units()) * u64::from(crate::format::UNIT_BYTES);
        match item {
            Item::Hole { .. } => None,
            Item::Chunk { id, .. } => Some((start..at, *id)),
        }
    })
}
