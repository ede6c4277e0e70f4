//! Recovery checkpoints: what is asked, and how each ending of the call is understood.

use hyperv::{Consistency, JobFailure};
use winremote::cim::{Instance, Reference};
use winremote::wsman::Output;

use crate::support::{
    BASE, CHECKPOINT, Canned, NAMESPACE, SLOT, USER_CHECKPOINT, VM, World, checkpoint_id, computer, disk,
    job_started, recovery_checkpoint, settings, vm, vm_id,
};

/// What a host does when it takes the checkpoint.
fn freeze(world: &mut World) {
    world.rows.extend([recovery_checkpoint(), disk(CHECKPOINT, BASE)]);
    world.products = vec![computer(), settings(VM, "System:Realized", "SQL01"), recovery_checkpoint()];
}

fn canned() -> Canned {
    Canned::new(vm()).on("CreateSnapshot", |world, _| {
        freeze(world);
        Ok(world.job(7))
    })
}

#[tokio::test]
async fn a_checkpoint_comes_from_its_job_with_the_frozen_files() {
    let (host, world) = canned().connect().await;

    let checkpoint = host.create_recovery_checkpoint(&vm_id(), Consistency::Application).await.unwrap();

    assert_eq!((checkpoint.id, checkpoint.vm), (checkpoint_id(), vm_id()));
    assert_eq!((checkpoint.disks[0].attachment.as_str(), checkpoint.disks[0].path.as_str()), (SLOT, BASE));
    let asked = world.lock().unwrap().calls_of("CreateSnapshot").remove(0);
    assert_eq!(asked.get_reference("AffectedSystem").unwrap().key("Name"), Some(VM));
    assert_eq!(asked.get_u16("SnapshotType").unwrap(), 32768);
    let how = asked.get_embedded("SnapshotSettings").unwrap();
    assert_eq!((how.get_u8("ConsistencyLevel").unwrap(), how.get_u8("GuestBackupType").unwrap()), (1, 2));
    assert_eq!(host.checkpoint(&checkpoint_id()).await.unwrap(), checkpoint);
}

#[tokio::test]
async fn server_2016_is_not_asked_for_a_guest_backup_type() {
    for (windows, asked) in [("10.0.14393", false), ("10.0.17763", true)] {
        let (host, world) = canned().windows(windows).connect().await;
        host.create_recovery_checkpoint(&vm_id(), Consistency::Crash).await.unwrap();
        let how =
            world.lock().unwrap().calls_of("CreateSnapshot")[0].get_embedded("SnapshotSettings").unwrap();
        assert_eq!((how.get_u8("ConsistencyLevel").unwrap(), how.has("GuestBackupType")), (2, asked));
    }
}

#[tokio::test]
async fn a_host_that_answers_at_once_is_understood_too() {
    let canned = Canned::new(vm()).on("CreateSnapshot", |world, _| {
        freeze(world);
        let made = Reference::new(NAMESPACE, "Msvm_VirtualSystemSettingData")
            .with_key("InstanceID", format!("Microsoft:{CHECKPOINT}"));
        Ok(Output::new(0).with("ResultingSnapshot", made))
    });
    let checkpoint =
        canned.connect().await.0.create_recovery_checkpoint(&vm_id(), Consistency::Crash).await.unwrap();
    assert_eq!(checkpoint.id, checkpoint_id());
}

#[tokio::test]
async fn a_failed_job_tells_the_hosts_words_and_the_number_in_them() {
    let canned =
        Canned::new(vm()).on("CreateSnapshot", |world, _| Ok(world.job(10))).on("GetErrorEx", |_, _| {
            let message = "Der VSS-Writer ist fehlgeschlagen. (0x800423F4)";
            Ok(Output::new(0).with("Errors", vec![Instance::new("Msvm_Error").with("Message", message)]))
        });
    let (host, _) = canned.connect().await;

    let error = host.create_recovery_checkpoint(&vm_id(), Consistency::Application).await.unwrap_err();

    let hyperv::Error::JobFailed { failure, .. } = &error else { panic!("{error}") };
    let JobFailure { state, hresult, .. } = **failure;
    assert_eq!((state, hresult), (10, Some(0x8004_23F4)));
    assert!(error.to_string().contains("Der VSS-Writer"), "{error}");
    assert!(error.next_step().contains("vssadmin"));
}

#[tokio::test]
async fn a_refusal_names_its_code() {
    let (host, _) = Canned::new(vm()).on("CreateSnapshot", |_, _| Ok(Output::new(32775))).connect().await;
    let error = host.create_recovery_checkpoint(&vm_id(), Consistency::Crash).await.unwrap_err();
    assert_eq!((error.code(), error.retry()), ("HV-012", hyperv::Retry::Later));
    assert!(error.to_string().contains("32775 (invalid state for this operation)"), "{error}");
}

#[tokio::test]
async fn after_a_vanished_job_the_checkpoint_that_was_not_there_before_is_ours() {
    let older = recovery_checkpoint().with("InstanceID", format!("Microsoft:{USER_CHECKPOINT}"));
    let mut rows = vm();
    rows.push(older);
    let canned = Canned::new(rows).on("CreateSnapshot", |world, _| {
        freeze(world);
        Ok(job_started())
    });
    let checkpoint =
        canned.connect().await.0.create_recovery_checkpoint(&vm_id(), Consistency::Crash).await.unwrap();
    assert_eq!(checkpoint.id, checkpoint_id());
}

#[tokio::test]
async fn a_vanished_job_without_effect_is_an_error() {
    let (host, _) = Canned::new(vm()).on("CreateSnapshot", |_, _| Ok(job_started())).connect().await;
    let error = host.create_recovery_checkpoint(&vm_id(), Consistency::Crash).await.unwrap_err();
    assert_eq!(error.code(), "HV-016");
}

#[tokio::test]
async fn a_busy_or_missing_vm_is_told_before_anything_is_asked() {
    let busy = computer().with("OperationalStatus", vec![2u16, 32774]);
    let (host, world) = Canned::new(vec![busy]).connect().await;
    let error = host.create_recovery_checkpoint(&vm_id(), Consistency::Crash).await.unwrap_err();
    assert_eq!(error.to_string(), format!("VM SQL01 ({VM}) on host HV1 is busy: it is being migrated"));
    assert!(world.lock().unwrap().calls.is_empty());

    let (host, _) = Canned::new(Vec::new()).connect().await;
    let error = host.create_recovery_checkpoint(&vm_id(), Consistency::Crash).await.unwrap_err();
    assert_eq!(error.code(), "HV-020");
}

#[tokio::test]
async fn a_checkpoint_is_named_listed_and_destroyed_once() {
    let mut rows = vm();
    rows.push(recovery_checkpoint());
    let canned = Canned::new(rows).on("ModifySystemSettings", |_, _| Ok(Output::new(0))).on(
        "DestroySnapshot",
        |world, _| {
            world.remove("Msvm_VirtualSystemSettingData", &format!("Microsoft:{CHECKPOINT}"));
            Ok(world.job(7))
        },
    );
    let (host, world) = canned.connect().await;

    host.name_checkpoint(&checkpoint_id(), "refpoint 42").await.unwrap();
    assert_eq!(host.recovery_checkpoints(&vm_id()).await.unwrap()[0].id, checkpoint_id());
    host.destroy_checkpoint(&checkpoint_id()).await.unwrap();
    host.destroy_checkpoint(&checkpoint_id()).await.unwrap();

    let world = world.lock().unwrap();
    let named = world.calls_of("ModifySystemSettings")[0].get_embedded("SystemSettings").unwrap();
    assert_eq!(named.get_str("ElementName").unwrap(), "refpoint 42");
    assert_eq!(world.calls_of("DestroySnapshot").len(), 1, "what is gone is not destroyed again");
}

#[tokio::test]
async fn a_users_checkpoint_is_never_destroyed() {
    let (host, world) =
        Canned::new(vec![settings(CHECKPOINT, "Snapshot:Realized", "before update")]).connect().await;
    let error = host.destroy_checkpoint(&checkpoint_id()).await.unwrap_err();
    assert_eq!(error.code(), "HV-023");
    assert!(world.lock().unwrap().calls.is_empty());
}
