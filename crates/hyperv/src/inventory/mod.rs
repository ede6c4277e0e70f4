//! The picture of one host as plain data: the planner's only view of the world.
//!
//! One query per class for the whole host, joined in memory by VM id and by the owner inside `InstanceID`; then one
//! call per disk file, since only the image service knows formats and sizes. What could not be read is listed in
//! `gaps`, because one odd VM must not hide the other hundred.

mod disk;
mod gather;
mod host;
mod join;
mod vm;

pub use disk::{DiskFacts, DiskFormat, DiskKind};
pub use host::{Gap, HostFacts, HostInventory};
pub use vm::{CheckpointFacts, CheckpointKind, PowerState, VmFacts, VssStatus};

pub(crate) use disk::{StorageSetting, has_extension};
pub(crate) use vm::{Busy, checkpoint_facts};

use crate::error::Result;
use crate::host::Host;

impl Host {
    /// Looks at all VMs of the host.
    pub async fn inventory(&self) -> Result<HostInventory> {
        let at = self.at("looking at all VMs");
        let mut rows = gather::Rows::read(self, &at).await?;
        let mut gaps = std::mem::take(&mut rows.gaps);
        let host = rows.host_facts(self, &mut gaps);
        let (mut vms, files) = join::join(&rows, &mut gaps);
        gather::fill_disks(self, &mut vms, files, &mut gaps).await;
        Ok(HostInventory { host, vms: vms.into_values().collect(), gaps })
    }
}
