//! A small cache below a file system.
//!
//! Walking a tree reads inodes of 256 bytes and folders of one block, most of them next to each other. A chunk of
//! 16 KiB brings a whole neighbourhood at the price of one read. The cache is direct-mapped: its memory is fixed
//! and a hostile volume can make it useless but not large. File content, read in larger pieces, passes by it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::number::index;
use crate::source::Source;

/// Bytes of a chunk: 64 inodes of 256 bytes; reading more costs more than it saves on a warm disk.
const CHUNK_BYTES: u64 = 16 * 1024;
/// Chunks kept: 8 MiB at most, and only when a tree is walked.
const SLOTS: u64 = 512;
/// Reads from this size pass by the cache.
const BYPASS_BYTES: usize = 32 * 1024;

/// A source with a cache before it.
pub(crate) struct Cached<S = Arc<dyn Source>> {
    source: S,
    slots: Vec<Mutex<Slot>>,
}

#[derive(Default)]
struct Slot {
    /// Which chunk is here; `None` at first.
    chunk: Option<u64>,
    bytes: Vec<u8>,
}

impl<S: Source> Cached<S> {
    /// Puts an empty cache before `source`.
    pub(crate) fn new(source: S) -> Self {
        Self { source, slots: (0..SLOTS).map(|_| Mutex::default()).collect() }
    }

    /// What is below; the cache is let go.
    pub(crate) fn into_below(self) -> S {
        self.source
    }

    fn read_in_chunk(&self, chunk: u64, within: usize, part: &mut [u8]) -> io::Result<()> {
        let mut slot = self.slots[index(chunk % SLOTS)].lock().unwrap_or_else(PoisonError::into_inner);
        if slot.chunk != Some(chunk) {
            let start = chunk * CHUNK_BYTES;
            let length = CHUNK_BYTES.min(self.source.len() - start);
            slot.chunk = None;
            slot.bytes.resize(index(length), 0);
            self.source.read_at(start, &mut slot.bytes)?;
            slot.chunk = Some(chunk);
        }
        part.copy_from_slice(&slot.bytes[within..within + part.len()]);
        Ok(())
    }
}

impl<S: Source> Source for Cached<S> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let inside = offset.checked_add(buf.len() as u64).is_some_and(|end| end <= self.source.len());
        if buf.len() >= BYPASS_BYTES || !inside {
            return self.source.read_at(offset, buf);
        }
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let within = index(at % CHUNK_BYTES);
            let length = (buf.len() - done).min(index(CHUNK_BYTES) - within);
            self.read_in_chunk(at / CHUNK_BYTES, within, &mut buf[done..done + length])?;
            done += length;
        }
        Ok(())
    }

    fn logical_sector(&self) -> u32 {
        self.source.logical_sector()
    }

    fn name(&self) -> &str {
        self.source.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::extents::tests::Bytes;

    #[test]
    fn every_read_through_the_cache_equals_the_read_below_it() {
        let below = Bytes::counting(100_000);
        let cached = Cached::new(&below);
        for (offset, length) in
            [(0, 1), (16_383, 2), (99_999, 1), (50_000, 40_000), (16_000, 31_000), (16_383, 2)]
        {
            let (mut through, mut direct) = (vec![0; length], vec![1; length]);
            cached.read_at(offset, &mut through).unwrap();
            below.read_at(offset, &mut direct).unwrap();
            assert_eq!(through, direct, "{length} bytes at {offset}");
        }
        assert_eq!(cached.read_at(99_999, &mut [0; 2]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(cached.read_at(u64::MAX, &mut [0; 2]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
