//! Typed Hyper-V control plane over WS-Management, and the way to a virtual machine's disk files.
//!
//! Generation 3 of Hyper-V backup (Windows Server 2016 and later): recovery checkpoints, resilient change
//! tracking (RCT) and reference points. One call on [`Host`] is one verb of the field; what Windows calls a
//! job is awaited inside, so a returned call has happened.
//!
//! ```text
//! inventory ─▶ create_recovery_checkpoint ─▶ changed_ranges ─▶ open_frozen_disk (read, then drop)
//!                        │                                                │
//!                        └── destroy_checkpoint (give up)                 ▼
//!                                     await_merge ◀── convert_to_reference_point ─▶ destroy the older one
//! ```
//!
//! Where things are: ids in `id`, the datapath in `path_map` and `disk_file`, jobs in `job`, the picture of a
//! host in `inventory`, the verbs in one file each. Outside source: Microsoft's `HyperV_v2` WMI provider
//! reference (MicrosoftDocs/win32) and the behaviour of public products that use it.

mod call;
mod changed_ranges;
mod checkpoint;
mod define_vm;
mod disk_file;
mod error;
mod host;
mod id;
mod inventory;
mod job;
mod merge;
mod path_map;
mod reference_point;
mod vm_definition;
mod wmi;

pub use checkpoint::{Checkpoint, Consistency, FrozenDisk};
pub use define_vm::{DefinedVm, NewVm};
pub use error::{Attempt, Error, Result, Retry};
pub use host::{Host, HostProfile};
pub use id::{CheckpointId, IdError, RctId, ReferencePointId, VirtualDiskId, VmId};
pub use inventory::{
    CheckpointFacts, CheckpointKind, DiskFacts, DiskFormat, DiskKind, Gap, HostFacts, HostInventory,
    PowerState, VmFacts, VssStatus,
};
pub use job::JobFailure;
pub use merge::MergeOutcome;
pub use path_map::PathMap;
pub use reference_point::{ReferencePoint, ReferencePointKind};
pub use vm_definition::{DefinitionSource, Setting, SettingValue, VmDefinition};
pub use winremote::wsman::client::{Credentials, Password};
