//! Writing one disk: blocks in any order and in parallel, then the map.
//!
//! `put` returns as soon as its pieces have a place among the few that may be under way; a failure in
//! the background ends the session and is told by the next call. Nothing is ever half recorded: a piece
//! that panics fails the session too.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::frames::Assembler;
use super::map_builder::{Complete, GivenTwice, MapBuilder, Slot};
use super::{Claim, DiskSpec, Session, locked};
use crate::error::{Error, Result};
use crate::format::UNIT_BYTES;
use crate::format::map::{
    Item, LEAF_BYTES, LEAF_UNITS, LEVELS_MAX, NODE_CHILDREN, encode_leaf, encode_node, span_bytes,
};
use crate::format::point::{DiskRecord, WriteSummary};
use crate::read::Tree;

/// Pieces of one disk under way at once; the session's own limit is usually the tighter one.
const PIECES_UNDER_WAY: u32 = 64;

/// Writes one disk of a session. Clones are handles of the same writer.
#[derive(Clone)]
pub struct DiskWriter {
    inner: Arc<Writer>,
}

impl fmt::Debug for DiskWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskWriter").field("disk", &self.inner.spec.key).finish_non_exhaustive()
    }
}

struct Writer {
    session: Arc<Session>,
    spec: DiskSpec,
    base: Option<Tree>,
    under_way: Arc<Semaphore>,
    frames: Mutex<Assembler>,
    progress: Mutex<Progress>,
}

struct Progress {
    map: MapBuilder,
    summary: WriteSummary,
    hidden: Vec<Range<u64>>,
    /// Bytes that `put` was given; fewer recorded means that a put was abandoned half way.
    promised_bytes: u64,
}

pub(super) async fn begin(session: &Arc<Session>, spec: DiskSpec) -> Result<DiskWriter> {
    if spec.capacity_bytes > span_bytes(LEVELS_MAX) {
        let what = format!("Disk {}", spec.key);
        let (bytes, bytes_max) = (spec.capacity_bytes, span_bytes(LEVELS_MAX));
        return Err(Error::TooLarge { what, bytes, bytes_max });
    }
    let base = open_base(session, &spec).await?;
    if locked(&session.disks).insert(spec.key.clone(), None).is_some() {
        let cause = format!("disk {} was begun twice", spec.key);
        session.fail(Error::misuse(&*cause));
        return Err(Error::misuse(cause));
    }
    let map = MapBuilder::new(spec.capacity_bytes, session.config().block_bytes);
    let progress = Progress { map, summary: WriteSummary::default(), hidden: Vec::new(), promised_bytes: 0 };
    let writer = Writer {
        session: Arc::clone(session),
        base,
        under_way: Arc::new(Semaphore::new(PIECES_UNDER_WAY as usize)),
        frames: Mutex::new(Assembler::new(session.config().frame_bytes)),
        progress: Mutex::new(progress),
        spec,
    };
    Ok(DiskWriter { inner: Arc::new(writer) })
}

async fn open_base(session: &Session, spec: &DiskSpec) -> Result<Option<Tree>> {
    let Some(base) = &spec.base else { return Ok(None) };
    let point = session.core.find_point(base.point).await?;
    let record = point.disk(&base.key)?;
    if record.capacity_bytes > spec.capacity_bytes {
        let cause = format!("it shrank from {} to {} bytes", record.capacity_bytes, spec.capacity_bytes);
        return Err(Error::BadBase { disk: spec.key.clone(), point: base.point, cause });
    }
    session.core.load_point(&point).await?;
    locked(&session.reused).extend(point.runs.iter().copied());
    Ok(Some(Tree::new(&session.core, point.id, record)))
}

impl DiskWriter {
    /// Blocks of this size are the unit of `put` and `hole`.
    pub fn block_bytes(&self) -> u32 {
        self.inner.session.config().block_bytes
    }

    /// Takes the bytes of the disk at `offset`. Offset and length are multiples of the block size; the
    /// last block may end at the capacity. Each block may be given once, in any order and concurrently.
    pub async fn put(&self, offset: u64, bytes: Bytes) -> Result<()> {
        let writer = &self.inner;
        writer.session.check()?;
        writer.check_range(offset, bytes.len() as u64)?;
        locked(&writer.progress).promised_bytes += bytes.len() as u64;
        let (mut offset, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let to_border = usize::try_from(LEAF_BYTES - offset % LEAF_BYTES).map_err(Error::internal)?;
            let piece = rest.split_to(to_border.min(rest.len()));
            let length = piece.len() as u64;
            let places = writer.places().await?;
            let guard = PieceGuard { writer: Arc::clone(writer), done: false, _places: places };
            tokio::task::spawn_blocking(move || guard.run(offset, &piece));
            offset += length;
        }
        Ok(())
    }

    /// Makes a range hole, also where a base has data. Aligned like `put`.
    pub async fn hole(&self, range: Range<u64>) -> Result<()> {
        let writer = &self.inner;
        writer.session.check()?;
        writer.check_range(range.start, range.end.saturating_sub(range.start))?;
        if writer.base.is_none() || range.is_empty() {
            return Ok(());
        }
        let end = if range.end == writer.spec.capacity_bytes {
            range.end.next_multiple_of(LEAF_BYTES)
        } else {
            range.end
        };
        let whole = range.start.next_multiple_of(LEAF_BYTES)..end / LEAF_BYTES * LEAF_BYTES;
        if whole.start < whole.end {
            let leaves = whole.start / LEAF_BYTES..whole.end / LEAF_BYTES;
            locked(&writer.progress).hidden.push(leaves);
            writer.hide_blocks(range.start..whole.start).await?;
            writer.hide_blocks(whole.end..end).await
        } else {
            writer.hide_blocks(range).await
        }
    }

    /// Waits for all puts, completes the map, and adds the disk to the session.
    pub async fn finish(self) -> Result<WriteSummary> {
        let writer = &self.inner;
        let finished = writer.finish().await;
        match finished {
            Ok(summary) => Ok(summary),
            Err(cause @ Error::SessionFailed { .. }) => Err(cause),
            Err(cause) => {
                writer.session.fail(cause);
                Err(writer.session.failed())
            }
        }
    }
}

/// Holds the places of a piece, and fails the session when the piece ends without a word.
struct PieceGuard {
    writer: Arc<Writer>,
    done: bool,
    _places: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl PieceGuard {
    fn run(mut self, offset: u64, bytes: &[u8]) {
        if let Err(cause) = self.writer.store_piece(offset, bytes) {
            self.writer.session.fail(cause);
        }
        self.done = true;
    }
}

impl Drop for PieceGuard {
    fn drop(&mut self) {
        if !self.done {
            self.writer.session.fail(Error::internal("a worker stopped in the middle of a piece"));
        }
    }
}

impl Writer {
    fn check_range(&self, offset: u64, length: u64) -> Result<()> {
        let (disk, capacity_bytes) = (self.spec.key.clone(), self.spec.capacity_bytes);
        let block_bytes = self.session.config().block_bytes;
        let end = offset.checked_add(length).filter(|end| *end <= capacity_bytes);
        let Some(end) = end else {
            let end = offset.saturating_add(length);
            return Err(Error::OutsideDisk { disk, start: offset, end, capacity_bytes });
        };
        let aligned = |at: u64| at.is_multiple_of(u64::from(block_bytes));
        if aligned(offset) && (aligned(end) || end == capacity_bytes) {
            return Ok(());
        }
        Err(Error::Misaligned { disk, offset, length, block_bytes })
    }

    async fn places(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let finished = |_| Error::misuse(format!("disk {} was finished already", self.spec.key));
        let mine = Arc::clone(&self.under_way).acquire_owned().await.map_err(finished)?;
        let sessions = Arc::clone(&self.session.places).acquire_owned().await.map_err(Error::internal)?;
        Ok((mine, sessions))
    }

    /// One piece, within one leaf, on a blocking thread.
    fn store_piece(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut summary = WriteSummary { put_bytes: bytes.len() as u64, ..WriteSummary::default() };
        let mut slots = Vec::new();
        let mut fresh = Vec::new();
        for block in bytes.chunks(self.session.config().block_bytes as usize) {
            let length = block.len() as u64;
            if is_zero(block) {
                summary.zero_bytes += length;
                slots.push(Slot::Hole);
                continue;
            }
            let block = padded(block);
            let id = self.session.core.keys.chunk_id(&block);
            let units = u16::try_from(block.len() / UNIT_BYTES as usize).map_err(Error::internal)?;
            slots.push(Slot::Chunk { units, id });
            match self.session.claim(id) {
                Claim::Known => summary.reused_bytes += length,
                Claim::New => {
                    summary.new_bytes += length;
                    fresh.push((id, block));
                }
            }
        }
        let mut full = Vec::new();
        {
            let mut frames = locked(&self.frames);
            fresh.iter().for_each(|(id, block)| frames.push(*id, block, &mut full));
        }
        summary.stored_bytes = self.session.send_blocking(full)?;
        let map_frames = self.record(offset, &slots, &summary)?;
        self.session.send_blocking(map_frames)?;
        Ok(())
    }

    /// Records blocks in the map; frames of map objects that became full come back.
    fn record(&self, offset: u64, slots: &[Slot], summary: &WriteSummary) -> Result<Vec<super::RawFrame>> {
        let mut full = Vec::new();
        let mut progress = locked(&self.progress);
        progress.summary.add(summary);
        let mut next = progress.map.give(offset, slots).map_err(|twice| self.given_twice(&twice))?;
        while let Some(Complete { level, index, bytes }) = next {
            let child = bytes.map(|bytes| self.session.keep(&bytes, &mut full));
            next = progress.map.settle(level, index, child);
        }
        Ok(full)
    }

    fn given_twice(&self, GivenTwice(offset): &GivenTwice) -> Error {
        Error::GivenTwice { disk: self.spec.key.clone(), offset: *offset }
    }

    /// Hides blocks that share their leaf with others.
    async fn hide_blocks(&self, range: Range<u64>) -> Result<()> {
        let block_bytes = u64::from(self.session.config().block_bytes);
        let mut start = range.start;
        while start < range.end.min(self.spec.capacity_bytes) {
            let end = range.end.min((start / LEAF_BYTES + 1) * LEAF_BYTES).min(self.spec.capacity_bytes);
            let blocks = usize::try_from((end - start).div_ceil(block_bytes)).map_err(Error::internal)?;
            let frames = self.record(start, &vec![Slot::Hole; blocks], &WriteSummary::default())?;
            self.session.send(frames).await?;
            start = (start / LEAF_BYTES + 1) * LEAF_BYTES;
        }
        Ok(())
    }

    async fn finish(&self) -> Result<WriteSummary> {
        // All places at once: every piece under way has ended, and no new one can begin.
        let all = self.under_way.acquire_many(PIECES_UNDER_WAY).await;
        let _all = all.map_err(|_| Error::misuse(format!("disk {} was finished already", self.spec.key)))?;
        self.under_way.close();
        self.session.check()?;
        let rest = locked(&self.frames).take();
        let stored_bytes = self.session.send(rest.into_iter().collect()).await?;
        let (map, mut summary) = {
            let mut progress = locked(&self.progress);
            if progress.promised_bytes != progress.summary.put_bytes {
                return Err(Error::misuse(format!("a put on disk {} was abandoned half way", self.spec.key)));
            }
            let empty = MapBuilder::new(0, self.session.config().block_bytes);
            let mut map = std::mem::replace(&mut progress.map, empty);
            for leaves in std::mem::take(&mut progress.hidden) {
                map.hide(leaves).map_err(|twice| self.given_twice(&twice))?;
            }
            (map, progress.summary)
        };
        summary.stored_bytes += stored_bytes;
        let levels = map.levels();
        let root = self.complete_map(map).await?;
        let record = DiskRecord {
            key: self.spec.key.clone(),
            name: self.spec.name.clone(),
            capacity_bytes: self.spec.capacity_bytes,
            logical_sector: self.spec.logical_sector,
            physical_sector: self.spec.physical_sector,
            identity: self.spec.identity.clone(),
            summary,
            levels,
            root,
        };
        locked(&self.session.disks).insert(record.key.clone(), Some(record));
        Ok(summary)
    }

    /// Completes leaves and nodes from the base, level by level, and returns the root.
    async fn complete_map(&self, mut map: MapBuilder) -> Result<Option<crate::name::ChunkId>> {
        for (leaf, slots) in map.take_partial() {
            let below = match &self.base {
                Some(base) => base.leaf(leaf).await?,
                None => None,
            };
            let hole = [Item::Hole { units: LEAF_UNITS }];
            let items = map.items(&slots, below.as_ref().map_or(&hole[..], |items| items.as_slice()));
            let items = items.ok_or_else(|| self.bad_base("its chunks cross the borders of blocks"))?;
            let child = self.keep(encode_leaf(&items)).await?;
            map.set(0, leaf, child);
        }
        for level in 0..=map.levels() {
            if level > 0 {
                for node in map.touched(level) {
                    let below = match &self.base {
                        Some(base) => base.node(level, node).await?,
                        None => None,
                    };
                    let mut children =
                        below.map_or_else(|| vec![None; usize::from(NODE_CHILDREN)], |known| known.to_vec());
                    map.take_children(level, node, &mut children);
                    let child = self.keep(encode_node(level, &children)).await?;
                    map.set(level, node, child);
                }
            }
            if let Some(base) = self.base.as_ref().filter(|base| base.levels() == level) {
                map.set_if_absent(level, 0, base.root());
            }
        }
        Ok(map.root())
    }

    fn bad_base(&self, cause: &str) -> Error {
        let point = self
            .spec
            .base
            .as_ref()
            .map_or_else(|| crate::name::PointId::from_uuid(uuid::Uuid::nil()), |base| base.point);
        Error::BadBase { disk: self.spec.key.clone(), point, cause: cause.to_owned() }
    }

    async fn keep(&self, bytes: Option<Vec<u8>>) -> Result<Option<crate::name::ChunkId>> {
        let Some(bytes) = bytes else { return Ok(None) };
        let mut full = Vec::new();
        let id = self.session.keep(&bytes, &mut full);
        self.session.send(full).await?;
        Ok(Some(id))
    }
}

/// Written so that the inner loop has no branch and runs in wide registers.
fn is_zero(bytes: &[u8]) -> bool {
    let (lines, rest) = bytes.as_chunks::<64>();
    lines.iter().all(|line| line.iter().fold(0, |any, byte| any | byte) == 0)
        && rest.iter().all(|byte| *byte == 0)
}

/// The last block of a disk, filled up with zeros to a whole unit.
fn padded(block: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if block.len().is_multiple_of(UNIT_BYTES as usize) {
        return block.into();
    }
    let mut padded = block.to_vec();
    padded.resize(block.len().next_multiple_of(UNIT_BYTES as usize), 0);
    padded.into()
}
