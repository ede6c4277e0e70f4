//! A Hyper-V host on the wire, with real disk files, real checkpoints and real change tracking.
//!
//! | module | what |
//! |---|---|
//! | [`builder`] | a host in a folder, VMs and disks to put on it |
//! | [`host`] | VMs, jobs, checkpoints, reference points, merges, change tracking; [`SimulatedHost`] is the handle |
//! | [`guest`] | the guest's writes, the write log that judges restores, real file systems on its disks |
//! | [`fault`] | what can be made to go wrong |
//! | `wire` | the host's objects and methods over WS-Management; [`Served`] |
//! | `model` | what survives a restart |
//!
//! The crate uses `vdisk` for files and `winremote` for bytes on the wire, and nothing above them: what a checkpoint
//! or a reference point means is written down here a second time, from the facts, so that a misreading in the product
//! is not mirrored in its judge. What is and is not modelled: README.md beside this crate.

pub mod builder;
pub mod error;
#[cfg(test)]
mod error_tests;
pub mod fault;
pub mod guest;
pub mod host;
pub mod ids;
mod model;
mod paths;
mod seed;
mod time;
mod wire;

pub use builder::{DiskSource, DiskSpec, HostBuilder, VmSpec};
pub use error::{Error, Result, Retry};
pub use fault::{Fault, FaultEffect};
pub use guest::{ExpectedDisk, Guest, GuestFiles, GuestFilesSpec, Moment};
pub use host::SimulatedHost;
pub use ids::{CheckpointId, ReferencePointId, SimVmId};
pub use model::{Consistency, GuestVss, Power, Slot};
pub use paths::HostPath;
pub use seed::Chance;
pub use time::Timing;
pub use wire::Served;
