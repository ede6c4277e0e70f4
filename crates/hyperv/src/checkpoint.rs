//! Recovery checkpoints: the frozen state a backup reads.
//!
//! Source: `Msvm_VirtualSystemSnapshotService` class reference; `SnapshotType` 32768 ("recovery snapshot") as used
//! by Microsoft's own backup sample and by public products.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{CheckpointId, VmId};

/// How consistent a checkpoint or reference point is inside the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// The guest's applications flushed and paused for it (VSS in Windows, fsfreeze in Linux).
    Application,
    /// Disk state as after a power cut.
    Crash,
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application => "application-consistent",
            Self::Crash => "crash-consistent",
        })
    }
}

/// A recovery checkpoint: while it exists, the files in `disks` do not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its identity.
    pub id: CheckpointId,
    /// The VM it belongs to.
    pub vm: VmId,
    /// Its label (`ElementName`).
    pub name: String,
    /// The frozen file behind each attached disk.
    pub disks: Vec<FrozenDisk>,
}

/// One disk of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenDisk {
    /// Where the disk is attached; the same text in the VM, its checkpoints and reference points.
    pub attachment: String,
    /// Path of the frozen file as the host names it.
    pub path: String,
}
