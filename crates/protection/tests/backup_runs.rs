//! Whole backups against the simulated host, over TCP and with real disk files: what is read,
//! what is stored, and what happens when the host refuses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod site;

use std::sync::{Arc, Mutex};

use protection::run::{StepName, VmOutcome};
use protection::{Event, Listener, Policy};
use simulator::{Fault, FaultEffect, GuestVss};
use site::{Lab, done};

const BLOCK: u64 = 64 << 10;

#[tokio::test]
async fn two_backups_hold_what_the_disk_held_at_their_checkpoints() {
    let lab = Lab::start().await;
    let product = lab.product();
    let (first, whole) = product.good_backup().await;
    let first_expected = lab.expected_at_newest_checkpoint();
    assert_eq!(whole.whole_because.unwrap(), "this is the first backup of this VM in this repository");

    lab.write(20 << 20, 303_104, 5);
    lab.write(30 << 20, 4096, 6);
    let (second, changed) = product.good_backup().await;

    let reported = changed.reported_bytes.unwrap();
    assert!(reported >= 307_200, "the host must report at least what was written");
    let alignment = 4 * BLOCK;
    assert!(changed.read_bytes <= reported + alignment, "{} read, {reported} reported", changed.read_bytes);
    product.assert_point_holds(&second, &lab.expected_at_newest_checkpoint()).await;
    product.assert_point_holds(&first, &first_expected).await;
    lab.assert_clean(1);
}

#[tokio::test]
async fn writes_during_a_backup_belong_to_the_next_one() {
    let lab = Arc::new(Lab::start().await);
    let product = lab.product();
    let writer = GuestWritesAt { step: StepName::Transfer, lab: Arc::clone(&lab) };
    let (point, _) = done(product.backup(vec![Arc::new(writer)]).await.unwrap());
    product.assert_point_holds(&point, &lab.expected_at_newest_checkpoint()).await;

    let (point, disk) = product.good_backup().await;
    assert!(disk.changed_only && disk.read_bytes > 0, "the writes of the first backup must be seen");
    product.assert_point_holds(&point, &lab.expected_at_newest_checkpoint()).await;
}

#[tokio::test]
async fn an_idle_vm_costs_a_restore_point_but_no_reading() {
    let lab = Lab::start().await;
    let product = lab.product();
    product.good_backup().await;
    let (point, disk) = product.good_backup().await;
    assert_eq!((disk.read_bytes, disk.new_bytes), (0, 0));
    product.assert_point_holds(&point, &lab.expected_at_newest_checkpoint()).await;
}

#[tokio::test]
async fn a_lost_reference_point_costs_a_whole_read_and_almost_no_space() {
    let lab = Lab::start().await;
    let product = lab.product();
    product.good_backup().await;
    lab.host.forget_reference_points(lab.vm).unwrap();
    let (point, disk) = product.good_backup().await;
    assert!(disk.whole_because.unwrap().contains("is no longer on the host"));
    assert!(disk.read_bytes >= 6 << 20);
    assert_eq!(disk.new_bytes, 0, "everything is in the repository already");
    product.assert_point_holds(&point, &lab.expected_at_newest_checkpoint()).await;
}

#[tokio::test]
async fn a_tracker_that_lost_its_ids_costs_a_whole_read_with_the_hosts_reason() {
    let lab = Lab::start().await;
    let product = lab.product();
    product.good_backup().await;
    lab.host.invalidate_change_tracking(lab.vm, 0).unwrap();
    lab.write(0, 4096, 8);
    let (point, disk) = product.good_backup().await;
    assert!(disk.whole_because.unwrap().starts_with("the host did not report changed ranges"));
    product.assert_point_holds(&point, &lab.expected_at_newest_checkpoint()).await;
}

#[tokio::test]
async fn a_guest_without_backup_service_gets_a_crash_consistent_point_that_says_so() {
    let lab = Lab::start().await;
    lab.host.set_guest_vss(lab.vm, GuestVss::Disabled).unwrap();
    let mut report = lab.product().backup(Vec::new()).await.unwrap();
    let VmOutcome::Done { consistency, .. } = report.vms.remove(0).outcome else { panic!("not done") };
    assert_eq!(consistency, "crash-consistent");

    let strict = Policy { crash_consistent_allowed: false, ..Policy::default() };
    let mut report = lab.product().backup_with(&strict, Vec::new()).await.unwrap();
    assert!(matches!(report.vms.remove(0).outcome, VmOutcome::Skipped { .. }));
}

/// Each call of a backup that changes the host fails once, in turn: the run must fail with an
/// error of the host, leave nothing behind, and the next run must be right.
#[tokio::test]
async fn a_host_that_refuses_any_step_is_left_clean() {
    for call in ["CreateSnapshot", "ConvertToReferencePoint", "DestroyReferencePoint"] {
        let lab = Lab::start().await;
        let product = lab.product();
        product.good_backup().await;
        lab.write(1 << 20, 204_800, 11);
        let text = "refused for a test (0x80070020)".into();
        let effect = FaultEffect::FailJob { code: 32768, text };
        lab.host.inject(Fault { call: call.into(), effect, times: 1 });

        let mut report = product.backup(Vec::new()).await.unwrap();
        let outcome = report.vms.remove(0).outcome;
        assert!(matches!(&outcome, VmOutcome::Failed { .. }), "{call}: {outcome:?}");

        let (point, _) = product.good_backup().await;
        product.assert_point_holds(&point, &lab.expected_at_newest_checkpoint()).await;
        lab.assert_clean(1);
        lab.served.shutdown().await;
    }
}

/// A connection that breaks after the host has carried the call out looks to us like a failure.
#[tokio::test]
async fn a_connection_cut_after_the_host_acted_leaves_nothing_behind() {
    for call in ["CreateSnapshot", "ConvertToReferencePoint"] {
        let lab = Lab::start().await;
        let product = lab.product();
        product.good_backup().await;
        lab.write(1 << 20, 204_800, 12);
        let effect = FaultEffect::DropConnection { carried_out: true };
        lab.host.inject(Fault { call: call.into(), effect, times: 1 });
        let _failed_or_done = product.backup(Vec::new()).await.unwrap();

        let (point, _) = product.good_backup().await;
        product.assert_point_holds(&point, &lab.expected_at_newest_checkpoint()).await;
        lab.assert_clean(1);
        lab.served.shutdown().await;
    }
}

#[tokio::test]
async fn a_second_backup_from_the_same_home_is_refused_while_one_runs() {
    let lab = Lab::start().await;
    let product = lab.product();
    let refusal = Arc::new(Mutex::new(None));
    let intruder = Intruder { home: product.home.join("journal.db"), refusal: Arc::clone(&refusal) };
    done(product.backup(vec![Arc::new(intruder)]).await.unwrap());
    assert_eq!(refusal.lock().unwrap().as_deref(), Some("PR-005"));
}

/// Lets the guest write when a step begins.
struct GuestWritesAt {
    step: StepName,
    lab: Arc<Lab>,
}

impl Listener for GuestWritesAt {
    fn hear(&self, event: &Event) {
        if matches!(event, Event::StepStarted { step, .. } if *step == self.step) {
            self.lab.write(2 << 20, 503_808, 77);
        }
    }
}

/// Tries to take the lock of a home in which a backup runs.
struct Intruder {
    home: std::path::PathBuf,
    refusal: Arc<Mutex<Option<&'static str>>>,
}

impl Listener for Intruder {
    fn hear(&self, event: &Event) {
        if matches!(event, Event::PointCommitted { .. }) {
            let journal = protection::run::Journal::open(&self.home, || "intruder".into()).unwrap();
            *self.refusal.lock().unwrap() = journal.lock().err().map(|error| error.code());
        }
    }
}
