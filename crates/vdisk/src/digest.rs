//! The digest of a whole virtual disk: BLAKE3 of its bytes, as if it were one raw file.
//!
//! BLAKE3 is a tree over 1 KiB chunks, so threads hash pieces of the disk (subtrees of a power of
//! two) on their own, and the pieces' values are joined at the end. The result equals `b3sum` of the
//! raw image. Absent blocks, declared zeros and holes are not read; they still count as zeros, and
//! still cost hashing: a chunk's value depends on its place, so no subtree of zeros can be reused at
//! another one.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::number::index;
use crate::range::ByteRange;
use crate::zero::ZEROS;

/// Bytes read at a time; fits the second cache level together with what hashing needs.
const READ_BYTES: u64 = 256 * 1024;
/// Smallest piece that a thread hashes on its own.
const PIECE_BYTES_MIN: u64 = 1 << 20;
/// Most pieces of a disk; their values take 2 MiB.
const PIECES_MAX: u64 = 1 << 16;
/// Most threads; beyond this the storage is the limit.
const THREADS_MAX: usize = 32;

/// Told after each stretch how many bytes it had; `Break` stops the work. Called from several threads.
pub type Watch<'a> = dyn Fn(u64) -> ControlFlow<()> + Sync + 'a;

impl Disk {
    /// BLAKE3 of the disk's bytes, computed by as many threads as the machine has processors.
    pub fn blake3(&self, watch: &Watch<'_>) -> Result<[u8; 32]> {
        self.blake3_threads(std::thread::available_parallelism().map_or(1, NonZero::get), watch)
    }

    /// BLAKE3 of the disk's bytes, computed by this many threads.
    pub fn blake3_threads(&self, threads: usize, watch: &Watch<'_>) -> Result<[u8; 32]> {
        let work = Work::new(self, watch);
        if work.count <= 1 {
            let mut hasher = blake3::Hasher::new();
            self.read_stretches(ByteRange::new(0, self.capacity()), watch, &mut |bytes| {
                hasher.update(bytes);
            })?;
            return Ok(*hasher.finalize().as_bytes());
        }
        let helpers = threads.clamp(1, THREADS_MAX) - 1;
        std::thread::scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(|| work.take_pieces());
            }
            work.take_pieces();
        });
        work.join()
    }

    /// Calls `visit` with all bytes of a range in order, in stretches of at most 256 KiB; zeros that are
    /// known without reading come from memory.
    pub fn read_stretches(
        &self,
        range: ByteRange,
        watch: &Watch<'_>,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let mut buf = vec![0; index(READ_BYTES.min(range.len()))];
        self.read_through(range, &mut buf, watch, visit)
    }

    /// As [`Disk::read_stretches`], with a buffer for one stretch.
    fn read_through(
        &self,
        range: ByteRange,
        buf: &mut [u8],
        watch: &Watch<'_>,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let range = range.intersect(ByteRange::new(0, self.capacity()));
        let mut at = range.start;
        for window in self.data_windows(range, READ_BYTES) {
            let window = window?;
            self.zeros(ByteRange::new(at, window.start), watch, visit)?;
            let part = &mut buf[..index(window.len())];
            self.read_at(window.start, part)?;
            visit(part);
            at = window.end;
            self.report(window.len(), watch)?;
        }
        self.zeros(ByteRange::new(at, range.end), watch, visit)
    }

    fn zeros(&self, range: ByteRange, watch: &Watch<'_>, visit: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut rest = range.len();
        while rest > 0 {
            let step = rest.min(PIECE_BYTES_MIN);
            let mut left = step;
            while left > 0 {
                let part = left.min(ZEROS.len() as u64);
                visit(&ZEROS[..index(part)]);
                left -= part;
            }
            rest -= step;
            self.report(step, watch)?;
        }
        Ok(())
    }

    /// Tells that so many bytes are done, and is [`Error::Stopped`] if the work shall stop.
    pub(crate) fn report(&self, bytes: u64, watch: &Watch<'_>) -> Result<()> {
        match watch(bytes) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Stopped { file: self.name().to_owned() }),
        }
    }
}

/// The pieces of one disk, and what was made of them so far.
struct Work<'a> {
    disk: &'a Disk,
    watch: &'a Watch<'a>,
    piece_bytes: u64,
    count: u64,
    next: AtomicU64,
    failed: AtomicBool,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    values: Vec<Option<ChainingValue>>,
    error: Option<Error>,
}

impl<'a> Work<'a> {
    fn new(disk: &'a Disk, watch: &'a Watch<'a>) -> Self {
        let piece_bytes = disk.capacity().div_ceil(PIECES_MAX).next_power_of_two().max(PIECE_BYTES_MIN);
        let count = disk.capacity().div_ceil(piece_bytes);
        let results = Results { values: vec![None; index(count)], error: None };
        Self {
            disk,
            watch,
            piece_bytes,
            count,
            next: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            results: Mutex::new(results),
        }
    }

    /// Hashes pieces until none is left or one failed.
    fn take_pieces(&self) {
        // One for all pieces: getting it anew for each would cost as much as a thirtieth of the hashing.
        let mut buf = vec![0; index(READ_BYTES)];
        while !self.failed.load(Ordering::Relaxed) {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= self.count {
                return;
            }
            let value = self.piece_value(piece, &mut buf);
            let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
            match value {
                Ok(value) => results.values[index(piece)] = Some(value),
                Err(error) => {
                    self.failed.store(true, Ordering::Relaxed);
                    results.error.get_or_insert(error);
                }
            }
        }
    }

    fn piece_value(&self, piece: u64, buf: &mut [u8]) -> Result<ChainingValue> {
        let range = ByteRange::at(piece * self.piece_bytes, self.piece_bytes);
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(range.start);
        self.disk.read_through(range, buf, self.watch, &mut |bytes| {
            hasher.update(bytes);
        })?;
        Ok(hasher.finalize_non_root())
    }

    fn join(self) -> Result<[u8; 32]> {
        let Results { values, error } = self.results.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = error {
            return Err(error);
        }
        let values: Vec<ChainingValue> = values.into_iter().flatten().collect();
        assert!(values.len() as u64 == self.count, "a thread ended before its pieces were hashed");
        let (left, right) = values.split_at(left_count(values.len()));
        Ok(*merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).as_bytes())
    }
}

/// Pieces in the left subtree: the largest power of two below the number of all (BLAKE3 2.1).
fn left_count(count: usize) -> usize {
    count.next_power_of_two() / 2
}

fn subtree(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [one] => *one,
        more => {
            let (left, right) = more.split_at(left_count(more.len()));
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::number::MIB;
    use crate::{FileIo, MemoryFile};

    fn raw_disk(capacity: u64, writes: &[(u64, usize)]) -> (Disk, Vec<u8>) {
        let file = MemoryFile::new("disk.raw");
        file.set_len(capacity).unwrap();
        for (at, length) in writes {
            let bytes: Vec<u8> = (0..*length).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
            file.write_at(*at, &bytes).unwrap();
        }
        let mut bytes = vec![0; index(capacity)];
        file.read_at(0, &mut bytes).unwrap();
        (Disk::open_raw(Arc::new(file)).unwrap(), bytes)
    }

    #[test]
    fn the_digest_is_that_of_the_raw_bytes_for_every_number_of_pieces_and_threads() {
        for capacity in [0, 1, 511, 1024, 1025, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 5, 9 * MIB] {
            let writes = [(0, 300), (capacity / 2, 70_000)].map(|(at, length): (u64, u64)| {
                (at.min(capacity), index(length.min(capacity - at.min(capacity))))
            });
            let (disk, bytes) = raw_disk(capacity, &writes);
            for threads in [1, 2, 7] {
                let digest = disk.blake3_threads(threads, &|_| ControlFlow::Continue(())).unwrap();
                assert_eq!(digest, *blake3::hash(&bytes).as_bytes(), "{capacity} bytes, {threads} threads");
            }
        }
    }

    #[test]
    fn every_byte_is_reported_once_and_a_break_stops() {
        let (disk, _) = raw_disk(7 * MIB + 13, &[(MIB, 5000), (6 * MIB, 10)]);
        let seen = AtomicU64::new(0);
        let count = |bytes| {
            seen.fetch_add(bytes, Ordering::Relaxed);
            ControlFlow::Continue(())
        };
        disk.blake3(&count).unwrap();
        assert_eq!(seen.into_inner(), 7 * MIB + 13);
        assert!(matches!(disk.blake3(&|_| ControlFlow::Break(())), Err(Error::Stopped { .. })));
    }
}
