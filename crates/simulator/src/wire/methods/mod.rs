//! Methods: from the parameters of a call to what the host does (signatures: WMI notes appendix B).
//!
//! A parameter that the signature does not have is refused before anything is done, as WinRM's schema check does.

mod images;
mod job_methods;
mod resources;
mod snapshots;
mod systems;

use std::sync::Arc;

use winremote::cim::{Instance, Reference};
use winremote::wsman::{Fault, code};

use super::instances::View;
use super::schema;
use crate::fault::FaultEffect;
use crate::host::HostCore;
use crate::host::refusal::{Answer, NOT_SUPPORTED, Refusal};

/// One method call.
pub(crate) struct Call<'a> {
    pub(crate) core: &'a Arc<HostCore>,
    pub(crate) target: &'a Reference,
    pub(crate) arguments: &'a Instance,
    /// A fault that was ordered for this call and concerns its job.
    pub(crate) fault: Option<FaultEffect>,
}

/// What carries a method out.
type Method = fn(&Call<'_>) -> Answer;

/// Class, method, parameters (in and inout), and what carries it out.
type Entry = (&'static str, &'static str, &'static [&'static str], Method);

const SNAPSHOTS: &str = "Msvm_VirtualSystemSnapshotService";
const REFERENCE_POINTS: &str = "Msvm_VirtualSystemReferencePointService";
const IMAGES: &str = "Msvm_ImageManagementService";
const SYSTEMS: &str = "Msvm_VirtualSystemManagementService";

const METHODS: &[Entry] = &[
    (
        SNAPSHOTS,
        "CreateSnapshot",
        &["AffectedSystem", "SnapshotSettings", "SnapshotType", "ResultingSnapshot"],
        snapshots::create,
    ),
    (SNAPSHOTS, "DestroySnapshot", &["AffectedSnapshot"], snapshots::destroy),
    (SNAPSHOTS, "DestroySnapshotTree", &["SnapshotSettingData"], not_supported),
    (SNAPSHOTS, "ApplySnapshot", &["Snapshot"], not_supported),
    (SNAPSHOTS, "ClearSnapshotState", &["SnapshotSettingData"], not_supported),
    (
        SNAPSHOTS,
        "ConvertToReferencePoint",
        &["AffectedSnapshot", "ReferencePointSettings", "ResultingReferencePoint"],
        snapshots::convert,
    ),
    (
        REFERENCE_POINTS,
        "DestroyReferencePoint",
        &["AffectedReferencePoint"],
        snapshots::destroy_reference_point,
    ),
    (
        REFERENCE_POINTS,
        "CreateReferencePoint",
        &["AffectedSystem", "ReferencePointSettings", "ReferencePointType", "ResultingReferencePoint"],
        not_supported,
    ),
    (IMAGES, "GetVirtualHardDiskSettingData", &["Path"], images::setting_data),
    (IMAGES, "GetVirtualHardDiskState", &["Path"], images::state),
    (
        IMAGES,
        "GetVirtualDiskChanges",
        &["Path", "LimitId", "TargetSnapshotId", "ByteOffset", "ByteLength"],
        images::changes,
    ),
    (
        SYSTEMS,
        "DefineSystem",
        &["SystemSettings", "ResourceSettings", "ReferenceConfiguration"],
        systems::define,
    ),
    (SYSTEMS, "DestroySystem", &["AffectedSystem"], systems::destroy),
    (SYSTEMS, "ModifySystemSettings", &["SystemSettings"], systems::modify),
    (SYSTEMS, "AddResourceSettings", &["AffectedConfiguration", "ResourceSettings"], resources::add),
    (SYSTEMS, "ModifyResourceSettings", &["ResourceSettings"], resources::modify),
    (SYSTEMS, "RemoveResourceSettings", &["ResourceSettings"], resources::remove),
    (
        SYSTEMS,
        "ExportSystemDefinition",
        &["ComputerSystem", "ExportDirectory", "ExportSettingData"],
        not_supported,
    ),
    (
        SYSTEMS,
        "ImportSystemDefinition",
        &["SystemDefinitionFile", "SnapshotFolder", "GenerateNewSystemIdentifier"],
        not_supported,
    ),
    (
        "Msvm_ComputerSystem",
        "RequestStateChange",
        &["RequestedState", "TimeoutPeriod"],
        systems::change_state,
    ),
    ("CIM_ConcreteJob", "GetError", &[], job_methods::error),
    ("CIM_ConcreteJob", "GetErrorEx", &[], job_methods::errors),
    ("CIM_ConcreteJob", "RequestStateChange", &["RequestedState", "TimeoutPeriod"], not_supported),
];

/// Carries a call out.
pub(crate) fn dispatch(call: &Call<'_>, method: &str) -> Answer {
    let class = &call.target.class;
    if schema::class(class).is_none() {
        return Err(Refusal::fault(Fault::wmi(code::WBEM_INVALID_CLASS, format!("Invalid class: {class}"))));
    }
    let named = |entry: &&Entry| schema::is_a(class, entry.0) && entry.1.eq_ignore_ascii_case(method);
    let Some((_, name, parameters, carry_out)) = METHODS.iter().find(named) else {
        return Err(Refusal::fault(Fault::wmi(
            code::WBEM_INVALID_METHOD,
            format!("{class} has no method {method}"),
        )));
    };
    check_parameters(call.arguments, name, parameters)?;
    check_target(call)?;
    carry_out(call)
}

fn check_parameters(arguments: &Instance, method: &str, parameters: &[&str]) -> Result<(), Refusal> {
    let known = |name: &str| parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case(name));
    match arguments.iter().find(|(name, _)| !known(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let reason = format!("{method} has no parameter {name}");
            Err(Refusal::fault(Fault::new(code::SCHEMA_VALIDATION).with_reason(reason)))
        }
    }
}

/// Services without selectors fail as libvirt saw it; unknown objects are not found.
fn check_target(call: &Call<'_>) -> Result<(), Refusal> {
    let target = call.target;
    if target.key_count() == 0 && target.is_class(SYSTEMS) {
        return Err(Refusal::bad_parameters("no instance is named"));
    }
    if target.key_count() == 0 {
        return Err(Refusal::fault(Fault::new(code::WBEM_FAILED)));
    }
    match View::of(call.core).find(target) {
        Some(_) => Ok(()),
        None => Err(Refusal::not_found(&target.to_object_path())),
    }
}

fn not_supported(_: &Call<'_>) -> Answer {
    Err(Refusal::Return(NOT_SUPPORTED))
}
