//! The planner as a specification: what is known of a VM in, the plan as people read it out.
//! Every plan here has passed the checker too.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod fixture;

use fixture::{World, checkpoint, rct_id, reference_point, reference_point_id};
use hyperv::{CheckpointKind, PowerState, VssStatus};
use protection::plan::{Decision, Read};

/// The one decision of a world's plan.
fn decision(world: &World) -> Decision {
    world.plan().vms.remove(0).decision
}

/// Why the disk is read whole; empty where only changes are read.
fn whole_because(world: &World) -> String {
    protection::plan::check(world.plan(), &world.situation()).unwrap();
    match decision(world) {
        Decision::Backup(mut backup) => match backup.disks.remove(0).read {
            Read::Whole { reason } => reason,
            Read::Changed { .. } => String::new(),
        },
        Decision::Skip { reason } => panic!("skipped: {reason}"),
    }
}

fn skipped_because(world: &World) -> String {
    match decision(world) {
        Decision::Skip { reason } => reason,
        Decision::Backup(_) => panic!("not skipped"),
    }
}

#[test]
fn a_second_backup_of_a_healthy_vm_reads_what_changed() {
    let expected = "\
Plan for host HV1

VM sql01 (7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77)
  method: application-consistent recovery checkpoint, since the VM is running and its backup integration service answers
  disk sql01.vhdx (1073741824 bytes): read what changed since restore point 00000000-03e8-7000-8000-000000000001
  last: release 1 older reference point(s)
  passed over: offline recovery checkpoint, since the VM is running, not off
  passed over: crash-consistent recovery checkpoint, since it would work, and a better method does
";
    assert_eq!(World::after_one_backup().report(), expected);
}

#[test]
fn a_first_backup_reads_everything() {
    assert_eq!(whole_because(&World::new()), "this is the first backup of this VM in this repository");
}

#[test]
fn a_lost_reference_point_leads_to_a_whole_read() {
    let mut world = World::after_one_backup();
    world.vm().reference_points.clear();
    assert_eq!(whole_because(&world), "its reference point Microsoft:RP1 is no longer on the host");
}

#[test]
fn a_missing_continuation_record_leads_to_a_whole_read() {
    let mut world = World::after_one_backup();
    world.history().points[0].continuation = None;
    assert_eq!(whole_because(&world), "no restore point has a continuation record for this disk");
}

#[test]
fn another_rct_id_leads_to_a_whole_read() {
    let mut world = World::after_one_backup();
    world.continuation().disks[0].rct_id = rct_id(9);
    let reason = "the reference point on the host holds another RCT id than was recorded";
    assert_eq!(whole_because(&world), reason);
}

#[test]
fn a_resized_disk_leads_to_a_whole_read() {
    let mut world = World::after_one_backup();
    world.disk().capacity_bytes = 2 << 30;
    assert_eq!(whole_because(&world), "its size changed from 1073741824 to 2147483648 bytes");
}

#[test]
fn a_disk_that_was_exchanged_leads_to_a_whole_read() {
    let mut world = World::after_one_backup();
    world.disk().virtual_disk_id = Some("99999999-CE75-4303-B54F-6C18394F105C".parse().unwrap());
    assert!(whole_because(&world).starts_with("another disk is attached here now"));
}

/// Applying a user checkpoint takes blocks back that were not written since, so the tracker need
/// not report them; the file the VM writes to is another one then.
#[test]
fn a_vm_that_moved_to_another_file_leads_to_a_whole_read() {
    let mut world = World::after_one_backup();
    world.disk().path = r"C:\VMs\sql01\sql01_1111.avhdx".into();
    assert!(whole_because(&world).starts_with("the VM's file moved from"));
}

#[test]
fn an_older_restore_point_serves_where_the_newest_cannot() {
    let mut world = World::after_one_backup();
    let mut newest = world.history().points[0].clone();
    newest.id = "00000000-07d0-7000-8000-000000000002".parse().unwrap();
    newest.continuation = None;
    world.history().points.insert(0, newest);
    assert_eq!(whole_because(&world), "");
}

#[test]
fn the_policy_can_ask_for_everything() {
    let mut world = World::after_one_backup();
    world.policy.read_everything = true;
    assert_eq!(whole_because(&world), "the policy asks for everything to be read");
}

#[test]
fn a_guest_that_cannot_be_quiesced_gets_a_crash_consistent_point_where_that_is_allowed() {
    let mut world = World::after_one_backup();
    world.vm().vss = VssStatus::Disabled;
    assert!(world.report().contains(
        "method: crash-consistent recovery checkpoint, since the VM is running and the policy allows"
    ));
    world.policy.crash_consistent_allowed = false;
    assert_eq!(skipped_because(&world), "no method works for this VM as it is now");
}

#[test]
fn a_vm_that_is_off_is_backed_up_at_rest() {
    let mut world = World::after_one_backup();
    world.vm().state = PowerState::Off;
    assert!(world.report().contains("method: offline recovery checkpoint, since the VM is off"));
}

#[test]
fn a_busy_vm_is_left_alone() {
    let mut world = World::after_one_backup();
    world.vm().busy = Some("merging disks".into());
    assert!(skipped_because(&world).contains("busy with this VM (merging disks)"));
}

#[test]
fn another_products_checkpoint_is_never_touched() {
    let mut world = World::after_one_backup();
    world.vm().checkpoints.push(checkpoint(CheckpointKind::Recovery, "Refpoint elsewhere 123"));
    assert!(skipped_because(&world).contains("was not made from here"));
}

#[test]
fn a_checkpoint_that_we_left_behind_is_removed_first() {
    let mut world = World::after_one_backup();
    world.vm().checkpoints.push(checkpoint(CheckpointKind::Recovery, "Refpoint here 123"));
    assert!(world.report().contains("first: remove the checkpoint 11111111-2222-3333-4444-555555555555"));
}

#[test]
fn a_user_checkpoint_does_not_stop_a_backup() {
    let mut world = World::after_one_backup();
    world.vm().checkpoints.push(checkpoint(CheckpointKind::User, "before update"));
    assert_eq!(whole_because(&world), "");
}

#[test]
fn only_reference_points_of_our_records_are_released() {
    let mut world = World::after_one_backup();
    let mut foreign = reference_point();
    foreign.id = reference_point_id("FOREIGN");
    world.vm().reference_points.push(foreign);
    let Decision::Backup(backup) = decision(&world) else { panic!("not planned") };
    assert_eq!(backup.release, [reference_point_id("RP1")]);
}

#[test]
fn a_disk_that_cannot_be_frozen_is_left_out_with_its_reason() {
    let mut world = World::after_one_backup();
    let mut shared = world.disk().clone();
    shared.attachment = r"A0\0\1\L".into();
    shared.unsupported = Some("it is a pass-through disk".into());
    world.vm().disks.push(shared);
    assert!(world.report().contains("left out: C:\\VMs\\sql01\\sql01.vhdx, since it is a pass-through disk"));
}

#[test]
fn two_disks_with_one_identity_get_two_keys() {
    let mut world = World::new();
    let mut copy = world.disk().clone();
    copy.attachment = r"A0\0\1\L".into();
    world.vm().disks.push(copy);
    let Decision::Backup(backup) = decision(&world) else { panic!("not planned") };
    assert_ne!(backup.disks[0].key, backup.disks[1].key);
}

#[test]
fn a_vm_that_is_gone_is_skipped_with_that_reason() {
    let mut world = World::after_one_backup();
    world.inventory.vms.clear();
    assert_eq!(skipped_because(&world), "no VM with this id is on HV1 any more");
}
