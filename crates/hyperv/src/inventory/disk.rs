//! Disks attached to a VM, with the reason when one cannot be backed up through checkpoints.
//!
//! Source: `Msvm_StorageAllocationSettingData`, `Msvm_VirtualHardDiskSettingData` class references.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::VirtualDiskId;

/// One attached disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskFacts {
    /// Where it is attached: the device part of the setting's `InstanceID`, the same text in the VM, its
    /// checkpoints and reference points.
    pub attachment: String,
    /// Path of the active file as the host names it (of the physical disk for pass-through).
    pub path: String,
    /// Container format.
    pub format: DiskFormat,
    /// Fixed, dynamic or differencing.
    pub kind: DiskKind,
    /// Size the guest sees; 0 when not readable.
    pub capacity_bytes: u64,
    /// Identity of the disk's contents over its whole chain.
    pub virtual_disk_id: Option<VirtualDiskId>,
    /// Parent of a differencing file, as the host names it.
    pub parent_path: Option<String>,
    /// `None` when recovery checkpoints cover this disk; otherwise the reason why not.
    pub unsupported: Option<String>,
}

impl DiskFacts {
    /// `Ok` when recovery checkpoints cover this disk, otherwise the reason why not.
    pub fn supported(&self) -> Result<(), &str> {
        self.unsupported.as_deref().map_or(Ok(()), Err)
    }
}

/// Container format of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// The older VHD, without change tracking.
    Vhd,
    /// VHDX, also as `.avhdx`.
    Vhdx,
    /// VHD Set, shared between guests.
    VhdSet,
    /// A physical disk of the host given to the guest.
    PassThrough,
    /// Not readable or not known.
    Unknown,
}

impl fmt::Display for DiskFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vhd => "VHD",
            Self::Vhdx => "VHDX",
            Self::VhdSet => "VHD Set",
            Self::PassThrough => "pass-through",
            Self::Unknown => "unknown",
        })
    }
}

/// How a disk's file grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskKind {
    /// All blocks are there.
    Fixed,
    /// Blocks appear when written.
    Dynamic,
    /// Holds differences to a parent.
    Differencing,
    /// Not readable or not known.
    Unknown,
}
