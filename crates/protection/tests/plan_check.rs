//! The checker must refuse what the planner must never say. Each test falsifies one statement
//! of a good plan.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod fixture;

use fixture::{World, point_id, rct_id, reference_point_id};
use hyperv::VssStatus;
use protection::plan::{self, Decision, Plan, Read, VmBackup};

/// The findings on a plan that `falsify` has changed.
fn findings(world: &World, falsify: impl FnOnce(&mut Plan)) -> Vec<String> {
    let mut plan = world.plan();
    falsify(&mut plan);
    match plan::check(plan, &world.situation()) {
        Ok(_) => Vec::new(),
        Err(findings) => findings.into_iter().map(|finding| finding.what).collect(),
    }
}

fn backup(plan: &mut Plan) -> &mut VmBackup {
    match &mut plan.vms[0].decision {
        Decision::Backup(backup) => backup,
        Decision::Skip { reason } => panic!("skipped: {reason}"),
    }
}

fn assert_refused(found: &[String], part: &str) {
    assert!(found.iter().any(|what| what.contains(part)), "{found:?} should name: {part}");
}

#[test]
fn a_good_plan_passes() {
    assert_eq!(findings(&World::after_one_backup(), |_| {}), Vec::<String>::new());
}

#[test]
fn changes_since_a_mark_that_no_record_bears_out_are_refused() {
    let found = findings(&World::after_one_backup(), |plan| {
        backup(plan).disks[0].read = Read::Changed { since: rct_id(7), base: point_id() };
    });
    assert_refused(&found, "no reference point on the host marks the instant");
}

#[test]
fn changes_since_a_reference_point_that_is_gone_are_refused() {
    let mut world = World::after_one_backup();
    let plan = world.plan();
    world.vm().reference_points.clear();
    let found = plan::check(plan, &world.situation()).unwrap_err();
    assert!(found.iter().any(|finding| finding.what.contains("no reference point on the host")));
}

#[test]
fn a_base_that_is_not_in_the_repository_is_refused() {
    let mut world = World::after_one_backup();
    let plan = world.plan();
    world.history().points.clear();
    let found = plan::check(plan, &world.situation()).unwrap_err();
    assert!(found.iter().any(|finding| finding.what.contains("not in the repository")));
}

#[test]
fn a_forgotten_disk_is_refused() {
    let found = findings(&World::after_one_backup(), |plan| backup(plan).disks.clear());
    assert_refused(&found, "neither read nor left out");
}

#[test]
fn destroying_a_foreign_reference_point_is_refused() {
    let found = findings(&World::after_one_backup(), |plan| {
        backup(plan).release.push(reference_point_id("FOREIGN"));
    });
    assert_refused(&found, "no record says it is ours");
}

#[test]
fn application_consistency_without_the_guest_is_refused() {
    let mut world = World::after_one_backup();
    let plan = world.plan();
    world.vm().vss = VssStatus::Disabled;
    let found = plan::check(plan, &world.situation()).unwrap_err();
    assert!(found.iter().any(|finding| finding.what.contains("cannot be quiesced")));
}

#[test]
fn a_vm_nobody_asked_for_is_refused() {
    let found = findings(&World::after_one_backup(), |plan| {
        let twice = plan.vms[0].clone();
        plan.vms.push(twice);
    });
    assert_refused(&found, "exactly the VMs that were asked for");
    assert_refused(&found, "appears twice");
}

#[test]
fn two_disks_under_one_key_are_refused() {
    let mut world = World::new();
    let mut copy = world.disk().clone();
    copy.attachment = r"A0\0\1\L".into();
    world.vm().disks.push(copy);
    let found = findings(&world, |plan| {
        let key = backup(plan).disks[0].key.clone();
        backup(plan).disks[1].key = key;
    });
    assert_refused(&found, "share one key");
}

#[test]
fn a_plan_for_another_host_is_refused() {
    let found = findings(&World::after_one_backup(), |plan| plan.host = "HV2".into());
    assert_refused(&found, "another host");
}
