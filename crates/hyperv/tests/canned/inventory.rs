//! The picture of a host: joined by identity, with gaps instead of failures.

use hyperv::{CheckpointKind, Consistency, DiskFormat, DiskKind, PowerState, VssStatus};
use winremote::cim::Instance;
use winremote::wsman::{Fault, Output, code};

use crate::support::{
    BASE, Canned, RCT, SLOT, USER_CHECKPOINT, VM, computer, described, disk, recovery_checkpoint, row,
    settings, vhdx, vm, vm_id,
};

/// A host that describes every disk as a dynamic VHDX.
fn canned(rows: Vec<Instance>) -> Canned {
    Canned::new(rows).on("GetVirtualHardDiskSettingData", |_, _| Ok(described(vhdx(3, None))))
}

fn reference_point() -> Instance {
    row("Msvm_VirtualSystemReferencePoint")
        .with("InstanceID", "Microsoft:RP1")
        .with("VirtualSystemIdentifier", VM)
        .with("ConsistencyLevel", 1u16)
        .with("ReferencePointType", 2u16)
        .with("VirtualDiskIdentifiers", vec![format!(r"Microsoft:{VM}\{SLOT}")])
        .with("ResilientChangeTrackingIdentifiers", vec![RCT])
}

#[tokio::test]
async fn a_vm_is_joined_from_the_rows_of_all_classes() {
    let mut rows = vm();
    rows.extend([recovery_checkpoint(), settings(USER_CHECKPOINT, "Snapshot:Realized", "before update")]);
    rows.extend([disk(USER_CHECKPOINT, r"C:\old.vhdx"), reference_point()]);
    rows.push(row("Msvm_VssComponent").with("SystemName", VM).with("OperationalStatus", vec![2u16]));
    let (host, _) = canned(rows).connect().await;

    let inventory = host.inventory().await.unwrap();

    let vm = inventory.vm(vm_id()).unwrap();
    assert_eq!((vm.name.as_str(), vm.state, vm.generation), ("SQL01", PowerState::Running, 2));
    assert_eq!((vm.configuration_version.as_str(), &vm.vss, &vm.busy), ("10.0", &VssStatus::Ready, &None));
    let [disk] = vm.disks.as_slice() else { panic!("{:?}", vm.disks) };
    assert_eq!((disk.attachment.as_str(), disk.path.as_str(), disk.supported()), (SLOT, BASE, Ok(())));
    assert_eq!(
        (disk.format, disk.kind, disk.capacity_bytes),
        (DiskFormat::Vhdx, DiskKind::Dynamic, 64 << 30)
    );
    let kinds: Vec<_> = vm.checkpoints.iter().map(|checkpoint| checkpoint.kind).collect();
    assert_eq!(kinds, [CheckpointKind::Recovery, CheckpointKind::User]);
    let [point] = vm.reference_points.as_slice() else { panic!("{:?}", vm.reference_points) };
    assert_eq!(
        (point.consistency, point.rct_id(SLOT).unwrap().as_str()),
        (Some(Consistency::Application), RCT)
    );
}

#[tokio::test]
async fn the_host_itself_and_planned_vms_are_no_vms() {
    let host_row = computer().with("Name", "HV1").with("Caption", "Hostcomputersystem");
    let planned = settings(USER_CHECKPOINT, "System:Planned", "half made");
    let (host, _) = canned(vec![host_row, planned]).connect().await;
    assert_eq!(host.inventory().await.unwrap().vms, []);
}

#[tokio::test]
async fn a_class_that_cannot_be_read_is_a_gap_and_a_broken_vm_hides_no_other() {
    let mut rows = vm();
    rows.push(
        settings(USER_CHECKPOINT, "System:Realized", "WEB01").with("VirtualSystemIdentifier", "no guid"),
    );
    let canned =
        canned(rows).world(|world| world.broken = vec!["Msvm_VssComponent", "Win32_OperatingSystem"]);
    let (host, _) = canned.connect().await;

    let inventory = host.inventory().await.unwrap();

    assert_eq!(inventory.vms.len(), 1);
    assert_eq!(inventory.vms[0].vss, VssStatus::Unknown);
    let gaps: Vec<_> = inventory.gaps.iter().map(|gap| gap.what.as_str()).collect();
    assert_eq!(gaps, ["guest backup services of all VMs", "Windows version of the host", "VM WEB01"]);
    assert_eq!(inventory.host.os_version, "10.0.20348", "Identify tells it too");
}

#[tokio::test]
async fn without_its_vms_there_is_no_picture() {
    let canned = canned(vm()).world(|world| world.broken = vec!["Msvm_ComputerSystem"]);
    let error = canned.connect().await.0.inventory().await.unwrap_err();
    assert_eq!(error.code(), "HV-010");
    assert!(error.to_string().starts_with("looking at all VMs on host HV1: "), "{error}");
}

#[tokio::test]
async fn what_hyper_v_is_doing_is_told_by_code_and_not_by_text() {
    let busy =
        computer().with("OperationalStatus", vec![2u16, 32772]).with("StatusDescriptions", vec!["OK", "Ja"]);
    let (host, _) = canned(vec![busy, settings(VM, "System:Realized", "SQL01")]).connect().await;
    let inventory = host.inventory().await.unwrap();
    assert_eq!(inventory.vms[0].busy.as_deref(), Some("its disks are being merged"));
}

#[tokio::test]
async fn guests_whose_backup_service_is_off_or_silent_say_so() {
    for (component, setting, expected) in [
        (vec![13u16], 2u16, VssStatus::NotResponding("lost communication".to_owned())),
        (vec![2], 3, VssStatus::Disabled),
        (vec![3, 32775], 2, VssStatus::NotResponding("protocol mismatch".to_owned())),
    ] {
        let mut rows = vm();
        rows.push(row("Msvm_VssComponent").with("SystemName", VM).with("OperationalStatus", component));
        let id = format!(r"Microsoft:{VM}\5CED1297-4598-4915-A5FC-AD21BB4D02A4");
        rows.push(row("Msvm_VssComponentSettingData").with("InstanceID", id).with("EnabledState", setting));
        let (host, _) = canned(rows).connect().await;
        assert_eq!(host.inventory().await.unwrap().vms[0].vss, expected);
    }
}

/// The reason why a disk of this kind is not backed up.
async fn reason(disk: Instance, answer: Result<Output, Fault>) -> String {
    let rows = vec![computer(), settings(VM, "System:Realized", "SQL01"), disk];
    let canned = Canned::new(rows).on("GetVirtualHardDiskSettingData", move |_, _| answer.clone());
    let inventory = canned.connect().await.0.inventory().await.unwrap();
    inventory.vms[0].disks[0].supported().unwrap_err().to_owned()
}

#[tokio::test]
async fn disks_that_no_checkpoint_covers_carry_the_reason() {
    let vhd = vhdx(3, None).with("Format", 2u16);
    assert!(reason(disk(VM, r"C:\a.vhd"), Ok(described(vhd))).await.contains("convert the disk to VHDX"));
    let shared = disk(VM, BASE).with("PersistentReservationsSupported", true);
    assert!(reason(shared, Ok(described(vhdx(2, None)))).await.contains("shared between guests"));
    let set = vhdx(3, None).with("Format", 4u16);
    assert!(reason(disk(VM, r"C:\a.vhds"), Ok(described(set))).await.contains("VHD Set"));
    let unreadable = reason(disk(VM, BASE), Ok(Output::new(32779))).await;
    assert_eq!(unreadable, "the host could not describe its file");
    let faulty = reason(disk(VM, BASE), Err(Fault::wmi(code::WBEM_FAILED, ""))).await;
    assert_eq!(faulty, "the host could not describe its file");
    let physical = row("Msvm_ResourceAllocationSettingData")
        .with("InstanceID", format!(r"Microsoft:{VM}\A1A1A1A1-0000-4000-8000-000000000009\0\1\D"))
        .with("ResourceSubType", "Microsoft:Hyper-V:Physical Disk Drive");
    assert!(reason(physical, Ok(Output::new(0))).await.contains("pass-through"));
}

#[tokio::test]
async fn a_hundred_vms_take_one_query_per_class() {
    let guid = |number: usize| format!("7F1B9E63-0B0C-4D61-9D0E-{number:012X}");
    let rows = (0..100).map(|number| {
        settings(&guid(number), "System:Realized", "VM").with("VirtualSystemIdentifier", guid(number))
    });
    let (host, world) = canned(rows.collect()).connect().await;
    let before = world.lock().unwrap().reads;

    assert_eq!(host.inventory().await.unwrap().vms.len(), 100);

    assert_eq!(world.lock().unwrap().reads - before, 8);
}
