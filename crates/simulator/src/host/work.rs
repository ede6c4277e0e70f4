//! Runs jobs: waits for their time, does their work off the network threads, and notes their end.

use std::sync::Arc;
use std::time::Duration;

use winremote::cim::Reference;
use winremote::wsman::Output;

use super::HostCore;
use super::jobs::JobKind;
use super::refusal::{JOB_STARTED, JobError};
use crate::fault::FaultEffect;
use crate::ids::JobId;
use crate::wire::names;

/// What a job made or changed, or why it failed.
pub(crate) type JobResult = Result<Vec<Reference>, JobError>;

/// A job before it is started.
pub(crate) struct JobOrder {
    pub(crate) kind: JobKind,
    pub(crate) duration: Duration,
    /// A fault that was ordered for this call.
    pub(crate) fault: Option<FaultEffect>,
}

/// What runs at the end of a job, however it ended: clears the VM's busy state, goes on with a merge.
pub(crate) type Afterwards = Box<dyn FnOnce() + Send>;

/// Starts a job and returns at once.
pub(crate) fn start(
    core: &Arc<HostCore>,
    order: JobOrder,
    work: impl FnOnce() -> JobResult + Send + 'static,
    afterwards: Option<Afterwards>,
) -> JobId {
    let (duration, planned_failure) = match order.fault {
        Some(FaultEffect::SlowJob(extra)) => (order.duration + extra, None),
        Some(FaultEffect::FailJob { code, text }) => (order.duration, Some(JobError { code, text })),
        _ => (order.duration, None),
    };
    let id = JobId(core.new_guid());
    core.state().jobs.start(id, order.kind, duration, core.clock.unix_ms());
    let core = Arc::clone(core);
    tokio::spawn(async move {
        tokio::time::sleep(duration).await;
        let result = match planned_failure {
            Some(error) => Err(error),
            None => off_the_network(work).await,
        };
        if let Err(error) = &result {
            tracing::debug!(job = %id, code = error.code, "job failed: {}", error.text);
        }
        // What belongs to the job's end is in place before a client can see the end.
        if let Some(afterwards) = afterwards {
            afterwards();
        }
        core.state().jobs.finish(id, result);
    });
    id
}

/// The answer of a method that started a job.
pub(crate) fn started(kind: JobKind, id: JobId) -> Output {
    Output::new(JOB_STARTED).with("Job", names::job(kind.class(), id))
}

async fn off_the_network(work: impl FnOnce() -> JobResult + Send + 'static) -> JobResult {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(JobError::failed(&format!("The job stopped unexpectedly: {error}"), 0x8000_4005)),
    }
}
