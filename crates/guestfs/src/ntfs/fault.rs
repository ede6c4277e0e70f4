//! What is wrong inside an NTFS volume, before the volume's name is added.
//!
//! The parsers of this folder see bytes, not names. They say which structure breaks which rule, and
//! `tree.rs` makes the crate's error of it, adding the volume and the path or record concerned.

use std::io;

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// The result of the parsers of this folder.
pub(super) type Outcome<T> = Result<T, Fault>;

/// Why a structure cannot be read rightly.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes of the volume could not be read.
    Io(io::Error),
    /// A structure breaks the rules of the format: which one, and how.
    Damaged(String),
    /// The data is held in a form that this version does not read, as a sentence without its full stop.
    Unsupported(String),
    /// A structure is larger than this version takes into memory: which one, and the limit.
    TooLarge(&'static str, u64),
    /// The file has no stream of that name.
    NoStream(String),
    /// Something else was needed: what it is and what was needed, each with its article.
    WrongKind(&'static str, &'static str),
}

impl Fault {
    /// A structure that breaks the rules.
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// The same fault, saying in which larger structure it was found.
    pub(super) fn inside(self, place: &str) -> Self {
        match self {
            Self::Damaged(what) => Self::Damaged(format!("{place}: {what}")),
            other => other,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The structure at `offset`, if the bytes hold all of it.
pub(super) fn view<'a, T>(bytes: &'a [u8], offset: usize, what: &str) -> Outcome<&'a T>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    bytes
        .get(offset..)
        .and_then(|rest| T::ref_from_prefix(rest).ok())
        .map(|(value, _)| value)
        .ok_or_else(|| Fault::damaged(format!("{what} runs past the end of what holds it")))
}

/// `length` bytes at `offset`, if they are there.
pub(super) fn part<'a>(bytes: &'a [u8], offset: usize, length: usize, what: &str) -> Outcome<&'a [u8]> {
    offset
        .checked_add(length)
        .and_then(|end| bytes.get(offset..end))
        .ok_or_else(|| Fault::damaged(format!("{what} runs past the end of what holds it")))
}
