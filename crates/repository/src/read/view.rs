//! One disk of one restore point, for random and sequential reading.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::fetch::{Wanted, fetch};
use super::tree::{Tree, chunks_of};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::format::map::LEAF_BYTES;
use crate::format::point::{DiskRecord, RestorePoint};
use crate::name::{ChunkId, DiskKey};

/// Most bytes that one `read_range` gives back.
const READ_RANGE_BYTES_MAX: usize = 64 << 20;

/// A disk as it was at the restore point. Cheap to clone; all clones share their caches.
#[derive(Clone)]
pub struct DiskView {
    tree: Arc<Tree>,
    record: Arc<DiskRecord>,
}

impl fmt::Debug for DiskView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskView").field("disk", &self.record.key).finish_non_exhaustive()
    }
}

/// A piece of a read: where it lies on the disk, and the chunk it comes from.
struct Piece {
    chunk: Range<u64>,
    id: ChunkId,
}

impl DiskView {
    pub(crate) fn open(core: &Arc<Core>, point: &RestorePoint, key: &DiskKey) -> Result<Self> {
        let record = point.disk(key)?;
        let tree = Arc::new(Tree::new(core, point.id, record));
        Ok(Self { tree, record: Arc::new(record.clone()) })
    }

    /// Capacity in bytes.
    pub fn capacity(&self) -> u64 {
        self.record.capacity_bytes
    }

    /// What the restore point says about the disk.
    pub fn record(&self) -> &DiskRecord {
        &self.record
    }

    /// Fills `buffer` from `offset`; holes read as zeros. Every chunk used is checked against its seal
    /// and its identity.
    pub async fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let range = self.checked_range(offset, buffer.len() as u64)?;
        buffer.fill(0);
        self.fill_data(&range, buffer).await
    }

    /// Copies data over a buffer of zeros.
    async fn fill_data(&self, range: &Range<u64>, buffer: &mut [u8]) -> Result<()> {
        let pieces = self.pieces(range).await?;
        let wanted: Vec<_> = pieces
            .iter()
            .map(|piece| Wanted {
                id: piece.id,
                bytes: u32::try_from(piece.chunk.end - piece.chunk.start).ok(),
            })
            .collect();
        let mut failure: Option<(u64, Error)> = None;
        fetch(self.tree.core(), &wanted, |position, result| {
            let piece = &pieces[position];
            match result {
                Ok(bytes) => copy_overlap(range, buffer, &piece.chunk, &bytes),
                Err(cause) => {
                    let start = piece.chunk.start;
                    if failure.as_ref().is_none_or(|(first, _)| start < *first) {
                        failure = Some((start, self.tree.lost_range(piece.chunk.clone(), cause)));
                    }
                }
            }
        })
        .await;
        failure.map_or(Ok(()), |(_, cause)| Err(cause))
    }

    /// Reads `length` bytes from `start`, at most 64 MiB.
    pub async fn read_range(&self, start: u64, length: usize) -> Result<Bytes> {
        if length > READ_RANGE_BYTES_MAX {
            let what = format!("A read of disk {}", self.record.key);
            let (bytes, bytes_max) = (length as u64, READ_RANGE_BYTES_MAX as u64);
            return Err(Error::TooLarge { what, bytes, bytes_max });
        }
        let range = self.checked_range(start, length as u64)?;
        let mut buffer = BytesMut::zeroed(length);
        self.fill_data(&range, &mut buffer).await?;
        Ok(buffer.freeze())
    }

    /// The runs that are not holes, sorted, disjoint and joined, within the capacity.
    pub async fn data_ranges(&self) -> Result<Vec<Range<u64>>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let mut walk = self.tree.walk();
        while let Some(step) = walk.next().await {
            if let Some(cause) = step.lost.into_iter().next() {
                return Err(cause);
            }
            for (index, items) in step.leaves {
                for (range, _) in chunks_of(index, &items) {
                    let range = range.start..range.end.min(self.capacity());
                    match ranges.last_mut() {
                        Some(last) if last.end == range.start => last.end = range.end,
                        _ if range.is_empty() => {}
                        _ => ranges.push(range),
                    }
                }
            }
        }
        Ok(ranges)
    }

    async fn pieces(&self, range: &Range<u64>) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        if range.is_empty() {
            return Ok(pieces);
        }
        for leaf in range.start / LEAF_BYTES..=(range.end - 1) / LEAF_BYTES {
            let Some(items) = self.tree.leaf(leaf).await? else { continue };
            let chunks = chunks_of(leaf, &items).map(|(chunk, id)| Piece { chunk, id });
            pieces.extend(
                chunks.filter(|piece| piece.chunk.start < range.end && piece.chunk.end > range.start),
            );
        }
        Ok(pieces)
    }

    fn checked_range(&self, start: u64, length: u64) -> Result<Range<u64>> {
        match start.checked_add(length) {
            Some(end) if end <= self.capacity() => Ok(start..end),
            other => Err(Error::OutsideDisk {
                disk: self.record.key.clone(),
                start,
                end: other.unwrap_or(u64::MAX),
                capacity_bytes: self.capacity(),
            }),
        }
    }
}

/// Copies what `chunk` and the read have in common.
fn copy_overlap(read: &Range<u64>, buffer: &mut [u8], chunk: &Range<u64>, bytes: &[u8]) {
    let (start, end) = (read.start.max(chunk.start), read.end.min(chunk.end));
    let index = |at: u64, base: u64| usize::try_from(at - base).unwrap_or(usize::MAX);
    let to = index(start, read.start)..index(end, read.start);
    let from = index(start, chunk.start)..index(end, chunk.start);
    buffer[to].copy_from_slice(&bytes[from]);
}
