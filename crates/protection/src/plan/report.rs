//! A plan as people read it.

use std::fmt::Write as _;

use super::{Decision, Plan, Read, VmBackup, VmPlan};

/// The plan as text: what is done, why, and what was passed over and why.
pub fn text(plan: &Plan) -> String {
    let mut out = format!("Plan for host {}\n", plan.host);
    for vm in &plan.vms {
        describe_vm(&mut out, vm);
    }
    out
}

fn describe_vm(out: &mut String, vm: &VmPlan) {
    line(out, &format!("\nVM {} ({})", vm.name, vm.vm));
    match &vm.decision {
        Decision::Skip { reason } => line(out, &format!("  skipped: {reason}")),
        Decision::Backup(backup) => describe_backup(out, backup),
    }
    for passed in &vm.passed_over {
        line(out, &format!("  passed over: {}, since {}", passed.method.title(), passed.reason));
    }
}

fn describe_backup(out: &mut String, backup: &VmBackup) {
    line(out, &format!("  method: {}, since {}", backup.method.title(), backup.why));
    for id in &backup.stale_checkpoints {
        line(out, &format!("  first: remove the checkpoint {id} that an earlier run left behind"));
    }
    for disk in &backup.disks {
        let size = disk.capacity_bytes;
        let read = match &disk.read {
            Read::Changed { base, .. } => format!("read what changed since restore point {base}"),
            Read::Whole { reason } => format!("read whole, since {reason}"),
        };
        line(out, &format!("  disk {} ({size} bytes): {read}", disk.name));
    }
    for disk in &backup.left_out {
        line(out, &format!("  left out: {}, since {}", disk.path, disk.reason));
    }
    if !backup.release.is_empty() {
        line(out, &format!("  last: release {} older reference point(s)", backup.release.len()));
    }
}

fn line(out: &mut String, text: &str) {
    let _infallible = writeln!(out, "{text}");
}
