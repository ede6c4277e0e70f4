//! The runner: journals an intent, lets the step act, journals the outcome. It has no opinions.

use repository::PointId;
use serde_json::Value;

use super::journal::RunEntry;
use super::report::{BackupReport, VmOutcome, VmReport};
use super::settle::settle_run;
use super::state::{Site, VmRun};
use super::steps::{STEPS, Step};
use super::{Phase, RunId};
use crate::error::Result;
use crate::event::Event;
use crate::plan::{CheckedPlan, Decision, VmBackup, VmPlan};

/// Runs a checked plan, one VM after the other. A VM that fails does not stop the next.
///
/// The caller holds the journal's lock.
pub async fn backup(site: Site<'_>, plan: &CheckedPlan) -> BackupReport {
    let mut report = BackupReport::default();
    for vm in &plan.plan().vms {
        let entry = match &vm.decision {
            Decision::Skip { reason } => {
                let outcome = VmOutcome::Skipped { reason: reason.clone() };
                VmReport { vm: vm.name.clone(), outcome, warnings: Vec::new() }
            }
            Decision::Backup(work) => backup_vm(site, &plan.plan().host, vm, work).await,
        };
        report.vms.push(entry);
    }
    report
}

async fn backup_vm(site: Site<'_>, host: &str, vm: &VmPlan, work: &VmBackup) -> VmReport {
    let now = site.world.now_unix_ms();
    let point = match PointId::generate(now) {
        Ok(point) => point,
        Err(error) => {
            let outcome = VmOutcome::Failed { error: error.into(), point: None };
            return VmReport { vm: vm.name.clone(), outcome, warnings: Vec::new() };
        }
    };
    let mut run = VmRun {
        site,
        id: RunId(point.to_string()),
        plan: vm,
        backup: work,
        point,
        checkpoint: None,
        session: None,
        definition: Vec::new(),
        committed: false,
        reference_point: None,
        disks: Vec::new(),
        warnings: Vec::new(),
    };
    let entry = RunEntry {
        id: run.id.clone(),
        host: host.to_owned(),
        vm: vm.vm.to_string(),
        vm_name: vm.name.clone(),
        repository: site.repository.id().to_string(),
        started_unix_ms: now,
        outcome: None,
    };
    let outcome = match run_steps(&mut run, &entry).await {
        Ok(()) => VmOutcome::Done {
            point: run.point.to_string(),
            consistency: work.method.consistency_label().into(),
            disks: std::mem::take(&mut run.disks),
        },
        Err(error) => {
            drop(run.session.take());
            if let Err(settling) = settle_run(site, &entry).await {
                run.warn(format!("what the failed run began could not be settled yet: {settling}"));
            }
            let point = run.committed.then(|| run.point.to_string());
            VmOutcome::Failed { error, point }
        }
    };
    VmReport { vm: vm.name.clone(), outcome, warnings: run.warnings }
}

async fn run_steps(run: &mut VmRun<'_>, entry: &RunEntry) -> Result<()> {
    run.site.journal.begin(entry)?;
    run.site.world.tell(&Event::RunStarted { run: run.id.clone(), vm: run.plan.name.clone() });
    for step in STEPS {
        run_step(*step, run).await?;
    }
    run.site.journal.end(&run.id, "done", run.site.world.now_unix_ms())
}

async fn run_step(step: &dyn Step, run: &mut VmRun<'_>) -> Result<()> {
    let Some(intent) = step.intent(run).await? else { return Ok(()) };
    journal(step, run, Phase::Intent, &intent)?;
    run.site.world.tell(&Event::StepStarted {
        vm: run.plan.name.clone(),
        step: step.name(),
        description: step.describe(run),
    });
    let done = step.apply(run).await?;
    journal(step, run, Phase::Done, &done)
}

fn journal(step: &dyn Step, run: &VmRun<'_>, phase: Phase, detail: &Value) -> Result<()> {
    let site = run.site;
    let sequence = site.journal.record(&run.id, step.name(), phase, detail, site.world.now_unix_ms())?;
    site.world.tell(&Event::JournalRecorded { run: run.id.clone(), sequence, step: step.name(), phase });
    Ok(())
}
