//! What can go wrong with a guest's volumes and files, with a code, the next step and whether to retry.
//!
//! Codes are stable once released; texts may improve. Every text names the volume, because the operator sees it
//! far from the call that opened it. A test pins each code and text.

use std::io;

use vdisk::Retry;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A guest's disk, volume or file that could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes below could not be read.
    #[error("Cannot read {what} of {volume}.")]
    Io {
        /// Name of the disk or volume.
        volume: String,
        /// What was being read.
        what: String,
        /// The answer from below.
        source: io::Error,
    },
    /// A structure breaks the rules of its format.
    #[error("{volume} is damaged: {what}.")]
    Damaged {
        /// Name of the disk or volume.
        volume: String,
        /// The structure and what is wrong with it.
        what: String,
    },
    /// The volume or file uses something that this version cannot read.
    #[error("{volume}: {what}.")]
    Unsupported {
        /// Name of the disk or volume.
        volume: String,
        /// What cannot be read, as a plain sentence without its full stop.
        what: String,
    },
    /// No file or folder of that path.
    #[error("{volume} has no {path}.")]
    NotFound {
        /// Name of the volume.
        volume: String,
        /// The path asked for.
        path: String,
    },
    /// A folder where a file is needed, or the reverse.
    #[error("{path} on {volume} is {found}, not {needed}.")]
    WrongKind {
        /// Name of the volume.
        volume: String,
        /// The path or file in question.
        path: String,
        /// What it is, with its article.
        found: &'static str,
        /// What was needed, with its article.
        needed: &'static str,
    },
    /// Several names fit and none is exact.
    #[error("{path} on {volume} fits {count} names, none of them exactly.")]
    Ambiguous {
        /// Name of the volume.
        volume: String,
        /// The path asked for.
        path: String,
        /// How many names fit.
        count: usize,
    },
    /// The file has no stream of that name.
    #[error("A file on {volume} has no stream named {stream}.")]
    NoStream {
        /// Name of the volume.
        volume: String,
        /// The stream asked for.
        stream: String,
    },
    /// Something is larger than this version takes into memory.
    #[error("{volume}: {what} is larger than the limit of {limit}.")]
    TooLarge {
        /// Name of the disk or volume.
        volume: String,
        /// The thing that is too large.
        what: String,
        /// The limit, in the unit that fits.
        limit: u64,
    },
}

impl Error {
    /// The stable code of this kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "GF-001",
            Self::Damaged { .. } => "GF-002",
            Self::Unsupported { .. } => "GF-003",
            Self::NotFound { .. } => "GF-004",
            Self::WrongKind { .. } => "GF-005",
            Self::Ambiguous { .. } => "GF-006",
            Self::NoStream { .. } => "GF-007",
            Self::TooLarge { .. } => "GF-008",
        }
    }

    /// What the operator does next.
    #[must_use]
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Io { .. } => {
                "See the cause below; check the storage, and that all disks of the volume are given."
            }
            Self::Damaged { .. } => {
                "Restore the whole disk and let the guest check it, or use another restore point."
            }
            Self::Unsupported { .. } => "Restore the whole disk and read it in the guest's own system.",
            Self::NotFound { .. } => "List the folder above it to see the names there are.",
            Self::WrongKind { .. } => "List the folder above it to see what there is.",
            Self::Ambiguous { .. } => "List the folder and write the name exactly as it stands there.",
            Self::NoStream { .. } => "Look at the file's details to see the streams it has.",
            Self::TooLarge { .. } => "Restore the whole disk and read it in the guest's own system.",
        }
    }

    /// Whether doing the same again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::Interrupted => Retry::Now,
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::UnexpectedEof => {
                    Retry::No
                }
                _ => Retry::Later,
            },
            _ => Retry::No,
        }
    }

    /// A read from below that failed.
    pub(crate) fn io(volume: &str, what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { volume: volume.to_owned(), what: what.into(), source }
    }

    /// A broken structure; `what` is a clause without its full stop.
    pub(crate) fn damaged(volume: &str, what: impl Into<String>) -> Self {
        Self::Damaged { volume: volume.to_owned(), what: what.into() }
    }

    /// A feature that cannot be read; `what` is a sentence without its full stop.
    pub(crate) fn unsupported(volume: &str, what: impl Into<String>) -> Self {
        Self::Unsupported { volume: volume.to_owned(), what: what.into() }
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
