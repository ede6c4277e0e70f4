//! Records beside the restore point how the next backup goes on from it.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use hyperv::ReferencePoint;
use repository::{Indexed, PointId, Repository};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Step, noted, recalled};
use crate::continuation::{COMPANION, Continuation, ContinuationDisk, VERSION};
use crate::error::{Error, Result};
use crate::run::StepName;
use crate::run::settle::Interrupted;
use crate::run::state::VmRun;

/// The step.
pub(super) struct RecordContinuation;

/// Before: the whole record, so that it can be written even after an interruption.
#[derive(Serialize, Deserialize)]
struct Intent {
    point: PointId,
    record: Continuation,
}

impl Step for RecordContinuation {
    fn name(&self) -> StepName {
        StepName::Continue
    }

    fn describe(&self, run: &VmRun<'_>) -> String {
        format!("record how the next backup goes on from restore point {}", run.point)
    }

    fn intent<'a>(&'a self, run: &'a VmRun<'_>) -> BoxFuture<'a, Result<Option<Value>>> {
        async move {
            let made = run.reference_point.as_ref().ok_or(Error::OutOfOrder { step: "continue" })?;
            let intent = Intent { point: run.point, record: record_of(run, made) };
            noted(self.name(), &intent).map(Some)
        }
        .boxed()
    }

    fn apply<'a>(&'a self, run: &'a mut VmRun<'_>) -> BoxFuture<'a, Result<Value>> {
        async move {
            let made = run.reference_point.clone().ok_or(Error::OutOfOrder { step: "continue" })?;
            let record = record_of(run, &made);
            for disk in &run.backup.disks {
                if record.disk(&disk.attachment).is_none() {
                    let what = format!(
                        "the host gave no RCT id for disk {}; its next backup reads it whole",
                        disk.name
                    );
                    run.warn(what);
                }
            }
            write(run.site.repository, &run.point, &record).await?;
            Ok(Value::Null)
        }
        .boxed()
    }

    /// The reference point exists and the restore point is committed, so the record is true:
    /// it is written now.
    fn settle<'a>(&'a self, interrupted: &'a Interrupted<'_>) -> BoxFuture<'a, Result<Option<String>>> {
        async move {
            if !interrupted.same_repository || interrupted.done(self.name()).is_some() {
                return Ok(None);
            }
            let Some(intent) = interrupted.intent(self.name()) else { return Ok(None) };
            let Intent { point, record } = recalled(self.name(), intent)?;
            write(interrupted.site.repository, &point, &record).await?;
            Ok(Some(format!("completed the continuation record of restore point {point}")))
        }
        .boxed()
    }
}

/// Writes the record; one that is already there stays, since it can only be the same.
async fn write(repository: &Repository<Indexed>, point: &PointId, record: &Continuation) -> Result<()> {
    if repository.companion(point, COMPANION).await?.is_some() {
        return Ok(());
    }
    let bytes = record
        .encode()
        .map_err(|source| Error::JournalDetail { step: StepName::Continue.as_str(), source })?;
    repository.put_companion(point, COMPANION, Bytes::from(bytes)).await?;
    Ok(())
}

fn record_of(run: &VmRun<'_>, made: &ReferencePoint) -> Continuation {
    let disks = run.backup.disks.iter().filter_map(|disk| {
        let rct_id = made.rct_id(&disk.attachment)?.clone();
        Some(ContinuationDisk {
            key: disk.key.as_str().to_owned(),
            attachment: disk.attachment.clone(),
            path: disk.path.clone(),
            virtual_disk_id: disk.virtual_disk_id,
            capacity_bytes: disk.capacity_bytes,
            rct_id,
        })
    });
    Continuation {
        version: VERSION,
        vm: *run.vm(),
        host: run.site.host.computer_name().to_owned(),
        reference_point: made.id.clone(),
        disks: disks.collect(),
    }
}
