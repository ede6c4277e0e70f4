//! Methods on whole VMs: define, modify, delete, switch.

use std::collections::BTreeMap;
use std::sync::Arc;

use winremote::cim::{Instance, Value};
use winremote::wsman::Output;

use super::Call;
use crate::host::definition::{self, NewSystem};
use crate::host::jobs::JobKind;
use crate::host::refusal::{Answer, COMPLETED, FAILED, INVALID_PARAMETER, INVALID_STATE, JobError, Refusal};
use crate::host::work::{self, JobOrder};
use crate::ids::{CheckpointId, SimVmId};
use crate::model::{Power, Vm};
use crate::paths::HostPath;
use crate::wire::values::plain;
use crate::wire::{arguments, names};

const SETTINGS: &str = "Msvm_VirtualSystemSettingData";

/// Settings that the host decides itself, or that have a place of their own in the model.
const NOT_KEPT: [&str; 23] = [
    "InstanceID",
    "Caption",
    "Description",
    "ElementName",
    "VirtualSystemIdentifier",
    "VirtualSystemType",
    "VirtualSystemSubType",
    "ConfigurationID",
    "ConfigurationFile",
    "ConfigurationDataRoot",
    "CreationTime",
    "Parent",
    "Version",
    "IsSaved",
    "IsAutomaticSnapshot",
    "IncrementalBackupEnabled",
    "GuestStateDataRoot",
    "GuestStateFile",
    "SnapshotDataRoot",
    "SuspendDataRoot",
    "SwapFileDataRoot",
    "LogDataRoot",
    "RecoveryFile",
];

pub(super) fn define(call: &Call<'_>) -> Answer {
    let settings = arguments::instance(call.arguments, "SystemSettings", SETTINGS)?;
    let resources = arguments::instances(call.arguments, "ResourceSettings")?;
    let mut new = new_system(&settings.unwrap_or_else(|| Instance::new(SETTINGS)))?;
    for resource in &resources {
        match resource.class.as_str() {
            "Msvm_MemorySettingData" => new.memory_mib = quantity(resource)?,
            "Msvm_ProcessorSettingData" => new.processors = quantity(resource)?,
            // Devices are added one by one, since a parent is named by the id that it gets.
            "Msvm_ResourceAllocationSettingData" | "Msvm_StorageAllocationSettingData" => {
                return Err(Refusal::Return(INVALID_PARAMETER));
            }
            _ => {}
        }
    }
    let id = definition::define(call.core, new).map_err(|_| Refusal::Return(FAILED))?;
    Ok(Output::new(COMPLETED).with("ResultingSystem", names::vm(id)).with("Job", Value::Null))
}

fn new_system(settings: &Instance) -> Result<NewSystem, Refusal> {
    let text = |name: &str| settings.get_opt_str(name).ok().flatten().filter(|text| !text.is_empty());
    let generation = match text("VirtualSystemSubType") {
        None | Some("Microsoft:Hyper-V:SubType:1") => 1,
        Some("Microsoft:Hyper-V:SubType:2") => 2,
        Some(_) => return Err(Refusal::Return(INVALID_PARAMETER)),
    };
    let folder = text("ConfigurationDataRoot").map(HostPath::parse).transpose();
    Ok(NewSystem {
        name: text("ElementName").unwrap_or("New Virtual Machine").to_owned(),
        generation,
        version: text("Version").map(str::to_owned),
        folder: folder.map_err(|_| Refusal::Return(INVALID_PARAMETER))?,
        memory_mib: None,
        processors: None,
        settings: kept_settings(settings),
    })
}

/// The settings that are kept as they were given.
fn kept_settings(settings: &Instance) -> BTreeMap<String, Vec<String>> {
    let mut kept = BTreeMap::new();
    for (name, value) in settings.iter() {
        if NOT_KEPT.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            continue;
        }
        let texts: Vec<String> = match value {
            Value::Array(values) => values.iter().filter_map(plain).collect(),
            value => plain(value).into_iter().collect(),
        };
        if !value.is_null() {
            kept.insert(name.to_owned(), texts);
        }
    }
    kept
}

/// `VirtualQuantity` of memory or processor settings.
pub(super) fn quantity(resource: &Instance) -> Result<Option<u64>, Refusal> {
    resource.get_opt("VirtualQuantity").map_err(|_| Refusal::Return(INVALID_PARAMETER))
}

pub(super) fn destroy(call: &Call<'_>) -> Answer {
    let vm = arguments::vm(call.arguments, "AffectedSystem")?;
    definition::check_destroy(call.core, vm)?;
    let core = Arc::clone(call.core);
    let work = move || definition::destroy(&core, vm).map(|()| Vec::new());
    Ok(start(call, JobKind::DestroySystem, work))
}

pub(super) fn change_state(call: &Call<'_>) -> Answer {
    let vm = arguments::vm_of(call.target)?;
    let (wanted, kind) = match arguments::number(call.arguments, "RequestedState")? {
        2 => (Power::Running, JobKind::Start),
        3 | 4 => (Power::Off, JobKind::PowerOff),
        _ => return Err(Refusal::Return(INVALID_PARAMETER)),
    };
    let found = call.core.vm(vm).map_err(|_| Refusal::not_found(&format!("virtual machine {vm}")))?;
    if found.power == wanted {
        return Err(Refusal::Return(INVALID_STATE));
    }
    let core = Arc::clone(call.core);
    Ok(start(call, kind, move || definition::set_power(&core, vm, wanted).map(|()| vec![names::vm(vm)])))
}

/// `ModifySystemSettings`: of a VM, or only the name of a checkpoint.
pub(super) fn modify(call: &Call<'_>) -> Answer {
    let settings = arguments::instance(call.arguments, "SystemSettings", SETTINGS)?;
    let settings = settings.ok_or(Refusal::Return(INVALID_PARAMETER))?;
    let id = settings.get_str("InstanceID").map_err(|_| Refusal::Return(INVALID_PARAMETER))?;
    let (owner, _) = arguments::owner_and_part(id)?;
    let vm = owner_vm(call, &owner)?;
    let core = Arc::clone(call.core);
    let work = move || {
        let changed = definition::change_vm(&core, vm, |found| apply(found, &owner, &settings));
        changed.map_err(|_| JobError {
            code: 32768,
            text: format!("The settings of {owner} cannot be changed."),
        })?;
        Ok(vec![names::settings(&owner)])
    };
    Ok(start(call, JobKind::ModifySystem, work))
}

/// The VM whose settings, or whose checkpoint's settings, have this owner.
fn owner_vm(call: &Call<'_>, owner: &str) -> Result<SimVmId, Refusal> {
    let state = call.core.state();
    let as_vm = owner.parse().ok().filter(|id: &SimVmId| state.model.vms.contains_key(id));
    let of_checkpoint = || {
        owner
            .parse::<CheckpointId>()
            .ok()
            .and_then(|id| state.model.vm_of_checkpoint(id))
            .map(|(vm, _)| vm.id)
    };
    as_vm.or_else(of_checkpoint).ok_or_else(|| Refusal::not_found(&format!("settings of {owner}")))
}

fn apply(vm: &mut Vm, owner: &str, settings: &Instance) -> Result<(), Refusal> {
    let name = settings.get_opt_str("ElementName").map_err(|_| Refusal::Return(INVALID_PARAMETER))?;
    let checkpoint = owner.parse().ok().and_then(|id: CheckpointId| vm.checkpoints.get_mut(&id));
    match (checkpoint, name) {
        (Some(checkpoint), Some(name)) => name.clone_into(&mut checkpoint.name),
        (Some(_), None) => {}
        (None, name) => {
            name.unwrap_or(&vm.name.clone()).clone_into(&mut vm.name);
            vm.settings.extend(kept_settings(settings));
        }
    }
    Ok(())
}

/// Starts a job on a VM that takes the usual short time.
pub(super) fn start(
    call: &Call<'_>,
    kind: JobKind,
    work: impl FnOnce() -> work::JobResult + Send + 'static,
) -> Output {
    let order = JobOrder { kind, duration: call.core.timing.other, fault: call.fault.clone() };
    work::started(kind, work::start(call.core, order, work, None))
}
