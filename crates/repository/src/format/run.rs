//! Runs: sorted lists of chunk id → place (format document 4.5).

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::pack::{Codec, check_frame_bytes};
use super::{CHUNK_BYTES_MAX, PACK_OBJECT_BYTES_MAX, Parsed, damaged, take, take_many};
use crate::error::{Error, Result};
use crate::name::ChunkId;
use crate::seal::Salt;

/// A run is closed at this many entries: about 32 MiB, which bounds writer and reader.
pub(crate) const ENTRIES_PER_RUN: usize = 1 << 20;
/// Largest run object that a reader accepts.
pub(crate) const RUN_OBJECT_BYTES_MAX: u64 = 64 << 20;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Head {
    packs: U32,
    frames: U32,
    entries: U32,
    zero: U32,
}
const _: () = assert!(size_of::<Head>() == 16);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct PackRecord {
    number: U32,
    bytes: U32,
    salt: Salt,
}
const _: () = assert!(size_of::<PackRecord>() == 40);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct FrameRecord {
    pack: U32,
    number: U32,
    offset: U32,
    stored_bytes: U32,
    plain_bytes: U32,
    codec: u8,
    zero: [u8; 3],
}
const _: () = assert!(size_of::<FrameRecord>() == 24);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct EntryRecord {
    id: [u8; 16],
    frame: U32,
    offset: U32,
    length: U32,
}
const _: () = assert!(size_of::<EntryRecord>() == 28);

/// A pack as a run names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunPack {
    pub(crate) number: u32,
    pub(crate) bytes: u32,
    pub(crate) salt: Salt,
}

/// A frame as a run names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunFrame {
    /// Index into the packs of the same list.
    pub(crate) pack: u32,
    /// Number of the frame within its pack: its nonce.
    pub(crate) number: u32,
    pub(crate) offset: u32,
    pub(crate) stored_bytes: u32,
    pub(crate) plain_bytes: u32,
    pub(crate) codec: Codec,
}

/// A chunk's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunEntry {
    pub(crate) id: ChunkId,
    /// Index into the frames of the same list.
    pub(crate) frame: u32,
    /// Offset in the plain frame.
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

/// A run's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) packs: Vec<RunPack>,
    pub(crate) frames: Vec<RunFrame>,
    /// Strictly ascending by id.
    pub(crate) entries: Vec<RunEntry>,
}

impl Run {
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let count = |n: usize| u32::try_from(n).map(U32::new).map_err(Error::internal);
        let head = Head {
            packs: count(self.packs.len())?,
            frames: count(self.frames.len())?,
            entries: count(self.entries.len())?,
            zero: U32::ZERO,
        };
        let mut bytes = head.as_bytes().to_vec();
        bytes.reserve(self.packs.len() * 40 + self.frames.len() * 24 + self.entries.len() * 28 + 64);
        for pack in &self.packs {
            let (number, size) = (U32::new(pack.number), U32::new(pack.bytes));
            bytes.extend_from_slice(PackRecord { number, bytes: size, salt: pack.salt }.as_bytes());
        }
        for frame in &self.frames {
            bytes.extend_from_slice(frame.record().as_bytes());
        }
        for entry in &self.entries {
            let record = EntryRecord {
                id: entry.id.0,
                frame: U32::new(entry.frame),
                offset: U32::new(entry.offset),
                length: U32::new(entry.length),
            };
            bytes.extend_from_slice(record.as_bytes());
        }
        Ok(bytes)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Parsed<Self> {
        let (head, rest) = take::<Head>(bytes)?;
        let (packs, rest) = take_many::<PackRecord>(rest, head.packs.get())?;
        let (frames, rest) = take_many::<FrameRecord>(rest, head.frames.get())?;
        let (entries, rest) = take_many::<EntryRecord>(rest, head.entries.get())?;
        if !rest.is_empty() || head.zero.get() != 0 {
            return damaged("its counts do not cover it");
        }
        let packs = packs
            .iter()
            .map(|pack| RunPack { number: pack.number.get(), bytes: pack.bytes.get(), salt: pack.salt })
            .collect::<Vec<_>>();
        let frames = frames.iter().map(|frame| parse_frame(frame, &packs)).collect::<Parsed<Vec<_>>>()?;
        let entries = entries.iter().map(|entry| parse_entry(entry, &frames)).collect::<Parsed<Vec<_>>>()?;
        if !entries.is_sorted_by(|a, b| a.id < b.id) {
            return damaged("its entries are not in order");
        }
        Ok(Self { packs, frames, entries })
    }
}

impl RunFrame {
    fn record(&self) -> FrameRecord {
        FrameRecord {
            pack: U32::new(self.pack),
            number: U32::new(self.number),
            offset: U32::new(self.offset),
            stored_bytes: U32::new(self.stored_bytes),
            plain_bytes: U32::new(self.plain_bytes),
            codec: self.codec as u8,
            zero: [0; 3],
        }
    }
}

fn parse_frame(record: &FrameRecord, packs: &[RunPack]) -> Parsed<RunFrame> {
    let frame = RunFrame {
        pack: record.pack.get(),
        number: record.number.get(),
        offset: record.offset.get(),
        stored_bytes: record.stored_bytes.get(),
        plain_bytes: record.plain_bytes.get(),
        codec: Codec::parse(record.codec)?,
    };
    check_frame_bytes(frame.stored_bytes, frame.plain_bytes)?;
    let Some(pack) = packs.get(frame.pack as usize) else {
        return damaged("a frame names a pack that is not listed");
    };
    let end = u64::from(frame.offset) + u64::from(frame.stored_bytes);
    if end > u64::from(pack.bytes) || u64::from(pack.bytes) > PACK_OBJECT_BYTES_MAX || record.zero != [0; 3] {
        return damaged("a frame lies outside its pack");
    }
    Ok(frame)
}

fn parse_entry(record: &EntryRecord, frames: &[RunFrame]) -> Parsed<RunEntry> {
    let (frame, offset, length) = (record.frame.get(), record.offset.get(), record.length.get());
    let Some(found) = frames.get(frame as usize) else {
        return damaged("an entry names a frame that is not listed");
    };
    if length > CHUNK_BYTES_MAX || u64::from(offset) + u64::from(length) > u64::from(found.plain_bytes) {
        return damaged("an entry lies outside its frame");
    }
    Ok(RunEntry { id: ChunkId(record.id), frame, offset, length })
}
