//! Waiting for the merge: by where the VM's disks stand, not by time.

use std::time::Duration;

use hyperv::MergeOutcome;

use crate::support::{
    BASE, Canned, USER_CHECKPOINT, VM, World, computer, described, disk, settings, vhdx, vm, vm_id,
};

const SOON: Duration = Duration::from_millis(50);
const ENOUGH: Duration = Duration::from_secs(10);
const DIFFERENCES: &str = r"C:\VMs\SQL01\sql01_1A2B3C4D.avhdx";
const USER_DIFFERENCES: &str = r"C:\VMs\SQL01\sql01_2B3C4D5E.avhdx";

#[tokio::test]
async fn a_vm_on_its_own_files_is_merged_at_once() {
    let (host, _) = Canned::new(vm()).connect().await;
    assert_eq!(host.await_merge(&vm_id(), Duration::ZERO).await.unwrap(), MergeOutcome::Merged);
}

#[tokio::test]
async fn the_merge_is_over_when_the_vm_writes_to_its_own_file_again() {
    fn merge_after_a_while(world: &mut World, _class: &str) {
        if world.reads > 8 {
            world.rows.retain(|row| !row.is_class("Msvm_StorageAllocationSettingData"));
            world.rows.push(disk(VM, BASE));
        }
    }
    let canned = Canned::new(vec![computer(), disk(VM, DIFFERENCES)]);
    let (host, world) = canned.world(|world| world.before_read = Some(merge_after_a_while)).connect().await;
    assert_eq!(host.await_merge(&vm_id(), ENOUGH).await.unwrap(), MergeOutcome::Merged);
    assert!(world.lock().unwrap().reads > 8);
}

#[tokio::test]
async fn a_merge_that_does_not_end_in_time_names_the_file() {
    let (host, _) = Canned::new(vec![computer(), disk(VM, DIFFERENCES)]).connect().await;
    let outcome = host.await_merge(&vm_id(), SOON).await.unwrap();
    assert_eq!(outcome, MergeOutcome::StillMerging(format!("the VM still writes to {DIFFERENCES}")));
}

#[tokio::test]
async fn a_vm_that_says_it_merges_is_believed_whatever_its_file_is_called() {
    let busy = computer().with("OperationalStatus", vec![2u16, 32772]);
    let (host, _) = Canned::new(vec![busy, disk(VM, BASE)]).connect().await;
    let outcome = host.await_merge(&vm_id(), SOON).await.unwrap();
    assert_eq!(outcome, MergeOutcome::StillMerging("its disks are being merged".to_owned()));
    assert!(!host.await_idle(&vm_id(), SOON).await.unwrap());
}

/// Bug to avoid: with a user's checkpoint the VM never comes back to its `.vhdx`, and must not be waited for.
#[tokio::test]
async fn with_a_users_checkpoint_the_vm_stands_on_its_differencing_file() {
    let rows = |active| {
        let user = settings(USER_CHECKPOINT, "Snapshot:Realized", "before update");
        vec![computer(), user, disk(USER_CHECKPOINT, BASE), disk(VM, active)]
    };
    let describe = |canned: Canned, parent: &'static str| {
        canned.on("GetVirtualHardDiskSettingData", move |_, _| Ok(described(vhdx(4, Some(parent)))))
    };
    let merged = describe(Canned::new(rows(USER_DIFFERENCES)), r"c:\vms\sql01\SQL01.vhdx").connect().await.0;
    assert_eq!(merged.await_merge(&vm_id(), SOON).await.unwrap(), MergeOutcome::Merged);
    let above = describe(Canned::new(rows(DIFFERENCES)), USER_DIFFERENCES).connect().await.0;
    assert!(matches!(above.await_merge(&vm_id(), SOON).await.unwrap(), MergeOutcome::StillMerging(_)));
}

#[tokio::test]
async fn a_vm_that_is_gone_is_an_error() {
    let (host, _) = Canned::new(Vec::new()).connect().await;
    assert_eq!(host.await_merge(&vm_id(), SOON).await.unwrap_err().code(), "HV-020");
    assert_eq!(host.await_idle(&vm_id(), SOON).await.unwrap_err().code(), "HV-020");
}
