//! The bytes of the volume, and a bounded cache of pieces of a stream.
//!
//! Records and index blocks are small and lie side by side, so they are read in pieces of 64 KiB
//! and kept: listing a folder tree then reads the $MFT nearly in sequence. The cache has a fixed
//! number of places, so that memory does not grow with the volume.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::boot::Geometry;
use super::fault::{Fault, Outcome};
use super::stream::Stream;
use crate::number::{bytes, index};
use crate::source::Source;

/// Bytes of a cached piece: large enough that reading costs more than asking, and a multiple of
/// every record and index block size.
const PIECE_BYTES: u64 = 64 << 10;
/// Pieces kept: 4 MiB, which holds 4,096 records.
const PIECES: usize = 64;

/// The volume under a file system.
pub(super) struct Medium {
    source: Arc<dyn Source>,
    /// The sizes that its boot sector gave.
    pub geometry: Geometry,
}

impl Medium {
    /// Reads the boot sector.
    pub(super) fn open(source: Arc<dyn Source>) -> Outcome<Self> {
        let mut sector = [0; 512];
        if source.len() < bytes(sector.len()) {
            return Err(Fault::damaged("the volume is shorter than a boot sector"));
        }
        source.read_at(0, &mut sector)?;
        let geometry = Geometry::parse(&sector, source.len())?;
        Ok(Self { source, geometry })
    }

    /// Name of the volume.
    pub(super) fn name(&self) -> &str {
        self.source.name()
    }

    /// Fills `buf` from a cluster, `skip` bytes into it.
    pub(super) fn read_cluster(&self, lcn: u64, skip: u64, buf: &mut [u8]) -> Outcome<()> {
        let offset = lcn.checked_mul(self.geometry.cluster_bytes).and_then(|start| start.checked_add(skip));
        let offset = offset.ok_or_else(|| Fault::damaged("a place on the volume overflows"))?;
        Ok(self.source.read_at(offset, buf)?)
    }
}

/// The pieces of one stream read last.
#[derive(Default)]
pub(super) struct PieceCache {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    clock: u64,
    pieces: HashMap<u64, Piece>,
}

struct Piece {
    used: u64,
    bytes: Arc<[u8]>,
}

impl PieceCache {
    /// `buf` from `offset` of `stream`, which must not cross a piece: records and blocks do not.
    /// Returns how many bytes the stream has there.
    pub(super) fn read(
        &self,
        medium: &Medium,
        stream: &Stream,
        offset: u64,
        buf: &mut [u8],
    ) -> Outcome<usize> {
        let piece = self.piece(medium, stream, offset / PIECE_BYTES)?;
        let rest = piece.get(index(offset % PIECE_BYTES)..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    /// One piece, read when it is not held. The lock is held while reading: whoever waits for it
    /// most often wants the same piece.
    fn piece(&self, medium: &Medium, stream: &Stream, number: u64) -> Outcome<Arc<[u8]>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        let used = held.clock;
        if let Some(piece) = held.pieces.get_mut(&number) {
            piece.used = used;
            return Ok(Arc::clone(&piece.bytes));
        }
        let mut whole = vec![0; index(PIECE_BYTES)];
        let count = stream.read_at(medium, number.saturating_mul(PIECE_BYTES), &mut whole)?;
        whole.truncate(count);
        let bytes: Arc<[u8]> = whole.into();
        if held.pieces.len() >= PIECES
            && let Some(oldest) = held.pieces.iter().min_by_key(|(_, piece)| piece.used).map(|(key, _)| *key)
        {
            held.pieces.remove(&oldest);
        }
        held.pieces.insert(number, Piece { used, bytes: Arc::clone(&bytes) });
        Ok(bytes)
    }
}
