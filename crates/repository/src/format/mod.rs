//! The bytes of every object, and nothing else: encoders and parsers without I/O.
//!
//! docs/formats/repository.md section 4 is the source; each file here is one of its tables. Parsers take
//! bytes that may come from anyone, so they return a [`Fault`] for every input that does not fit and
//! compare each length with what contains it before taking memory.

pub(crate) mod config;
pub(crate) mod envelope;
#[cfg(test)]
mod golden;
pub(crate) mod map;
pub(crate) mod pack;
pub(crate) mod point;
pub(crate) mod run;
pub(crate) mod slot;

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::error::Error;

/// The newest version of each object that this program reads, and the one it writes.
pub(crate) const VERSION: u16 = 1;
/// Disk maps count in units of this size.
pub(crate) const UNIT_BYTES: u32 = 4096;
/// Largest chunk: a block of the largest size, or a piece of an attachment.
pub(crate) const CHUNK_BYTES_MAX: u32 = 1 << 20;
/// Largest plain frame that a reader accepts; writers stay at 128 KiB or one chunk.
pub(crate) const FRAME_BYTES_MAX: u32 = 2 << 20;
/// Largest pack that a reader accepts: the largest `pack_bytes` and room for its last frame.
pub(crate) const PACK_OBJECT_BYTES_MAX: u64 = 512 << 20;

/// Why bytes do not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes are not what a writer wrote.
    Damaged(&'static str),
    /// The object has a newer version.
    Newer(u16),
}

impl Fault {
    /// The error for `object`.
    pub(crate) fn at(self, place: &str, object: &str) -> Error {
        let (place, object) = (place.to_owned(), object.to_owned());
        match self {
            Self::Damaged(cause) => Error::DamagedObject { place, object, cause: cause.to_owned() },
            Self::Newer(found) => Error::NewerFormat { place, object, found, supported: VERSION },
        }
    }
}

pub(crate) type Parsed<T> = Result<T, Fault>;

/// Ends a parse because of `cause`.
pub(crate) const fn damaged<T>(cause: &'static str) -> Parsed<T> {
    Err(Fault::Damaged(cause))
}

pub(crate) fn check_version(found: u16) -> Parsed<()> {
    match found {
        VERSION => Ok(()),
        newer if newer > VERSION => Err(Fault::Newer(newer)),
        _ => damaged("its version is zero"),
    }
}

/// Splits a fixed layout off the front.
pub(crate) fn take<T>(bytes: &[u8]) -> Parsed<(&T, &[u8])>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    T::ref_from_prefix(bytes).map_err(|_| Fault::Damaged("it is cut short"))
}

/// Splits `count` fixed layouts off the front; borrows, so a huge count cannot take memory.
pub(crate) fn take_many<T>(bytes: &[u8], count: u32) -> Parsed<(&[T], &[u8])>
where
    T: FromBytes + Immutable + Unaligned,
{
    let count = usize::try_from(count).map_err(|_| Fault::Damaged("a count is too large"))?;
    <[T]>::ref_from_prefix_with_elems(bytes, count).map_err(|_| Fault::Damaged("it is cut short"))
}

/// The first 16 bytes of plain BLAKE3: tells bit rot from a wrong key, and is no protection.
pub(crate) fn checksum(bytes: &[u8]) -> [u8; 16] {
    let mut check = [0_u8; 16];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    check
}
