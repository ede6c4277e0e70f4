//! Packs: header, frames, sealed directory, plain footer (format document 4.4).
//!
//! Frames are sealed when they enter a pack, because key and nonce belong to the pack. A reader of data
//! needs neither directory nor footer (the run says where a frame lies); verification does, and so will
//! a rebuild of the index.

use bytes::Bytes;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{
    CHUNK_BYTES_MAX, FRAME_BYTES_MAX, Fault, Parsed, check_version, checksum, damaged, take, take_many,
};
use crate::error::{Error, Result};
use crate::name::ChunkId;
use crate::seal::{Keys, Salt, SealKey, TAG_BYTES};

const MAGIC: [u8; 8] = *b"RFPTPACK";
const FOOT_MAGIC: [u8; 8] = *b"RFPTFOOT";
/// Nonce of the directory; frames are counted from 0 and never get here.
const DIRECTORY_NONCE: u32 = u32::MAX;
/// Size of the header, and so the place of the first frame.
pub(crate) const HEADER_BYTES: u32 = 48;
/// Size of the footer.
pub(crate) const FOOTER_BYTES: u32 = 32;

/// How the plain bytes of a frame became its stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Raw = 0,
    Zstd = 1,
}

impl Codec {
    pub(crate) fn parse(byte: u8) -> Parsed<Self> {
        match byte {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Zstd),
            _ => damaged("a frame's codec is not known"),
        }
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: U16,
    zero: [u8; 6],
    salt: Salt,
}
const _: () = assert!(size_of::<Header>() == HEADER_BYTES as usize);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Footer {
    magic: [u8; 8],
    directory_offset: U32,
    directory_bytes: U32,
    check: [u8; 16],
}
const _: () = assert!(size_of::<Footer>() == FOOTER_BYTES as usize);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct FrameRecord {
    offset: U32,
    stored_bytes: U32,
    plain_bytes: U32,
    codec: u8,
    zero: u8,
    chunks: U16,
}
const _: () = assert!(size_of::<FrameRecord>() == 16);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct ChunkRecord {
    id: [u8; 16],
    length: U32,
}
const _: () = assert!(size_of::<ChunkRecord>() == 20);

/// One frame as it lies in a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) offset: u32,
    pub(crate) stored_bytes: u32,
    pub(crate) plain_bytes: u32,
    pub(crate) codec: Codec,
    /// Chunks in the order of the plain bytes.
    pub(crate) chunks: Vec<(ChunkId, u32)>,
}

/// A frame that was compressed but not yet given to a pack.
#[derive(Debug)]
pub(crate) struct LooseFrame {
    pub(crate) codec: Codec,
    pub(crate) plain_bytes: u32,
    pub(crate) payload: Vec<u8>,
    pub(crate) chunks: Vec<(ChunkId, u32)>,
}

impl LooseFrame {
    /// What the frame takes in a pack.
    pub(crate) fn stored_bytes(&self) -> u64 {
        (self.payload.len() + TAG_BYTES) as u64
    }
}

/// A pack being filled.
pub(crate) struct PackBuilder {
    name: String,
    salt: Salt,
    key: SealKey,
    parts: Vec<Bytes>,
    bytes: u32,
    frames: Vec<Frame>,
}

/// A pack that is complete in memory.
#[derive(Debug)]
pub(crate) struct BuiltPack {
    pub(crate) name: String,
    pub(crate) salt: Salt,
    pub(crate) bytes: u32,
    pub(crate) parts: Vec<Bytes>,
    pub(crate) frames: Vec<Frame>,
}

impl PackBuilder {
    pub(crate) fn new(name: String, keys: &Keys, salt: Salt) -> Self {
        let header = header(&salt);
        let parts = vec![Bytes::copy_from_slice(header.as_bytes())];
        let key = keys.pack_key(&salt);
        Self { name, salt, key, parts, bytes: HEADER_BYTES, frames: Vec::new() }
    }

    pub(crate) const fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Seals a frame into the pack.
    pub(crate) fn add(&mut self, frame: LooseFrame) -> Result<()> {
        let number = u32::try_from(self.frames.len()).map_err(Error::internal)?;
        let mut payload = frame.payload;
        self.key.seal(number, self.name.as_bytes(), &mut payload)?;
        let stored_bytes = u32::try_from(payload.len()).map_err(Error::internal)?;
        let offset = self.bytes;
        let end = offset.checked_add(stored_bytes).ok_or_else(|| Error::internal("a pack outgrew 4 GiB"))?;
        self.parts.push(payload.into());
        self.frames.push(Frame {
            offset,
            stored_bytes,
            plain_bytes: frame.plain_bytes,
            codec: frame.codec,
            chunks: frame.chunks,
        });
        self.bytes = end;
        Ok(())
    }

    /// Adds directory and footer.
    pub(crate) fn finish(mut self) -> Result<BuiltPack> {
        let header = header(&self.salt);
        let mut directory = encode_directory(&self.frames)?;
        self.key.seal(DIRECTORY_NONCE, &directory_aad(&self.name, &header), &mut directory)?;
        let directory_bytes = u32::try_from(directory.len()).map_err(Error::internal)?;
        let footer = footer(&header, self.bytes, directory_bytes);
        let end = self.bytes.checked_add(directory_bytes).and_then(|end| end.checked_add(FOOTER_BYTES));
        let bytes = end.ok_or_else(|| Error::internal("a pack outgrew 4 GiB"))?;
        self.parts.push(directory.into());
        self.parts.push(Bytes::copy_from_slice(footer.as_bytes()));
        Ok(BuiltPack { name: self.name, salt: self.salt, bytes, parts: self.parts, frames: self.frames })
    }
}

fn header(salt: &Salt) -> Header {
    Header { magic: MAGIC, version: U16::new(super::VERSION), zero: [0; 6], salt: *salt }
}

fn footer(header: &Header, directory_offset: u32, directory_bytes: u32) -> Footer {
    let mut footer = Footer {
        magic: FOOT_MAGIC,
        directory_offset: U32::new(directory_offset),
        directory_bytes: U32::new(directory_bytes),
        check: [0; 16],
    };
    footer.check = checksum(&[header.as_bytes(), &footer.as_bytes()[..16]].concat());
    footer
}

fn directory_aad(name: &str, header: &Header) -> Vec<u8> {
    [name.as_bytes(), header.as_bytes()].concat()
}

fn encode_directory(frames: &[Frame]) -> Result<Vec<u8>> {
    let chunks: usize = frames.iter().map(|frame| frame.chunks.len()).sum();
    let mut bytes = Vec::with_capacity(8 + frames.len() * 16 + chunks * 20 + TAG_BYTES);
    for count in [frames.len(), chunks] {
        bytes.extend_from_slice(&u32::try_from(count).map_err(Error::internal)?.to_le_bytes());
    }
    for frame in frames {
        let record = FrameRecord {
            offset: U32::new(frame.offset),
            stored_bytes: U32::new(frame.stored_bytes),
            plain_bytes: U32::new(frame.plain_bytes),
            codec: frame.codec as u8,
            zero: 0,
            chunks: U16::new(u16::try_from(frame.chunks.len()).map_err(Error::internal)?),
        };
        bytes.extend_from_slice(record.as_bytes());
    }
    for (id, length) in frames.iter().flat_map(|frame| &frame.chunks) {
        bytes.extend_from_slice(ChunkRecord { id: id.0, length: U32::new(*length) }.as_bytes());
    }
    Ok(bytes)
}

/// Where the directory lies, from the pack's first 48 and last 32 bytes.
pub(crate) fn locate_directory(head: &[u8], foot: &[u8], pack_bytes: u32) -> Parsed<(Salt, u32, u32)> {
    let (header, _) = take::<Header>(head)?;
    if header.magic != MAGIC {
        return damaged("it does not begin with RFPTPACK");
    }
    check_version(header.version.get())?;
    let (foot, _) = take::<Footer>(foot)?;
    let (offset, bytes) = (foot.directory_offset.get(), foot.directory_bytes.get());
    if header.zero != [0; 6] || foot.as_bytes() != footer(header, offset, bytes).as_bytes() {
        return damaged("its header or footer does not match its check");
    }
    let end = u64::from(offset) + u64::from(bytes) + u64::from(FOOTER_BYTES);
    if offset < HEADER_BYTES || end != u64::from(pack_bytes) {
        return damaged("its directory does not end at its footer");
    }
    Ok((header.salt, offset, bytes))
}

/// Opens and reads a directory that ends at `directory_offset` with its frames.
pub(crate) fn open_directory(
    name: &str,
    keys: &Keys,
    (salt, directory_offset): (&Salt, u32),
    sealed: &[u8],
) -> Parsed<Vec<Frame>> {
    let mut sealed = sealed.to_vec();
    let aad = directory_aad(name, &header(salt));
    let opened = keys.pack_key(salt).open(DIRECTORY_NONCE, &aad, &mut sealed);
    parse_directory(opened.ok_or(Fault::Damaged("its directory's seal does not match"))?, directory_offset)
}

fn parse_directory(plain: &[u8], directory_offset: u32) -> Parsed<Vec<Frame>> {
    let (counts, rest) = take::<[U32; 2]>(plain)?;
    let (records, rest) = take_many::<FrameRecord>(rest, counts[0].get())?;
    let (mut chunks, rest) = take_many::<ChunkRecord>(rest, counts[1].get())?;
    let mut frames = Vec::with_capacity(records.len());
    let mut expected = HEADER_BYTES;
    for record in records {
        let Some((mine, others)) = chunks.split_at_checked(usize::from(record.chunks.get())) else {
            return damaged("its directory counts more chunks than it lists");
        };
        chunks = others;
        let frame = parse_frame(record, mine)?;
        if frame.offset != expected {
            return damaged("its frames do not follow each other");
        }
        expected = expected.saturating_add(frame.stored_bytes);
        frames.push(frame);
    }
    if !rest.is_empty() || !chunks.is_empty() || expected != directory_offset {
        return damaged("its directory does not cover the pack");
    }
    Ok(frames)
}

fn parse_frame(record: &FrameRecord, chunks: &[ChunkRecord]) -> Parsed<Frame> {
    let chunks: Vec<_> = chunks.iter().map(|chunk| (ChunkId(chunk.id), chunk.length.get())).collect();
    let plain: u64 = chunks.iter().map(|(_, length)| u64::from(*length)).sum();
    let lengths_fit = chunks.iter().all(|(_, length)| *length <= CHUNK_BYTES_MAX);
    if !lengths_fit || plain != u64::from(record.plain_bytes.get()) || record.zero != 0 {
        return damaged("a frame's chunks do not add up to it");
    }
    check_frame_bytes(record.stored_bytes.get(), record.plain_bytes.get())?;
    Ok(Frame {
        offset: record.offset.get(),
        stored_bytes: record.stored_bytes.get(),
        plain_bytes: record.plain_bytes.get(),
        codec: Codec::parse(record.codec)?,
        chunks,
    })
}

/// Bounds of one frame, wherever they are read from.
pub(crate) fn check_frame_bytes(stored_bytes: u32, plain_bytes: u32) -> Parsed<()> {
    let stored_max = u64::from(plain_bytes) + TAG_BYTES as u64;
    if plain_bytes > FRAME_BYTES_MAX
        || u64::from(stored_bytes) > stored_max
        || (stored_bytes as usize) < TAG_BYTES
    {
        return damaged("a frame's length is out of bounds");
    }
    Ok(())
}

/// Opens one frame and gives back its plain bytes.
pub(crate) fn open_frame(
    key: &SealKey,
    name: &str,
    (number, codec, plain_bytes): (u32, Codec, u32),
    sealed: &mut [u8],
) -> Parsed<Vec<u8>> {
    let opened = key.open(number, name.as_bytes(), sealed);
    let payload = opened.ok_or(Fault::Damaged("a frame's seal does not match"))?;
    let expected = plain_bytes as usize;
    let plain = match codec {
        Codec::Raw => payload.to_vec(),
        Codec::Zstd => zstd::bulk::decompress(payload, expected)
            .map_err(|_| Fault::Damaged("a frame does not decompress"))?,
    };
    if plain.len() == expected { Ok(plain) } else { damaged("a frame has another length than its record") }
}
