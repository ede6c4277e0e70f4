//! The picture of one host as plain data: the planner's only view of the world.
//!
//! What could not be read is listed in `gaps`, because one odd VM must not hide the other hundred.

mod disk;
mod host;
mod vm;

pub use disk::{DiskFacts, DiskFormat, DiskKind};
pub use host::{Gap, HostFacts, HostInventory};
pub use vm::{CheckpointFacts, CheckpointKind, PowerState, VmFacts, VssStatus};
