//! Reference points: what is left of a recovery checkpoint after a backup, so that the next one can ask for changes.
//!
//! A converted checkpoint disappears and merges back; its instant lives on as one change tracking id per disk. An id
//! is worth something only while a reference point or checkpoint carries it: whether a real host serves an id longer
//! is not known, and a client that relies on it would be wrong on the careful side of that question.

use std::sync::Arc;

use winremote::cim::Value;

use super::checkpoints::{become_busy, owner};
use super::jobs::JobKind;
use super::refusal::{Answer, JobError, Refusal};
use super::work::{self, JobOrder};
use super::{Busy, HostCore, configuration_files, merge};
use crate::error::{Error, Result};
use crate::fault::FaultEffect;
use crate::ids::{CheckpointId, ReferencePointId, SimVmId};
use crate::model::{Checkpoint, ReferencePoint};
use crate::wire::names;

/// `ConvertToReferencePoint`.
pub(crate) fn convert(core: &Arc<HostCore>, id: CheckpointId, fault: Option<FaultEffect>) -> Answer {
    let vm = owner(core, id)?;
    become_busy(core, vm, Busy::DeletingSnapshot, |_| true)?;
    let kind = JobKind::ConvertToReferencePoint;
    let order = JobOrder { kind, duration: core.timing.conversion, fault };
    let (worker, after) = (Arc::clone(core), Arc::clone(core));
    let work = move || {
        let point = convert_now(&worker, vm, id).map_err(|error| JobError::io(&error))?;
        Ok(vec![names::reference_point(point, vm), names::vm(vm)])
    };
    let job = work::start(core, order, work, Some(Box::new(move || merge::begin_or_idle(&after, vm))));
    Ok(work::started(kind, job).with("ResultingReferencePoint", Value::Null))
}

/// `DestroyReferencePoint`.
pub(crate) fn destroy(
    core: &Arc<HostCore>,
    vm: SimVmId,
    id: ReferencePointId,
    fault: Option<FaultEffect>,
) -> Answer {
    let known = core.state().model.vms.get(&vm).is_some_and(|vm| vm.reference_points.contains_key(&id));
    if !known {
        return Err(Refusal::not_found(&format!("reference point {id} of {vm}")));
    }
    let kind = JobKind::DeleteReferencePoint;
    let order = JobOrder { kind, duration: core.timing.other, fault };
    let worker = Arc::clone(core);
    let work = move || {
        forget(&worker, vm, |point| *point == id).map_err(|error| JobError::io(&error))?;
        Ok(vec![names::vm(vm)])
    };
    Ok(work::started(kind, work::start(core, order, work, None)))
}

/// Drops reference points from the model; returns how many.
pub(crate) fn forget(
    core: &HostCore,
    vm: SimVmId,
    which: impl Fn(&ReferencePointId) -> bool,
) -> Result<usize> {
    core.change(|state| {
        let Some(vm) = state.model.vms.get_mut(&vm) else { return 0 };
        let before = vm.reference_points.len();
        vm.reference_points.retain(|id, _| !which(id));
        before - vm.reference_points.len()
    })
}

/// Puts the reference point in the place of the checkpoint, in one change.
fn convert_now(core: &HostCore, vm: SimVmId, id: CheckpointId) -> Result<ReferencePointId> {
    let gone = || Error::Refused { doing: "convert a checkpoint", why: format!("checkpoint {id} is gone") };
    let found = core.vm(vm)?;
    let checkpoint = found.checkpoints.get(&id).ok_or_else(gone)?;
    let point = reference_point(core, checkpoint);
    core.change(|state| {
        let number = state.model.next_number();
        if let Some(vm) = state.model.vms.get_mut(&vm) {
            vm.checkpoints.remove(&id);
            vm.last_backup_unix_ms = Some(point.created_unix_ms);
            vm.reference_points.insert(point.id, ReferencePoint { number, ..point.clone() });
        }
    })?;
    configuration_files::remove_checkpoint(core, &found, id);
    Ok(point.id)
}

fn reference_point(core: &HostCore, checkpoint: &Checkpoint) -> ReferencePoint {
    ReferencePoint {
        id: ReferencePointId(core.new_guid()),
        number: 0,
        checkpoint: checkpoint.id,
        created_unix_ms: core.clock.unix_ms(),
        consistency: checkpoint.consistency,
        marks: checkpoint.marks.clone(),
    }
}
