//! From the names of VMs to a checked plan: reads the history and lets the planner and its
//! checker speak.

use hyperv::{HostInventory, VmId};
use repository::SourceId;

use crate::error::{Error, Result};
use crate::history;
use crate::plan::{self, CheckedPlan, Situation};
use crate::policy::Policy;
use crate::run::Site;

/// Plans the backup of some VMs of a host that was looked at.
///
/// # Errors
/// When the repository's history cannot be read, or the checker refuses the plan.
pub async fn prepare(
    site: Site<'_>,
    inventory: &HostInventory,
    vms: &[VmId],
    policy: &Policy,
) -> Result<CheckedPlan> {
    let mut wanted = Vec::with_capacity(vms.len());
    for vm in vms {
        let source = SourceId::new(vm.to_string())?;
        wanted.push((*vm, history::read(site.repository, &source).await?));
    }
    let situation = Situation { inventory, wanted: &wanted, instance: site.journal.instance() };
    let plan = plan::make(policy, &situation, site.world.now_unix_ms());
    plan::check(plan, &situation).map_err(|findings| Error::PlanRefused { findings })
}
