//! The ways to bring a VM to a consistent state, one file each, in the order of preference.
//!
//! A method looks at what is known of a VM and says either why it will work or why it will not;
//! the planner takes the first that works and keeps every refusal, so that a plan can be read
//! as an argument.

mod application_checkpoint;
mod crash_checkpoint;
mod offline_checkpoint;

use hyperv::{Consistency, VmFacts};
use serde::{Deserialize, Serialize};

use crate::policy::Policy;

/// A way to bring a VM to a consistent state for a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Recovery checkpoint of a VM that is off: its disks are at rest.
    OfflineCheckpoint,
    /// Recovery checkpoint with the guest's writers quiesced through VSS or its Linux twin.
    ApplicationCheckpoint,
    /// Recovery checkpoint without the guest's help: as after a power cut.
    CrashCheckpoint,
}

/// What a method says of one VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It will work; the sentence says why.
    Works(String),
    /// It will not; the sentence says why.
    Refused(String),
}

/// Judges one VM for one method. Pure.
type Assess = fn(&VmFacts, &Policy) -> Verdict;

/// Every method in the order of preference.
const REGISTRY: &[(Method, Assess)] = &[
    (Method::OfflineCheckpoint, offline_checkpoint::assess),
    (Method::ApplicationCheckpoint, application_checkpoint::assess),
    (Method::CrashCheckpoint, crash_checkpoint::assess),
];

impl Method {
    /// The name people read.
    pub fn title(self) -> &'static str {
        match self {
            Self::OfflineCheckpoint => "offline recovery checkpoint",
            Self::ApplicationCheckpoint => "application-consistent recovery checkpoint",
            Self::CrashCheckpoint => "crash-consistent recovery checkpoint",
        }
    }

    /// The level asked of the host. A VM that is off has no writers to quiesce, so the crash
    /// level is asked for and its image is consistent all the same.
    pub fn level(self) -> Consistency {
        match self {
            Self::ApplicationCheckpoint => Consistency::Application,
            Self::OfflineCheckpoint | Self::CrashCheckpoint => Consistency::Crash,
        }
    }

    /// The label of the restore point, which never promises more than was done.
    pub fn consistency_label(self) -> &'static str {
        match self {
            Self::OfflineCheckpoint => "offline",
            Self::ApplicationCheckpoint => "application-consistent",
            Self::CrashCheckpoint => "crash-consistent",
        }
    }
}

/// The verdict of every method on a VM, in the order of preference.
pub fn assess_all(vm: &VmFacts, policy: &Policy) -> Vec<(Method, Verdict)> {
    REGISTRY.iter().map(|(method, assess)| (*method, assess(vm, policy))).collect()
}
