//! Making, changing and deleting VMs as a restore does it: `DefineSystem`, then controllers, drives and disks
//! (WMI notes 2.8).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::refusal::{
    HRESULT_FILE_NOT_FOUND, HRESULT_SHARING_VIOLATION, INVALID_PARAMETER, INVALID_STATE, JobError, Refusal,
};
use super::vm_storage::{VmStorage, open_disk};
use super::{HostCore, configuration_files, image_service, locked};
use crate::error::{Error, Result};
use crate::ids::SimVmId;
use crate::model::{DiskChain, Drive, Nic, Power, Slot, Vm};
use crate::paths::HostPath;

/// A SCSI controller holds this many drives, a VM this many controllers.
const DRIVES_PER_CONTROLLER: u8 = 64;
const CONTROLLERS_MAX: usize = 4;

/// A VM to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewSystem {
    pub(crate) name: String,
    pub(crate) generation: u8,
    pub(crate) version: Option<String>,
    pub(crate) folder: Option<HostPath>,
    pub(crate) memory_mib: Option<u64>,
    pub(crate) processors: Option<u64>,
    pub(crate) settings: BTreeMap<String, Vec<String>>,
}

/// `DefineSystem`: a VM that is off and has no devices but memory and processors.
pub(crate) fn define(core: &HostCore, new: NewSystem) -> Result<SimVmId> {
    let id = SimVmId(core.new_guid());
    let mut vm = crate::builder::blank_vm(id, &new.name, 0, core.clock.unix_ms());
    vm.generation = new.generation;
    vm.settings = new.settings;
    vm.version = new.version.unwrap_or(vm.version);
    vm.folder = new.folder.unwrap_or(vm.folder);
    vm.hardware.memory_mib = new.memory_mib.unwrap_or(vm.hardware.memory_mib);
    vm.hardware.processors = new.processors.unwrap_or(vm.hardware.processors);
    insert(core, vm)
}

/// Puts a VM into the host.
pub(crate) fn insert(core: &HostCore, mut vm: Vm) -> Result<SimVmId> {
    let id = vm.id;
    let storage = Arc::new(Mutex::new(VmStorage::open(core, &vm)?));
    configuration_files::write_vm(core, &vm)?;
    core.change(|state| {
        vm.number = state.model.next_number();
        state.model.vms.insert(id, vm);
        state.storage.insert(id, storage);
    })?;
    Ok(id)
}

/// `DestroySystem`: the VM and its configuration go, its disks stay.
pub(crate) fn destroy(core: &HostCore, id: SimVmId) -> std::result::Result<(), JobError> {
    let vm = core.vm(id).map_err(|error| JobError::io(&error))?;
    let forgotten = core.storage(id).and_then(|storage| {
        locked(&storage).close()?;
        core.change(|state| {
            state.model.vms.remove(&id);
            state.storage.remove(&id);
        })
    });
    forgotten.map_err(|error| JobError::io(&error))?;
    configuration_files::remove_vm(core, &vm);
    Ok(())
}

/// Whether a VM may be deleted now.
pub(crate) fn check_destroy(core: &HostCore, id: SimVmId) -> std::result::Result<(), Refusal> {
    let state = core.state();
    let vm = state.model.vms.get(&id).ok_or_else(|| Refusal::not_found(&format!("virtual machine {id}")))?;
    let quiet = vm.power == Power::Off && vm.checkpoints.is_empty() && !state.busy.contains_key(&id);
    if quiet { Ok(()) } else { Err(Refusal::Return(INVALID_STATE)) }
}

/// A new SCSI controller.
pub(crate) fn add_controller(core: &HostCore, vm: SimVmId) -> std::result::Result<Uuid, Refusal> {
    let id = core.new_guid();
    change_vm(core, vm, |vm| {
        if vm.hardware.controllers.len() == CONTROLLERS_MAX {
            return Err(Refusal::Return(INVALID_PARAMETER));
        }
        vm.hardware.controllers.push(id);
        Ok(id)
    })
}

/// A new drive on a controller, in the given or the next free place.
pub(crate) fn add_drive(
    core: &HostCore,
    vm: SimVmId,
    controller: Uuid,
    lun: Option<u8>,
) -> std::result::Result<Slot, Refusal> {
    change_vm(core, vm, |vm| {
        let taken = |lun: u8| vm.hardware.drives.iter().any(|drive| drive.slot == Slot { controller, lun });
        let lun = lun.or_else(|| (0..DRIVES_PER_CONTROLLER).find(|lun| !taken(*lun)));
        match lun {
            Some(lun)
                if vm.hardware.controllers.contains(&controller)
                    && lun < DRIVES_PER_CONTROLLER
                    && !taken(lun) =>
            {
                let slot = Slot { controller, lun };
                vm.hardware.drives.push(Drive { slot, disk: None });
                vm.hardware.drives.sort_by_key(|drive| drive.slot);
                Ok(slot)
            }
            _ => Err(Refusal::Return(INVALID_PARAMETER)),
        }
    })
}

/// A new network adapter.
pub(crate) fn add_nic(
    core: &HostCore,
    vm: SimVmId,
    mac: Option<String>,
) -> std::result::Result<Uuid, Refusal> {
    let id = core.new_guid();
    let tail = id.as_u128() & 0xff_ffff;
    let mac = mac.unwrap_or_else(|| format!("00155D{tail:06X}"));
    change_vm(core, vm, |vm| {
        vm.hardware.nics.push(Nic { id, mac, switch: None });
        Ok(id)
    })
}

/// Whether a disk may be put into a slot: the drive exists and is empty.
pub(crate) fn check_attach(core: &HostCore, vm: SimVmId, slot: &Slot) -> std::result::Result<(), Refusal> {
    let state = core.state();
    let found =
        state.model.vms.get(&vm).ok_or_else(|| Refusal::not_found(&format!("virtual machine {vm}")))?;
    let empty = found.hardware.drives.iter().any(|drive| drive.slot == *slot && drive.disk.is_none());
    if empty { Ok(()) } else { Err(Refusal::Return(INVALID_PARAMETER)) }
}

/// Puts a disk file, with the parents it names, into a drive.
pub(crate) fn attach(
    core: &HostCore,
    vm: SimVmId,
    slot: Slot,
    path: &HostPath,
) -> std::result::Result<(), JobError> {
    if !core.drives.local(path).is_file() {
        return Err(JobError::failed(
            &format!("'{path}': The system cannot find the file specified."),
            HRESULT_FILE_NOT_FOUND,
        ));
    }
    let chain = image_service::chain_of(core, path).map_err(|error| JobError::io(&error))?;
    check_not_in_use(core, vm, &chain)?;
    attach_chain(core, vm, slot, chain).map_err(|error| JobError::io(&error))
}

fn attach_chain(core: &HostCore, vm: SimVmId, slot: Slot, chain: DiskChain) -> Result<()> {
    let storage = core.storage(vm)?;
    let mut storage = locked(&storage);
    let found = core.vm(vm)?;
    // A write log that an earlier disk left in this slot says nothing of the new one.
    let _ = std::fs::remove_file(core.saved.write_log(vm, &slot));
    let disk = open_disk(core, &found, &Drive { slot, disk: None }, &chain)?;
    core.change(|state| {
        let drive = state.model.vms.get_mut(&vm).and_then(|vm| vm.hardware.drive_mut(&slot));
        if let Some(drive) = drive {
            drive.disk = Some(chain);
        }
    })?;
    storage.disks.push(disk);
    storage.disks.sort_by_key(|disk| disk.slot);
    drop(storage);
    configuration_files::write_vm(core, &core.vm(vm)?)
}

/// Takes a disk out of its drive.
pub(crate) fn detach(core: &HostCore, vm: SimVmId, slot: &Slot) -> Result<()> {
    let storage = core.storage(vm)?;
    let mut storage = locked(&storage);
    storage.close()?;
    core.change(|state| {
        if let Some(drive) = state.model.vms.get_mut(&vm).and_then(|vm| vm.hardware.drive_mut(slot)) {
            drive.disk = None;
        }
    })?;
    storage.disks.retain(|disk| disk.slot != *slot);
    Ok(())
}

/// Switches a VM on or off.
pub(crate) fn set_power(core: &HostCore, id: SimVmId, power: Power) -> std::result::Result<(), JobError> {
    let vm = core.vm(id).map_err(|error| JobError::io(&error))?;
    if power == Power::Running {
        vm.hardware.chains().try_for_each(|chain| check_not_in_use(core, id, chain))?;
    }
    let switched = core.storage(id).and_then(|storage| {
        let mut storage = locked(&storage);
        storage.close()?;
        core.change(|state| {
            if let Some(vm) = state.model.vms.get_mut(&id) {
                vm.power = power;
            }
        })?;
        storage.running = power == Power::Running;
        Ok(())
    });
    switched.map_err(|error: Error| JobError::io(&error))
}

/// Changes a VM's data and saves it, or refuses and changes nothing.
pub(crate) fn change_vm<T>(
    core: &HostCore,
    id: SimVmId,
    change: impl FnOnce(&mut Vm) -> std::result::Result<T, Refusal>,
) -> std::result::Result<T, Refusal> {
    let result = core.change(|state| {
        let vm = state
            .model
            .vms
            .get_mut(&id)
            .ok_or_else(|| Refusal::not_found(&format!("virtual machine {id}")))?;
        let mut changed = vm.clone();
        let result = change(&mut changed)?;
        *vm = changed;
        Ok(result)
    });
    result.unwrap_or(Err(Refusal::Return(super::refusal::FAILED)))
}

fn check_not_in_use(core: &HostCore, vm: SimVmId, chain: &DiskChain) -> std::result::Result<(), JobError> {
    let state = core.state();
    for file in &chain.files {
        if let Some(user) = state.model.running_user_of(file, vm) {
            let what = format!("'{file}' is used by the virtual machine '{}'", user.name);
            return Err(JobError::failed(&what, HRESULT_SHARING_VIOLATION));
        }
    }
    Ok(())
}

/// Whether a new VM fits beside those that are there.
pub(crate) fn check_new(core: &HostCore, vm: &Vm) -> Result<()> {
    let state = core.state();
    let taken = state.model.vms.values().any(|other| other.id == vm.id);
    if taken {
        return Err(Error::Refused { doing: "add a VM", why: format!("there is a VM {} already", vm.id) });
    }
    Ok(())
}
