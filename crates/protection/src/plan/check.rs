//! The second opinion on a plan, by another route than the one that made it.
//!
//! Where the planner goes from the facts to a plan, this goes from the plan back to the facts
//! and asks of every statement whether it is covered. It shares no decision with the planner.

use std::collections::BTreeSet;

use hyperv::{PowerState, ReferencePointId, VmFacts, VmId, VssStatus};
use serde::Serialize;

use super::{Decision, DiskPlan, Plan, Read, Situation, VmBackup, VmPlan};
use crate::history::VmHistory;
use crate::methods::Method;

/// A plan that was checked, and may be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedPlan {
    plan: Plan,
}

impl CheckedPlan {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// Something in a plan that the facts do not cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The VM.
    pub vm: String,
    /// What is wrong, in a sentence.
    pub what: String,
}

/// Checks a plan against the facts it should rest on.
///
/// # Errors
/// Every finding, where there is at least one.
pub fn check(plan: Plan, situation: &Situation<'_>) -> Result<CheckedPlan, Vec<Finding>> {
    let Situation { inventory, wanted, .. } = *situation;
    let mut findings = Vec::new();
    if plan.host != inventory.host.name {
        findings.push(finding("", "the plan is for another host than the inventory".into()));
    }
    let planned: Vec<VmId> = plan.vms.iter().map(|vm| vm.vm).collect();
    let asked: Vec<VmId> = wanted.iter().map(|(id, _)| *id).collect();
    if planned != asked {
        findings.push(finding("", "the plan does not name exactly the VMs that were asked for".into()));
    }
    if planned.iter().collect::<BTreeSet<_>>().len() != planned.len() {
        findings.push(finding("", "a VM appears twice".into()));
    }
    for vm in &plan.vms {
        let Decision::Backup(backup) = &vm.decision else { continue };
        let facts = inventory.vms.iter().find(|facts| facts.id == vm.vm);
        let history = wanted.iter().find(|(id, _)| *id == vm.vm).map(|(_, history)| history);
        match (facts, history) {
            (Some(facts), Some(history)) => check_vm(vm, backup, facts, history, &mut findings),
            _ => findings.push(finding(&vm.name, "it is planned but was not seen".into())),
        }
    }
    if findings.is_empty() { Ok(CheckedPlan { plan }) } else { Err(findings) }
}

fn finding(vm: &str, what: String) -> Finding {
    Finding { vm: vm.into(), what }
}

fn check_vm(
    vm: &VmPlan,
    backup: &VmBackup,
    facts: &VmFacts,
    history: &VmHistory,
    findings: &mut Vec<Finding>,
) {
    let mut say = |what: String| findings.push(finding(&vm.name, what));
    if facts.busy.is_some() {
        say("the host is busy with it".into());
    }
    let quiesced = backup.method == Method::ApplicationCheckpoint;
    if quiesced && (facts.state != PowerState::Running || facts.vss != VssStatus::Ready) {
        say("application consistency is planned, but the guest cannot be quiesced".into());
    }
    let accounted: BTreeSet<&str> = backup
        .disks
        .iter()
        .map(|disk| disk.attachment.as_str())
        .chain(backup.left_out.iter().map(|disk| disk.attachment.as_str()))
        .collect();
    for disk in &facts.disks {
        if !accounted.contains(disk.attachment.as_str()) {
            say(format!("its disk {} is neither read nor left out with a reason", disk.path));
        }
    }
    let keys: BTreeSet<_> = backup.disks.iter().map(|disk| &disk.key).collect();
    if keys.len() != backup.disks.len() {
        say("two of its disks share one key".into());
    }
    for disk in &backup.disks {
        for what in uncovered(disk, facts, history) {
            say(format!("disk {}: {what}", disk.name));
        }
    }
    for id in &backup.release {
        let ours = history.points.iter().filter_map(|point| point.continuation.as_ref());
        if !ours.into_iter().any(|record| record.reference_point == *id) {
            say(format!("reference point {id} would be destroyed, but no record says it is ours"));
        }
    }
}

/// What the plan says of a disk that neither the host nor the repository bears out.
fn uncovered(disk: &DiskPlan, facts: &VmFacts, history: &VmHistory) -> Vec<String> {
    let mut found = Vec::new();
    let Some(seen) = facts.disks.iter().find(|seen| seen.attachment == disk.attachment) else {
        return vec!["it is not attached to the VM".into()];
    };
    if seen.capacity_bytes != disk.capacity_bytes || seen.path != disk.path {
        found.push("its size or path differs from what was seen".into());
    }
    let Read::Changed { since, base } = &disk.read else { return found };
    let Some(point) = history.points.iter().find(|point| point.id == *base) else {
        return vec!["its base restore point is not in the repository".into()];
    };
    if !point.disks.iter().any(|(key, capacity)| *key == disk.key && *capacity == disk.capacity_bytes) {
        found.push("its base restore point does not hold it at this size".into());
    }
    let marks_the_point = |id: &ReferencePointId| {
        point.continuation.as_ref().is_some_and(|record| {
            record.reference_point == *id
                && record.disk(&disk.attachment).is_some_and(|remembered| remembered.rct_id == *since)
        })
    };
    let held = facts
        .reference_points
        .iter()
        .any(|held| marks_the_point(&held.id) && held.rct_id(&disk.attachment) == Some(since));
    if !held {
        found.push("no reference point on the host marks the instant of its base restore point".into());
    }
    found
}
