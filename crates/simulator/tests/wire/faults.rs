//! Ordered faults happen to the call they were ordered for, and to no other.

use std::time::{Duration, Instant};

use simulator::{Fault, FaultEffect};

use crate::support::{Lab, checkpoint_of, vm_reference};

const SNAPSHOTS: &str = "Msvm_VirtualSystemSnapshotService";

fn once(call: &str, effect: FaultEffect) -> Fault {
    Fault { call: call.into(), effect, times: 1 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_fails_with_the_ordered_code_once() {
    let (lab, vm) = Lab::with_vm().await;
    lab.host.fail_next("CreateSnapshot", 32768);
    assert_eq!(lab.call(SNAPSHOTS, "CreateSnapshot", checkpoint_of(vm, 1)).await.return_value, 32768);
    assert_eq!(lab.host.calls("CreateSnapshot"), 1);
    lab.checkpoint(vm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_fails_with_the_ordered_text_and_leaves_the_vm_idle() {
    let (lab, vm) = Lab::with_vm().await;
    let text = "The operation failed (0x80070020).".to_owned();
    lab.host.inject(once("CreateSnapshot", FaultEffect::FailJob { code: 32774, text: text.clone() }));
    let job = lab.job(SNAPSHOTS, "CreateSnapshot", checkpoint_of(vm, 1)).await;
    assert_eq!(job.get_str("ErrorDescription").unwrap(), text);
    assert_eq!(job.get_u16("ErrorCode").unwrap(), 32774);
    assert_eq!(lab.operational_status(vm).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_hides_that_the_call_was_carried_out() {
    let (lab, vm) = Lab::with_vm().await;
    let service = lab.service(SNAPSHOTS);
    let invoke = || lab.client.invoke(&service, "CreateSnapshot", checkpoint_of(vm, 1));

    lab.host.inject(once("CreateSnapshot", FaultEffect::DropConnection { carried_out: false }));
    invoke().await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(lab.host.leftovers(vm).unwrap().checkpoints.len(), 0);

    lab.host.inject(once("CreateSnapshot", FaultEffect::DropConnection { carried_out: true }));
    invoke().await.unwrap_err();
    while lab.host.leftovers(vm).unwrap().checkpoints.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_be_late() {
    let (lab, vm) = Lab::with_vm().await;
    lab.host.inject(once("Get", FaultEffect::Delay(Duration::from_millis(120))));
    let start = Instant::now();
    lab.client.get(&vm_reference(vm)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(120));
    assert_eq!(lab.host.calls("Get"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_job_shows_its_progress() {
    let (lab, vm) = Lab::with_vm().await;
    lab.host.inject(once("CreateSnapshot", FaultEffect::SlowJob(Duration::from_millis(150))));
    let output = lab.call(SNAPSHOTS, "CreateSnapshot", checkpoint_of(vm, 1)).await;
    let job = output.values.get_reference("Job").unwrap();
    assert_eq!(lab.operational_status(vm).await, [2, 32768]);
    let running = lab.client.get(&job).await.unwrap();
    assert_eq!(running.get_u16("JobState").unwrap(), 4);
    assert!(running.get_u16("PercentComplete").unwrap() < 100);
    assert_eq!(lab.job_end(&job).await.get_u16("PercentComplete").unwrap(), 100);
}
