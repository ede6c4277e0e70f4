//! Restoring a VM: its disks beside the original, then its definition under a new name.

mod attachments;

pub use attachments::{DEFINITION_ATTACHMENT, DISKS_ATTACHMENT, VmDisk, VmDisks};
