//! What a backup did, as one value for text and JSON, and what that means for the exit code.

use std::time::Duration;

use protection::run::{DiskReport, VmOutcome, VmReport};
use repository::RestorePoint;
use serde::Serialize;

use crate::exit::Exit;
use crate::fleet::SilentHost;
use crate::output::{View, units};
use crate::report::Failure;

/// All that was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct BackupView {
    results: Vec<VmResult>,
    /// Hosts whose virtual machines were not looked for, since they did not answer.
    silent_hosts: Vec<SilentHost>,
}

/// One virtual machine or disk file.
#[derive(Debug, Serialize)]
pub(crate) struct VmResult {
    host: Option<String>,
    name: String,
    #[serde(flatten)]
    outcome: ResultKind,
    warnings: Vec<String>,
    seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum ResultKind {
    Done { restore_point: String, consistency: String, disks: Vec<DiskReport> },
    Skipped { reason: String },
    Failed { error: Failure, restore_point: Option<String> },
}

impl BackupView {
    pub(crate) fn new(results: Vec<VmResult>) -> Self {
        Self { results, silent_hosts: Vec::new() }
    }

    /// Notes the hosts that did not answer.
    pub(crate) fn with_silent_hosts(self, silent_hosts: Vec<SilentHost>) -> Self {
        Self { silent_hosts, ..self }
    }

    /// The failures in it.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.results.iter().filter_map(VmResult::failure)
    }

    /// The first failure decides; otherwise anything left out or warned of is a warning.
    pub(crate) fn exit(&self) -> Exit {
        if let Some(failure) = self.failures().next() {
            return failure.exit();
        }
        let complete = self
            .results
            .iter()
            .all(|result| result.warnings.is_empty() && matches!(result.outcome, ResultKind::Done { .. }));
        if complete && self.silent_hosts.is_empty() { Exit::Done } else { Exit::Warnings }
    }
}

impl VmResult {
    /// From the runner's report.
    pub(crate) fn vm(host: &str, took: Option<Duration>, report: VmReport) -> Self {
        let outcome = match report.outcome {
            VmOutcome::Done { point, consistency, disks } => {
                ResultKind::Done { restore_point: point, consistency, disks }
            }
            VmOutcome::Skipped { reason } => ResultKind::Skipped { reason },
            VmOutcome::Failed { error, point } => {
                ResultKind::Failed { error: error.into(), restore_point: point }
            }
        };
        Self {
            host: Some(host.to_owned()),
            name: report.vm,
            outcome,
            warnings: report.warnings,
            seconds: took.map(|took| took.as_secs_f64()),
        }
    }

    /// When a host failed before any of its virtual machines was begun.
    pub(crate) fn all_failed(host: &str, names: &[String], failure: &Failure) -> Vec<Self> {
        let failed = |name: &String| Self {
            host: Some(host.to_owned()),
            name: name.clone(),
            outcome: ResultKind::Failed { error: failure.clone(), restore_point: None },
            warnings: Vec::new(),
            seconds: None,
        };
        names.iter().map(failed).collect()
    }

    /// From the backup of a disk file.
    pub(crate) fn file(
        name: &str,
        point: &RestorePoint,
        disk: DiskReport,
        warnings: Vec<String>,
        took: Duration,
    ) -> Self {
        let consistency = point.labels.get("consistency").cloned().unwrap_or_default();
        Self {
            host: None,
            name: name.to_owned(),
            outcome: ResultKind::Done { restore_point: point.id.to_string(), consistency, disks: vec![disk] },
            warnings,
            seconds: Some(took.as_secs_f64()),
        }
    }

    /// The restore point that was made and its disks.
    pub(crate) fn done(&self) -> Option<(&str, &[DiskReport])> {
        match &self.outcome {
            ResultKind::Done { restore_point, disks, .. } => Some((restore_point, disks)),
            ResultKind::Skipped { .. } | ResultKind::Failed { .. } => None,
        }
    }

    /// Why there is none.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            ResultKind::Failed { error, .. } => Some(error),
            ResultKind::Done { .. } | ResultKind::Skipped { .. } => None,
        }
    }

    fn text(&self) -> String {
        let name = &self.name;
        let mut text = match &self.outcome {
            ResultKind::Done { restore_point, consistency, disks } => {
                let disks: String = disks.iter().map(disk_line).collect();
                format!("{name}: restore point {restore_point} ({consistency})\n{disks}")
            }
            ResultKind::Skipped { reason } => format!("{name}: skipped, since {reason}\n"),
            ResultKind::Failed { error, restore_point: None } => {
                format!("{name}: failed ({})\n", error.code())
            }
            ResultKind::Failed { error, restore_point: Some(point) } => {
                format!("{name}: restore point {point} is there, then it failed ({})\n", error.code())
            }
        };
        for warning in &self.warnings {
            text.push_str(&format!("  warning: {warning}\n"));
        }
        if let Some(seconds) = self.seconds.filter(|_| self.done().is_some()) {
            text.push_str(&format!("  took {}\n", units::duration(Duration::from_secs_f64(seconds))));
        }
        text
    }
}

impl View for BackupView {
    fn text(&self) -> String {
        self.results.iter().map(VmResult::text).collect()
    }
}

fn disk_line(disk: &DiskReport) -> String {
    let how = match &disk.whole_because {
        Some(reason) => format!("whole, since {reason}"),
        None => "changed ranges only".to_owned(),
    };
    format!(
        "  {}: {} of {} read ({how}); {} new, {} stored\n",
        disk.name,
        units::bytes(disk.read_bytes),
        units::bytes(disk.capacity_bytes),
        units::bytes(disk.new_bytes),
        units::bytes(disk.stored_bytes),
    )
}
