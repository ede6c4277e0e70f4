//! What the steps of one run share.

use hyperv::{Checkpoint, Host, ReferencePoint, VmId};
use repository::{Indexed, PointId, Repository, WriteSession};

use super::report::DiskReport;
use super::{Journal, RunId};
use crate::plan::{VmBackup, VmPlan};
use crate::world::World;

/// Where a backup happens: the host it reads, the repository it fills, and the journal between.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// The host.
    pub host: &'a Host,
    /// The repository.
    pub repository: &'a Repository<Indexed>,
    /// The journal.
    pub journal: &'a Journal,
    /// Time and listeners.
    pub world: &'a World,
}

/// One VM's run: what is fixed, and what the steps have come to so far.
pub struct VmRun<'a> {
    /// Where it happens.
    pub site: Site<'a>,
    /// The run.
    pub id: RunId,
    /// The plan for this VM.
    pub plan: &'a VmPlan,
    /// The work in that plan.
    pub backup: &'a VmBackup,
    /// The restore point to be, named before anything is stored.
    pub point: PointId,
    /// Set by the checkpoint step.
    pub checkpoint: Option<Checkpoint>,
    /// Set by the transfer step, taken by the commit step.
    pub session: Option<WriteSession>,
    /// The VM's definition as text, set by the transfer step.
    pub definition: Vec<u8>,
    /// Set by the commit step.
    pub committed: bool,
    /// Set by the convert step.
    pub reference_point: Option<ReferencePoint>,
    /// One entry for each disk, set by the transfer step.
    pub disks: Vec<DiskReport>,
    /// Things an operator should know.
    pub warnings: Vec<String>,
}

impl VmRun<'_> {
    /// The VM.
    pub fn vm(&self) -> &VmId {
        &self.plan.vm
    }

    /// Tells the listeners of a matter, and keeps it for the report.
    pub fn warn(&mut self, what: String) {
        self.site.world.tell(&crate::Event::Warning { vm: self.plan.name.clone(), what: what.clone() });
        self.warnings.push(what);
    }
}
