//! Reference points: made from checkpoints, listed, released.

use hyperv::{Checkpoint, ReferencePointId, ReferencePointKind};
use winremote::cim::Instance;
use winremote::wsman::Output;

use crate::support::{CHECKPOINT, Canned, RCT, SLOT, VM, checkpoint_id, recovery_checkpoint, row, vm, vm_id};

fn point(id: &str, rct_ids: &[&str]) -> Instance {
    let disks: Vec<String> = (0..rct_ids.len()).map(disk_id).collect();
    row("Msvm_VirtualSystemReferencePoint")
        .with("InstanceID", id)
        .with("VirtualSystemIdentifier", VM)
        .with("ConsistencyLevel", 2u16)
        .with("ReferencePointType", 2u16)
        .with("VirtualDiskIdentifiers", disks)
        .with("ResilientChangeTrackingIdentifiers", rct_ids.to_vec())
}

fn disk_id(lun: usize) -> String {
    format!(r"Microsoft:{VM}\a1a1a1a1-0000-4000-8000-000000000009\0\{lun}\L")
}

fn checkpoint() -> Checkpoint {
    Checkpoint { id: checkpoint_id(), vm: vm_id(), name: String::new(), disks: Vec::new() }
}

fn canned() -> Canned {
    let mut rows = vm();
    rows.extend([recovery_checkpoint(), point("Microsoft:OLD", &[RCT])]);
    Canned::new(rows)
}

#[tokio::test]
async fn a_converted_checkpoint_yields_the_mark_of_each_disk() {
    let canned = canned().on("ConvertToReferencePoint", |world, _| {
        let made = point("Microsoft:NEW", &[RCT, "", "rctX:other"]);
        (world.products, world.rows) = (vec![made.clone()], [world.rows.clone(), vec![made]].concat());
        Ok(world.job(7))
    });
    let (host, world) = canned.connect().await;

    let made = host.convert_to_reference_point(&checkpoint()).await.unwrap();

    assert_eq!((made.id.instance_id.as_str(), made.kind), ("Microsoft:NEW", ReferencePointKind::Rct));
    assert_eq!(made.rct_id(SLOT).unwrap().as_str(), RCT);
    let second_disk = SLOT.replace(r"\0\0\L", r"\0\1\L");
    assert_eq!((made.disks.len(), made.rct_id(&second_disk)), (2, None), "a disk without id has no mark");
    let asked = world.lock().unwrap().calls_of("ConvertToReferencePoint").remove(0);
    let named = asked.get_reference("AffectedSnapshot").unwrap();
    assert_eq!(named.key("InstanceID"), Some(format!("Microsoft:{CHECKPOINT}").as_str()));
    assert_eq!(asked.get_str("ReferencePointSettings").unwrap(), "");
}

#[tokio::test]
async fn a_job_that_does_not_name_its_product_leads_to_the_new_one() {
    let canned = canned().on("ConvertToReferencePoint", |world, _| {
        world.rows.push(point("Microsoft:NEW", &[RCT]));
        Ok(world.job(32768))
    });
    let made = canned.connect().await.0.convert_to_reference_point(&checkpoint()).await.unwrap();
    assert_eq!(made.id.instance_id, "Microsoft:NEW");
}

#[tokio::test]
async fn a_checkpoint_that_is_gone_cannot_be_converted() {
    let (host, world) = Canned::new(vm()).connect().await;
    let error = host.convert_to_reference_point(&checkpoint()).await.unwrap_err();
    assert_eq!(error.code(), "HV-022");
    assert!(world.lock().unwrap().calls.is_empty());
}

#[tokio::test]
async fn reference_points_are_released_by_both_keys_and_only_once() {
    let canned = canned().on("DestroyReferencePoint", |world, _| {
        world.remove("Msvm_VirtualSystemReferencePoint", "Microsoft:OLD");
        Ok(Output::new(0))
    });
    let (host, world) = canned.connect().await;
    let listed = host.reference_points(&vm_id()).await.unwrap();
    assert_eq!(listed[0].id, ReferencePointId::new("Microsoft:OLD", vm_id()).unwrap());

    host.destroy_reference_point(&listed[0].id).await.unwrap();
    host.destroy_reference_point(&listed[0].id).await.unwrap();

    let calls = world.lock().unwrap().calls_of("DestroyReferencePoint");
    assert_eq!(calls.len(), 1);
    let named = calls[0].get_reference("AffectedReferencePoint").unwrap();
    assert_eq!(named.key("VirtualSystemIdentifier"), Some(VM));
}

#[tokio::test]
async fn arrays_that_do_not_match_are_not_guessed_at() {
    let torn = point("Microsoft:TORN", &[RCT, RCT]).with("ResilientChangeTrackingIdentifiers", vec![RCT]);
    let error = Canned::new(vec![torn]).connect().await.0.reference_points(&vm_id()).await.unwrap_err();
    assert_eq!(error.code(), "HV-015");
    assert!(error.to_string().contains("lists 2 disks and 1 RCT ids"), "{error}");
}
