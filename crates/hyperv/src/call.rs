//! Asking a host: reads that are repeated after a hiccup, and calls that are never repeated blindly.
//!
//! A read may be sent again at once. A call that changes something may have taken effect although no answer came; it
//! is then reported as [`Ended::Unseen`], and the verb that made it looks for its effect before anything else.

use std::future::Future;
use std::time::Duration;

use winremote::cim::{Instance, Reference};
use winremote::wsman::{Argument, Output};

use crate::error::{Attempt, Error, Result};
use crate::host::Host;
use crate::job::{JobEnd, Watch};
use crate::wmi;

/// How often a read is sent when the network or the host hiccups; three covers a dropped connection followed by a
/// busy host without hiding an outage.
const READ_ATTEMPTS: u32 = 3;

/// Pause before the second attempt of a read; doubled before the third.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// How long the effect of a call without answer is looked for. A host that got the call acts on it within moments;
/// where the work itself takes longer, the VM is busy meanwhile and the look waits for that first.
const EFFECT_WITHIN: Duration = Duration::from_secs(3);

/// Return value of a method that goes on as a job.
const JOB_STARTED: u32 = 4096;

/// A method call that changes something on the host.
pub(crate) struct Call {
    pub(crate) target: Reference,
    pub(crate) method: &'static str,
    pub(crate) arguments: Vec<(&'static str, Argument)>,
    /// How long the host may work on it.
    pub(crate) within: Duration,
}

/// How a call ended.
pub(crate) enum Ended {
    /// It was done when the answer came.
    Now(Output),
    /// It was done by this job.
    Job(Reference),
    /// It may have been done; the error says why that is not known.
    Unseen(Error),
}

impl Host {
    /// All instances that a query of the virtualization namespace names.
    pub(crate) async fn query(&self, at: &Attempt, wql: &str) -> Result<Vec<Instance>> {
        self.query_in(at, wmi::NAMESPACE, wql).await
    }

    pub(crate) async fn query_in(&self, at: &Attempt, namespace: &str, wql: &str) -> Result<Vec<Instance>> {
        repeated(|| self.client().query(namespace, wql)).await.map_err(|cause| call_error(at, cause))
    }

    /// One object; `None` when the host does not have it.
    pub(crate) async fn get(&self, at: &Attempt, target: &Reference) -> Result<Option<Instance>> {
        match repeated(|| self.client().get(target)).await {
            Ok(instance) => Ok(Some(instance)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(cause) => Err(call_error(at, cause)),
        }
    }

    /// Objects associated with `source`. An empty class name does not narrow.
    pub(crate) async fn associators(
        &self,
        at: &Attempt,
        source: &Reference,
        association: &str,
        result: &str,
    ) -> Result<Vec<Instance>> {
        repeated(|| self.client().associators(source, association, result))
            .await
            .map_err(|cause| call_error(at, cause))
    }

    /// Calls a method that only reads, so it may be repeated. The return value is not looked at.
    pub(crate) async fn ask(
        &self,
        target: &Reference,
        method: &str,
        arguments: &[(&'static str, Argument)],
    ) -> Result<Output, winremote::Error> {
        repeated(|| self.client().invoke(target, method, arguments.iter().cloned())).await
    }

    /// Calls a method that changes something, and waits for its job.
    pub(crate) async fn run(&self, at: &Attempt, call: Call) -> Result<Ended> {
        let Call { target, method, arguments, within } = call;
        let output = match self.client().invoke(&target, method, arguments).await {
            Ok(output) => output,
            Err(cause) if cause.may_have_run() => return Ok(Ended::Unseen(may_have_run(at, cause))),
            Err(cause) => return Err(call_error(at, cause)),
        };
        match output.return_value {
            0 => Ok(Ended::Now(output)),
            JOB_STARTED => {
                let job = job_of(at, &output)?;
                Ok(match self.await_job(at, &job, within).await? {
                    JobEnd::Completed => Ended::Job(job),
                    JobEnd::Vanished => Ended::Unseen(Error::JobVanished { at: Box::new(at.clone()) }),
                })
            }
            code => Err(Error::Refused { at: Box::new(at.clone()), method, code }),
        }
    }
}

/// Looks for the effect of a call of which only `error` is known, for a while.
pub(crate) async fn effect_or<T, F>(error: Error, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let mut watch = Watch::new(EFFECT_WITHIN);
    loop {
        if let Some(effect) = look().await? {
            tracing::debug!(%error, "the call took effect although its end was not seen");
            return Ok(effect);
        }
        if !watch.pause().await {
            return Err(error);
        }
    }
}

/// The job's reference with its one key; hosts add `__cimnamespace`, which queries do not accept.
pub(crate) fn job_of(at: &Attempt, output: &Output) -> Result<Reference> {
    let job = output.values.get_reference("Job").map_err(|error| bad_answer(at, &error))?;
    let Some(id) = job.key("InstanceID") else {
        return Err(bad_answer(at, &format!("the job {job} has no InstanceID")));
    };
    let namespace = if job.namespace.is_empty() { wmi::NAMESPACE } else { &job.namespace };
    Ok(Reference::new(namespace, &job.class).with_key("InstanceID", id))
}

/// Sends a read until it is answered, a few times at most.
async fn repeated<T, F>(mut ask: impl FnMut() -> F) -> Result<T, winremote::Error>
where
    F: Future<Output = Result<T, winremote::Error>>,
{
    let mut attempt = 1;
    loop {
        match ask().await {
            Err(error) if attempt < READ_ATTEMPTS && worth_repeating(&error) => {
                tracing::debug!(%error, attempt, "repeating a read");
                tokio::time::sleep(READ_PAUSE * (1 << (attempt - 1))).await;
                attempt += 1;
            }
            answer => return answer,
        }
    }
}

/// Only for reads, so it does not matter that the first one may have run. A host that cannot be reached at all is
/// not knocked at again; the caller hears of it at once.
fn worth_repeating(error: &winremote::Error) -> bool {
    match error {
        winremote::Error::NotReachable { .. } => false,
        winremote::Error::TimedOut { .. } | winremote::Error::ConnectionLost { .. } => true,
        error => error.retry() != winremote::Retry::No,
    }
}

pub(crate) fn call_error(at: &Attempt, cause: winremote::Error) -> Error {
    Error::Call { at: Box::new(at.clone()), cause: Box::new(cause) }
}

fn may_have_run(at: &Attempt, cause: winremote::Error) -> Error {
    Error::MayHaveRun { at: Box::new(at.clone()), cause: Box::new(cause) }
}

pub(crate) fn bad_answer(at: &Attempt, why: &impl ToString) -> Error {
    Error::BadAnswer { at: Box::new(at.clone()), why: why.to_string() }
}
