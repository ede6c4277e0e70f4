//! Takes the recovery checkpoint, and marks it as ours.

use std::collections::BTreeSet;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyperv::{Checkpoint, CheckpointId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Step, noted, recalled};
use crate::error::Result;
use crate::plan::checkpoint_name_prefix;
use crate::run::StepName;
use crate::run::settle::Interrupted;
use crate::run::state::VmRun;

/// The step.
pub(super) struct TakeCheckpoint;

/// Before: which recovery checkpoints the VM had, so that a new one is known for ours even
/// where the run was cut before the host could say its id.
#[derive(Serialize, Deserialize)]
struct Intent {
    existing: BTreeSet<CheckpointId>,
}

/// After: the checkpoint.
#[derive(Serialize, Deserialize)]
struct Done {
    checkpoint: CheckpointId,
}

impl Step for TakeCheckpoint {
    fn name(&self) -> StepName {
        StepName::Checkpoint
    }

    fn describe(&self, run: &VmRun<'_>) -> String {
        format!("take an {}", run.backup.method.title())
    }

    fn intent<'a>(&'a self, run: &'a VmRun<'_>) -> BoxFuture<'a, Result<Option<Value>>> {
        async move {
            let found = run.site.host.recovery_checkpoints(run.vm()).await?;
            let existing = found.into_iter().map(|checkpoint| checkpoint.id).collect();
            noted(self.name(), &Intent { existing }).map(Some)
        }
        .boxed()
    }

    fn apply<'a>(&'a self, run: &'a mut VmRun<'_>) -> BoxFuture<'a, Result<Value>> {
        async move {
            let site = run.site;
            let level = run.backup.method.level();
            let taken: Checkpoint = site.host.create_recovery_checkpoint(run.vm(), level).await?;
            let name = format!("{}{}", checkpoint_name_prefix(site.journal.instance()), run.id);
            site.host.name_checkpoint(&taken.id, &name).await?;
            let done = Done { checkpoint: taken.id };
            run.checkpoint = Some(taken);
            noted(self.name(), &done)
        }
        .boxed()
    }

    /// Destroys the checkpoint, unless it has become a reference point meanwhile. Where its id
    /// is not known, it is the recovery checkpoint that was not there before: the plan refuses a
    /// VM that already has one, and the host allows only one backup of a VM at a time.
    fn settle<'a>(&'a self, interrupted: &'a Interrupted<'_>) -> BoxFuture<'a, Result<Option<String>>> {
        async move {
            let Some(intent) = interrupted.intent(self.name()) else { return Ok(None) };
            let Intent { existing } = recalled(self.name(), intent)?;
            let done: Option<Done> = match interrupted.done(self.name()) {
                Some(detail) => Some(recalled(self.name(), detail)?),
                None => None,
            };
            let (host, vm) = (interrupted.site.host, &interrupted.vm);
            super::merge::await_idle(host, vm).await?;
            let mut removed = 0_usize;
            for found in host.recovery_checkpoints(vm).await? {
                let ours = match &done {
                    Some(done) => done.checkpoint == found.id,
                    None => !existing.contains(&found.id),
                };
                if ours {
                    host.destroy_checkpoint(&found.id).await?;
                    removed += 1;
                }
            }
            if removed == 0 {
                return Ok(None);
            }
            super::merge::await_idle(host, vm).await?;
            Ok(Some("removed the recovery checkpoint of an interrupted run".into()))
        }
        .boxed()
    }
}
