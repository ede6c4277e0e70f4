//! Restoring a VM: its disks beside the original, then its definition under a new name.
//!
//! The original is never touched. [`VmSource::load`] reads what the restore point says of the VM,
//! [`plan`] is a pure function to a [`VmPlan`] that can be shown as a dry run, and [`restore_vm`] carries
//! it out and takes it back when a step fails.

mod attachments;
mod name;
mod plan;
mod restore;
mod source;

pub use attachments::{DEFINITION_ATTACHMENT, DISKS_ATTACHMENT, VmDisk, VmDisks};
pub use plan::{PlannedDisk, VmPlan, VmRequest, plan};
pub use restore::{OnVmProgress, VmProgress, VmRestored, check, restore_vm};
pub use source::VmSource;
