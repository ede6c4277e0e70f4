//! What can go wrong while someone sets up or drives the simulated host from this side of the wire.
//!
//! Errors that the host itself tells its clients (return codes, job errors, faults) are not here: they are behaviour
//! and live in `host::refusal`.

use std::io;
use std::path::PathBuf;

use crate::ids::SimVmId;

/// Result of the operations of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Whether the same call can work when it is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not before something is changed.
    No,
    /// At once.
    Now,
    /// After a while.
    Later,
}

/// What went wrong, with the object it happened to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder of the simulated host.
    #[error("{doing} {} failed", path.display())]
    File {
        /// What was being tried, as a gerund.
        doing: &'static str,
        /// The local file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A virtual disk file.
    #[error("virtual disk {path} of the simulated host cannot be used")]
    Disk {
        /// The path as the host names it, or the local one.
        path: String,
        /// What the disk format layer said.
        source: vdisk::Error,
    },
    /// Another simulator holds the folder.
    #[error("the folder {} is in use by another simulated host", path.display())]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The saved state of the host cannot be read.
    #[error("the saved state {} of the simulated host is damaged: {what}", path.display())]
    SavedState {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No such VM.
    #[error("the simulated host has no VM {vm}")]
    NoSuchVm {
        /// The id or name that was asked for.
        vm: String,
    },
    /// The VM has no such disk.
    #[error("VM {vm} has no disk number {index}")]
    NoSuchDisk {
        /// The VM.
        vm: SimVmId,
        /// The number asked for, from 0.
        index: usize,
    },
    /// No moment with this name is in the write log.
    #[error("the write log of disk {index} of VM {vm} has no moment {moment}")]
    NoSuchMoment {
        /// The VM.
        vm: SimVmId,
        /// Number of the disk.
        index: usize,
        /// The checkpoint asked for.
        moment: String,
    },
    /// The host refused what was asked.
    #[error("the simulated host refused to {doing}: {why}")]
    Refused {
        /// What was being tried.
        doing: &'static str,
        /// Why not.
        why: String,
    },
    /// A guest wrote or read where it cannot.
    #[error("the guest of VM {vm} cannot access {length} bytes at {offset} of disk {index}: {why}")]
    GuestAccess {
        /// The VM.
        vm: SimVmId,
        /// Number of the disk.
        index: usize,
        /// Start of the access.
        offset: u64,
        /// Length of the access.
        length: u64,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A path that is not a path of the simulated host.
    #[error("{path:?} is not a path on the simulated host: {why}")]
    HostPath {
        /// The path.
        path: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A program that builds or reads the guest's file system.
    #[error("{program} could not {doing}: {what}")]
    Program {
        /// The program's name.
        program: &'static str,
        /// What it was asked to do.
        doing: String,
        /// The end of what it said, or why it did not start.
        what: String,
    },
}

impl Error {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Error::File { .. } => "SM-001",
            Error::Disk { .. } => "SM-002",
            Error::FolderInUse { .. } => "SM-003",
            Error::SavedState { .. } => "SM-004",
            Error::NoSuchVm { .. } => "SM-005",
            Error::NoSuchDisk { .. } => "SM-006",
            Error::NoSuchMoment { .. } => "SM-007",
            Error::Refused { .. } => "SM-008",
            Error::GuestAccess { .. } => "SM-009",
            Error::HostPath { .. } => "SM-010",
            Error::Program { .. } => "SM-011",
        }
    }

    /// What to do next.
    pub fn next_step(&self) -> String {
        match self {
            Error::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "Free space on the volume that holds the simulator's folder.".into()
            }
            Error::File { path, .. } => format!("Check that {} exists and may be written.", path.display()),
            Error::Disk { source, .. } => source.next_step(),
            Error::FolderInUse { .. } => "Stop the other simulated host, or choose another folder.".into(),
            Error::SavedState { .. } => {
                "Choose an empty folder; the simulated host starts fresh there.".into()
            }
            Error::NoSuchVm { .. } => "List the VMs of the host and use one of them.".into(),
            Error::NoSuchDisk { .. } => "Count the disks of the VM from 0.".into(),
            Error::NoSuchMoment { .. } => "Use a checkpoint that `moments` lists for the VM.".into(),
            Error::Refused { .. } => {
                "Bring the VM into the state that the text names, then try again.".into()
            }
            Error::GuestAccess { .. } => "Write whole sectors inside the disk while the VM runs.".into(),
            Error::HostPath { .. } => r"Use an absolute path such as C:\VMs\SQL01\sql01.vhdx.".into(),
            Error::Program { program, .. } => {
                format!("Install the package that holds {program} (e2fsprogs).")
            }
        }
    }

    /// Whether trying again helps.
    pub fn retry(&self) -> Retry {
        match self {
            Error::FolderInUse { .. } | Error::Refused { .. } => Retry::Later,
            Error::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => Retry::Later,
            _ => Retry::No,
        }
    }

    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Error {
        Error::File { doing, path: path.into(), source }
    }

    pub(crate) fn disk(path: impl Into<String>) -> impl FnOnce(vdisk::Error) -> Error {
        let path = path.into();
        move |source| Error::Disk { path, source }
    }
}
