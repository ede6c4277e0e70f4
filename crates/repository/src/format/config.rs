//! `config`: what makes a place a repository (format document 4.1).
//!
//! The plain header lets a reader refuse a foreign object or a newer format before it asks for a key;
//! the parameters are sealed, so that storage cannot change how disks are cut.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{CHUNK_BYTES_MAX, FRAME_BYTES_MAX, Fault, Parsed, UNIT_BYTES, checksum, damaged, take};
use crate::error::Result;
use crate::name::CONFIG;
use crate::seal::{Keys, Salt, TAG_BYTES};

const MAGIC: [u8; 8] = *b"REFPOINT";
/// Size of the whole object.
pub(crate) const CONFIG_BYTES: usize = 160;
const SEALED_BYTES: u32 = 80;

/// Pack sizes that a config may ask for; the bound keeps a writer's memory in hand.
pub(crate) const PACK_BYTES_RANGE: std::ops::RangeInclusive<u32> = 1 << 20..=256 << 20;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: U16,
    zero: U16,
    sealed_bytes: U32,
    repository: [u8; 16],
    salt: Salt,
}
const _: () = assert!(size_of::<Header>() == 64);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Parameters {
    block_bytes: U32,
    pack_bytes: U32,
    frame_bytes: U32,
    chunker: u8,
    identity: u8,
    sealing: u8,
    compression: u8,
    zero: [u8; 48],
}
const _: () = assert!(size_of::<Parameters>() == 64);

/// What a repository was created with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) repository: [u8; 16],
    pub(crate) block_bytes: u32,
    pub(crate) pack_bytes: u32,
    pub(crate) frame_bytes: u32,
}

/// What the plain header tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// One of ours; the repository's id.
    Ours([u8; 16]),
    /// Not one of ours.
    Foreign(&'static str),
}

impl Config {
    pub(crate) fn encode(&self, keys: &Keys, salt: &Salt) -> Result<Vec<u8>> {
        let header = Header {
            magic: MAGIC,
            version: U16::new(super::VERSION),
            zero: U16::ZERO,
            sealed_bytes: U32::new(SEALED_BYTES),
            repository: self.repository,
            salt: *salt,
        };
        let parameters = Parameters {
            block_bytes: U32::new(self.block_bytes),
            pack_bytes: U32::new(self.pack_bytes),
            frame_bytes: U32::new(self.frame_bytes),
            chunker: 0,
            identity: 0,
            sealing: 0,
            compression: 0,
            zero: [0; 48],
        };
        let mut sealed = parameters.as_bytes().to_vec();
        keys.object_key(salt).seal(0, &aad(&header), &mut sealed)?;
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&sealed);
        bytes.extend_from_slice(&checksum(&bytes));
        Ok(bytes)
    }

    /// Opens the sealed part; `None` when the key belongs to another repository.
    pub(crate) fn open(bytes: &[u8], keys: &Keys) -> Parsed<Option<Self>> {
        let (header, rest) = take::<Header>(bytes)?;
        let Some(sealed) = rest.get(..size_of::<Parameters>() + TAG_BYTES) else {
            return damaged("it is cut short");
        };
        let mut sealed = sealed.to_vec();
        let Some(plain) = keys.object_key(&header.salt).open(0, &aad(header), &mut sealed) else {
            return Ok(None);
        };
        let (parameters, _) = take::<Parameters>(plain)?;
        let config = Self {
            repository: header.repository,
            block_bytes: parameters.block_bytes.get(),
            pack_bytes: parameters.pack_bytes.get(),
            frame_bytes: parameters.frame_bytes.get(),
        };
        let policies = [parameters.chunker, parameters.identity, parameters.sealing, parameters.compression];
        if policies != [0; 4] || parameters.zero != [0; 48] || !config.in_bounds() {
            return damaged("its parameters are out of bounds");
        }
        Ok(Some(config))
    }

    pub(crate) fn in_bounds(&self) -> bool {
        block_bytes_fit(self.block_bytes)
            && PACK_BYTES_RANGE.contains(&self.pack_bytes)
            && (UNIT_BYTES..=FRAME_BYTES_MAX).contains(&self.frame_bytes)
    }
}

/// Whether disks may be cut into blocks of this size.
pub(crate) const fn block_bytes_fit(block_bytes: u32) -> bool {
    block_bytes.is_power_of_two() && block_bytes >= UNIT_BYTES && block_bytes <= CHUNK_BYTES_MAX
}

/// Reads the plain part: ours, foreign, newer or damaged.
pub(crate) fn read_plain(bytes: &[u8]) -> Parsed<Plain> {
    let Ok((header, _)) = take::<Header>(bytes) else {
        return Ok(Plain::Foreign("it is too short"));
    };
    if header.magic != MAGIC {
        return Ok(Plain::Foreign("it does not begin with REFPOINT"));
    }
    if header.version.get() > super::VERSION {
        return Err(Fault::Newer(header.version.get()));
    }
    let body = bytes.len().saturating_sub(16);
    let intact = bytes.len() == CONFIG_BYTES
        && header.sealed_bytes.get() == SEALED_BYTES
        && header.version.get() == super::VERSION
        && header.zero.get() == 0
        && checksum(&bytes[..body]) == bytes[body..];
    if intact { Ok(Plain::Ours(header.repository)) } else { damaged("its check does not match") }
}

fn aad(header: &Header) -> Vec<u8> {
    [header.as_bytes(), CONFIG.as_bytes()].concat()
}
