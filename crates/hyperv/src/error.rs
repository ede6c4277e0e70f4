//! Errors of the control plane: which host and object, what was tried, the cause, and what to do next.
//!
//! One enum, because the caller decides by kind (`retry`, `code`) and reports by text. Codes are stable; texts
//! are pinned by a test. Windows' own texts are localized, so they are quoted for people and never decided upon.

use std::fmt;
use std::time::Duration;

use crate::id::{CheckpointId, VmId};
use crate::job::JobFailure;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether doing the same again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It does not, until someone changed something.
    No,
    /// It may, right away.
    Now,
    /// It may, after minutes.
    Later,
}

/// What was being tried, and on which host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The host.
    pub host: String,
    /// The deed with its object, as a noun: "taking a recovery checkpoint of VM SQL01".
    pub deed: String,
}

impl Attempt {
    /// Names a deed on a host.
    pub fn new(host: impl Into<String>, deed: impl Into<String>) -> Self {
        Self { host: host.into(), deed: deed.into() }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on host {}", self.deed, self.host)
    }
}

/// Everything that can go wrong between us and a Hyper-V host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host answered with a failure code.
    #[error("{at}: {method} was refused with code {code} ({})", return_code_name(*code))]
    Refused {
        /// What was being tried.
        at: Box<Attempt>,
        /// The WMI method.
        method: &'static str,
        /// Its return value.
        code: u32,
    },
    /// The host accepted the work and then failed at it.
    #[error("{at}: {failure}")]
    JobFailed {
        /// What was being tried.
        at: Box<Attempt>,
        /// What the host says about it.
        failure: Box<JobFailure>,
    },
    /// The host was still working when the time given to it ran out.
    #[error("{at}: the host was still working after {} s", waited.as_secs())]
    JobUnfinished {
        /// What was being tried.
        at: Box<Attempt>,
        /// How long we waited.
        waited: Duration,
    },
    /// The host forgot the work before telling how it ended.
    #[error("{at}: the host no longer knows the job, and its effect was not found")]
    JobVanished {
        /// What was being tried.
        at: Box<Attempt>,
    },
    /// The host's answer does not have the documented form.
    #[error("{at}: the host's answer makes no sense: {why}")]
    BadAnswer {
        /// What was being tried.
        at: Box<Attempt>,
        /// What is wrong with it.
        why: String,
    },
    /// No VM with this id.
    #[error("host {host} has no VM {vm}")]
    VmNotFound {
        /// The host.
        host: String,
        /// The id looked for.
        vm: VmId,
    },
    /// Hyper-V is doing something with the VM that forbids what was tried.
    #[error("VM {name} ({vm}) on host {host} is busy: {busy}")]
    VmBusy {
        /// The host.
        host: String,
        /// The VM.
        vm: VmId,
        /// Its label.
        name: String,
        /// What Hyper-V does with it.
        busy: String,
    },
    /// No checkpoint with this id.
    #[error("host {host} has no checkpoint {checkpoint}")]
    CheckpointNotFound {
        /// The host.
        host: String,
        /// The id looked for.
        checkpoint: CheckpointId,
    },
    /// The RCT id no longer marks a moment on this disk.
    #[error("{at}: change tracking of this disk does not reach back to {rct_id} ({why})")]
    ChangeTrackingLost {
        /// What was being tried.
        at: Box<Attempt>,
        /// The id asked from.
        rct_id: String,
        /// What the host says.
        why: String,
    },
    /// The reported ranges cannot be believed.
    #[error("{at}: the reported changes cannot be believed: {why}")]
    ChangedRangesImplausible {
        /// What was being tried.
        at: Box<Attempt>,
        /// What is wrong with them.
        why: String,
    },
    /// No mapped folder covers the host path.
    #[error("host path '{path}' is under none of the mapped folders ({})", list_or_none(mapped))]
    PathNotMapped {
        /// The host path.
        path: String,
        /// The mapped host folders.
        mapped: Vec<String>,
    },
    /// The host path is not one we follow.
    #[error("host path '{path}' is refused: {why}")]
    PathRefused {
        /// The host path, cut to a readable length.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// A VM definition cannot be read.
    #[error("the VM definition cannot be read: {why}")]
    DefinitionUnreadable {
        /// What is wrong with it.
        why: String,
    },
    /// A VM definition lacks something that is needed to make a VM of it.
    #[error("the definition of VM {vm} lacks {what}")]
    DefinitionIncomplete {
        /// The VM it was read from.
        vm: VmId,
        /// What is missing.
        what: String,
    },
}

impl Error {
    /// The stable code, for searching and for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "HV-012",
            Self::JobFailed { .. } => "HV-013",
            Self::JobUnfinished { .. } => "HV-014",
            Self::BadAnswer { .. } => "HV-015",
            Self::JobVanished { .. } => "HV-016",
            Self::VmNotFound { .. } => "HV-020",
            Self::VmBusy { .. } => "HV-021",
            Self::CheckpointNotFound { .. } => "HV-022",
            Self::ChangeTrackingLost { .. } => "HV-030",
            Self::ChangedRangesImplausible { .. } => "HV-031",
            Self::PathNotMapped { .. } => "HV-040",
            Self::PathRefused { .. } => "HV-041",
            Self::DefinitionUnreadable { .. } => "HV-050",
            Self::DefinitionIncomplete { .. } => "HV-051",
        }
    }

    /// What the operator does next.
    pub fn next_step(&self) -> String {
        match self {
            Self::Refused { at, code, .. } => refused_next(&at.host, *code),
            Self::JobFailed { at, failure } => failure.next_step(&at.host),
            Self::JobUnfinished { at, .. } => {
                format!("Look at the running task in Hyper-V Manager on {}, then run again.", at.host)
            }
            Self::JobVanished { .. } => "Run again; what was half done is cleaned up first.".to_owned(),
            Self::BadAnswer { at, .. } => {
                format!(
                    "Note the Windows version of {} and report this text; nothing was changed by us.",
                    at.host
                )
            }
            Self::VmNotFound { .. } => {
                "List the VMs of the host (`refpoint vm list`); the VM may have moved to another node."
                    .to_owned()
            }
            Self::VmBusy { .. } => "Run again when the task has ended.".to_owned(),
            Self::CheckpointNotFound { .. } => "Run the backup again; it takes a new checkpoint.".to_owned(),
            Self::ChangeTrackingLost { .. } | Self::ChangedRangesImplausible { .. } => {
                "Nothing to do: this disk is read in full, and later runs are incremental again.".to_owned()
            }
            Self::PathNotMapped { .. } => {
                "Add the folder to the host's path mapping (`refpoint host add --path HOST=LOCAL`)."
                    .to_owned()
            }
            Self::PathRefused { .. } => {
                "Look at the disk's path in the VM's settings; only absolute drive and share paths are read."
                    .to_owned()
            }
            Self::DefinitionUnreadable { .. } => {
                "Choose another restore point, or restore the disks and create the VM by hand.".to_owned()
            }
            Self::DefinitionIncomplete { .. } => "Restore the disks and create the VM by hand.".to_owned(),
        }
    }

    /// Whether doing the same again helps.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Refused { code, .. } => refused_retry(*code),
            Self::JobFailed { .. } | Self::JobUnfinished { .. } | Self::VmBusy { .. } => Retry::Later,
            Self::JobVanished { .. } | Self::CheckpointNotFound { .. } => Retry::Now,
            Self::BadAnswer { .. }
            | Self::VmNotFound { .. }
            | Self::ChangeTrackingLost { .. }
            | Self::ChangedRangesImplausible { .. }
            | Self::PathNotMapped { .. }
            | Self::PathRefused { .. }
            | Self::DefinitionUnreadable { .. }
            | Self::DefinitionIncomplete { .. } => Retry::No,
        }
    }
}

/// Names of the return codes of both families (CIM 0–6 and Msvm 3276x); hosts mix them.
pub(crate) fn return_code_name(code: u32) -> &'static str {
    match code {
        0 => "completed",
        1 | 32770 => "not supported",
        2 | 32768 => "failed",
        3 | 32772 => "timed out",
        4 | 32773 => "invalid parameter",
        5 | 32775 => "invalid state for this operation",
        6 | 32776 => "incorrect data type",
        4096 => "job started",
        32769 => "access denied",
        32771 => "status unknown",
        32774 => "system in use",
        32777 => "system not available",
        32778 => "out of memory",
        32779 => "file not found or in use",
        32787 => "differencing chain with a cycle",
        32788 => "object exists already",
        _ => "a code this version does not know",
    }
}

fn refused_next(host: &str, code: u32) -> String {
    match code {
        32769 => format!(
            "Make the account a member of 'Hyper-V Administrators' on {host}, or of the local Administrators."
        ),
        5 | 32774 | 32775 => {
            "Wait until no other task runs for this VM; remove another product's left-over checkpoint."
                .to_owned()
        }
        1 | 32770 => "This host or VM does not offer it; see the VM's configuration version.".to_owned(),
        3 | 32771 | 32772 | 32777 | 32778 => format!("Look at the load of {host}, then run again."),
        _ => format!("See the event log Microsoft-Windows-Hyper-V-VMMS/Admin on {host}."),
    }
}

fn refused_retry(code: u32) -> Retry {
    match code {
        2 | 3 | 5 | 32768 | 32771 | 32772 | 32774 | 32775 | 32777 | 32778 | 32779 => Retry::Later,
        _ => Retry::No,
    }
}

fn list_or_none(folders: &[String]) -> String {
    if folders.is_empty() { "none is mapped".to_owned() } else { folders.join(", ") }
}
