//! Turns the recovery checkpoint into a reference point. The host then merges the VM's writes
//! back and keeps only the mark from which the next changes are counted.
//!
//! This comes after the commit: the host may forget what the repository holds, never before.

use std::collections::BTreeSet;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyperv::ReferencePointId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Step, noted, recalled};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::run::StepName;
use crate::run::settle::Interrupted;
use crate::run::state::VmRun;

/// The step.
pub(super) struct Convert;

/// Before: which reference points the VM had.
#[derive(Serialize, Deserialize)]
struct Intent {
    existing: BTreeSet<ReferencePointId>,
}

impl Step for Convert {
    fn name(&self) -> StepName {
        StepName::Convert
    }

    fn describe(&self, _run: &VmRun<'_>) -> String {
        "turn the checkpoint into a reference point".into()
    }

    fn intent<'a>(&'a self, run: &'a VmRun<'_>) -> BoxFuture<'a, Result<Option<Value>>> {
        async move {
            let found = run.site.host.reference_points(run.vm()).await?;
            let existing = found.into_iter().map(|held| held.id).collect();
            noted(self.name(), &Intent { existing }).map(Some)
        }
        .boxed()
    }

    fn apply<'a>(&'a self, run: &'a mut VmRun<'_>) -> BoxFuture<'a, Result<Value>> {
        async move {
            let checkpoint = run.checkpoint.as_ref().ok_or(Error::OutOfOrder { step: "convert" })?;
            let made = run.site.host.convert_to_reference_point(checkpoint).await?;
            let done = noted(self.name(), &made.id)?;
            run.reference_point = Some(made);
            Ok(done)
        }
        .boxed()
    }

    /// Destroys the new reference point, unless the next step has begun to record it: then that
    /// step sees itself through and the reference point is of use.
    ///
    /// The id may be unknown. Then a single new one is ours; where there are several, another
    /// product has made some too, and none is touched.
    fn settle<'a>(&'a self, interrupted: &'a Interrupted<'_>) -> BoxFuture<'a, Result<Option<String>>> {
        async move {
            if interrupted.same_repository && interrupted.intent(StepName::Continue).is_some() {
                return Ok(None);
            }
            let Some(intent) = interrupted.intent(self.name()) else { return Ok(None) };
            let Intent { existing } = recalled(self.name(), intent)?;
            let done: Option<ReferencePointId> = match interrupted.done(self.name()) {
                Some(detail) => Some(recalled(self.name(), detail)?),
                None => None,
            };
            let (host, vm) = (interrupted.site.host, &interrupted.vm);
            super::merge::await_idle(host, vm).await?;
            let held = host.reference_points(vm).await?;
            let new: Vec<ReferencePointId> = held
                .into_iter()
                .map(|held| held.id)
                .filter(|id| done.as_ref().map_or(!existing.contains(id), |done| done == id))
                .collect();
            match new.as_slice() {
                [] => Ok(None),
                [ours] => {
                    host.destroy_reference_point(ours).await?;
                    Ok(Some("removed the reference point of an interrupted run".into()))
                }
                several => {
                    let what = format!(
                        "{} reference points appeared while a run was interrupted; none was removed, since \
                         another product may have made them",
                        several.len()
                    );
                    let vm = vm.to_string();
                    interrupted.site.world.tell(&Event::Warning { vm, what });
                    Ok(None)
                }
            }
        }
        .boxed()
    }
}
