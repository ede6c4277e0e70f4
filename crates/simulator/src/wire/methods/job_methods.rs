//! Methods of job objects: what went wrong.

use winremote::cim::Value;
use winremote::wsman::Output;

use super::Call;
use crate::host::refusal::{Answer, COMPLETED, JobError, Refusal};
use crate::wire::instances::job_objects::error_object;

pub(super) fn error(call: &Call<'_>) -> Answer {
    let value = job_error(call)?.map_or(Value::Null, |error| error_object(&error).into());
    Ok(Output::new(COMPLETED).with("Error", value))
}

pub(super) fn errors(call: &Call<'_>) -> Answer {
    let errors: Vec<Value> = job_error(call)?.iter().map(|error| error_object(error).into()).collect();
    Ok(Output::new(COMPLETED).with("Errors", Value::Array(errors)))
}

fn job_error(call: &Call<'_>) -> Result<Option<JobError>, Refusal> {
    let id = call.target.key("InstanceID").unwrap_or_default();
    let gone = || Refusal::not_found(&format!("job {id}"));
    let mut state = call.core.state();
    let job = state.jobs.get(id.parse().map_err(|_| gone())?).ok_or_else(gone)?;
    Ok(job.error().cloned())
}
