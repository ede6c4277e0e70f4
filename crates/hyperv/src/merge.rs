//! Waiting for a VM to settle: no task under way, and the writes of a removed checkpoint merged back.
//!
//! Removing or converting a checkpoint returns before its `.avhdx` is merged; until then the VM's active disks are
//! files that will vanish. A disk is merged when its active file either is no differencing file or stands on a file
//! that a checkpoint which still exists has frozen. Source: `Msvm_ComputerSystem.OperationalStatus`, events
//! 19070–19100 of Hyper-V-VMMS.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::bad_answer;
use crate::error::{Attempt, Error, Result};
use crate::host::Host;
use crate::id::VmId;
use crate::inventory::{Busy, CheckpointKind, StorageSetting, has_extension};
use crate::job::Watch;
use crate::path_map::HostPath;
use crate::wmi;

/// How a wait for a merge ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MergeOutcome {
    /// All disks are back on their own files.
    Merged,
    /// The time was up; the text says what was still to be merged. It goes on without us.
    StillMerging(String),
}

impl Host {
    /// Waits until the writes of removed checkpoints are merged back.
    pub async fn await_merge(&self, vm: &VmId, within: Duration) -> Result<MergeOutcome> {
        let at = self.at(format!("waiting for the disks of VM {vm} to be merged"));
        let mut watch = Watch::new(within);
        loop {
            let Some(pending) = self.pending_merge(&at, vm).await? else {
                return Ok(MergeOutcome::Merged);
            };
            if !watch.pause().await {
                return Ok(MergeOutcome::StillMerging(pending));
            }
        }
    }

    /// Waits until Hyper-V does nothing with the VM that forbids a job; `false` when the time was up first.
    pub async fn await_idle(&self, vm: &VmId, within: Duration) -> Result<bool> {
        let at = self.at(format!("waiting for VM {vm} to be idle"));
        let mut watch = Watch::new(within);
        loop {
            if self.busy(&at, vm).await?.is_none() {
                return Ok(true);
            }
            if !watch.pause().await {
                return Ok(false);
            }
        }
    }

    async fn busy(&self, at: &Attempt, vm: &VmId) -> Result<Option<Busy>> {
        let Some(computer) = self.get(at, &wmi::vm_reference(*vm)).await? else {
            return Err(Error::VmNotFound { host: self.name().to_owned(), vm: *vm });
        };
        Busy::of(&computer).map_err(|error| bad_answer(at, &error))
    }

    /// What is still to be merged; `None` when nothing is.
    async fn pending_merge(&self, at: &Attempt, vm: &VmId) -> Result<Option<String>> {
        if self.busy(at, vm).await? == Some(Busy::MERGING) {
            return Ok(Some(Busy::MERGING.to_string()));
        }
        let mut disks = self.storage_of(at, vm.guid()).await?;
        disks.retain(|disk| has_extension(&disk.path, "avhdx") || has_extension(&disk.path, "avhd"));
        if disks.is_empty() {
            return Ok(None);
        }
        let frozen = self.frozen_by_users(at, vm).await?;
        for disk in disks {
            if !self.stands_on(&disk, &frozen).await {
                return Ok(Some(format!("the VM still writes to {}", disk.path)));
            }
        }
        Ok(None)
    }

    /// Files that checkpoints hold which are not a backup's.
    async fn frozen_by_users(&self, at: &Attempt, vm: &VmId) -> Result<BTreeSet<String>> {
        let mut files = BTreeSet::new();
        for checkpoint in self.checkpoints_of(at, vm).await? {
            if checkpoint.kind != CheckpointKind::Recovery {
                let disks = self.storage_of(at, checkpoint.id.guid()).await?;
                files.extend(disks.iter().map(|disk| normal(&disk.path)));
            }
        }
        Ok(files)
    }

    /// Whether the parent of an active differencing file is one of the frozen files. A file that the host cannot
    /// describe at the moment counts as not merged.
    async fn stands_on(&self, disk: &StorageSetting, frozen: &BTreeSet<String>) -> bool {
        if frozen.is_empty() {
            return false;
        }
        let parent = self.vhd_info(&disk.path).await.ok().and_then(|info| info.parent_path);
        parent.is_some_and(|parent| frozen.contains(&normal(&parent)))
    }
}

/// A path in the form in which equal means equal.
fn normal(path: &str) -> String {
    HostPath::parse(path).map_or_else(|_| path.to_owned(), |path| path.to_string()).to_lowercase()
}
