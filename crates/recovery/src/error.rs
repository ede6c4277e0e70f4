//! What can go wrong while bringing data back.
//!
//! Errors of the layers below keep their own code and next step: the operator acts on the cause, and
//! this layer says what was being restored. Codes are stable; a test pins every text.

use std::io;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether doing the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not without a change by the operator.
    No,
    /// At once.
    Now,
    /// After some time.
    Later,
}

/// Something that could not be brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file beside the disks of a restore point has an unexpected content.
    #[error("The attachment {name} of the restore point cannot be read: {why}.")]
    AttachmentUnreadable {
        /// Name of the attachment.
        name: &'static str,
        /// What does not fit.
        why: String,
    },
    /// The place for a restored disk is taken.
    #[error("{path} exists already; it was left as it is.")]
    TargetExists {
        /// The file.
        path: String,
    },
    /// Another restore is writing the same disk.
    #[error("Another restore is writing {path} at this moment.")]
    TargetBusy {
        /// The file.
        path: String,
    },
    /// A file or folder of the target could not be handled.
    #[error("Cannot {action} {path}.")]
    File {
        /// The file or folder.
        path: String,
        /// What was being tried, as a verb phrase.
        action: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The virtual disk file could not be written or read.
    #[error("The disk file {path} could not be {action}.")]
    Disk {
        /// The file.
        path: String,
        /// "written" or "read".
        action: &'static str,
        /// The cause.
        source: Box<vdisk::Error>,
    },
    /// The restore point could not be read.
    #[error("{what} could not be read from the repository.")]
    Repository {
        /// The disk or the file of the restore point.
        what: String,
        /// The cause.
        source: Box<repository::Error>,
    },
    /// The host refused something.
    #[error("{what} failed on the host.")]
    Host {
        /// What was being tried.
        what: String,
        /// The cause.
        source: Box<hyperv::Error>,
    },
    /// A restored disk is not what the restore point holds.
    #[error("{path} differs from the restore point at byte {offset}.")]
    Differs {
        /// The file.
        path: String,
        /// First byte that differs.
        offset: u64,
    },
    /// The restore point does not hold a VM.
    #[error("Restore point {point} does not hold a VM: it has no attachment {missing}.")]
    NotAVm {
        /// The restore point.
        point: String,
        /// The attachment that a VM's restore point has.
        missing: &'static str,
    },
    /// The files beside the disks do not fit the disks.
    #[error("Restore point {point} cannot be made into a VM: {why}.")]
    NotRestorable {
        /// The restore point.
        point: String,
        /// What does not fit.
        why: String,
    },
    /// A name that no VM or file can have.
    #[error("\"{name}\" cannot be the name of a VM: {why}.")]
    BadName {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A VM of this name exists.
    #[error("There is already a VM named \"{name}\" on {host}.")]
    NameTaken {
        /// The name.
        name: String,
        /// The host.
        host: String,
    },
    /// The work ended without an answer, because the program is ending or failed inside.
    #[error("Restoring {what} was stopped before it was complete.")]
    Stopped {
        /// What was being restored.
        what: String,
    },
}

impl Error {
    /// The stable code of this kind of error; that of the cause where a layer below failed.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AttachmentUnreadable { .. } => "RC-001",
            Self::TargetExists { .. } => "RC-002",
            Self::TargetBusy { .. } => "RC-003",
            Self::File { .. } => "RC-004",
            Self::Disk { source, .. } => source.code(),
            Self::Repository { source, .. } => source.code(),
            Self::Host { source, .. } => source.code(),
            Self::Differs { .. } => "RC-005",
            Self::NotAVm { .. } => "RC-006",
            Self::NotRestorable { .. } => "RC-007",
            Self::BadName { .. } => "RC-008",
            Self::NameTaken { .. } => "RC-009",
            Self::Stopped { .. } => "RC-010",
        }
    }

    /// What the operator does next.
    pub fn next_step(&self) -> String {
        match self {
            Self::AttachmentUnreadable { .. } | Self::NotAVm { .. } | Self::NotRestorable { .. } => {
                "Restore the disks one by one, or use another restore point.".into()
            }
            Self::TargetExists { .. } => "Choose another place, or allow the file to be replaced.".into(),
            Self::TargetBusy { .. } => "Wait until that restore has ended, or choose another place.".into(),
            Self::File { source, .. } => file_next_step(source).into(),
            Self::Disk { source, .. } => source.next_step(),
            Self::Repository { source, .. } => source.next_step(),
            Self::Host { source, .. } => source.next_step(),
            Self::Differs { .. } => {
                "Do not use this file. Check the storage it is on, then restore it again to other storage."
                    .into()
            }
            Self::BadName { .. } | Self::NameTaken { .. } => "Choose another name for the new VM.".into(),
            Self::Stopped { .. } => "Run the restore again; what was written so far is removed.".into(),
        }
    }

    /// Whether doing the same again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::TargetBusy { .. } => Retry::Later,
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => Retry::Later,
            Self::Stopped { .. } => Retry::Now,
            Self::Disk { source, .. } => match source.retry() {
                vdisk::Retry::No => Retry::No,
                vdisk::Retry::Now => Retry::Now,
                vdisk::Retry::Later => Retry::Later,
            },
            Self::Repository { source, .. } => match source.retry() {
                repository::Retry::No => Retry::No,
                repository::Retry::Now => Retry::Now,
                repository::Retry::Later => Retry::Later,
            },
            Self::Host { source, .. } => match source.retry() {
                hyperv::Retry::No => Retry::No,
                hyperv::Retry::Now => Retry::Now,
                hyperv::Retry::Later => Retry::Later,
            },
            _ => Retry::No,
        }
    }

    pub(crate) fn file(path: &std::path::Path, action: &'static str, source: io::Error) -> Self {
        Self::File { path: path.display().to_string(), action, source }
    }

    pub(crate) fn repository(what: impl Into<String>, source: repository::Error) -> Self {
        Self::Repository { what: what.into(), source: Box::new(source) }
    }

    pub(crate) fn host(what: impl Into<String>, source: hyperv::Error) -> Self {
        Self::Host { what: what.into(), source: Box::new(source) }
    }
}

fn file_next_step(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "Check the path; its folder must exist.",
        io::ErrorKind::PermissionDenied => "Check the permissions of the folder.",
        io::ErrorKind::StorageFull => "Free space on the volume, then run the restore again.",
        _ => "Check the storage that holds the target, then run the restore again.",
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
