//! Removes recovery checkpoints that this installation left on the VM and that the journal no
//! longer knows of, for instance after the home folder was restored from an older copy.

use futures::FutureExt;
use futures::future::BoxFuture;
use hyperv::CheckpointId;
use serde_json::Value;

use super::{Step, noted};
use crate::error::Result;
use crate::run::StepName;
use crate::run::settle::Interrupted;
use crate::run::state::VmRun;

/// The step.
pub(super) struct Clear;

impl Step for Clear {
    fn name(&self) -> StepName {
        StepName::Clear
    }

    fn describe(&self, run: &VmRun<'_>) -> String {
        format!("remove {} checkpoint(s) left behind by an earlier run", run.backup.stale_checkpoints.len())
    }

    fn intent<'a>(&'a self, run: &'a VmRun<'_>) -> BoxFuture<'a, Result<Option<Value>>> {
        async move {
            let stale: &Vec<CheckpointId> = &run.backup.stale_checkpoints;
            if stale.is_empty() { Ok(None) } else { noted(self.name(), stale).map(Some) }
        }
        .boxed()
    }

    fn apply<'a>(&'a self, run: &'a mut VmRun<'_>) -> BoxFuture<'a, Result<Value>> {
        async move {
            for checkpoint in &run.backup.stale_checkpoints {
                run.site.host.destroy_checkpoint(checkpoint).await?;
            }
            super::merge::await_idle(run.site.host, run.vm()).await?;
            Ok(Value::Null)
        }
        .boxed()
    }

    /// What is still there is found again by the next plan.
    fn settle<'a>(&'a self, _interrupted: &'a Interrupted<'_>) -> BoxFuture<'a, Result<Option<String>>> {
        async { Ok(None) }.boxed()
    }
}
