//! Recovery checkpoints: writes are diverted, content is frozen, and everything is merged back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use simulator::{Chance, DiskSpec, GuestVss, VmSpec};
use vdisk::Disk;

use crate::support::{Lab, MIB, checkpoint_of, reference};

const SNAPSHOTS: &str = "Msvm_VirtualSystemSnapshotService";

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_freezes_the_disk_while_the_guest_goes_on() {
    let (lab, vm) = Lab::with_vm().await;
    let guest = lab.host.guest(vm).unwrap();
    guest.write(0, MIB, &[1; 4096]).unwrap();

    let checkpoint = lab.checkpoint(vm).await;
    guest.write(0, MIB, &[2; 4096]).unwrap();
    guest.write(0, 40 * MIB, &[3; 512]).unwrap();

    let frozen = lab.disk_files(&checkpoint).await;
    assert_eq!(frozen, [r"C:\VMs\SQL01\Virtual Hard Disks\sql01.vhdx"]);
    let active = lab.disk_files(&lab.settings(vm).await).await;
    assert!(
        active[0].starts_with(r"C:\VMs\SQL01\Virtual Hard Disks\sql01_") && active[0].ends_with(".avhdx")
    );
    let moment = lab.host.moments(vm).unwrap()[0].checkpoint;
    assert_eq!(checkpoint.get_str("InstanceID").unwrap(), format!("Microsoft:{moment}"));
    let disk = lab.open(&frozen[0]);
    assert_eq!(lab.host.expected(vm, 0, Some(moment)).unwrap().first_difference(&disk).unwrap(), None);
    let mut sector = [9; 512];
    disk.read_at(40 * MIB, &mut sector).unwrap();
    assert_eq!(sector, [0; 512]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converted_checkpoint_is_gone_and_its_disk_merged() {
    let (lab, vm) = Lab::with_vm().await;
    let guest = lab.host.guest(vm).unwrap();
    guest.write(0, 0, &[1; 65536]).unwrap();
    let checkpoint = lab.checkpoint(vm).await;
    guest.write(0, 512, &[2; 512]).unwrap();

    lab.host.hold_merges(true);
    let point = lab.convert(&checkpoint).await;
    assert_eq!(lab.operational_status(vm).await, [2, 32772]);
    guest.write(0, 20 * MIB, &[4; 8192]).unwrap();
    lab.host.hold_merges(false);
    lab.merged(vm).await;

    let leftovers = lab.host.leftovers(vm).unwrap();
    assert_eq!((leftovers.checkpoints.len(), leftovers.reference_points.len()), (0, 1));
    assert_eq!((leftovers.avhdx_files.len(), leftovers.merging), (0, false));
    let active = lab.disk_files(&lab.settings(vm).await).await;
    assert_eq!(active, [r"C:\VMs\SQL01\Virtual Hard Disks\sql01.vhdx"]);
    guest.flush().unwrap();
    let now = lab.host.expected(vm, 0, None).unwrap();
    assert_eq!(now.first_difference(&lab.open(&active[0])).unwrap(), None);
    assert_eq!(point.get_u16("ReferencePointType").unwrap(), 2);
    let numbers: Vec<u32> = lab.host.events().iter().map(|event| event.number).collect();
    assert_eq!(numbers, [19070, 19080]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_checkpoint_leaves_nothing() {
    let (lab, vm) = Lab::with_vm().await;
    let guest = lab.host.guest(vm).unwrap();
    let checkpoint = lab.checkpoint(vm).await;
    guest.write(0, 0, &[1; 512]).unwrap();
    lab.job(SNAPSHOTS, "DestroySnapshot", vec![("AffectedSnapshot", reference(&checkpoint).into())]).await;
    lab.merged(vm).await;
    assert_eq!(lab.host.leftovers(vm).unwrap(), simulator::host::Leftovers::default());
    let mut sector = [0; 512];
    guest.read(0, 0, &mut sector).unwrap();
    assert_eq!(sector, [1; 512]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_recovery_checkpoint_at_a_time() {
    let (lab, vm) = Lab::with_vm().await;
    let checkpoint = lab.checkpoint(vm).await;
    let create = || lab.call(SNAPSHOTS, "CreateSnapshot", checkpoint_of(vm, 1));
    assert_eq!(create().await.return_value, 32775);
    lab.host.hold_merges(true);
    lab.convert(&checkpoint).await;
    assert_eq!(create().await.return_value, 32775, "the VM is merging");
    lab.host.hold_merges(false);
    lab.merged(vm).await;
    assert_eq!(create().await.return_value, 4096);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_disks_of_a_vm_stop_at_the_same_instant() {
    let lab = Lab::new().await;
    let spec =
        VmSpec::new("DB").disk(DiskSpec::blank("a.vhdx", 4 * MIB)).disk(DiskSpec::blank("b.vhdx", 4 * MIB));
    let vm = lab.host.add_vm(spec).unwrap();
    let guest = lab.host.guest(vm).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            // Disk 0 is always written before disk 1, with the same number.
            for number in 1_u64.. {
                let sector = [number.to_le_bytes(); 64].concat();
                guest.write(0, 0, &sector).unwrap();
                guest.write(1, 0, &sector).unwrap();
                if stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    let checkpoint = lab.checkpoint(vm).await;
    stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();

    let number = |file: &str| {
        let mut bytes = [0; 8];
        lab.open(file).read_at(0, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    };
    let files = lab.disk_files(&checkpoint).await;
    let (first, second) = (number(&files[0]), number(&files[1]));
    assert!(first == second || first == second + 1, "disk 0 at {first}, disk 1 at {second}");
    assert!(first > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_never_stops_writing_keeps_every_byte() {
    let (lab, vm) = Lab::with_vm().await;
    let guest = lab.host.guest(vm).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (guest, stop) = (guest.clone(), stop.clone());
        std::thread::spawn(move || {
            let mut chance = Chance::from_seed(5);
            while !stop.load(Ordering::SeqCst) {
                let offset = chance.below(64 * 2048 - 64) * 512;
                let value = u8::try_from(chance.below(256)).unwrap();
                guest.write(0, offset, &[value; 64 * 512]).unwrap();
            }
        })
    };
    for round in 0..3 {
        let checkpoint = lab.checkpoint(vm).await;
        let moment = lab.host.moments(vm).unwrap()[round].checkpoint;
        let expected = lab.host.expected(vm, 0, Some(moment)).unwrap();
        let frozen = lab.open(&lab.disk_files(&checkpoint).await[0]);
        assert_eq!(expected.first_difference(&frozen).unwrap(), None, "round {round}");
        drop(frozen);
        lab.convert(&checkpoint).await;
        lab.merged(vm).await;
    }
    stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    guest.flush().unwrap();
    let now = lab.host.expected(vm, 0, None).unwrap();
    let file = lab.disk_files(&lab.settings(vm).await).await.remove(0);
    assert_eq!(now.first_difference(&lab.open(&file)).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_and_almost_empty_disk_costs_little() {
    const GIB: u64 = 1 << 30;
    let lab = Lab::new().await;
    let vm = lab.host.add_vm(VmSpec::new("BIG").disk(DiskSpec::blank("big.vhdx", 64 * GIB))).unwrap();
    let guest = lab.host.guest(vm).unwrap();
    for place in 0..64 {
        guest.write(0, place * GIB, &[1; 4096]).unwrap();
    }
    let checkpoint = lab.checkpoint(vm).await;
    let moment = lab.host.moments(vm).unwrap()[0].checkpoint;
    let expected = lab.host.expected(vm, 0, Some(moment)).unwrap();
    assert_eq!(expected.written().len(), 64);
    let file = lab.disk_files(&checkpoint).await.remove(0);
    let id = crate::support::rct_id(&lab.convert(&checkpoint).await);
    lab.merged(vm).await;
    guest.write(0, 63 * GIB, &[2; 512]).unwrap();
    lab.checkpoint(vm).await;
    let changes = lab.changes(&file, &id, 64 * GIB).await;
    assert_eq!(changes, std::slice::from_ref(&(63 * GIB..63 * GIB + 16384)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_cannot_freeze_fails_the_application_consistent_checkpoint_only() {
    let (lab, vm) = Lab::with_vm().await;
    lab.host.set_guest_vss(vm, GuestVss::Failing(0x8004_23F4)).unwrap();
    let job = lab.job(SNAPSHOTS, "CreateSnapshot", checkpoint_of(vm, 1)).await;
    assert_eq!(job.get_u16("JobState").unwrap(), 10);
    assert!(job.get_str("ErrorDescription").unwrap().ends_with("(0x800423F4)."));
    let errors = lab.client.invoke(&reference(&job), "GetErrorEx", Vec::<(&str, _)>::new()).await.unwrap();
    let error = errors.values.get_embedded("Errors").unwrap();
    assert!(error.get_str("Message").unwrap().contains("SQL01"));
    assert_eq!(lab.host.leftovers(vm).unwrap(), simulator::host::Leftovers::default());

    let job = lab.job(SNAPSHOTS, "CreateSnapshot", checkpoint_of(vm, 2)).await;
    assert_eq!(job.get_u16("JobState").unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_can_be_given_a_name() {
    let (lab, vm) = Lab::with_vm().await;
    let checkpoint = lab.checkpoint(vm).await;
    let settings = winremote::cim::Instance::new("Msvm_VirtualSystemSettingData")
        .with("InstanceID", checkpoint.get_str("InstanceID").unwrap())
        .with("ElementName", "refpoint 42");
    let service = "Msvm_VirtualSystemManagementService";
    lab.job(service, "ModifySystemSettings", vec![("SystemSettings", settings.into())]).await;
    let wql = "select * from Msvm_VirtualSystemSettingData where VirtualSystemType = 'Microsoft:Hyper-V:Snapshot:Recovery'";
    assert_eq!(lab.query(wql).await[0].get_str("ElementName").unwrap(), "refpoint 42");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_waits_for_readers_that_hold_the_frozen_file_open() {
    let (lab, vm) = Lab::with_vm().await;
    lab.host.guest(vm).unwrap().write(0, 0, &[1; 512]).unwrap();
    let checkpoint = lab.checkpoint(vm).await;
    let reader: Disk = lab.open(&lab.disk_files(&checkpoint).await[0]);
    lab.convert(&checkpoint).await;
    while !lab.host.events().iter().any(|event| event.number == 19100) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(lab.operational_status(vm).await, [2, 32772]);
    drop(reader);
    lab.merged(vm).await;
    assert_eq!(lab.host.leftovers(vm).unwrap().avhdx_files.len(), 0);
}
