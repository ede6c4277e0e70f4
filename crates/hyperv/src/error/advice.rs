//! What to do about an error: the next step in words, and whether trying again helps.
//!
//! Decided by codes alone; the host's texts are in its own language.

use super::{Error, Retry};

impl Error {
    /// What the operator does next.
    pub fn next_step(&self) -> String {
        match self {
            Self::HostUnreachable { cause, .. }
            | Self::SignInRefused { cause, .. }
            | Self::NotWinRm { cause, .. }
            | Self::AccessDenied { cause, .. }
            | Self::EndpointRefused { cause, .. }
            | Self::Call { cause, .. } => sentence(&cause.next_step()),
            Self::NoHyperV { host, .. } => {
                format!("Check the address of {host}; the Hyper-V role needs Windows Server 2016 or later.")
            }
            Self::HyperVHidden { host, user } => {
                format!(
                    "Make {user} a member of 'Hyper-V Administrators' on {host}, or of its Administrators."
                )
            }
            Self::MayHaveRun { at, .. } => {
                format!("Look in Hyper-V Manager on {} whether it was done; the next run cleans up.", at.host)
            }
            Self::NotARecoveryCheckpoint { .. } => {
                "Delete it in Hyper-V Manager if nobody needs it.".to_owned()
            }
            Self::DiskFile { cause, .. } => sentence(&cause.next_step()),
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
                "Add the folder to the host's path mapping (`refpoint host add … --map 'C:\\=FOLDER'`)."
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
            Self::HostUnreachable { .. } | Self::MayHaveRun { .. } => Retry::Later,
            Self::Call { cause, .. } => match cause.retry() {
                winremote::Retry::No => Retry::No,
                winremote::Retry::Now => Retry::Now,
                winremote::Retry::Later => Retry::Later,
            },
            Self::DiskFile { cause, .. } => match cause.retry() {
                vdisk::Retry::No => Retry::No,
                vdisk::Retry::Now => Retry::Now,
                vdisk::Retry::Later => Retry::Later,
            },
            Self::Refused { code, .. } => refused_retry(*code),
            Self::JobFailed { .. } | Self::JobUnfinished { .. } | Self::VmBusy { .. } => Retry::Later,
            Self::JobVanished { .. } | Self::CheckpointNotFound { .. } => Retry::Now,
            Self::SignInRefused { .. }
            | Self::NotWinRm { .. }
            | Self::AccessDenied { .. }
            | Self::NoHyperV { .. }
            | Self::HyperVHidden { .. }
            | Self::EndpointRefused { .. }
            | Self::NotARecoveryCheckpoint { .. }
            | Self::BadAnswer { .. }
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

/// Next steps of the layer below begin small because they follow a colon there.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let rest = letters.as_str();
    let end = if rest.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{rest}{end}", first.collect::<String>())
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
