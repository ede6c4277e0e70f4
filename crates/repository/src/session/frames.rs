//! Frames: new chunks gathered until there is enough to compress well, then compressed once.

use std::sync::Mutex;

use zstd::bulk::Compressor;

use super::locked;
use crate::error::{Error, Result};
use crate::format::pack::{Codec, LooseFrame};
use crate::name::ChunkId;
use crate::seal::TAG_BYTES;

/// Level 1: on this data, level 3 costs half as much again for 2 % (facts/repository B.4).
const ZSTD_LEVEL: i32 = 1;

/// Plain bytes of a frame, not compressed yet.
#[derive(Debug, Default)]
pub(super) struct RawFrame {
    plain: Vec<u8>,
    chunks: Vec<(ChunkId, u32)>,
}

/// Gathers chunks into frames of a size.
#[derive(Debug)]
pub(super) struct Assembler {
    frame_bytes: usize,
    open: RawFrame,
}

impl Assembler {
    pub(super) fn new(frame_bytes: u32) -> Self {
        Self { frame_bytes: frame_bytes as usize, open: RawFrame::default() }
    }

    /// Adds a chunk; frames that became full are moved to `full`.
    pub(super) fn push(&mut self, id: ChunkId, bytes: &[u8], full: &mut Vec<RawFrame>) {
        if !self.open.plain.is_empty() && self.open.plain.len() + bytes.len() > self.frame_bytes {
            full.extend(self.take());
        }
        if self.open.plain.is_empty() {
            self.open.plain.reserve_exact(self.frame_bytes.max(bytes.len()) + TAG_BYTES);
        }
        self.open.plain.extend_from_slice(bytes);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.open.chunks.push((id, length));
        if self.open.plain.len() >= self.frame_bytes {
            full.extend(self.take());
        }
    }

    /// What is left, if anything.
    pub(super) fn take(&mut self) -> Option<RawFrame> {
        let open = std::mem::take(&mut self.open);
        (!open.chunks.is_empty()).then_some(open)
    }
}

/// Compression contexts, reused because each takes about a megabyte to set up.
#[derive(Default)]
pub(super) struct Compressors {
    idle: Mutex<Vec<(Compressor<'static>, Vec<u8>)>>,
}

impl Compressors {
    /// Compresses a frame, or leaves it raw when that does not save 1/32.
    pub(super) fn compress(&self, raw: RawFrame) -> Result<LooseFrame> {
        let idle = locked(&self.idle).pop();
        let (mut compressor, mut buffer) = match idle {
            Some(pair) => pair,
            None => (Compressor::new(ZSTD_LEVEL).map_err(Error::internal)?, Vec::new()),
        };
        buffer.clear();
        buffer.reserve(zstd::zstd_safe::compress_bound(raw.plain.len()));
        let packed = compressor.compress_to_buffer(&raw.plain, &mut buffer).map_err(Error::internal)?;
        let plain_bytes = u32::try_from(raw.plain.len()).map_err(Error::internal)?;
        let worth_it = packed + raw.plain.len() / 32 <= raw.plain.len();
        let (codec, payload) = if worth_it {
            let mut payload = Vec::with_capacity(packed + TAG_BYTES);
            payload.extend_from_slice(&buffer[..packed]);
            (Codec::Zstd, payload)
        } else {
            (Codec::Raw, raw.plain)
        };
        locked(&self.idle).push((compressor, buffer));
        Ok(LooseFrame { codec, plain_bytes, payload, chunks: raw.chunks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_fill_frames_without_crossing_them() {
        let mut assembler = Assembler::new(100);
        let mut full = Vec::new();
        for (id, bytes) in [(1, 60), (2, 60), (3, 40), (4, 250), (5, 10)] {
            assembler.push(ChunkId([id; 16]), &vec![id; bytes], &mut full);
        }
        full.extend(assembler.take());
        let shape: Vec<Vec<u8>> =
            full.iter().map(|frame| frame.chunks.iter().map(|(id, _)| id.0[0]).collect()).collect();
        assert_eq!(shape, [vec![1], vec![2, 3], vec![4], vec![5]]);
        assert!(assembler.take().is_none());
    }

    #[test]
    fn bytes_that_do_not_compress_stay_raw() {
        let compressors = Compressors::default();
        let frame = |plain: Vec<u8>| RawFrame { chunks: vec![(ChunkId([0; 16]), 1)], plain };
        let mut noise = vec![0_u8; 4096];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert_eq!(compressors.compress(frame(noise)).unwrap().codec, Codec::Raw);
        let packed = compressors.compress(frame(vec![7; 4096])).unwrap();
        assert_eq!(packed.codec, Codec::Zstd);
        assert!(packed.payload.len() < 100);
    }
}
