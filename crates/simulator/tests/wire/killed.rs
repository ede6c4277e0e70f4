//! A host that is killed comes back with every write. A copy of its folder, taken while it runs, is what a kill leaves:
//! nothing was closed or flushed, and the copy belongs to no process.

use std::path::Path;

use simulator::{SimVmId, SimulatedHost};

use crate::support::{Lab, MIB, covers, rct_id};

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The host as it would be after a kill at this moment. Its disks hold what the guest wrote.
async fn killed_now(lab: &Lab, vm: SimVmId) -> Lab {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(lab.folder.path(), folder.path());
    let wanted = lab.host.expected(vm, 0, None).unwrap();

    let reborn = Lab::in_folder(folder).await;

    let found = reborn.host.expected(vm, 0, None).unwrap();
    assert_eq!(found.changed_since(&wanted).unwrap(), [], "the write log is whole");
    let guest = reborn.host.guest(vm).unwrap();
    for range in wanted.written() {
        let length = usize::try_from(range.end - range.start).unwrap();
        let (mut should, mut is) = (vec![0; length], vec![0; length]);
        wanted.read_at(range.start, &mut should).unwrap();
        guest.read(0, range.start, &mut is).unwrap();
        assert!(should == is, "{range:?} differs after the kill");
    }
    reborn
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_without_a_flush_survive_a_kill_in_every_state_of_a_backup() {
    let (lab, vm) = Lab::with_vm().await;
    let guest = lab.host.guest(vm).unwrap();
    guest.write(0, 0, &[1; 8192]).unwrap();
    guest.write(0, 30 * MIB + 512, &[2; 512]).unwrap();
    killed_now(&lab, vm).await;

    let checkpoint = lab.checkpoint(vm).await;
    guest.write(0, 512, &[3; 512]).unwrap();
    guest.write_zeroes(0, &(4096..8192)).unwrap();
    guest.write(0, 40 * MIB, &[4; 512]).unwrap();
    killed_now(&lab, vm).await;

    lab.host.hold_merges(true);
    let id = rct_id(&lab.convert(&checkpoint).await);
    guest.write(0, 50 * MIB, &[5; 512]).unwrap();
    let reborn = killed_now(&lab, vm).await;

    reborn.merged(vm).await;
    let second = reborn.checkpoint(vm).await;
    let file = reborn.disk_files(&second).await.remove(0);
    let changes = reborn.changes(&file, &id, 64 * MIB).await;
    for change in [512..1024, 4096..8192, 40 * MIB..40 * MIB + 512, 50 * MIB..50 * MIB + 512] {
        assert!(covers(&changes, &change), "{change:?} is not in {changes:?}");
    }
    let moment = reborn.host.moments(vm).unwrap()[1].checkpoint;
    let expected = reborn.host.expected(vm, 0, Some(moment)).unwrap();
    assert_eq!(expected.first_difference(&reborn.open(&file)).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_on_the_folder_is_refused_while_the_first_lives() {
    let (lab, _) = Lab::with_vm().await;
    let error = SimulatedHost::builder(lab.folder.path()).build().unwrap_err();
    assert_eq!(error.code(), "SM-003");
}
