//! What can go wrong with a virtual disk file, with a code, the next step and whether to retry.
//!
//! Codes are stable once released; texts may improve. Every text names the file, because the
//! operator sees it far from the call that opened it. A test pins each code and text.

use std::io;

use uuid::Uuid;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether doing the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again until something is changed.
    No,
    /// Trying at once can help.
    Now,
    /// Trying after a while can help.
    Later,
}

/// A virtual disk that could not be read, made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write the file.
    #[error("Cannot {action} {file}.")]
    Io {
        /// Name of the file.
        file: String,
        /// What was being tried, as a verb phrase.
        action: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The file is neither a VHDX nor a VHD.
    #[error("{file} is not a VHDX or VHD file: it looks like {looks_like}.")]
    NotVhdx {
        /// Name of the file.
        file: String,
        /// What its first and last bytes look like.
        looks_like: &'static str,
    },
    /// The file ends before something that it says it holds.
    #[error("{file} is cut short: {what} needs {needed} bytes, and the file has {length}.")]
    Truncated {
        /// Name of the file.
        file: String,
        /// The part that is missing.
        what: String,
        /// File length that part needs.
        needed: u64,
        /// File length found.
        length: u64,
    },
    /// A structure in the file breaks the rules of the format.
    #[error("{file} is damaged: {what}.")]
    Damaged {
        /// Name of the file.
        file: String,
        /// The structure and what is wrong with it.
        what: String,
    },
    /// The file is to be written, and its log holds changes that are not yet in place. Opening for
    /// reading replays them in memory.
    #[error(
        "{file} was not closed cleanly: its log holds changes that must be in place before it is written."
    )]
    LogNeedsReplay {
        /// Name of the file.
        file: String,
    },
    /// The file needs a feature that this version does not know.
    #[error("{file} needs something that this version cannot read: {what}.")]
    Unsupported {
        /// Name of the file.
        file: String,
        /// The feature.
        what: String,
    },
    /// The file's creator never finished it.
    #[error("{file} was never finished: its creator left the Incomplete mark in it.")]
    Incomplete {
        /// Name of the file.
        file: String,
    },
    /// One block of the disk cannot be read rightly.
    #[error("{file} is damaged: the table entry of block {block} is {entry:#018x}, {why}.")]
    BadBlock {
        /// Name of the file.
        file: String,
        /// Number of the payload block.
        block: u64,
        /// The entry as read.
        entry: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A differencing file was opened without the file below it.
    #[error("{file} is a differencing disk and needs its parent{}.", path_hint(parent_path))]
    NeedsParent {
        /// Name of the child file.
        file: String,
        /// The parent's path as the child knows it.
        parent_path: Option<String>,
    },
    /// The parent named by a child could not be found or opened.
    #[error("The parent {path} of {file} cannot be opened.")]
    ParentNotFound {
        /// Name of the child file.
        file: String,
        /// Path that was tried.
        path: String,
        /// Why it could not be opened.
        source: Option<io::Error>,
    },
    /// The parent was changed after the child was made, or is another disk's file.
    #[error(
        "{parent} is not the parent that {file} was made over: expected data id {expected}, found {found}."
    )]
    ParentMismatch {
        /// Name of the child file.
        file: String,
        /// Name of the file offered as its parent.
        parent: String,
        /// Data write GUID noted in the child.
        expected: Uuid,
        /// Data write GUID of the file offered.
        found: Uuid,
    },
    /// The files cannot form one chain.
    #[error("{file} cannot be used in this chain: {why}.")]
    BadChain {
        /// Name of the file.
        file: String,
        /// The reason.
        why: String,
    },
    /// An access beyond the end of the virtual disk.
    #[error("{length} bytes at {offset} reach beyond the end of {file} ({capacity} bytes).")]
    OutOfRange {
        /// Name of the leaf file.
        file: String,
        /// Offset of the access.
        offset: u64,
        /// Length of the access.
        length: u64,
        /// Size of the virtual disk.
        capacity: u64,
    },
    /// A new disk was asked for in a form that cannot exist.
    #[error("Cannot create {file}: {what}.")]
    BadOptions {
        /// Name of the file.
        file: String,
        /// The option that is wrong and what it may be.
        what: String,
    },
    /// The file is a VHD Set, whose format is not public.
    #[error("{file} is a VHD Set, which holds no disk data itself.")]
    VhdSet {
        /// Name of the file.
        file: String,
    },
    /// The first bytes say VHDX, the last ones a fixed VHD, and the name says neither.
    #[error(
        "{file} begins as a VHDX and ends as a fixed VHD; a guest can write either, so neither is believed."
    )]
    BothFormats {
        /// Name of the file.
        file: String,
    },
    /// A parent path that stands in an image leads out of the child's folder.
    #[error("The parent path {path} in {file} is not followed: {why}.")]
    ParentPathNotFollowed {
        /// Name of the child file.
        file: String,
        /// The path as it stands in the child.
        path: String,
        /// What keeps it from being followed.
        why: &'static str,
    },
    /// The disk cannot have the size that was asked for.
    #[error("Cannot resize {file}: {why}.")]
    NotResized {
        /// Name of the file.
        file: String,
        /// The reason.
        why: String,
    },
    /// Blocks would move under a reader that was made from the writer.
    #[error("{file} is still being read through a view of its writer.")]
    HasReaders {
        /// Name of the file.
        file: String,
    },
    /// The caller asked to stop before the work was done.
    #[error("The work on {file} was stopped before it was done.")]
    Stopped {
        /// Name of the file.
        file: String,
    },
}

fn path_hint(path: &Option<String>) -> String {
    path.as_ref().map(|path| format!(" ({path})")).unwrap_or_default()
}

impl Error {
    /// The stable code of this kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "VD-001",
            Self::NotVhdx { .. } => "VD-002",
            Self::Truncated { .. } => "VD-003",
            Self::Damaged { .. } => "VD-004",
            Self::LogNeedsReplay { .. } => "VD-005",
            Self::Unsupported { .. } => "VD-006",
            Self::Incomplete { .. } => "VD-007",
            Self::BadBlock { .. } => "VD-008",
            Self::NeedsParent { .. } => "VD-009",
            Self::ParentNotFound { .. } => "VD-010",
            Self::ParentMismatch { .. } => "VD-011",
            Self::BadChain { .. } => "VD-012",
            Self::OutOfRange { .. } => "VD-013",
            Self::BadOptions { .. } => "VD-014",
            Self::VhdSet { .. } => "VD-015",
            Self::ParentPathNotFollowed { .. } => "VD-016",
            Self::NotResized { .. } => "VD-017",
            Self::HasReaders { .. } => "VD-018",
            Self::BothFormats { .. } => "VD-019",
            Self::Stopped { .. } => "VD-020",
        }
    }

    /// What the operator does next.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Io { source, .. } => io_next_step(source).to_owned(),
            Self::NotVhdx { looks_like, .. } if looks_like.starts_with("a raw") => {
                "Say that it is a raw disk (`--raw` with the `disk` commands), or convert it to VHDX first.".into()
            }
            Self::NotVhdx { .. } => "Name a .vhdx, .avhdx or .vhd file, or convert the disk to VHDX first.".into(),
            Self::Truncated { .. } => "Copy the file again from its source, or use an older copy.".into(),
            Self::Damaged { .. } | Self::BadBlock { .. } => {
                "Check the storage that holds the file, and use another copy of it.".into()
            }
            Self::LogNeedsReplay { .. } => {
                "Attach the disk read-write in Hyper-V once (Mount-VHD, then Dismount-VHD). Reading it works as \
                 it is."
                    .into()
            }
            Self::Unsupported { .. } => "Use a newer Refpoint, or convert the disk with Convert-VHD.".into(),
            Self::Incomplete { .. } => "Run the copy or conversion that made this file again.".into(),
            Self::NeedsParent { .. } | Self::ParentNotFound { .. } => {
                "Put the parent file where the child expects it, or open the whole chain.".into()
            }
            Self::ParentMismatch { .. } => {
                "Find the parent that belongs to this child; merging over another one would mix two disks."
                    .into()
            }
            Self::BadChain { .. } => "Check that the files are given child first and belong together.".into(),
            Self::OutOfRange { .. } => "Read or write inside the disk's size only.".into(),
            Self::BadOptions { .. } => "Choose a size that the VHDX format allows.".into(),
            Self::NotResized { .. } => {
                "Choose a size that the format allows; to make the disk smaller, free its end in the guest \
                 first or allow its end to be cut off."
                    .into()
            }
            Self::HasReaders { .. } => "Close what still reads the disk, then run again.".into(),
            Self::VhdSet { .. } => {
                "Name the .avhdx file that the host gives for this set (Get-VHD, or SnapshotPath of \
                 GetVHDSnapshotInformation)."
                    .into()
            }
            Self::BothFormats { .. } => "Give the file the extension of its format, .vhdx or .vhd.".into(),
            Self::ParentPathNotFollowed { .. } => {
                "Copy the parent beside the child, or say which local file this path means.".into()
            }
            Self::Stopped { .. } => "Run it again; what was begun is removed.".into(),
        }
    }

    /// Whether doing the same again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::Interrupted => Retry::Now,
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::AlreadyExists => {
                    Retry::No
                }
                _ => Retry::Later,
            },
            Self::Stopped { .. } => Retry::Now,
            _ => Retry::No,
        }
    }

    pub(crate) fn io(file: &str, action: &'static str, source: io::Error) -> Self {
        Self::Io { file: file.to_owned(), action, source }
    }

    pub(crate) fn damaged(file: &str, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), what: what.into() }
    }

    pub(crate) fn unsupported(file: &str, what: impl Into<String>) -> Self {
        Self::Unsupported { file: file.to_owned(), what: what.into() }
    }
}

fn io_next_step(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "Check the path.",
        io::ErrorKind::PermissionDenied => "Check the permissions of the file and its folder.",
        io::ErrorKind::StorageFull => "Free space on the file's volume, then run again.",
        io::ErrorKind::AlreadyExists => "Choose another name, or remove the file that is there.",
        io::ErrorKind::ResourceBusy => "Wait until the other program has closed the file, then run again.",
        io::ErrorKind::UnexpectedEof => {
            "The file became shorter while it was open: see who changes it, then open it again."
        }
        _ => "Check the storage that holds the file, then run again.",
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
