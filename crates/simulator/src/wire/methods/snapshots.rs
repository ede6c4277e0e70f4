//! Methods of the snapshot service and the reference point service.

use winremote::cim::Instance;

use super::Call;
use crate::host::refusal::{Answer, INVALID_PARAMETER, Refusal};
use crate::host::{checkpoints, reference_points};
use crate::ids::ReferencePointId;
use crate::model::Consistency;
use crate::wire::arguments;

pub(super) fn create(call: &Call<'_>) -> Answer {
    let vm = arguments::vm(call.arguments, "AffectedSystem")?;
    let settings =
        arguments::instance(call.arguments, "SnapshotSettings", "Msvm_VirtualSystemSnapshotSettingData")?;
    let snapshot_type = arguments::number(call.arguments, "SnapshotType")?;
    let snapshot_type = u16::try_from(snapshot_type).map_err(|_| Refusal::Return(INVALID_PARAMETER))?;
    checkpoints::create(call.core, vm, snapshot_type, consistency(settings.as_ref())?, call.fault.clone())
}

/// `ConsistencyLevel`: 1 application, also when it is left out; 2 crash.
fn consistency(settings: Option<&Instance>) -> Result<Consistency, Refusal> {
    let level = settings.map(|settings| settings.get_opt::<u8>("ConsistencyLevel")).transpose();
    match level.map(Option::flatten) {
        Ok(None | Some(0 | 1)) => Ok(Consistency::Application),
        Ok(Some(2)) => Ok(Consistency::Crash),
        _ => Err(Refusal::Return(INVALID_PARAMETER)),
    }
}

pub(super) fn destroy(call: &Call<'_>) -> Answer {
    let checkpoint = arguments::checkpoint(call.arguments, "AffectedSnapshot")?;
    checkpoints::destroy(call.core, checkpoint, call.fault.clone())
}

pub(super) fn convert(call: &Call<'_>) -> Answer {
    let checkpoint = arguments::checkpoint(call.arguments, "AffectedSnapshot")?;
    let class = "Msvm_VirtualSystemReferencePointSettingData";
    arguments::instance(call.arguments, "ReferencePointSettings", class)?;
    reference_points::convert(call.core, checkpoint, call.fault.clone())
}

pub(super) fn destroy_reference_point(call: &Call<'_>) -> Answer {
    let point = arguments::reference(call.arguments, "AffectedReferencePoint")?;
    let vm = point.key("VirtualSystemIdentifier").unwrap_or_default();
    let (id, _) = arguments::owner_and_part(point.key("InstanceID").unwrap_or_default())?;
    let not_found = || Refusal::not_found(&point.to_object_path());
    let vm = vm.parse().map_err(|_| not_found())?;
    let id: ReferencePointId = id.parse().map_err(|_| not_found())?;
    reference_points::destroy(call.core, vm, id, call.fault.clone())
}
