//! Destroys the reference points of ours that the new one replaces. It comes after the new
//! continuation record is durable, so that there is always one way to go on.

use futures::FutureExt;
use futures::future::BoxFuture;
use hyperv::{Host, ReferencePointId, VmId};
use serde_json::Value;

use super::{Step, noted, recalled};
use crate::error::Result;
use crate::run::StepName;
use crate::run::settle::Interrupted;
use crate::run::state::VmRun;

/// The step.
pub(super) struct Release;

impl Step for Release {
    fn name(&self) -> StepName {
        StepName::Release
    }

    fn describe(&self, run: &VmRun<'_>) -> String {
        format!("release {} older reference point(s)", run.backup.release.len())
    }

    fn intent<'a>(&'a self, run: &'a VmRun<'_>) -> BoxFuture<'a, Result<Option<Value>>> {
        async move {
            let older = &run.backup.release;
            if older.is_empty() { Ok(None) } else { noted(self.name(), older).map(Some) }
        }
        .boxed()
    }

    fn apply<'a>(&'a self, run: &'a mut VmRun<'_>) -> BoxFuture<'a, Result<Value>> {
        async move {
            destroy_held(run.site.host, run.vm(), &run.backup.release).await?;
            Ok(Value::Null)
        }
        .boxed()
    }

    /// The newer continuation record was durable before this began, so it is seen through.
    fn settle<'a>(&'a self, interrupted: &'a Interrupted<'_>) -> BoxFuture<'a, Result<Option<String>>> {
        async move {
            if interrupted.done(self.name()).is_some() {
                return Ok(None);
            }
            let Some(intent) = interrupted.intent(self.name()) else { return Ok(None) };
            let older: Vec<ReferencePointId> = recalled(self.name(), intent)?;
            let released = destroy_held(interrupted.site.host, &interrupted.vm, &older).await?;
            Ok((released > 0).then(|| format!("released {released} older reference point(s)")))
        }
        .boxed()
    }
}

/// Destroys those of `ids` that the host still holds; returns how many.
async fn destroy_held(host: &Host, vm: &VmId, ids: &[ReferencePointId]) -> Result<usize> {
    let held = host.reference_points(vm).await?;
    let mut destroyed = 0;
    for id in held.iter().map(|held| &held.id).filter(|id| ids.contains(id)) {
        host.destroy_reference_point(id).await?;
        destroyed += 1;
    }
    Ok(destroyed)
}
