//! Asynchronous jobs: what stands behind return code 4096 (WMI notes 1.6).
//!
//! A job lives in memory only, as on a real host: it is gone five minutes after its end, and after a restart of the
//! service. Its work runs in `host::work`; here is what a client can read of it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use winremote::cim::Reference;

use super::refusal::JobError;
use crate::ids::JobId;

/// `JobType` of the jobs that the host starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobKind {
    ModifySystem,
    DestroySystem,
    Start,
    PowerOff,
    AddResources,
    Snapshot,
    DeleteSnapshot,
    ConvertToReferencePoint,
    DeleteReferencePoint,
    /// A job of the image service: class `Msvm_StorageJob`.
    DiskInformation,
}

impl JobKind {
    /// The number in `JobType`.
    pub(crate) fn number(self) -> u16 {
        match self {
            JobKind::ModifySystem => 2,
            JobKind::DestroySystem => 3,
            JobKind::Start => 12,
            JobKind::PowerOff => 13,
            JobKind::AddResources => 30,
            JobKind::Snapshot => 70,
            JobKind::DeleteSnapshot => 72,
            JobKind::ConvertToReferencePoint => 200,
            JobKind::DeleteReferencePoint => 202,
            JobKind::DiskInformation => 8,
        }
    }

    /// Class of the job object.
    pub(crate) fn class(self) -> &'static str {
        match self {
            JobKind::DiskInformation => "Msvm_StorageJob",
            _ => "Msvm_ConcreteJob",
        }
    }

    /// `Caption`, for people.
    pub(crate) fn caption(self) -> &'static str {
        match self {
            JobKind::ModifySystem => "Modifying Virtual System",
            JobKind::DestroySystem => "Deleting Virtual System",
            JobKind::Start => "Starting Virtual System",
            JobKind::PowerOff => "Turning Off Virtual System",
            JobKind::AddResources => "Adding Virtual Resources",
            JobKind::Snapshot => "Creating Virtual System Snapshot",
            JobKind::DeleteSnapshot => "Deleting Virtual System Snapshot",
            JobKind::ConvertToReferencePoint => "Converting Snapshot to Reference Point",
            JobKind::DeleteReferencePoint => "Deleting Reference Point",
            JobKind::DiskInformation => "Getting Virtual Hard Disk Information",
        }
    }
}

/// One job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) kind: JobKind,
    pub(crate) started_unix_ms: u64,
    started: Instant,
    expected: Duration,
    end: Option<End>,
}

#[derive(Debug, Clone)]
struct End {
    at: Instant,
    result: Result<Vec<Reference>, JobError>,
}

impl Job {
    /// `JobState`: 4 running, 7 completed, 10 exception.
    pub(crate) fn state(&self) -> u16 {
        match &self.end {
            None => 4,
            Some(End { result: Ok(_), .. }) => 7,
            Some(End { result: Err(_), .. }) => 10,
        }
    }

    /// `PercentComplete`; a job that still runs never says 100.
    pub(crate) fn percent(&self) -> u16 {
        if self.end.is_some() {
            return 100;
        }
        let done = self.started.elapsed().as_micros() * 100 / self.expected.as_micros().max(1);
        u16::try_from(done.min(99)).unwrap_or(99)
    }

    /// Time from start to end, or until now.
    pub(crate) fn elapsed(&self) -> Duration {
        self.end.as_ref().map_or_else(|| self.started.elapsed(), |end| end.at - self.started)
    }

    /// Why it failed.
    pub(crate) fn error(&self) -> Option<&JobError> {
        self.end.as_ref().and_then(|end| end.result.as_ref().err())
    }

    /// What it made or changed, for `Msvm_AffectedJobElement`.
    pub(crate) fn affected(&self) -> &[Reference] {
        self.end.as_ref().and_then(|end| end.result.as_ref().ok()).map_or(&[], Vec::as_slice)
    }
}

/// All jobs that can still be read.
#[derive(Debug)]
pub(crate) struct JobTable {
    jobs: BTreeMap<JobId, Job>,
    life: Duration,
}

impl JobTable {
    pub(crate) fn new(life: Duration) -> JobTable {
        JobTable { jobs: BTreeMap::new(), life }
    }

    /// A job begins.
    pub(crate) fn start(&mut self, id: JobId, kind: JobKind, expected: Duration, started_unix_ms: u64) {
        let started = Instant::now();
        self.jobs.insert(id, Job { id, kind, started_unix_ms, started, expected, end: None });
    }

    /// A job ends.
    pub(crate) fn finish(&mut self, id: JobId, result: Result<Vec<Reference>, JobError>) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.end = Some(End { at: Instant::now(), result });
        }
    }

    /// A job that is running, or ended less than its life ago.
    pub(crate) fn get(&mut self, id: JobId) -> Option<&Job> {
        self.forget_old();
        self.jobs.get(&id)
    }

    /// All readable jobs.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = &Job> {
        self.forget_old();
        self.jobs.values()
    }

    /// Time that a finished job stays readable.
    pub(crate) fn life(&self) -> Duration {
        self.life
    }

    fn forget_old(&mut self) {
        let life = self.life;
        self.jobs.retain(|_, job| job.end.as_ref().is_none_or(|end| end.at.elapsed() < life));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test(start_paused = true)]
    async fn a_finished_job_is_gone_after_five_minutes() {
        let mut jobs = JobTable::new(Duration::from_secs(300));
        let id = JobId(Uuid::from_u128(1));
        jobs.start(id, JobKind::Snapshot, Duration::from_secs(10), 0);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(jobs.get(id).map(|job| (job.state(), job.percent())), Some((4, 50)));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(jobs.get(id).map(|job| (job.state(), job.percent())), Some((4, 99)));
        jobs.finish(id, Err(JobError::failed("no", 0x8004_23F4)));
        assert_eq!(jobs.get(id).map(|job| (job.state(), job.percent())), Some((10, 100)));
        assert_eq!(jobs.get(id).unwrap().error().unwrap().text, "no (0x800423F4).");
        tokio::time::advance(Duration::from_secs(301)).await;
        assert!(jobs.get(id).is_none());
    }
}
