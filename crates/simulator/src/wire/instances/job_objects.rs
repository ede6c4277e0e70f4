//! `Msvm_ConcreteJob` and `Msvm_StorageJob`, and `Msvm_Error` inside them (WMI notes 1.6).

use std::time::Duration;

use winremote::cim::Instance;

use super::View;
use crate::host::jobs::{Job, JobKind};
use crate::host::refusal::JobError;
use crate::wire::schema;
use crate::wire::values::{length, moment};

impl View {
    /// The jobs of one class.
    pub(super) fn job_objects(&self, class: &str) -> Vec<Instance> {
        let of_class = self.jobs.iter().filter(|job| job.kind.class() == class);
        of_class.map(|job| instance(job, self.job_life)).collect()
    }
}

fn instance(job: &Job, life: Duration) -> Instance {
    let error = job.error();
    let status = if error.is_some() { "Error" } else { "OK" };
    let object = Instance::new(job.kind.class())
        .with("Caption", job.kind.caption())
        .with("Description", job.kind.caption())
        .with("ElementName", job.kind.caption())
        .with("InstanceID", job.id.text())
        .with("Name", "Msvm_ConcreteJob")
        .with("JobType", job.kind.number())
        .with("JobState", job.state())
        .with("JobStatus", status)
        .with("Status", status)
        .with("PercentComplete", job.percent())
        .with("OperationalStatus", vec![if error.is_some() { 6_u16 } else { 2 }])
        .with("HealthState", if error.is_some() { 20_u16 } else { 5 })
        .with("Cancellable", false)
        .with("DeleteOnCompletion", true)
        .with("ElapsedTime", length(job.elapsed()))
        .with("TimeBeforeRemoval", length(life))
        .with("StartTime", moment(job.started_unix_ms))
        .with("TimeSubmitted", moment(job.started_unix_ms))
        .with("LocalOrUtcTime", 2_u16)
        .with("Owner", "NT AUTHORITY\\SYSTEM")
        .with("ErrorCode", error.map_or(0, |error| error.code))
        .with("ErrorDescription", error.map(|error| error.text.clone()))
        .with("ErrorSummaryDescription", error.map(|error| error.text.clone()));
    if job.kind == JobKind::DiskInformation {
        object.with("JobCompletionStatusCode", error.map_or(0, status_code))
    } else {
        object
    }
}

/// The HRESULT at the end of a job's text, which a storage job also tells as a number.
fn status_code(error: &JobError) -> u32 {
    let digits = error.text.rsplit_once("(0x").and_then(|(_, rest)| rest.get(..8));
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0x8000_4005)
}

/// The embedded `Msvm_Error` of a failed job.
pub(crate) fn error_object(error: &JobError) -> Instance {
    schema::complete(
        Instance::new("Msvm_Error")
            .with("CIMStatusCode", 1_u32)
            .with("ErrorSource", "Virtual Machine Management Service")
            .with("ErrorType", 4_u16)
            .with("Message", error.text.as_str())
            .with("MessageID", error.code.to_string())
            .with("OwningEntity", "Microsoft-Windows-Hyper-V-VMMS")
            .with("PerceivedSeverity", 5_u16)
            .with("ProbableCause", 0_u16),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_job_also_tells_its_hresult_as_a_number() {
        let error = JobError::failed("The change tracking id is not valid.", 0xC03A_0029);
        assert_eq!(status_code(&error), 0xC03A_0029);
        assert_eq!(status_code(&JobError { code: 32768, text: "Failed.".into() }), 0x8000_4005);
    }
}
