//! Errors of the control plane: which host and object, what was tried, the cause, and what to do next.
//!
//! One enum, because the caller decides by kind (`retry`, `code`) and reports by text. Codes are stable; texts
//! are pinned by a test. Windows' own texts are localized, so they are quoted for people and never decided upon.

mod advice;

use std::fmt;
use std::time::Duration;

use crate::id::{CheckpointId, VmId};
use crate::job::JobFailure;

pub(crate) use advice::return_code_name;

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
    /// Nothing answers, or not in time.
    #[error("host {host} does not answer at {endpoint}: {}", told(cause.as_ref()))]
    HostUnreachable {
        /// The host.
        host: String,
        /// Its address.
        endpoint: String,
        /// What the network says.
        cause: Box<winremote::Error>,
    },
    /// The account or its password is not accepted.
    #[error("host {host} does not accept the sign-in of {user}: {}", told(cause.as_ref()))]
    SignInRefused {
        /// The host.
        host: String,
        /// The account.
        user: String,
        /// The refusal.
        cause: Box<winremote::Error>,
    },
    /// Something answers, but not Windows Remote Management.
    #[error("what answers for host {host} at {endpoint} is not Windows Remote Management: {}", told(cause.as_ref()))]
    NotWinRm {
        /// The host.
        host: String,
        /// Its address.
        endpoint: String,
        /// What it answered.
        cause: Box<winremote::Error>,
    },
    /// Signed in, but without the right to use WMI.
    #[error("host {host} denies {user} access to its Hyper-V objects: {}", told(cause.as_ref()))]
    AccessDenied {
        /// The host.
        host: String,
        /// The account.
        user: String,
        /// The refusal.
        cause: Box<winremote::Error>,
    },
    /// The host has no Hyper-V.
    #[error("host {host} has no Hyper-V: {}", told(cause.as_ref()))]
    NoHyperV {
        /// The host.
        host: String,
        /// What it answered.
        cause: Box<winremote::Error>,
    },
    /// Hyper-V shows this account nothing.
    #[error("Hyper-V on host {host} shows nothing to {user}")]
    HyperVHidden {
        /// The host.
        host: String,
        /// The account.
        user: String,
    },
    /// The address cannot be used as given.
    #[error("the address {endpoint} of host {host} cannot be used: {}", told(cause.as_ref()))]
    EndpointRefused {
        /// The host.
        host: String,
        /// The address.
        endpoint: String,
        /// Why.
        cause: Box<winremote::Error>,
    },
    /// The call did not come through.
    #[error("{at}: {}", told(cause.as_ref()))]
    Call {
        /// What was being tried.
        at: Box<Attempt>,
        /// Why.
        cause: Box<winremote::Error>,
    },
    /// No answer came to a call that changes something, and its effect was not found.
    #[error("{at}: its effect was not found, but it may still happen: {}", told(cause.as_ref()))]
    MayHaveRun {
        /// What was being tried.
        at: Box<Attempt>,
        /// What happened to the answer.
        cause: Box<winremote::Error>,
    },
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
    /// The checkpoint is one that we never touch.
    #[error("checkpoint {name} ({checkpoint}) on host {host} was not made for a backup, so it is left alone")]
    NotARecoveryCheckpoint {
        /// The host.
        host: String,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Its label.
        name: String,
    },
    /// The RCT id no longer marks a moment on this disk.
    #[error("{at}: the host has no changes since {rct_id}: {why}")]
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
    /// A disk's file, or one of its parents, cannot be opened.
    #[error("disk '{path}' of host {host} cannot be opened: {}", told(cause.as_ref()))]
    DiskFile {
        /// The host.
        host: String,
        /// The host path of the disk that was asked for.
        path: String,
        /// Why.
        cause: Box<vdisk::Error>,
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
            Self::HostUnreachable { .. } => "HV-001",
            Self::SignInRefused { .. } => "HV-002",
            Self::NotWinRm { .. } => "HV-003",
            Self::AccessDenied { .. } => "HV-004",
            Self::NoHyperV { .. } => "HV-005",
            Self::HyperVHidden { .. } => "HV-006",
            Self::EndpointRefused { .. } => "HV-007",
            Self::Call { .. } => "HV-010",
            Self::MayHaveRun { .. } => "HV-011",
            Self::Refused { .. } => "HV-012",
            Self::JobFailed { .. } => "HV-013",
            Self::JobUnfinished { .. } => "HV-014",
            Self::BadAnswer { .. } => "HV-015",
            Self::JobVanished { .. } => "HV-016",
            Self::VmNotFound { .. } => "HV-020",
            Self::VmBusy { .. } => "HV-021",
            Self::CheckpointNotFound { .. } => "HV-022",
            Self::NotARecoveryCheckpoint { .. } => "HV-023",
            Self::ChangeTrackingLost { .. } => "HV-030",
            Self::ChangedRangesImplausible { .. } => "HV-031",
            Self::PathNotMapped { .. } => "HV-040",
            Self::PathRefused { .. } => "HV-041",
            Self::DiskFile { .. } => "HV-042",
            Self::DefinitionUnreadable { .. } => "HV-050",
            Self::DefinitionIncomplete { .. } => "HV-051",
        }
    }
}

/// An error with its causes in one line. Our texts are whole sentences by themselves, so the cause is told in them
/// and not handed on a second time as `source`.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.truncate(text.trim_end_matches('.').len());
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}

fn list_or_none(folders: &[String]) -> String {
    if folders.is_empty() { "none is mapped".to_owned() } else { folders.join(", ") }
}

#[cfg(test)]
mod tests;
