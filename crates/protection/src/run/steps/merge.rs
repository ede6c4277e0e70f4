//! Sees the host's merge through: the VM writes to its own disk files again, and nothing of the
//! backup is left on the host.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyperv::{Host, MergeOutcome, VmId};
use serde_json::{Value, json};

use super::Step;
use crate::error::{Error, Result};
use crate::run::StepName;
use crate::run::settle::Interrupted;
use crate::run::state::VmRun;

/// How long a merge is watched. What a day's backup leaves to merge takes seconds; a merge that
/// needs longer goes on without us, and the restore point carries a warning.
const MERGE_DEADLINE: Duration = Duration::from_secs(600);

/// The step.
pub(super) struct AwaitMerge;

impl Step for AwaitMerge {
    fn name(&self) -> StepName {
        StepName::Merge
    }

    fn describe(&self, _run: &VmRun<'_>) -> String {
        "wait until the host has merged the VM's writes back".into()
    }

    fn intent<'a>(&'a self, _run: &'a VmRun<'_>) -> BoxFuture<'a, Result<Option<Value>>> {
        async { Ok(Some(Value::Null)) }.boxed()
    }

    fn apply<'a>(&'a self, run: &'a mut VmRun<'_>) -> BoxFuture<'a, Result<Value>> {
        async move {
            match run.site.host.await_merge(run.vm(), MERGE_DEADLINE).await? {
                MergeOutcome::Merged => Ok(json!({ "merged": true })),
                MergeOutcome::StillMerging(what) => {
                    let minutes = MERGE_DEADLINE.as_secs() / 60;
                    run.warn(format!("the host has not finished its merge after {minutes} min: {what}"));
                    Ok(json!({ "merged": false }))
                }
            }
        }
        .boxed()
    }

    /// Nothing to take back: the host merges by itself.
    fn settle<'a>(&'a self, _interrupted: &'a Interrupted<'_>) -> BoxFuture<'a, Result<Option<String>>> {
        async { Ok(None) }.boxed()
    }
}

/// Waits until the host is no longer busy with a VM. A call that was cut off may still be at
/// work there, so nobody may look at what it left before it is done.
pub(super) async fn await_idle(host: &Host, vm: &VmId) -> Result<()> {
    if host.await_idle(vm, MERGE_DEADLINE).await? {
        Ok(())
    } else {
        Err(Error::StillBusy { vm: vm.to_string(), host: host.computer_name().to_owned() })
    }
}
