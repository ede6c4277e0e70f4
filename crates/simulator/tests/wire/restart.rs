//! A host that is stopped and started again on its folder is the same host.

use std::sync::Arc;

use simulator::{DiskSpec, VmSpec};
use vdisk::{FileIo, LocalFile};

use crate::support::{Lab, MIB, rct_id};

const CAPACITY: u64 = 64 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_reference_points_and_tracking_survive_a_restart() {
    let (lab, vm) = Lab::with_vm().await;
    lab.host.guest(vm).unwrap().write(0, 0, &[1; 4096]).unwrap();
    let first = lab.checkpoint(vm).await;
    let id = rct_id(&lab.convert(&first).await);
    lab.merged(vm).await;
    lab.host.guest(vm).unwrap().write(0, MIB, &[2; 4096]).unwrap();
    let second = lab.checkpoint(vm).await;
    lab.host.guest(vm).unwrap().write(0, 2 * MIB, &[3; 4096]).unwrap();

    let lab = lab.restart().await;

    assert_eq!(lab.host.vm_named("SQL01").unwrap(), vm);
    let frozen = lab.disk_files(&second).await.remove(0);
    assert_eq!(lab.changes(&frozen, &id, CAPACITY).await, std::slice::from_ref(&(MIB..MIB + 16384)));
    let moment = lab.host.moments(vm).unwrap()[1].checkpoint;
    let expected = lab.host.expected(vm, 0, Some(moment)).unwrap();
    assert_eq!(expected.first_difference(&lab.open(&frozen)).unwrap(), None);
    let mut sector = [0; 512];
    lab.host.guest(vm).unwrap().read(0, 2 * MIB, &mut sector).unwrap();
    assert_eq!(sector, [3; 512], "a write that was never flushed is in the write log and comes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_was_interrupted_goes_on_after_a_restart() {
    let (lab, vm) = Lab::with_vm().await;
    let checkpoint = lab.checkpoint(vm).await;
    lab.host.guest(vm).unwrap().write(0, 0, &[5; 512]).unwrap();
    lab.host.hold_merges(true);
    lab.convert(&checkpoint).await;

    let lab = lab.restart().await;

    lab.merged(vm).await;
    let leftovers = lab.host.leftovers(vm).unwrap();
    assert_eq!((leftovers.avhdx_files.len(), leftovers.merging), (0, false));
    let mut sector = [0; 512];
    lab.host.guest(vm).unwrap().read(0, 0, &mut sector).unwrap();
    assert_eq!(sector, [5; 512]);
}

/// The host merges a disk and is killed before it can write down that the child is merged. The child no longer fits
/// its parent then, and a host that insisted on it would not start.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_ended_unnoted_is_noted_after_a_restart() {
    let (lab, vm) = Lab::with_vm().await;
    let checkpoint = lab.checkpoint(vm).await;
    let guest = lab.host.guest(vm).unwrap();
    guest.write(0, 0, &[5; 512]).unwrap();
    guest.flush().unwrap();
    lab.host.hold_merges(true);
    lab.convert(&checkpoint).await;
    let child = lab.local(&lab.disk_files(&lab.settings(vm).await).await[0]);
    let parent = lab.local(r"C:\VMs\SQL01\Virtual Hard Disks\sql01.vhdx");
    drop(guest);

    let lab = lab
        .restart_after(|| {
            let open = |file: LocalFile| -> Arc<dyn FileIo> { Arc::new(file) };
            let layers = vec![
                open(LocalFile::open_read(&child).unwrap()),
                open(LocalFile::open_read_write(&parent).unwrap()),
            ];
            vdisk::merge_into_parent(layers).unwrap();
        })
        .await;

    let leftovers = lab.host.leftovers(vm).unwrap();
    assert_eq!((leftovers.avhdx_files.len(), leftovers.merging), (0, false));
    let mut sector = [0; 512];
    lab.host.guest(vm).unwrap().read(0, 0, &mut sector).unwrap();
    assert_eq!(sector, [5; 512]);
}

/// A second VM of the same name would have put its disk where the first one's is.
#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_could_not_be_added_harms_no_other_at_the_next_start() {
    let (lab, vm) = Lab::with_vm().await;
    lab.host.guest(vm).unwrap().write(0, 0, &[6; 512]).unwrap();
    let again = VmSpec::new("SQL01").disk(DiskSpec::blank("sql01.vhdx", MIB));
    let error = lab.host.add_vm(again).unwrap_err();
    assert!(error.to_string().contains("sql01.vhdx already"), "{error}");

    let lab = lab.restart().await;

    assert_eq!(lab.host.vms().len(), 1);
    let mut sector = [0; 512];
    lab.host.guest(vm).unwrap().read(0, 0, &mut sector).unwrap();
    assert_eq!(sector, [6; 512]);
}

/// The state file names a differencing file that was begun and belongs to no disk.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_killed_host_had_begun_are_gone_after_a_restart() {
    let (lab, vm) = Lab::with_vm().await;
    let begun = lab.local(r"C:\VMs\SQL01\Virtual Hard Disks\sql01_1.avhdx");
    let state = lab.folder.path().join(".simulator/host.json");

    let lab = lab
        .restart_after(|| {
            std::fs::write(&begun, b"half").unwrap();
            let text = std::fs::read_to_string(&state).unwrap();
            let mark = r#""begun_files": []"#;
            assert!(text.contains(mark), "{text}");
            let named = r#""begun_files": ["C:\\VMs\\SQL01\\Virtual Hard Disks\\sql01_1.avhdx"]"#;
            std::fs::write(&state, text.replace(mark, named)).unwrap();
        })
        .await;

    assert!(!begun.exists());
    assert_eq!(lab.host.leftovers(vm).unwrap(), simulator::host::Leftovers::default());
}
