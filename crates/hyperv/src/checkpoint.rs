//! Recovery checkpoints: the frozen state a backup reads.
//!
//! Source: `Msvm_VirtualSystemSnapshotService` class reference; `SnapshotType` 32768 ("recovery snapshot") as used
//! by Microsoft's own backup sample and by public products.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use winremote::cim::{Instance, Reference};

use crate::call::{Call, Ended, bad_answer, effect_or};
use crate::error::{Attempt, Error, Result};
use crate::host::Host;
use crate::id::{CheckpointId, VmId};
use crate::inventory::{Busy, CheckpointFacts, CheckpointKind, StorageSetting, checkpoint_facts};
use crate::wmi;

/// How long a checkpoint may take. VSS inside the guest gives up after a few minutes by itself; twice that lets its
/// own error arrive instead of ours.
const CHECKPOINT_WITHIN: Duration = Duration::from_secs(15 * 60);

/// How long removing or renaming a checkpoint may take. Removal only schedules the merge.
pub(crate) const CHANGE_WITHIN: Duration = Duration::from_secs(10 * 60);

/// `SnapshotType` of a recovery checkpoint.
const RECOVERY_SNAPSHOT: u16 = 32768;

/// `GuestBackupType` that leaves the logs of the guest's applications alone.
const GUEST_BACKUP_COPY: u8 = 2;

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

impl Host {
    /// Freezes a VM's disks. Disks that cannot be frozen (see `DiskFacts::unsupported`) are left out of it.
    ///
    /// Application consistency that the guest cannot give is an error; falling back is the caller's decision. When
    /// no answer came, a recovery checkpoint that was not there before is taken for ours: Hyper-V allows one backup
    /// of a VM at a time.
    pub async fn create_recovery_checkpoint(
        &self,
        vm: &VmId,
        consistency: Consistency,
    ) -> Result<Checkpoint> {
        let at = self.at(format!("taking a {consistency} checkpoint of VM {vm}"));
        self.require_idle(&at, vm).await?;
        let before: BTreeSet<CheckpointId> =
            self.recovery_checkpoints_at(&at, vm).await?.into_iter().map(|found| found.id).collect();
        let call = Call {
            target: wmi::service(wmi::SNAPSHOT_SERVICE),
            method: "CreateSnapshot",
            arguments: vec![
                ("AffectedSystem", wmi::vm_reference(*vm).into()),
                ("SnapshotSettings", self.snapshot_settings(consistency).into()),
                ("SnapshotType", RECOVERY_SNAPSHOT.into()),
            ],
            within: CHECKPOINT_WITHIN,
        };
        let ended = self.run(&at, call).await?;
        let made = match &ended {
            Ended::Now(output) => match output.values.get_reference("ResultingSnapshot") {
                Ok(reference) => self.get(&at, &reference).await?,
                Err(_) => None,
            },
            Ended::Job(job) => self.new_checkpoint_of_job(&at, job, vm).await?,
            Ended::Unseen(_) => None,
        };
        let facts = match made.as_ref().and_then(|row| recovery_facts(row, vm)) {
            Some(facts) => facts,
            None => self.new_checkpoint(&at, vm, &before, ended).await?,
        };
        let disks = self.frozen_disks(&at, &facts.id).await?;
        tracing::info!(host = self.name(), %vm, checkpoint = %facts.id, disks = disks.len(), "checkpoint taken");
        Ok(Checkpoint { id: facts.id, vm: *vm, name: facts.name, disks })
    }

    fn snapshot_settings(&self, consistency: Consistency) -> Instance {
        let level: u8 = match consistency {
            Consistency::Application => 1,
            Consistency::Crash => 2,
        };
        let settings = Instance::new(wmi::SNAPSHOT_SETTINGS)
            .with("ConsistencyLevel", level)
            .with("IgnoreNonSnapshottableDisks", true);
        if self.knows_guest_backup_type() {
            settings.with("GuestBackupType", GUEST_BACKUP_COPY)
        } else {
            settings
        }
    }

    /// Hyper-V refuses jobs for a VM that is busy with another; asking first gives the better sentence.
    async fn require_idle(&self, at: &Attempt, vm: &VmId) -> Result<()> {
        let Some(computer) = self.get(at, &wmi::vm_reference(*vm)).await? else {
            return Err(Error::VmNotFound { host: self.name().to_owned(), vm: *vm });
        };
        match Busy::of(&computer).map_err(|error| bad_answer(at, &error))? {
            None => Ok(()),
            Some(busy) => Err(Error::VmBusy {
                host: self.name().to_owned(),
                vm: *vm,
                name: computer.get_str("ElementName").unwrap_or_default().to_owned(),
                busy: busy.to_string(),
            }),
        }
    }

    /// The job tells its products; `ResultingSnapshot` is null when the call went on as a job.
    async fn new_checkpoint_of_job(
        &self,
        at: &Attempt,
        job: &Reference,
        vm: &VmId,
    ) -> Result<Option<Instance>> {
        let products = self.associators(at, job, wmi::AFFECTED_JOB_ELEMENT, wmi::SYSTEM_SETTINGS).await?;
        Ok(products.into_iter().find(|row| recovery_facts(row, vm).is_some()))
    }

    /// The recovery checkpoint that was not there before.
    async fn new_checkpoint(
        &self,
        at: &Attempt,
        vm: &VmId,
        before: &BTreeSet<CheckpointId>,
        ended: Ended,
    ) -> Result<CheckpointFacts> {
        let look = || async move {
            let mut new = self.recovery_checkpoints_at(at, vm).await?;
            new.retain(|found| !before.contains(&found.id));
            match new.len() {
                0 | 1 => Ok(new.pop()),
                count => {
                    Err(bad_answer(at, &format!("{count} new recovery checkpoints appeared instead of one")))
                }
            }
        };
        match ended {
            Ended::Unseen(error) => {
                let look = || async move {
                    self.await_idle(vm, CHECKPOINT_WITHIN).await?;
                    look().await
                };
                effect_or(error, look).await
            }
            _ => look().await?.ok_or_else(|| bad_answer(at, &"no new recovery checkpoint appeared")),
        }
    }

    /// Gives a checkpoint a label, by which its owner is known later.
    pub async fn name_checkpoint(&self, checkpoint: &CheckpointId, name: &str) -> Result<()> {
        let at = self.at(format!("naming checkpoint {checkpoint}"));
        let settings = Instance::new(wmi::SYSTEM_SETTINGS)
            .with("InstanceID", wmi::instance_id(checkpoint.guid()))
            .with("ElementName", name);
        let call = Call {
            target: wmi::service(wmi::MANAGEMENT_SERVICE),
            method: "ModifySystemSettings",
            arguments: vec![("SystemSettings", settings.into())],
            within: CHANGE_WITHIN,
        };
        match self.run(&at, call).await? {
            Ended::Now(_) | Ended::Job(_) => Ok(()),
            Ended::Unseen(error) => {
                let target = &wmi::settings_reference(checkpoint.guid());
                let look = || async {
                    let settings = self.get(&at, target).await?;
                    let named =
                        settings.is_some_and(|row| row.get_str("ElementName").is_ok_and(|it| it == name));
                    Ok(named.then_some(()))
                };
                effect_or(error, look).await
            }
        }
    }

    /// Recovery checkpoints of a VM, oldest first.
    pub async fn recovery_checkpoints(&self, vm: &VmId) -> Result<Vec<CheckpointFacts>> {
        let at = self.at(format!("listing the recovery checkpoints of VM {vm}"));
        self.recovery_checkpoints_at(&at, vm).await
    }

    async fn recovery_checkpoints_at(&self, at: &Attempt, vm: &VmId) -> Result<Vec<CheckpointFacts>> {
        let mut found = self.checkpoints_of(at, vm).await?;
        found.retain(|facts| facts.kind == CheckpointKind::Recovery);
        Ok(found)
    }

    /// All checkpoints of a VM, oldest first.
    pub(crate) async fn checkpoints_of(&self, at: &Attempt, vm: &VmId) -> Result<Vec<CheckpointFacts>> {
        let query = format!("select * from {} where VirtualSystemIdentifier = '{vm}'", wmi::SYSTEM_SETTINGS);
        let rows = self.query(at, &query).await?;
        let read: Result<Vec<_>, String> = rows.iter().filter_map(checkpoint_facts).collect();
        let mut found: Vec<CheckpointFacts> =
            read.map_err(|why| bad_answer(at, &why))?.into_iter().map(|(_, facts)| facts).collect();
        found.sort_by(|a, b| (&a.created, a.id).cmp(&(&b.created, b.id)));
        Ok(found)
    }

    /// A recovery checkpoint with its frozen disks.
    pub async fn checkpoint(&self, checkpoint: &CheckpointId) -> Result<Checkpoint> {
        let at = self.at(format!("reading checkpoint {checkpoint}"));
        let Some((vm, facts)) = self.find_checkpoint(&at, checkpoint).await? else {
            return Err(Error::CheckpointNotFound { host: self.name().to_owned(), checkpoint: *checkpoint });
        };
        let disks = self.frozen_disks(&at, checkpoint).await?;
        Ok(Checkpoint { id: facts.id, vm, name: facts.name, disks })
    }

    /// A checkpoint made for a backup; any other kind is an error, so that none is ever touched.
    pub(crate) async fn find_checkpoint(
        &self,
        at: &Attempt,
        checkpoint: &CheckpointId,
    ) -> Result<Option<(VmId, CheckpointFacts)>> {
        let Some(row) = self.get(at, &wmi::settings_reference(checkpoint.guid())).await? else {
            return Ok(None);
        };
        let read = checkpoint_facts(&row).transpose().map_err(|why| bad_answer(at, &why))?;
        match read {
            Some((vm, facts)) if facts.kind == CheckpointKind::Recovery => Ok(Some((vm, facts))),
            other => Err(Error::NotARecoveryCheckpoint {
                host: self.name().to_owned(),
                checkpoint: *checkpoint,
                name: other.map(|(_, facts)| facts.name).unwrap_or_default(),
            }),
        }
    }

    /// Gives a checkpoint up: its writes merge back and nothing of it stays. One that is gone already is success.
    pub async fn destroy_checkpoint(&self, checkpoint: &CheckpointId) -> Result<()> {
        let at = self.at(format!("removing checkpoint {checkpoint}"));
        if self.find_checkpoint(&at, checkpoint).await?.is_none() {
            return Ok(());
        }
        let call = Call {
            target: wmi::service(wmi::SNAPSHOT_SERVICE),
            method: "DestroySnapshot",
            arguments: vec![("AffectedSnapshot", wmi::settings_reference(checkpoint.guid()).into())],
            within: CHANGE_WITHIN,
        };
        match self.run(&at, call).await? {
            Ended::Now(_) | Ended::Job(_) => Ok(()),
            Ended::Unseen(error) => {
                let look = || async {
                    let found = self.find_checkpoint(&at, checkpoint).await?;
                    Ok(found.is_none().then_some(()))
                };
                effect_or(error, look).await
            }
        }
    }

    /// The frozen file behind each disk of a checkpoint, ordered by attachment.
    async fn frozen_disks(&self, at: &Attempt, checkpoint: &CheckpointId) -> Result<Vec<FrozenDisk>> {
        let settings = self.storage_of(at, checkpoint.guid()).await?;
        Ok(settings
            .into_iter()
            .map(|disk| FrozenDisk { attachment: disk.attachment, path: disk.path })
            .collect())
    }

    /// The disk images in the settings of a VM or checkpoint, ordered by attachment.
    pub(crate) async fn storage_of(&self, at: &Attempt, owner: Uuid) -> Result<Vec<StorageSetting>> {
        let rows = self.query(at, &wmi::owned_by(wmi::STORAGE_SETTINGS, owner)).await?;
        let read: Result<Vec<_>, String> =
            rows.iter().filter_map(|row| StorageSetting::read(row).transpose()).collect();
        let mut found = read.map_err(|why| bad_answer(at, &why))?;
        found.retain(|setting| setting.owner == owner);
        found.sort_by(|a, b| a.attachment.cmp(&b.attachment));
        Ok(found)
    }
}

/// The facts of a recovery checkpoint of this VM; `None` for anything else.
fn recovery_facts(row: &Instance, vm: &VmId) -> Option<CheckpointFacts> {
    let (owner, facts) = checkpoint_facts(row)?.ok()?;
    (owner == *vm && facts.kind == CheckpointKind::Recovery).then_some(facts)
}
