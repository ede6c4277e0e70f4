//! Running a checked plan: steps with a journal, and settling what an interrupted run left.
//!
//! One mechanism serves failure and sudden death alike. A step that fails leaves the same
//! records as a step during which the process was killed, and both are settled from those
//! records by [`settle::settle_run`].

pub mod journal;
pub mod report;
mod runner;
pub mod settle;
mod state;
pub mod steps;

pub use journal::Journal;
pub use report::{BackupReport, DiskReport, VmOutcome, VmReport};
pub use runner::backup;
pub use state::Site;

use serde::{Deserialize, Serialize};

/// Identity of one run: one VM, one backup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The steps of a backup. Their text form is part of the journal's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    /// Remove recovery checkpoints that an earlier run of ours left behind.
    Clear,
    /// Take the recovery checkpoint.
    Checkpoint,
    /// Read the disks into the repository.
    Transfer,
    /// Make the restore point visible.
    Commit,
    /// Turn the recovery checkpoint into a reference point.
    Convert,
    /// Record beside the restore point how the next run goes on from it.
    Continue,
    /// Destroy the reference points that the new one replaces.
    Release,
    /// See the host's merge through.
    Merge,
}

/// What a journal record says of its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The step is about to act.
    Intent,
    /// The step has acted.
    Done,
}

impl StepName {
    const ALL: [Self; 8] = [
        Self::Clear,
        Self::Checkpoint,
        Self::Transfer,
        Self::Commit,
        Self::Convert,
        Self::Continue,
        Self::Release,
        Self::Merge,
    ];

    /// The name in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Checkpoint => "checkpoint",
            Self::Transfer => "transfer",
            Self::Commit => "commit",
            Self::Convert => "convert",
            Self::Continue => "continue",
            Self::Release => "release",
            Self::Merge => "merge",
        }
    }

    /// The step of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == text)
    }
}

impl Phase {
    /// The name in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Done => "done",
        }
    }

    /// The phase of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Intent, Self::Done].into_iter().find(|phase| phase.as_str() == text)
    }
}
