//! `AddResourceSettings`, `ModifyResourceSettings`, `RemoveResourceSettings` (WMI notes 1.4, 2.8).
//!
//! Controllers, drives and network adapters are there when the method returns; a disk is opened by a job.

use std::sync::Arc;

use uuid::Uuid;
use winremote::cim::{Instance, Reference, Value};
use winremote::wsman::Output;

use super::Call;
use super::systems::{quantity, start};
use crate::host::definition;
use crate::host::jobs::JobKind;
use crate::host::refusal::{
    Answer, COMPLETED, FAILED, INVALID_PARAMETER, INVALID_STATE, NOT_SUPPORTED, Refusal,
};
use crate::ids::{SimVmId, guid_text};
use crate::model::{Nic, Power, Slot, Vm};
use crate::paths::HostPath;
use crate::wire::arguments;
use crate::wire::names::{self, controller_part, disk_part, drive_part, instance_id, split_instance_id};

const RESOURCE: &str = "Msvm_ResourceAllocationSettingData";
const STORAGE: &str = "Msvm_StorageAllocationSettingData";
const PORT: &str = "Msvm_SyntheticEthernetPortSettingData";
const CONNECTION: &str = "Msvm_EthernetPortAllocationSettingData";

const INVALID: Refusal = Refusal::Return(INVALID_PARAMETER);

/// What adding one setting led to.
enum Added {
    /// It is there.
    Now(Reference),
    /// A disk that a job puts into its drive.
    Disk(Slot, HostPath),
}

pub(super) fn add(call: &Call<'_>) -> Answer {
    let (owner, _) = arguments::settings(call.arguments, "AffectedConfiguration")?;
    let vm: SimVmId = owner.parse().map_err(|_| Refusal::not_found(&format!("virtual machine {owner}")))?;
    let settings = arguments::instances(call.arguments, "ResourceSettings")?;
    if settings.is_empty() {
        return Err(INVALID);
    }
    let mut now = Vec::new();
    let mut disks = Vec::new();
    for setting in &settings {
        match add_one(call, vm, setting)? {
            Added::Now(reference) => now.push(reference),
            Added::Disk(slot, path) => disks.push((slot, path)),
        }
    }
    if disks.is_empty() {
        let output = Output::new(COMPLETED).with("ResultingResourceSettings", now);
        return Ok(output.with("Job", Value::Null));
    }
    let core = Arc::clone(call.core);
    let work = move || {
        for (slot, path) in disks {
            definition::attach(&core, vm, slot, &path)?;
            now.push(names::by_instance_id(STORAGE, &instance_id(&vm.text(), &disk_part(&slot))));
        }
        Ok(now)
    };
    Ok(start(call, JobKind::AddResources, work))
}

fn add_one(call: &Call<'_>, vm: SimVmId, setting: &Instance) -> Result<Added, Refusal> {
    let sub_type = setting.get_opt_str("ResourceSubType").ok().flatten().unwrap_or_default();
    let kind = sub_type.strip_prefix("Microsoft:Hyper-V:").unwrap_or_default();
    let now =
        |class, part: &str| Ok(Added::Now(names::by_instance_id(class, &instance_id(&vm.text(), part))));
    match (setting.class.as_str(), kind) {
        (RESOURCE, "Synthetic SCSI Controller") => {
            now(RESOURCE, &controller_part(&definition::add_controller(call.core, vm)?))
        }
        (RESOURCE, "Synthetic Disk Drive") => {
            let controller = parent_controller(setting, vm)?;
            let slot = definition::add_drive(call.core, vm, controller, lun(setting)?)?;
            now(RESOURCE, &drive_part(&slot))
        }
        (STORAGE, "Virtual Hard Disk") => disk_to_attach(call, setting, vm),
        (PORT, _) => {
            let mac = setting.get_opt_str("Address").ok().flatten().filter(|mac| !mac.is_empty());
            now(PORT, &guid_text(&definition::add_nic(call.core, vm, mac.map(str::to_owned))?))
        }
        (CONNECTION, _) => now(CONNECTION, &connect(call, setting, vm)?),
        _ => Err(Refusal::Return(NOT_SUPPORTED)),
    }
}

fn disk_to_attach(call: &Call<'_>, setting: &Instance, vm: SimVmId) -> Result<Added, Refusal> {
    let slot = slot_of(&parent_part(setting, vm)?, "D").ok_or(INVALID)?;
    definition::check_attach(call.core, vm, &slot)?;
    let files: Vec<String> = setting.get_array("HostResource").map_err(|_| INVALID)?;
    match files.as_slice() {
        [file] => Ok(Added::Disk(slot, HostPath::parse(file).map_err(|_| INVALID)?)),
        _ => Err(INVALID),
    }
}

/// Connects a network adapter to a switch, or to none.
fn connect(call: &Call<'_>, setting: &Instance, vm: SimVmId) -> Result<String, Refusal> {
    let part = parent_part(setting, vm)?;
    definition::change_vm(call.core, vm, |found| {
        nic(found, &part)?.switch = switch(setting);
        Ok(())
    })?;
    Ok(format!(r"{part}\C"))
}

fn nic<'a>(vm: &'a mut Vm, guid: &str) -> Result<&'a mut Nic, Refusal> {
    let named = |nic: &&mut Nic| guid_text(&nic.id).eq_ignore_ascii_case(guid);
    vm.hardware.nics.iter_mut().find(named).ok_or(INVALID)
}

/// The switch that an Ethernet connection names, if any.
fn switch(setting: &Instance) -> Option<String> {
    let named: Vec<String> = setting.get_array("HostResource").unwrap_or_default();
    named.into_iter().next().filter(|switch| !switch.is_empty())
}

/// The device part of the setting that `Parent` names; it must belong to the same VM.
fn parent_part(setting: &Instance, vm: SimVmId) -> Result<String, Refusal> {
    let parent = setting.get_reference("Parent").map_err(|_| INVALID)?;
    let id = parent.key("InstanceID").ok_or(INVALID)?;
    let (owner, part) = split_instance_id(id).ok_or(INVALID)?;
    if owner.eq_ignore_ascii_case(&vm.text()) { Ok(part.to_owned()) } else { Err(INVALID) }
}

/// `<controller>\0`
fn parent_controller(setting: &Instance, vm: SimVmId) -> Result<Uuid, Refusal> {
    let part = parent_part(setting, vm)?;
    part.strip_suffix(r"\0").and_then(|guid| Uuid::parse_str(guid).ok()).ok_or(INVALID)
}

/// `<controller>\0\<lun>\<ending>`
fn slot_of(part: &str, ending: &str) -> Option<Slot> {
    let pieces: Vec<&str> = part.split('\\').collect();
    match pieces.as_slice() {
        [controller, "0", lun, last] if last.eq_ignore_ascii_case(ending) => {
            Some(Slot { controller: Uuid::parse_str(controller).ok()?, lun: lun.parse().ok()? })
        }
        _ => None,
    }
}

/// The place on the controller; the next free one when it is left out.
fn lun(setting: &Instance) -> Result<Option<u8>, Refusal> {
    match setting.get_opt_str("AddressOnParent").ok().flatten().filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| INVALID),
    }
}

/// `ModifyResourceSettings`: memory, processors, network connections.
pub(super) fn modify(call: &Call<'_>) -> Answer {
    let settings = arguments::instances(call.arguments, "ResourceSettings")?;
    let mut changed = Vec::new();
    for setting in &settings {
        let id = setting.get_str("InstanceID").map_err(|_| INVALID)?;
        let (owner, part) = arguments::owner_and_part(id)?;
        let vm: SimVmId = owner.parse().map_err(|_| Refusal::not_found(id))?;
        definition::change_vm(call.core, vm, |found| modify_one(found, setting, &part))?;
        changed.push(names::by_instance_id(&setting.class, id));
    }
    Ok(Output::new(COMPLETED).with("ResultingResourceSettings", changed).with("Job", Value::Null))
}

fn modify_one(vm: &mut Vm, setting: &Instance, part: &str) -> Result<(), Refusal> {
    match setting.class.as_str() {
        "Msvm_MemorySettingData" => {
            vm.hardware.memory_mib = quantity(setting)?.unwrap_or(vm.hardware.memory_mib);
        }
        "Msvm_ProcessorSettingData" => {
            vm.hardware.processors = quantity(setting)?.unwrap_or(vm.hardware.processors);
        }
        CONNECTION => nic(vm, part.trim_end_matches(r"\C"))?.switch = switch(setting),
        _ => return Err(Refusal::Return(NOT_SUPPORTED)),
    }
    Ok(())
}

/// `RemoveResourceSettings`: disks and drives of a VM that is off.
pub(super) fn remove(call: &Call<'_>) -> Answer {
    let references: Vec<Reference> = call
        .arguments
        .get_array("ResourceSettings")
        .map_err(|error| Refusal::bad_parameters(&error.to_string()))?;
    for reference in references {
        let (owner, part) = arguments::owner_and_part(reference.key("InstanceID").unwrap_or_default())?;
        let not_found = || Refusal::not_found(&reference.to_object_path());
        let vm: SimVmId = owner.parse().map_err(|_| not_found())?;
        let found = call.core.vm(vm).map_err(|_| not_found())?;
        if found.power == Power::Running || !found.checkpoints.is_empty() {
            return Err(Refusal::Return(INVALID_STATE));
        }
        remove_one(call, vm, &part)?;
    }
    Ok(Output::new(COMPLETED).with("Job", Value::Null))
}

fn remove_one(call: &Call<'_>, vm: SimVmId, part: &str) -> Result<(), Refusal> {
    let failed = |error: crate::Error| {
        tracing::warn!(vm = %vm, "a device cannot be removed: {error}");
        Refusal::Return(FAILED)
    };
    if let Some(slot) = slot_of(part, "L") {
        return definition::detach(call.core, vm, &slot).map_err(failed);
    }
    let slot = slot_of(part, "D").ok_or(Refusal::Return(NOT_SUPPORTED))?;
    definition::detach(call.core, vm, &slot).map_err(failed)?;
    definition::change_vm(call.core, vm, |found| {
        found.hardware.drives.retain(|drive| drive.slot != slot);
        Ok(())
    })
}
