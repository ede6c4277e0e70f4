//! Key slots: the root key sealed by a passphrase (format document 4.2).
//!
//! The check over the whole slot is there so that a wrong passphrase and a damaged slot are told apart:
//! the operator's next step differs. Argon2's parameters are bounded before any memory is taken, since
//! the slot comes from storage that may be hostile.

use argon2::{Algorithm, Argon2, Params, Version};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};
use zeroize::Zeroizing;

use super::{Fault, Parsed, check_version, checksum, damaged, take};
use crate::error::{Error, Result};
use crate::seal::{Salt, SealKey, TAG_BYTES};
use crate::secret::{KeyBytes, Secret};

const MAGIC: [u8; 8] = *b"RFPTSLOT";
const KIND_PASSPHRASE: u8 = 1;
/// Size of the whole object.
pub(crate) const SLOT_BYTES: usize = 136;
const SEALED: std::ops::Range<usize> = 72..120;

/// How much work guessing a passphrase costs. The default takes 64 MiB and a few tenths of a
/// second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfStrength {
    /// Argon2 memory in KiB, 8 to 1,048,576.
    pub memory_kib: u32,
    /// Argon2 passes, 1 to 16.
    pub passes: u32,
    /// Argon2 lanes, 1 to 8.
    pub lanes: u32,
}

impl Default for KdfStrength {
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 }
    }
}

impl KdfStrength {
    /// Whether a slot with this strength can be written and is accepted when read.
    pub(crate) fn in_bounds(self) -> bool {
        (8 * self.lanes.max(1)..=1024 * 1024).contains(&self.memory_kib)
            && (1..=16).contains(&self.passes)
            && (1..=8).contains(&self.lanes)
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: U16,
    kind: u8,
    zero: u8,
    memory_kib: U32,
    passes: U32,
    lanes: U32,
    repository: [u8; 16],
    salt: Salt,
}
const _: () = assert!(size_of::<Header>() == SEALED.start);
const _: () = assert!(SEALED.end - SEALED.start == 32 + TAG_BYTES && SEALED.end + 16 == SLOT_BYTES);

/// A slot as read, not yet opened.
#[derive(Debug)]
pub(crate) struct Slot {
    name: String,
    bytes: [u8; SLOT_BYTES],
    strength: KdfStrength,
    salt: Salt,
    pub(crate) repository: [u8; 16],
}

/// Seals the root key with a passphrase. Slow on purpose: call it on a blocking thread.
pub(crate) fn encode(
    name: &str,
    (repository, salt): ([u8; 16], Salt),
    strength: KdfStrength,
    (passphrase, root): (&Secret, &KeyBytes),
) -> Result<Vec<u8>> {
    let header = Header {
        magic: MAGIC,
        version: U16::new(super::VERSION),
        kind: KIND_PASSPHRASE,
        zero: 0,
        memory_kib: U32::new(strength.memory_kib),
        passes: U32::new(strength.passes),
        lanes: U32::new(strength.lanes),
        repository,
        salt,
    };
    let mut sealed = root.to_vec();
    stretch(passphrase, &salt, strength)?.seal(0, &aad(header.as_bytes(), name), &mut sealed)?;
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(&sealed);
    bytes.extend_from_slice(&checksum(&bytes));
    Ok(bytes)
}

impl Slot {
    pub(crate) fn parse(name: &str, bytes: &[u8]) -> Parsed<Self> {
        let (header, _) = take::<Header>(bytes)?;
        if header.magic != MAGIC {
            return damaged("it does not begin with RFPTSLOT");
        }
        check_version(header.version.get())?;
        let Ok(bytes) = <[u8; SLOT_BYTES]>::try_from(bytes) else {
            return damaged("its length is not 136 bytes");
        };
        if checksum(&bytes[..SEALED.end]) != bytes[SEALED.end..] {
            return damaged("its check does not match");
        }
        let strength = KdfStrength {
            memory_kib: header.memory_kib.get(),
            passes: header.passes.get(),
            lanes: header.lanes.get(),
        };
        if header.kind != KIND_PASSPHRASE || header.zero != 0 {
            return damaged("its kind is not known");
        }
        if !strength.in_bounds() {
            return Err(Fault::Damaged("it asks for more memory or passes than is allowed"));
        }
        let (salt, repository) = (header.salt, header.repository);
        Ok(Self { name: name.to_owned(), bytes, strength, salt, repository })
    }

    /// The root key, or `None` for a wrong passphrase. Slow on purpose.
    pub(crate) fn open(&self, passphrase: &Secret) -> Result<Option<KeyBytes>> {
        let key = stretch(passphrase, &self.salt, self.strength)?;
        let mut sealed = Zeroizing::new(self.bytes[SEALED].to_vec());
        let aad = aad(&self.bytes[..SEALED.start], &self.name);
        let Some(plain) = key.open(0, &aad, &mut sealed) else {
            return Ok(None);
        };
        let mut root = KeyBytes::default();
        root.copy_from_slice(plain);
        Ok(Some(root))
    }
}

fn stretch(passphrase: &Secret, salt: &Salt, strength: KdfStrength) -> Result<SealKey> {
    let params = Params::new(strength.memory_kib, strength.passes, strength.lanes, Some(32));
    let params = params.map_err(Error::internal)?;
    let mut key = KeyBytes::default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose().as_bytes(), salt, key.as_mut_slice())
        .map_err(Error::internal)?;
    Ok(SealKey::new(&key))
}

fn aad(header: &[u8], name: &str) -> Vec<u8> {
    [header, name.as_bytes()].concat()
}
