//! Reference points: marks in time on a VM's disks, from which changed ranges are asked later.
//!
//! Source: `Msvm_VirtualSystemReferencePoint` class reference (`VirtualDiskIdentifiers` and
//! `ResilientChangeTrackingIdentifiers` are parallel arrays).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use winremote::cim::{Instance, Reference};

use crate::call::{Call, Ended, bad_answer, effect_or};
use crate::checkpoint::{CHANGE_WITHIN, Checkpoint, Consistency};
use crate::error::{Attempt, Error, Result};
use crate::host::Host;
use crate::id::{RctId, ReferencePointId, VmId};
use crate::wmi;

/// How long a conversion may take; like a removal it only schedules the merge.
const CONVERT_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Disks of one VM that are believed: four SCSI controllers with 64 places each, and four IDE places.
const DISKS_MAX: usize = 260;

/// What a reference point keeps (`ReferencePointType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferencePointKind {
    /// A replica log.
    Log,
    /// Marks of resilient change tracking.
    Rct,
    /// A kind this version does not know.
    Unknown(u16),
}

/// A reference point as the host lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferencePoint {
    /// Its identity.
    pub id: ReferencePointId,
    /// The VM it belongs to.
    pub vm: VmId,
    /// How consistent the marked moment is; `None` when the host does not say.
    pub consistency: Option<Consistency>,
    /// What it keeps.
    pub kind: ReferencePointKind,
    /// Attachment and RCT id of every marked disk.
    pub disks: Vec<(String, RctId)>,
}

impl ReferencePoint {
    /// The RCT id of the disk at `attachment`, compared without regard to case.
    pub fn rct_id(&self, attachment: &str) -> Option<&RctId> {
        self.disks.iter().find(|(at, _)| at.eq_ignore_ascii_case(attachment)).map(|(_, id)| id)
    }
}

impl ReferencePoint {
    /// Reads a row of `Msvm_VirtualSystemReferencePoint`. A disk without RCT id is left out: it has no mark.
    pub(crate) fn read(row: &Instance) -> Result<Self, String> {
        let say = |error: winremote::Error| error.to_string();
        let instance_id = row.get_str("InstanceID").map_err(say)?;
        let vm = row.get_str("VirtualSystemIdentifier").map_err(say)?;
        let vm: VmId = vm.parse().map_err(|error| format!("reference point {instance_id}: {error}"))?;
        let disks = row.get_array::<String>("VirtualDiskIdentifiers").map_err(say)?;
        let ids = row.get_array::<String>("ResilientChangeTrackingIdentifiers").map_err(say)?;
        if disks.len() > DISKS_MAX || (disks.len() != ids.len() && !ids.is_empty()) {
            let (disks, ids) = (disks.len(), ids.len());
            return Err(format!("reference point {instance_id} lists {disks} disks and {ids} RCT ids"));
        }
        let marked =
            disks.iter().zip(ids).filter_map(|(disk, id)| Some((attachment(disk), RctId::new(id).ok()?)));
        let disks = marked.collect();
        let id = ReferencePointId::new(instance_id, vm).map_err(|error| error.to_string())?;
        let consistency = row.get_opt::<u16>("ConsistencyLevel").map_err(say)?.and_then(consistency);
        let kind = match row.get_opt::<u16>("ReferencePointType").map_err(say)?.unwrap_or(0) {
            1 => ReferencePointKind::Log,
            2 => ReferencePointKind::Rct,
            other => ReferencePointKind::Unknown(other),
        };
        Ok(Self { id, vm, consistency, kind, disks })
    }
}

/// The device part of a disk's `InstanceID`; whatever else a host writes is kept whole.
fn attachment(instance_id: &str) -> String {
    match wmi::split_instance_id(instance_id) {
        Some((_, device)) if !device.is_empty() => device,
        _ => instance_id.to_ascii_uppercase(),
    }
}

fn consistency(level: u16) -> Option<Consistency> {
    match level {
        1 => Some(Consistency::Application),
        2 => Some(Consistency::Crash),
        _ => None,
    }
}

impl Host {
    /// Turns a checkpoint into a reference point: the frozen state is given up and its mark stays.
    ///
    /// Every handle on its files must be closed before, or the merge that follows fails.
    pub async fn convert_to_reference_point(&self, checkpoint: &Checkpoint) -> Result<ReferencePoint> {
        let (id, vm) = (checkpoint.id, checkpoint.vm);
        let at = self.at(format!("turning checkpoint {id} of VM {vm} into a reference point"));
        let before: BTreeSet<ReferencePointId> =
            self.reference_points_at(&at, &vm).await?.into_iter().map(|point| point.id).collect();
        if self.find_checkpoint(&at, &id).await?.is_none() {
            return Err(Error::CheckpointNotFound { host: self.name().to_owned(), checkpoint: id });
        }
        let call = Call {
            target: wmi::service(wmi::SNAPSHOT_SERVICE),
            method: "ConvertToReferencePoint",
            arguments: vec![
                ("AffectedSnapshot", wmi::settings_reference(id.guid()).into()),
                ("ReferencePointSettings", "".into()),
            ],
            within: CONVERT_WITHIN,
        };
        let ended = self.run(&at, call).await?;
        let made = match &ended {
            Ended::Now(output) => match output.values.get_reference("ResultingReferencePoint") {
                Ok(reference) => self.get(&at, &reference).await?,
                Err(_) => None,
            },
            Ended::Job(job) => self.new_point_of_job(&at, job, &vm).await?,
            Ended::Unseen(_) => None,
        };
        let point = match made.and_then(|row| ReferencePoint::read(&row).ok()).filter(|point| point.vm == vm)
        {
            Some(point) => point,
            None => self.new_point(&at, &vm, &before, ended).await?,
        };
        tracing::info!(host = self.name(), %vm, point = %point.id, marked = point.disks.len(), "reference point made");
        Ok(point)
    }

    async fn new_point_of_job(&self, at: &Attempt, job: &Reference, vm: &VmId) -> Result<Option<Instance>> {
        let products = self.associators(at, job, wmi::AFFECTED_JOB_ELEMENT, wmi::REFERENCE_POINT).await?;
        Ok(products.into_iter().find(|row| ReferencePoint::read(row).is_ok_and(|point| point.vm == *vm)))
    }

    /// The reference point that was not there before.
    async fn new_point(
        &self,
        at: &Attempt,
        vm: &VmId,
        before: &BTreeSet<ReferencePointId>,
        ended: Ended,
    ) -> Result<ReferencePoint> {
        let look = || async move {
            let mut new = self.reference_points_at(at, vm).await?;
            new.retain(|point| !before.contains(&point.id));
            match new.len() {
                0 | 1 => Ok(new.pop()),
                count => {
                    Err(bad_answer(at, &format!("{count} new reference points appeared instead of one")))
                }
            }
        };
        match ended {
            Ended::Unseen(error) => {
                let look = || async move {
                    self.await_idle(vm, CONVERT_WITHIN).await?;
                    look().await
                };
                effect_or(error, look).await
            }
            _ => look().await?.ok_or_else(|| bad_answer(at, &"no new reference point appeared")),
        }
    }

    /// Reference points of a VM, ours and others', ordered by id.
    pub async fn reference_points(&self, vm: &VmId) -> Result<Vec<ReferencePoint>> {
        let at = self.at(format!("listing the reference points of VM {vm}"));
        self.reference_points_at(&at, vm).await
    }

    async fn reference_points_at(&self, at: &Attempt, vm: &VmId) -> Result<Vec<ReferencePoint>> {
        let query = format!("select * from {} where VirtualSystemIdentifier = '{vm}'", wmi::REFERENCE_POINT);
        let rows = self.query(at, &query).await?;
        let read: Result<Vec<_>, String> = rows.iter().map(ReferencePoint::read).collect();
        let mut points = read.map_err(|why| bad_answer(at, &why))?;
        points.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(points)
    }

    /// Releases a reference point. One that is gone already is success.
    pub async fn destroy_reference_point(&self, id: &ReferencePointId) -> Result<()> {
        let at = self.at(format!("releasing reference point {id} of VM {}", id.vm));
        let target = point_reference(id);
        if self.get(&at, &target).await?.is_none() {
            return Ok(());
        }
        let call = Call {
            target: wmi::service(wmi::REFERENCE_POINT_SERVICE),
            method: "DestroyReferencePoint",
            arguments: vec![("AffectedReferencePoint", target.clone().into())],
            within: CHANGE_WITHIN,
        };
        match self.run(&at, call).await? {
            Ended::Now(_) | Ended::Job(_) => Ok(()),
            Ended::Unseen(error) => {
                let look = || async { Ok(self.get(&at, &target).await?.is_none().then_some(())) };
                effect_or(error, look).await
            }
        }
    }
}

fn point_reference(id: &ReferencePointId) -> Reference {
    Reference::new(wmi::NAMESPACE, wmi::REFERENCE_POINT)
        .with_key("InstanceID", &id.instance_id)
        .with_key("VirtualSystemIdentifier", id.vm.to_string())
}
