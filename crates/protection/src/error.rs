//! What can go wrong with a backup as a whole. Errors of the host, the repository and the disk
//! formats pass through with their own code and next step.

use std::path::PathBuf;

use crate::plan::Finding;

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not before something else changes.
    No,
    /// At once.
    Now,
    /// After a while.
    Later,
}

/// An error of planning or running a backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal could not be read or written.
    #[error("the journal {} could not be used: {source}", path.display())]
    Journal {
        /// The journal file.
        path: PathBuf,
        /// SQLite's own words.
        source: rusqlite::Error,
    },
    /// The journal was written by another version.
    #[error("the journal {} has format {found}, which this version does not know", path.display())]
    JournalVersion {
        /// The journal file.
        path: PathBuf,
        /// The version found.
        found: i64,
    },
    /// A journal record cannot be understood.
    #[error("record {sequence} of the journal {} cannot be understood", path.display())]
    JournalRecord {
        /// The journal file.
        path: PathBuf,
        /// The record.
        sequence: i64,
    },
    /// What a step keeps in the journal cannot be written or read back.
    #[error("the journal's detail of step {step} cannot be understood: {source}")]
    JournalDetail {
        /// The step.
        step: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The lock file could not be opened.
    #[error("the lock file {} could not be opened: {source}", path.display())]
    LockFile {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process runs backups from this home.
    #[error("another backup is running from this home (it holds {})", path.display())]
    AlreadyRunning {
        /// The lock file.
        path: PathBuf,
    },
    /// The plan does not rest on the facts.
    #[error("the plan was refused by its check: {}", .findings.iter().map(|f| format!("{}: {}", f.vm, f.what)).collect::<Vec<_>>().join("; "))]
    PlanRefused {
        /// What was found.
        findings: Vec<Finding>,
    },
    /// A step ran without the one before it.
    #[error("step {step} was run before what it needs was there")]
    OutOfOrder {
        /// The step.
        step: &'static str,
    },
    /// The checkpoint does not name a disk that was planned.
    #[error("checkpoint {checkpoint} of VM {vm} has no frozen file for its disk {disk}")]
    DiskNotFrozen {
        /// VM name.
        vm: String,
        /// The disk's path.
        disk: String,
        /// The checkpoint.
        checkpoint: String,
    },
    /// The frozen file holds another disk than was planned.
    #[error("{path} of VM {vm} is not the disk that was planned: expected {planned}, found {found}")]
    DiskChanged {
        /// VM name.
        vm: String,
        /// The frozen file.
        path: String,
        /// Identity and size in the plan.
        planned: String,
        /// Identity and size in the file.
        found: String,
    },
    /// The host stayed busy with a VM.
    #[error("host {host} is still busy with VM {vm}")]
    StillBusy {
        /// VM id.
        vm: String,
        /// Host name.
        host: String,
    },
    /// A disk file could not be opened.
    #[error("the disk file {} could not be read: {source}", path.display())]
    DiskFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An id in the journal is none.
    #[error("the journal holds an id that cannot be read: {0}")]
    Id(#[from] hyperv::IdError),
    /// The host.
    #[error(transparent)]
    Host(#[from] hyperv::Error),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// What a restore point carries for recovery.
    #[error(transparent)]
    Recovery(#[from] recovery::Error),
    /// A virtual disk.
    #[error(transparent)]
    Disk(#[from] vdisk::Error),
}

impl Error {
    /// The stable code, for searching and for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Journal { .. } => "PR-001",
            Self::JournalVersion { .. } => "PR-002",
            Self::JournalRecord { .. } | Self::JournalDetail { .. } | Self::Id(_) => "PR-003",
            Self::LockFile { .. } => "PR-004",
            Self::AlreadyRunning { .. } => "PR-005",
            Self::PlanRefused { .. } => "PR-006",
            Self::OutOfOrder { .. } => "PR-007",
            Self::DiskNotFrozen { .. } => "PR-008",
            Self::DiskChanged { .. } => "PR-009",
            Self::StillBusy { .. } => "PR-010",
            Self::DiskFile { .. } => "PR-011",
            Self::Host(error) => error.code(),
            Self::Repository(error) => error.code(),
            Self::Recovery(error) => error.code(),
            Self::Disk(error) => error.code(),
        }
    }

    /// What the operator does next.
    pub fn next_step(&self) -> String {
        match self {
            Self::Journal { .. } | Self::LockFile { .. } => {
                "check that the home folder exists, is writable and has free space".into()
            }
            Self::JournalVersion { .. } => "use the version of refpoint that wrote it, or a newer one".into(),
            Self::JournalRecord { .. } | Self::JournalDetail { .. } | Self::Id(_) => {
                "move the journal aside, then look for what is left on the host: refpoint host leftovers"
                    .into()
            }
            Self::AlreadyRunning { .. } => {
                "wait until the other backup has ended, then run this again".into()
            }
            Self::PlanRefused { .. } | Self::OutOfOrder { .. } => {
                "this is a defect in refpoint: please report it with the plan (refpoint plan --output json)"
                    .into()
            }
            Self::DiskNotFrozen { .. } | Self::DiskChanged { .. } => {
                "the VM's disks changed between look and backup; run the backup again".into()
            }
            Self::StillBusy { .. } => {
                "look at the VM's status on the host; when its job or merge is done, run again".into()
            }
            Self::DiskFile { .. } => "check the path and that you may read the file".into(),
            Self::Host(error) => error.next_step(),
            Self::Repository(error) => error.next_step(),
            Self::Recovery(error) => error.next_step(),
            Self::Disk(error) => error.next_step(),
        }
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::DiskNotFrozen { .. } | Self::DiskChanged { .. } => Retry::Now,
            Self::AlreadyRunning { .. } | Self::StillBusy { .. } => Retry::Later,
            Self::Host(error) => match error.retry() {
                hyperv::Retry::No => Retry::No,
                hyperv::Retry::Now => Retry::Now,
                hyperv::Retry::Later => Retry::Later,
            },
            Self::Repository(error) => match error.retry() {
                repository::Retry::No => Retry::No,
                repository::Retry::Now => Retry::Now,
                repository::Retry::Later => Retry::Later,
            },
            _ => Retry::No,
        }
    }
}
