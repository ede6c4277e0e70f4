//! Making a plan: for each VM the first method that works, and what is read of each disk.

use hyperv::{CheckpointId, CheckpointKind, HostInventory, ReferencePointId, VmFacts, VmId};

use super::disks::plan_disks;
use super::{Decision, PassedOver, Plan, Situation, VmBackup, VmPlan};
use crate::history::VmHistory;
use crate::methods::{Method, Verdict, assess_all};
use crate::policy::Policy;

/// Makes the plan for the VMs asked for. Pure: same input, same plan.
///
/// A VM that is not in the inventory is skipped with that reason.
pub fn make(policy: &Policy, situation: &Situation<'_>, now_unix_ms: u64) -> Plan {
    let inventory = situation.inventory;
    let vms = situation
        .wanted
        .iter()
        .map(|(id, history)| match inventory.vms.iter().find(|vm| vm.id == *id) {
            Some(vm) => plan_vm(policy, vm, history, situation.instance),
            None => not_seen(id, inventory),
        })
        .collect();
    Plan { host: inventory.host.name.clone(), made_unix_ms: now_unix_ms, vms }
}

/// How the names of our recovery checkpoints begin: what carries it may be removed by us, since
/// only one process at a time runs on one home.
pub fn checkpoint_name_prefix(instance: &str) -> String {
    format!("Refpoint {instance} ")
}

fn not_seen(id: &VmId, inventory: &HostInventory) -> VmPlan {
    let reason = format!("no VM with this id is on {} any more", inventory.host.name);
    VmPlan { vm: *id, name: id.to_string(), passed_over: Vec::new(), decision: Decision::Skip { reason } }
}

fn plan_vm(policy: &Policy, vm: &VmFacts, history: &VmHistory, instance: &str) -> VmPlan {
    let (chosen, passed_over) = choose_method(policy, vm);
    let decision = match obstacle(vm, instance) {
        Some(reason) => Decision::Skip { reason },
        None => match chosen {
            Some((method, why)) => plan_backup(policy, vm, history, method, why),
            None => Decision::Skip { reason: "no method works for this VM as it is now".into() },
        },
    };
    VmPlan { vm: vm.id, name: vm.name.clone(), passed_over, decision }
}

fn choose_method(policy: &Policy, vm: &VmFacts) -> (Option<(Method, String)>, Vec<PassedOver>) {
    let mut chosen = None;
    let mut passed_over = Vec::new();
    for (method, verdict) in assess_all(vm, policy) {
        match verdict {
            Verdict::Works(why) if chosen.is_none() => chosen = Some((method, why)),
            Verdict::Works(_) => passed_over
                .push(PassedOver { method, reason: "it would work, and a better method does".into() }),
            Verdict::Refused(reason) => passed_over.push(PassedOver { method, reason }),
        }
    }
    (chosen, passed_over)
}

/// What stops any backup of this VM now, whatever the method.
fn obstacle(vm: &VmFacts, instance: &str) -> Option<String> {
    if let Some(busy) = &vm.busy {
        return Some(format!("the host is busy with this VM ({busy}); run again when it is done"));
    }
    let ours = checkpoint_name_prefix(instance);
    let foreign = vm.checkpoints.iter().find(|checkpoint| {
        checkpoint.kind == CheckpointKind::Recovery && !checkpoint.name.starts_with(&ours)
    });
    if let Some(checkpoint) = foreign {
        return Some(format!(
            "the recovery checkpoint \"{}\" ({}) is on this VM and was not made from here; another backup is \
             running or has left it behind. Let it finish, or remove it with the product that made it",
            checkpoint.name, checkpoint.id
        ));
    }
    if vm.disks.is_empty() {
        return Some("the VM has no disks".into());
    }
    None
}

fn plan_backup(policy: &Policy, vm: &VmFacts, history: &VmHistory, method: Method, why: String) -> Decision {
    let (disks, left_out) = plan_disks(policy, vm, history);
    if disks.is_empty() {
        let reasons: Vec<String> =
            left_out.iter().map(|disk| format!("{}: {}", disk.path, disk.reason)).collect();
        return Decision::Skip {
            reason: format!("none of its disks can be backed up ({})", reasons.join("; ")),
        };
    }
    Decision::Backup(VmBackup {
        method,
        why,
        disks,
        left_out,
        stale_checkpoints: stale_checkpoints(vm),
        release: our_reference_points(vm, history),
    })
}

fn stale_checkpoints(vm: &VmFacts) -> Vec<CheckpointId> {
    vm.checkpoints
        .iter()
        .filter(|checkpoint| checkpoint.kind == CheckpointKind::Recovery)
        .map(|checkpoint| checkpoint.id)
        .collect()
}

/// Reference points that are on the host and named by a continuation record of ours. Those of
/// other products are never named there, and so never touched.
fn our_reference_points(vm: &VmFacts, history: &VmHistory) -> Vec<ReferencePointId> {
    vm.reference_points
        .iter()
        .filter(|on_host| {
            history
                .points
                .iter()
                .filter_map(|point| point.continuation.as_ref())
                .any(|record| record.reference_point == on_host.id)
        })
        .map(|on_host| on_host.id.clone())
        .collect()
}
