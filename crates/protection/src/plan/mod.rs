//! The plan of a backup: so complete that nothing is left to decide while it runs.
//!
//! [`make`] is a pure function of what is wanted, what was seen and what is remembered. It
//! leaves a sentence behind every choice. [`check()`] comes to the same judgement by another
//! route, and only a [`CheckedPlan`] can be run.

mod check;
mod choose;
mod disks;
mod report;

pub use check::{CheckedPlan, Finding, check};
pub use choose::{checkpoint_name_prefix, make};
pub use report::text;

use hyperv::{CheckpointId, HostInventory, RctId, ReferencePointId, VirtualDiskId, VmId};
use repository::{DiskKey, PointId};
use serde::Serialize;

use crate::history::VmHistory;
use crate::methods::Method;

/// What the planner and its checker look at.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What was seen on the host.
    pub inventory: &'a HostInventory,
    /// The VMs asked for, each with what the repository remembers of it.
    pub wanted: &'a [(VmId, VmHistory)],
    /// The id of this installation, which marks the checkpoints it makes.
    pub instance: &'a str,
}

/// What is to be done on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The host, by the name it was added under.
    pub host: String,
    /// When the plan was made, milliseconds since 1970-01-01 UTC.
    pub made_unix_ms: u64,
    /// One entry for each VM asked for, in that order.
    pub vms: Vec<VmPlan>,
}

/// What is to be done for one VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VmPlan {
    /// The VM.
    pub vm: VmId,
    /// Its name, for people only.
    pub name: String,
    /// Methods that were passed over, each with its reason.
    pub passed_over: Vec<PassedOver>,
    /// The work, or why there is none.
    pub decision: Decision,
}

/// A method that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// The method.
    pub method: Method,
    /// Why it is not used, in a sentence.
    pub reason: String,
}

/// Whether a VM is backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// It is, like this.
    Backup(VmBackup),
    /// It is not.
    Skip {
        /// Why, in a sentence.
        reason: String,
    },
}

/// The backup of one VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VmBackup {
    /// How consistency is reached.
    pub method: Method,
    /// Why this method works, in a sentence.
    pub why: String,
    /// Its disks, in the order of their attachment.
    pub disks: Vec<DiskPlan>,
    /// Disks that cannot be part of the restore point, with the reason.
    pub left_out: Vec<LeftOut>,
    /// Recovery checkpoints that an earlier run of ours left on the host; removed first.
    pub stale_checkpoints: Vec<CheckpointId>,
    /// Reference points of ours that the new one replaces; released last.
    pub release: Vec<ReferencePointId>,
}

/// One disk that is part of the restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskPlan {
    /// Its key in the repository.
    pub key: DiskKey,
    /// The device part of its WMI instance id: what stays the same across checkpoints.
    pub attachment: String,
    /// File name, for people.
    pub name: String,
    /// The file the VM writes to now, as the host names it.
    pub path: String,
    /// The virtual disk id inside the file.
    pub virtual_disk_id: VirtualDiskId,
    /// Size of the virtual disk.
    pub capacity_bytes: u64,
    /// What is read of it.
    pub read: Read,
}

/// How much of a disk is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "read", rename_all = "kebab-case")]
pub enum Read {
    /// Only what changed since an earlier restore point.
    Changed {
        /// The mark on the disk from which changes are asked for.
        since: RctId,
        /// The restore point whose unchanged blocks are carried over.
        base: PointId,
    },
    /// All that is allocated.
    Whole {
        /// Why changed ranges cannot be used, in a sentence.
        reason: String,
    },
}

/// A disk that stays out of the restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The device part of its WMI instance id.
    pub attachment: String,
    /// Path or device.
    pub path: String,
    /// Why, in a sentence.
    pub reason: String,
}
