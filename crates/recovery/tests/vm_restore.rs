//! Restoring a VM beside its original on a simulated host: disks first, the VM last, and nothing left
//! behind when a step fails.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use common::{Bench, MIB, TestDisk, names, pattern};
use hyperv::{Credentials, Host, HostProfile, PathMap, PowerState, VmFacts};
use recovery::vm::{
    DEFINITION_ATTACHMENT, DISKS_ATTACHMENT, VmDisk, VmDisks, VmPlan, VmProgress, VmRequest, VmRestored,
    VmSource, plan, restore_vm,
};
use repository::DiskKey;
use simulator::{DiskSpec, Served, SimulatedHost, VmSpec};

const QUIET: &(dyn Fn(VmProgress) + Send + Sync) = &|_| {};
const KEYS: [&str; 2] = ["disk-1", "disk-2"];

/// A host with one VM of two disks, and a restore point of it.
struct Lab {
    bench: Bench,
    folder: tempfile::TempDir,
    simulated: SimulatedHost,
    _served: Served,
    host: Host,
    source: VmSource,
    contents: [Vec<u8>; 2],
}

impl Lab {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulated =
            SimulatedHost::builder(folder.path()).credentials("operator", "lab only").build().unwrap();
        let spec = VmSpec::new("SQL01")
            .disk(DiskSpec::blank("sql01.vhdx", 40 * MIB))
            .disk(DiskSpec::blank("data.vhdx", 8 * MIB));
        simulated.add_vm(spec).unwrap();
        let served = simulated.serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let profile = HostProfile {
            name: "HV1".to_owned(),
            endpoint: served.url(),
            credentials: Credentials::basic("operator", "lab only"),
            paths: PathMap::new(simulated.path_map()).unwrap(),
        };
        let host = Host::connect(profile).await.unwrap();
        let bench = Bench::new().await;
        let (source, contents) = restore_point(&bench, &host).await;
        Self { bench, folder, simulated, _served: served, host, source, contents }
    }

    fn plan(&self, name: &str) -> VmPlan {
        plan(&self.source, &VmRequest::new(name)).unwrap()
    }

    async fn restore(&self, plan: &VmPlan) -> recovery::Result<VmRestored> {
        restore_vm(&self.bench.repository, &self.source, plan, &self.host, QUIET).await
    }

    async fn vms(&self) -> Vec<VmFacts> {
        self.host.inventory().await.unwrap().vms
    }

    /// Folders below `C:\VMs`.
    fn vm_folders(&self) -> Vec<String> {
        names(&self.folder.path().join("C/VMs"))
    }

    /// Only the original is there, and no trace of a second one.
    async fn assert_only_the_original(&self) {
        assert_eq!(self.vms().await.len(), 1);
        assert_eq!(self.vm_folders(), ["SQL01"]);
    }
}

/// What a backup would have made of the VM.
async fn restore_point(bench: &Bench, host: &Host) -> (VmSource, [Vec<u8>; 2]) {
    let vm = host.inventory().await.unwrap().vms.remove(0);
    let definition = host.vm_definition(&vm.id).await.unwrap().to_json().unwrap();
    let contents = [pattern(1, 3 * MIB), pattern(2, MIB)];
    let places = KEYS.into_iter().zip(&vm.disks).map(|(key, disk)| VmDisk {
        key: key.to_owned(),
        attachment: disk.attachment.clone(),
        path: disk.path.clone(),
    });
    let places = VmDisks::new(places.collect()).to_json().unwrap();
    let disks = KEYS.into_iter().zip(&vm.disks).zip(&contents).map(|((key, disk), content)| TestDisk {
        key,
        ..TestDisk::new(disk.capacity_bytes, vec![(0, content.clone())])
    });
    let attachments = [(DEFINITION_ATTACHMENT, definition), (DISKS_ATTACHMENT, places)];
    let point = bench.point(&disks.collect::<Vec<_>>(), &attachments).await;
    (VmSource::load(&bench.repository, &point).await.unwrap(), contents)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_is_restored_beside_the_original_and_its_disks_are_proven() {
    let lab = Lab::start().await;
    let before = lab.vms().await.remove(0);
    let steps = Mutex::new(Vec::new());
    let note = |progress: VmProgress| steps.lock().unwrap().push(progress);

    let plan = lab.plan("SQL01 restored");
    let restored = restore_vm(&lab.bench.repository, &lab.source, &plan, &lab.host, &note).await.unwrap();

    let mut vms = lab.vms().await;
    let place = vms.iter().position(|vm| vm.id == restored.vm).unwrap();
    let copy = vms.remove(place);
    assert_eq!((copy.name.as_str(), copy.state), ("SQL01 restored", PowerState::Off));
    assert_eq!(copy.disks.len(), 2);
    for (disk, planned) in copy.disks.iter().zip(&plan.disks) {
        assert_eq!(disk.path, planned.path);
    }
    for (disk, expected) in plan.disks.iter().zip(&lab.contents) {
        let opened = lab.host.open_frozen_disk(&disk.path).unwrap();
        let mut found = vec![0; opened.capacity() as usize];
        opened.read_at(0, &mut found).unwrap();
        assert!(found.starts_with(expected) && found[expected.len()..].iter().all(|byte| *byte == 0));
    }
    assert!(restored.verified_bytes >= 4 * MIB);
    assert!(matches!(steps.into_inner().unwrap().last(), Some(VmProgress::Registering)));
    let original = vms.remove(0);
    assert_eq!((original.id, original.disks.len()), (before.id, before.disks.len()));
    assert_eq!(original.disks[0].path, before.disks[0].path);
}

/// Disks of a copy with the ids of the original would be taken for the original's.
#[tokio::test(flavor = "multi_thread")]
async fn the_disks_of_the_copy_have_identities_of_their_own_unless_kept() {
    let lab = Lab::start().await;
    let recorded = lab.source.point.disks[0].identity.clone().unwrap();
    for (name, keep_disk_identities) in [("one", false), ("two", true)] {
        let request = VmRequest { keep_disk_identities, ..VmRequest::new(name) };
        let plan = plan(&lab.source, &request).unwrap();
        lab.restore(&plan).await.unwrap();
        let id = lab.host.open_frozen_disk(&plan.disks[0].path).unwrap().virtual_disk_id();
        assert_eq!(id.to_string() == recorded, keep_disk_identities);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_refused_before_anything_is_written() {
    let lab = Lab::start().await;
    let error = lab.restore(&lab.plan("sql01")).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("RC-009", "There is already a VM named \"sql01\" on HV1.")
    );
    lab.assert_only_the_original().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_there_are_not_touched() {
    let lab = Lab::start().await;
    let place = lab.folder.path().join("C/VMs/copy/Virtual Hard Disks");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("data.vhdx"), b"precious").unwrap();

    let error = lab.restore(&lab.plan("copy")).await.unwrap_err();

    assert_eq!(error.code(), "RC-002");
    assert_eq!(names(&place), ["data.vhdx"]);
    assert_eq!(std::fs::read(place.join("data.vhdx")).unwrap(), b"precious");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_refuses_the_vm_leaves_no_files_folders_or_vm() {
    for method in ["DefineSystem", "AddResourceSettings"] {
        let lab = Lab::start().await;
        lab.simulated.fail_next(method, 32773);

        let error = lab.restore(&lab.plan("copy")).await.unwrap_err();

        assert!(error.code().starts_with("HV-"), "{method}: {} {error}", error.code());
        assert_eq!(error.to_string(), "Making VM copy failed on the host.");
        lab.assert_only_the_original().await;
        // The fault is gone, and so is everything in the way of a second try.
        lab.restore(&lab.plan("copy")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_read_takes_back_those_before_it() {
    let lab = Lab::start().await;
    let mut plan = lab.plan("copy");
    plan.disks[1].key = DiskKey::new("gone").unwrap();

    let error = lab.restore(&plan).await.unwrap_err();

    assert!(error.code().starts_with("RP-"), "{} {error}", error.code());
    lab.assert_only_the_original().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_reachable_from_here_is_named() {
    let lab = Lab::start().await;
    let request = VmRequest { folder: Some(r"Z:\Restores".to_owned()), ..VmRequest::new("copy") };
    let error = lab.restore(&plan(&lab.source, &request).unwrap()).await.unwrap_err();
    assert_eq!(error.code(), "HV-040");
    assert!(error.to_string().contains(r"Z:\Restores\Virtual Hard Disks\sql01.vhdx"), "{error}");
    lab.assert_only_the_original().await;
}
