//! The copy itself: a few reads in flight on blocking threads, each handed to the repository as
//! it arrives. Memory is bounded by the reads in flight; the repository's own queue pushes back.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use repository::DiskWriter;
use vdisk::{ByteRange, ChangedRanges, Disk};

use super::chunks;
use crate::error::Result;

/// Reads in flight. Four of 1 MiB keep a local disk and two cores busy; more would only sit in
/// the repository's queue.
const READS_IN_FLIGHT: usize = 4;

/// What is moved of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All that is allocated; the rest are holes.
    Allocated,
    /// These ranges, aligned outward to the repository's blocks; the rest is carried over from
    /// the base restore point.
    Ranges(ChangedRanges),
}

impl Selection {
    /// Bytes that will be read at most.
    ///
    /// # Errors
    /// When the disk's allocation cannot be read.
    pub fn bytes_at_most(&self, disk: &Disk) -> Result<u64> {
        match self {
            Self::Ranges(ranges) => Ok(ranges.total_bytes()),
            Self::Allocated => {
                let mut total = 0;
                for piece in chunks::allocated(disk, chunks::PIECE_BYTES_MAX) {
                    total += piece?.len();
                }
                Ok(total)
            }
        }
    }
}

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Bytes read from the disk.
    pub read_bytes: u64,
}

/// Moves the selected bytes of a disk, telling `progress` the bytes read so far.
///
/// # Errors
/// When the disk cannot be read or the repository cannot take the bytes. Nothing of it is then
/// visible as a restore point.
pub async fn copy(
    disk: &Disk,
    selection: &Selection,
    writer: &DiskWriter,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Copied> {
    let block_bytes = u64::from(writer.block_bytes());
    let pieces: Box<dyn Iterator<Item = vdisk::Result<ByteRange>> + Send + '_> = match selection {
        Selection::Allocated => Box::new(chunks::allocated(disk, block_bytes)),
        Selection::Ranges(ranges) => Box::new(chunks::of_ranges(ranges)),
    };
    stream::iter(pieces)
        .map(|piece| async { move_piece(disk.clone(), piece?, writer).await })
        .buffer_unordered(READS_IN_FLIGHT)
        .try_fold(Copied::default(), |mut copied, read_bytes| async move {
            copied.read_bytes += read_bytes;
            progress(copied.read_bytes);
            Ok(copied)
        })
        .await
}

/// Moves one piece; returns the bytes read, which is none where the disk says it is empty.
async fn move_piece(disk: Disk, piece: ByteRange, writer: &DiskWriter) -> Result<u64> {
    let read = tokio::task::spawn_blocking(move || read_piece(&disk, piece));
    let bytes = match read.await {
        Ok(result) => result?,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    match bytes {
        None => {
            writer.hole(piece.start..piece.end).await?;
            Ok(0)
        }
        Some(bytes) => {
            writer.put(piece.start, bytes).await?;
            Ok(piece.len())
        }
    }
}

fn read_piece(disk: &Disk, piece: ByteRange) -> vdisk::Result<Option<Bytes>> {
    if !chunks::has_data(disk, piece)? {
        return Ok(None);
    }
    // A piece is at most PIECE_BYTES_MAX, so the length fits any address space.
    let length = usize::try_from(piece.len()).unwrap_or(usize::MAX);
    let mut buffer = vec![0; length];
    disk.read_at(piece.start, &mut buffer)?;
    Ok(Some(Bytes::from(buffer)))
}
