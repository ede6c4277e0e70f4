//! Recovery checkpoints: created for a backup, destroyed or converted after it (WMI notes 1.7 and 2.1).
//!
//! Creating one really freezes the disk files of the VM at one instant and sends later writes to differencing
//! `<base>_<GUID>.avhdx` files beside them. One recovery checkpoint at a time, and none while the VM is busy.

use std::sync::Arc;

use winremote::cim::{DateTime, Value};

use super::configuration_files;
use super::disk_stack::ChainFile;
use super::jobs::JobKind;
use super::refusal::{Answer, INVALID_STATE, JobError, NOT_SUPPORTED, Refusal};
use super::work::{self, JobOrder, JobResult};
use super::{Busy, HostCore, integration, locked, merge};
use crate::error::Result;
use crate::fault::FaultEffect;
use crate::guest::Moment;
use crate::ids::{CheckpointId, SimVmId, guid_text};
use crate::model::{Checkpoint, Consistency, DiskChain, DiskMark, Hardware, Slot, Vm};
use crate::wire::names;

/// `SnapshotType` of a recovery checkpoint; the only type modelled.
pub(crate) const TYPE_RECOVERY: u16 = 32768;

/// `CreateSnapshot`.
pub(crate) fn create(
    core: &Arc<HostCore>,
    vm: SimVmId,
    snapshot_type: u16,
    consistency: Consistency,
    fault: Option<FaultEffect>,
) -> Answer {
    if snapshot_type != TYPE_RECOVERY {
        return Err(Refusal::Return(NOT_SUPPORTED));
    }
    become_busy(core, vm, Busy::CreatingSnapshot, |vm| vm.checkpoints.is_empty())?;
    let order = JobOrder { kind: JobKind::Snapshot, duration: core.timing.checkpoint, fault };
    let worker = Arc::clone(core);
    let after = Arc::clone(core);
    let id = work::start(
        core,
        order,
        move || take(&worker, vm, consistency),
        Some(Box::new(move || idle(&after, vm))),
    );
    Ok(work::started(JobKind::Snapshot, id).with("ResultingSnapshot", Value::Null))
}

/// `DestroySnapshot`: the checkpoint goes, its disks are merged back.
pub(crate) fn destroy(core: &Arc<HostCore>, id: CheckpointId, fault: Option<FaultEffect>) -> Answer {
    let vm = owner(core, id)?;
    become_busy(core, vm, Busy::DeletingSnapshot, |_| true)?;
    let order = JobOrder { kind: JobKind::DeleteSnapshot, duration: core.timing.other, fault };
    let (worker, after) = (Arc::clone(core), Arc::clone(core));
    let job = work::start(
        core,
        order,
        move || remove(&worker, vm, id).map(|()| vec![names::vm(vm)]).map_err(|error| JobError::io(&error)),
        Some(Box::new(move || merge::begin_or_idle(&after, vm))),
    );
    Ok(work::started(JobKind::DeleteSnapshot, job))
}

/// Takes a checkpoint out of the model and removes its configuration files; its disks stay as they are.
fn remove(core: &HostCore, vm: SimVmId, id: CheckpointId) -> Result<()> {
    let found = core.change(|state| {
        let vm = state.model.vms.get_mut(&vm)?;
        vm.checkpoints.remove(&id).map(|_| vm.clone())
    })?;
    if let Some(vm) = found {
        configuration_files::remove_checkpoint(core, &vm, id);
    }
    Ok(())
}

/// The VM that a checkpoint belongs to.
pub(crate) fn owner(core: &HostCore, id: CheckpointId) -> std::result::Result<SimVmId, Refusal> {
    let state = core.state();
    let owner = state.model.vm_of_checkpoint(id).map(|(vm, _)| vm.id);
    owner.ok_or_else(|| Refusal::not_found(&format!("checkpoint {id}")))
}

/// Marks a VM as busy, unless it already is or something else is in the way.
pub(crate) fn become_busy(
    core: &HostCore,
    vm: SimVmId,
    with: Busy,
    allowed: impl FnOnce(&Vm) -> bool,
) -> std::result::Result<(), Refusal> {
    let mut state = core.state();
    let found =
        state.model.vms.get(&vm).ok_or_else(|| Refusal::not_found(&format!("virtual machine {vm}")))?;
    if !allowed(found) || state.busy.contains_key(&vm) {
        return Err(Refusal::Return(INVALID_STATE));
    }
    state.busy.insert(vm, with);
    Ok(())
}

/// The VM is no longer busy.
pub(crate) fn idle(core: &HostCore, vm: SimVmId) {
    core.state().busy.remove(&vm);
}

/// The work of the job: checks the guest's writers, then freezes all disks at one instant.
fn take(core: &HostCore, vm: SimVmId, consistency: Consistency) -> JobResult {
    let found = core.vm(vm).map_err(|error| JobError::io(&error))?;
    if consistency == Consistency::Application {
        integration::freeze_writers(&found)?;
    }
    let id = freeze(core, &found, consistency).map_err(|error| JobError::io(&error))?;
    Ok(vec![names::settings(&id.text()), names::vm(vm)])
}

fn freeze(core: &HostCore, vm: &Vm, consistency: Consistency) -> Result<CheckpointId> {
    let id = CheckpointId(core.new_guid());
    let children = children(core, vm);
    // A host that is killed from here on finds the names and removes the files when it starts again.
    core.change(|state| {
        state.model.begun_files.extend(children.iter().map(|(_, child)| child.host.clone()));
    })?;
    let storage = core.storage(vm.id)?;
    let mut storage = locked(&storage);
    let moment = Moment { checkpoint: id, unix_ms: core.clock.unix_ms() };
    let marks = storage.freeze(core, &children, &moment)?;
    let checkpoint = checkpoint(vm, moment, consistency, marks.clone());
    let published = core.change(|state| {
        state.model.begun_files.retain(|file| !children.iter().any(|(_, child)| child.host == *file));
        let number = state.model.next_number();
        if let Some(vm) = state.model.vms.get_mut(&vm.id) {
            extend_chains(&mut vm.hardware, &children);
            vm.checkpoints.insert(id, Checkpoint { number, ..checkpoint.clone() });
        }
    });
    if let Err(error) = published {
        storage.unfreeze(&marks)?;
        return Err(error);
    }
    drop(storage);
    configuration_files::write_checkpoint(core, vm, &checkpoint)?;
    Ok(id)
}

/// The differencing files to be made: `<base>_<GUID>.avhdx` beside the file they stand above, a GUID for each.
fn children(core: &HostCore, vm: &Vm) -> Vec<(Slot, ChainFile)> {
    let drives = vm.hardware.drives.iter();
    let chains = drives.filter_map(|drive| Some((drive.slot, drive.disk.as_ref()?)));
    let place = |(slot, chain): (Slot, &DiskChain)| {
        let (root, leaf) = (chain.root()?, chain.leaf()?);
        let guid = guid_text(&core.new_guid());
        let host = leaf.folder().join(&format!("{}_{guid}.avhdx", root.stem()));
        let local = core.drives.local(&host);
        Some((slot, ChainFile { host, local }))
    };
    chains.filter_map(place).collect()
}

fn extend_chains(hardware: &mut Hardware, children: &[(Slot, ChainFile)]) {
    for (slot, child) in children {
        if let Some(chain) = hardware.drive_mut(slot).and_then(|drive| drive.disk.as_mut()) {
            chain.files.push(child.host.clone());
        }
    }
}

fn checkpoint(vm: &Vm, moment: Moment, consistency: Consistency, marks: Vec<DiskMark>) -> Checkpoint {
    let created_unix_ms = moment.unix_ms;
    let time = crate::wire::values::date_time(created_unix_ms).map_or_else(String::new, DateTime::to_iso);
    Checkpoint {
        id: moment.checkpoint,
        number: 0,
        name: format!("{} - Backup - ({time})", vm.name),
        created_unix_ms,
        consistency,
        hardware: vm.hardware.clone(),
        marks,
    }
}
