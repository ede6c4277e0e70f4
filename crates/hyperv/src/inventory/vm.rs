//! Virtual machines, their checkpoints and the state that decides whether a backup may start.
//!
//! Source: `Msvm_ComputerSystem`, `Msvm_VirtualSystemSettingData`, `Msvm_VssComponent` class references. Only codes
//! are read; captions and status descriptions follow the host's language.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::disk::DiskFacts;
use crate::id::{CheckpointId, VmId};
use crate::reference_point::ReferencePoint;

/// One virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmFacts {
    /// Its identity.
    pub id: VmId,
    /// Its label; not unique.
    pub name: String,
    /// Power state.
    pub state: PowerState,
    /// Configuration version, `10.0`.
    pub configuration_version: String,
    /// Generation 1 or 2; 0 when the host does not say.
    pub generation: u8,
    /// What Hyper-V is busy with, when that forbids starting a job now.
    pub busy: Option<String>,
    /// Whether the guest can be asked for application consistency.
    pub vss: VssStatus,
    /// Disks attached now.
    pub disks: Vec<DiskFacts>,
    /// Checkpoints, ours and others'.
    pub checkpoints: Vec<CheckpointFacts>,
    /// Reference points, ours and others'.
    pub reference_points: Vec<ReferencePoint>,
}

impl VmFacts {
    /// The disk at `attachment`, compared without regard to case.
    pub fn disk(&self, attachment: &str) -> Option<&DiskFacts> {
        self.disks.iter().find(|disk| disk.attachment.eq_ignore_ascii_case(attachment))
    }
}

/// Power state (`EnabledState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// Running.
    Running,
    /// Off.
    Off,
    /// Memory saved to disk.
    Saved,
    /// Paused.
    Paused,
    /// On the way between two states.
    Changing,
    /// Storage lost ("Critical").
    Critical,
    /// A code this version does not know.
    Unknown(u16),
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Off => f.write_str("off"),
            Self::Saved => f.write_str("saved"),
            Self::Paused => f.write_str("paused"),
            Self::Changing => f.write_str("changing"),
            Self::Critical => f.write_str("critical"),
            Self::Unknown(code) => write!(f, "unknown ({code})"),
        }
    }
}

/// Whether the guest's backup integration service can quiesce applications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VssStatus {
    /// Enabled and in contact.
    Ready,
    /// Switched off for this VM.
    Disabled,
    /// Enabled, but not answering; the text says what the host reports.
    NotResponding(String),
    /// The host does not list the component (no guest service, or not readable).
    Unknown,
}

impl fmt::Display for VssStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Disabled => f.write_str("disabled"),
            Self::NotResponding(why) => write!(f, "not responding ({why})"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// One checkpoint of a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFacts {
    /// Its identity.
    pub id: CheckpointId,
    /// Its label.
    pub name: String,
    /// What made it.
    pub kind: CheckpointKind,
    /// When, as the host wrote it (ISO 8601); `None` when not set.
    pub created: Option<String>,
}

/// What made a checkpoint (`VirtualSystemType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckpointKind {
    /// A person or a script; never touched by us.
    User,
    /// A backup product.
    Recovery,
    /// Replica, planned or missing checkpoints; never touched by us.
    Other,
}
