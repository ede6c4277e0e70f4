//! Sealed objects: runs, restore points and companions (format document 4.3).

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Fault, Parsed, check_version, damaged, take};
use crate::error::Result;
use crate::seal::{Keys, Salt, TAG_BYTES};

const MAGIC: [u8; 4] = *b"RFPO";
/// What the envelope adds to its content.
pub(crate) const ENVELOPE_BYTES: usize = 40 + TAG_BYTES;

/// What a sealed object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Run = 1,
    Point = 2,
    Companion = 3,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Header {
    magic: [u8; 4],
    version: U16,
    kind: u8,
    zero: u8,
    salt: Salt,
}
const _: () = assert!(size_of::<Header>() == 40);

/// Seals `content` as the object `name`.
pub(crate) fn seal(
    kind: Kind,
    name: &str,
    keys: &Keys,
    salt: &Salt,
    mut content: Vec<u8>,
) -> Result<Vec<u8>> {
    let header =
        Header { magic: MAGIC, version: U16::new(super::VERSION), kind: kind as u8, zero: 0, salt: *salt };
    keys.object_key(salt).seal(0, &aad(&header, name), &mut content)?;
    let mut bytes = Vec::with_capacity(size_of::<Header>() + content.len());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&content);
    Ok(bytes)
}

/// Opens the object `name`.
pub(crate) fn open(kind: Kind, name: &str, keys: &Keys, bytes: &[u8]) -> Parsed<Vec<u8>> {
    let (header, sealed) = take::<Header>(bytes)?;
    if header.magic != MAGIC {
        return damaged("it does not begin with RFPO");
    }
    check_version(header.version.get())?;
    if header.kind != kind as u8 || header.zero != 0 {
        return damaged("it holds another kind of content than its name says");
    }
    let mut content = sealed.to_vec();
    let opened = keys.object_key(&header.salt).open(0, &aad(header, name), &mut content);
    let length = opened.map(|plain| plain.len()).ok_or(Fault::Damaged("its seal does not match"))?;
    content.truncate(length);
    Ok(content)
}

fn aad(header: &Header, name: &str) -> Vec<u8> {
    [&header.as_bytes()[..8], name.as_bytes()].concat()
}
