//! Reads the frozen disks into the repository.
//!
//! What the plan says is tried; where the host cannot give changed ranges, that disk is read
//! whole instead and the reason is told. A disk whose identity is not the planned one is an
//! error: it would end up under another disk's name.

use futures::FutureExt;
use futures::future::BoxFuture;
use hyperv::FrozenDisk;
use repository::{BaseDisk, DiskSpec, WriteSession, WriteSummary};
use serde_json::Value;
use vdisk::{ChangedRanges, Disk};

use super::Step;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::plan::{DiskPlan, Read};
use crate::run::StepName;
use crate::run::report::DiskReport;
use crate::run::settle::Interrupted;
use crate::run::state::VmRun;
use crate::transfer::{Selection, copy};

/// The step.
pub(super) struct Transfer;

impl Step for Transfer {
    fn name(&self) -> StepName {
        StepName::Transfer
    }

    fn describe(&self, run: &VmRun<'_>) -> String {
        format!("read {} disk(s) into the repository", run.backup.disks.len())
    }

    fn intent<'a>(&'a self, _run: &'a VmRun<'_>) -> BoxFuture<'a, Result<Option<Value>>> {
        async { Ok(Some(Value::Null)) }.boxed()
    }

    fn apply<'a>(&'a self, run: &'a mut VmRun<'_>) -> BoxFuture<'a, Result<Value>> {
        async move {
            run.definition = definition(run).await?;
            let session = run.site.repository.begin_session().await?;
            for plan in &run.backup.disks {
                let report = transfer_disk(run, &session, plan).await?;
                run.disks.push(report);
            }
            run.session = Some(session);
            Ok(Value::Null)
        }
        .boxed()
    }

    /// What was stored is not visible, and nothing is left on the host.
    fn settle<'a>(&'a self, _interrupted: &'a Interrupted<'_>) -> BoxFuture<'a, Result<Option<String>>> {
        async { Ok(None) }.boxed()
    }
}

async fn definition(run: &VmRun<'_>) -> Result<Vec<u8>> {
    let definition = run.site.host.vm_definition(run.vm()).await?;
    serde_json::to_vec(&definition)
        .map_err(|source| Error::JournalDetail { step: StepName::Transfer.as_str(), source })
}

/// What is going to be read, once the host was asked.
struct Chosen {
    selection: Selection,
    base: Option<BaseDisk>,
    reported_bytes: Option<u64>,
    whole_because: Option<String>,
}

async fn transfer_disk(run: &VmRun<'_>, session: &WriteSession, plan: &DiskPlan) -> Result<DiskReport> {
    let frozen = frozen_disk(run, plan)?;
    let disk = open_checked(run, plan, frozen)?;
    let chosen = choose(run, plan, frozen).await?;
    let writer = session
        .begin_disk(DiskSpec {
            key: plan.key.clone(),
            name: plan.name.clone(),
            capacity_bytes: plan.capacity_bytes,
            logical_sector: disk.logical_sector(),
            physical_sector: disk.physical_sector(),
            identity: Some(plan.virtual_disk_id.to_string()),
            base: chosen.base.clone(),
        })
        .await?;
    let (world, vm, name) = (run.site.world, &run.plan.name, &plan.name);
    let bytes_to_read = chosen.selection.bytes_at_most(&disk)?;
    world.tell(&Event::DiskStarted { vm: vm.clone(), disk: name.clone(), bytes_to_read });
    let copied = copy(&disk, &chosen.selection, &writer, &|bytes_read| {
        world.tell(&Event::DiskProgress { vm: vm.clone(), disk: name.clone(), bytes_read });
    })
    .await?;
    let stored = writer.finish().await?;
    world.tell(&Event::DiskFinished {
        vm: vm.clone(),
        disk: name.clone(),
        bytes_read: copied.read_bytes,
        bytes_stored: stored.stored_bytes,
    });
    Ok(report(plan, chosen, copied.read_bytes, &stored))
}

fn report(plan: &DiskPlan, chosen: Chosen, read_bytes: u64, stored: &WriteSummary) -> DiskReport {
    DiskReport {
        key: plan.key.to_string(),
        name: plan.name.clone(),
        capacity_bytes: plan.capacity_bytes,
        changed_only: chosen.base.is_some(),
        whole_because: chosen.whole_because,
        reported_bytes: chosen.reported_bytes,
        read_bytes,
        new_bytes: stored.new_bytes,
        stored_bytes: stored.stored_bytes,
    }
}

fn frozen_disk<'a>(run: &'a VmRun<'_>, plan: &DiskPlan) -> Result<&'a FrozenDisk> {
    let checkpoint = run.checkpoint.as_ref().ok_or(Error::OutOfOrder { step: "transfer" })?;
    let found = checkpoint.disks.iter().find(|disk| disk.attachment.eq_ignore_ascii_case(&plan.attachment));
    found.ok_or_else(|| Error::DiskNotFrozen {
        vm: run.plan.name.clone(),
        disk: plan.path.clone(),
        checkpoint: checkpoint.id.to_string(),
    })
}

fn open_checked(run: &VmRun<'_>, plan: &DiskPlan, frozen: &FrozenDisk) -> Result<Disk> {
    let disk = run.site.host.open_frozen_disk(&frozen.path)?;
    let found_id = disk.virtual_disk_id().to_string();
    if !found_id.eq_ignore_ascii_case(&plan.virtual_disk_id.to_string())
        || disk.capacity() != plan.capacity_bytes
    {
        return Err(Error::DiskChanged {
            vm: run.plan.name.clone(),
            path: frozen.path.clone(),
            planned: format!("{} with {} bytes", plan.virtual_disk_id, plan.capacity_bytes),
            found: format!("{found_id} with {} bytes", disk.capacity()),
        });
    }
    Ok(disk)
}

async fn choose(run: &VmRun<'_>, plan: &DiskPlan, frozen: &FrozenDisk) -> Result<Chosen> {
    let (since, base) = match &plan.read {
        Read::Whole { reason } => return Ok(whole(reason.clone())),
        Read::Changed { since, base } => (since, base),
    };
    match run.site.host.changed_ranges(&frozen.path, since, plan.capacity_bytes).await {
        Ok(reported) => {
            let block_bytes = u64::from(run.site.repository.block_bytes());
            let aligned: ChangedRanges = reported.align_outward(block_bytes, plan.capacity_bytes);
            Ok(Chosen {
                selection: Selection::Ranges(aligned),
                base: Some(BaseDisk { point: *base, key: plan.key.clone() }),
                reported_bytes: Some(reported.total_bytes()),
                whole_because: None,
            })
        }
        Err(refused) => {
            let reason = format!("the host did not report changed ranges: {refused}");
            run.site.world.tell(&Event::WholeReadChosen {
                vm: run.plan.name.clone(),
                disk: plan.name.clone(),
                reason: reason.clone(),
            });
            Ok(whole(reason))
        }
    }
}

fn whole(reason: String) -> Chosen {
    Chosen { selection: Selection::Allocated, base: None, reported_bytes: None, whole_because: Some(reason) }
}
