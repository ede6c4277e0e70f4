//! Settling an interrupted run: the steps it had begun, from the last to the first, each taken
//! back or seen through.
//!
//! Everything here may be done twice. A run counts as settled only when all of its steps are,
//! so a host that cannot be reached now is settled by a later call.

use hyperv::VmId;
use serde_json::Value;

use super::journal::{Record, RunEntry};
use super::state::Site;
use super::steps::STEPS;
use super::{Phase, StepName};
use crate::error::Result;
use crate::event::Event;

/// An interrupted run as its steps see it.
pub struct Interrupted<'a> {
    /// Where it happened.
    pub site: Site<'a>,
    /// The VM.
    pub vm: VmId,
    /// Whether the repository at hand is the one the run wrote to.
    pub same_repository: bool,
    records: Vec<Record>,
}

impl Interrupted<'_> {
    /// What the step said it would do; `None` where it was never begun.
    pub fn intent(&self, step: StepName) -> Option<&Value> {
        self.detail(step, Phase::Intent)
    }

    /// What came of the step; `None` where it was not finished.
    pub fn done(&self, step: StepName) -> Option<&Value> {
        self.detail(step, Phase::Done)
    }

    fn detail(&self, step: StepName, phase: Phase) -> Option<&Value> {
        let found = self.records.iter().rev().find(|record| record.step == step && record.phase == phase);
        found.map(|record| &record.detail)
    }
}

/// Settles every unfinished run on the host at hand, oldest first.
///
/// The caller holds the journal's lock, so an unfinished run is an interrupted one.
///
/// # Errors
/// When the host or the repository cannot be reached, or refuses. What was settled stays
/// settled; the rest is tried again by the next call.
pub async fn settle_host(site: Site<'_>) -> Result<()> {
    for run in site.journal.unfinished(site.host.computer_name())? {
        settle_run(site, &run).await?;
    }
    Ok(())
}

/// Settles one run.
///
/// # Errors
/// As [`settle_host`].
pub async fn settle_run(site: Site<'_>, run: &RunEntry) -> Result<()> {
    let records = site.journal.records(&run.id)?;
    let interrupted = Interrupted {
        site,
        vm: run.vm.parse()?,
        same_repository: run.repository == site.repository.id().to_string(),
        records,
    };
    let begun = STEPS.iter().rev().filter(|step| interrupted.intent(step.name()).is_some());
    for step in begun {
        if let Some(what) = step.settle(&interrupted).await? {
            site.world.tell(&Event::LeftoverSettled { vm: run.vm_name.clone(), what });
        }
    }
    site.journal.end(&run.id, "settled after an interruption", site.world.now_unix_ms())
}
