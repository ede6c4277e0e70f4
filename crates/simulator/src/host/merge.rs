//! The background merge after a checkpoint is gone (WMI notes 1.3, 2.9; events 19070 to 19100).
//!
//! While it runs the VM shows `OperationalStatus[1]` = 32772 and keeps writing to the differencing file. At its end
//! the file's content goes into the parent under the storage lock, the chain switches back, and the file is removed.
//! A parent that someone else holds open makes the try fail; it is repeated until the file is free.

use std::sync::Arc;

use super::checkpoints::idle;
use super::disk_stack::{ChainFile, MergeTry};
use super::{Busy, HostCore, locked};
use crate::error::Result;
use crate::ids::SimVmId;
use crate::model::Slot;

/// Event numbers of `Microsoft-Windows-Hyper-V-VMMS/Admin`.
mod event {
    pub(super) const STARTED: u32 = 19070;
    pub(super) const FINISHED: u32 = 19080;
    pub(super) const FAILED: u32 = 19100;
}

/// Starts merging where a VM has disks to merge; otherwise the VM is idle now.
pub(crate) fn begin_or_idle(core: &Arc<HostCore>, vm: SimVmId) {
    if slots_to_merge(core, vm).is_empty() {
        idle(core, vm);
        return;
    }
    core.state().busy.insert(vm, Busy::MergingDisks);
    core.event(event::STARTED, vm, "Background disk merge has been started.".into());
    let (merge, retry) = (core.timing.merge, core.timing.merge_retry);
    // A host that everyone let go of does not go on merging; it does when it is started again.
    let core = Arc::downgrade(core);
    tokio::spawn(async move {
        tokio::time::sleep(merge).await;
        while let Some(core) = core.upgrade() {
            if merge_all(&core, vm).await {
                return idle(&core, vm);
            }
            drop(core);
            tokio::time::sleep(retry).await;
        }
    });
}

/// Goes on with the merges that a stopped simulator left.
pub(crate) fn resume(core: &Arc<HostCore>) {
    let vms: Vec<SimVmId> = {
        let state = core.state();
        state.model.vms.keys().filter(|vm| !state.busy.contains_key(vm)).copied().collect()
    };
    for vm in vms {
        begin_or_idle(core, vm);
    }
}

/// One try; true when nothing is left to merge.
async fn merge_all(core: &Arc<HostCore>, vm: SimVmId) -> bool {
    if core.state().merges_held {
        return false;
    }
    let worker = Arc::clone(core);
    let tried = tokio::task::spawn_blocking(move || merge_disks(&worker, vm)).await;
    match tried {
        Ok(Ok(None)) => {
            core.event(event::FINISHED, vm, "Background disk merge has been finished successfully.".into());
            true
        }
        Ok(Ok(Some(why))) => failed(core, vm, &why),
        Ok(Err(error)) => failed(core, vm, &error.to_string()),
        Err(error) => failed(core, vm, &error.to_string()),
    }
}

fn failed(core: &HostCore, vm: SimVmId, why: &str) -> bool {
    // A VM that was deleted meanwhile has nothing left to merge.
    if core.vm(vm).is_err() {
        return true;
    }
    core.event(event::FAILED, vm, format!("Background disk merge failed to complete: {why}"));
    false
}

/// Merges every disk that needs it; tells why when one cannot be merged now.
fn merge_disks(core: &HostCore, vm: SimVmId) -> Result<Option<String>> {
    let storage = core.storage(vm)?;
    let mut storage = locked(&storage);
    for slot in slots_to_merge(core, vm) {
        let Some(disk) = storage.in_slot(&slot) else { continue };
        match disk.merge_leaf()? {
            MergeTry::InUse(file) => {
                let why = "The process cannot access the file because it is being used by another process.";
                let hresult = super::refusal::HRESULT_SHARING_VIOLATION;
                return Ok(Some(format!("{file}: {why} (0x{hresult:08X}).")));
            }
            MergeTry::Merged(child) => {
                publish_merged(core, vm, &slot, &child)?;
                disk.drop_merged(&child)?;
                core.change(|state| state.model.begun_files.retain(|file| *file != child.host))?;
            }
        }
    }
    Ok(None)
}

/// From now on the disk's leaf is the parent; the child belongs to nothing until its file is gone.
pub(crate) fn publish_merged(core: &HostCore, vm: SimVmId, slot: &Slot, child: &ChainFile) -> Result<()> {
    core.change(|state| {
        state.model.begun_files.push(child.host.clone());
        let drive = state.model.vms.get_mut(&vm).and_then(|vm| vm.hardware.drive_mut(slot));
        if let Some(chain) = drive.and_then(|drive| drive.disk.as_mut()) {
            chain.files.retain(|file| *file != child.host);
        }
    })
}

fn slots_to_merge(core: &HostCore, vm: SimVmId) -> Vec<Slot> {
    let state = core.state();
    let Some(vm) = state.model.vms.get(&vm) else { return Vec::new() };
    vm.hardware.drives.iter().filter(|drive| vm.needs_merge(drive)).map(|drive| drive.slot).collect()
}
