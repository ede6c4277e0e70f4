//! The whole flow against the simulated host over loopback TCP: look, freeze, read, convert, merge, differ, release,
//! and make a VM. What the guest wrote is the judge.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise, as tests do")]

use std::time::Duration;

use hyperv::{
    Checkpoint, Consistency, Credentials, Host, HostProfile, MergeOutcome, NewVm, PathMap, ReferencePoint,
    VmFacts, VmId, VssStatus,
};
use simulator::{DiskSpec, Fault, FaultEffect, GuestVss, Served, SimVmId, SimulatedHost, VmSpec};
use tempfile::TempDir;
use vdisk::{ByteRange, ChangedRanges, Disk};

const MIB: u64 = 1 << 20;
const ENOUGH: Duration = Duration::from_secs(15);

/// A simulated host with one VM, and a connection to it.
struct Lab {
    _folder: TempDir,
    sim: SimulatedHost,
    served: Option<Served>,
    sim_vm: SimVmId,
    host: Host,
    vm: VmId,
}

impl Lab {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sim = SimulatedHost::builder(folder.path()).credentials("backup", "secret").build().unwrap();
        let spec = VmSpec::new("SQL01")
            .disk(DiskSpec::blank("system.vhdx", 256 * MIB))
            .disk(DiskSpec::blank("data.vhdx", 64 * MIB));
        let sim_vm = sim.add_vm(spec).unwrap();
        let served = sim.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let profile = HostProfile {
            name: "HV1".to_owned(),
            endpoint: served.url(),
            credentials: Credentials::basic("backup", "secret"),
            paths: PathMap::new(sim.path_map()).unwrap(),
        };
        let host = Host::connect(profile).await.unwrap();
        let vm = sim_vm.to_string().parse().unwrap();
        Self { _folder: folder, sim, served: Some(served), sim_vm, host, vm }
    }

    fn write(&self, disk: usize, offset: u64, byte: u8) {
        self.sim.guest(self.sim_vm).unwrap().write(disk, offset, &[byte; 4096]).unwrap();
    }

    async fn facts(&self) -> VmFacts {
        let inventory = self.host.inventory().await.unwrap();
        assert_eq!(inventory.gaps, []);
        inventory.vm(self.vm).unwrap().clone()
    }

    async fn freeze(&self) -> Checkpoint {
        self.host.create_recovery_checkpoint(&self.vm, Consistency::Application).await.unwrap()
    }

    async fn convert(&self, checkpoint: &Checkpoint) -> ReferencePoint {
        let point = self.host.convert_to_reference_point(checkpoint).await.unwrap();
        assert_eq!(self.host.await_merge(&self.vm, ENOUGH).await.unwrap(), MergeOutcome::Merged);
        point
    }

    async fn changes(&self, checkpoint: &Checkpoint, disk: usize, since: &ReferencePoint) -> ChangedRanges {
        let frozen = &checkpoint.disks[disk];
        let capacity = self.host.open_frozen_disk(&frozen.path).unwrap().capacity();
        let since = since.rct_id(&frozen.attachment).unwrap();
        self.host.changed_ranges(&frozen.path, since, capacity).await.unwrap()
    }

    /// All connections break at the next call of `method`, which the host carries out or not. Idle ones that broke
    /// before show it only when they are used, so every one is used first.
    async fn lose_answer(&self, method: &str, carried_out: bool) {
        self.facts().await;
        let effect = FaultEffect::DropConnection { carried_out };
        self.sim.inject(Fault { call: method.to_owned(), effect, times: 1 });
    }

    async fn end(mut self) {
        self.served.take().unwrap().shutdown().await;
    }
}

fn byte(disk: &Disk, offset: u64) -> u8 {
    let mut buffer = [0; 512];
    disk.read_at(offset, &mut buffer).unwrap();
    buffer[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_has_no_gaps_and_names_disks_alike_everywhere() {
    let lab = Lab::new().await;
    let facts = lab.facts().await;
    assert_eq!((facts.name.as_str(), facts.generation, &facts.vss), ("SQL01", 2, &VssStatus::Ready));
    assert!(facts.disks.iter().all(|disk| disk.supported().is_ok() && disk.virtual_disk_id.is_some()));

    let checkpoint = lab.freeze().await;

    let attached: Vec<_> = facts.disks.iter().map(|disk| (&disk.attachment, &disk.path)).collect();
    let frozen: Vec<_> = checkpoint.disks.iter().map(|disk| (&disk.attachment, &disk.path)).collect();
    assert_eq!(attached, frozen, "the active files of before are the frozen files of now");
    for (disk, facts) in checkpoint.disks.iter().zip(&facts.disks) {
        let opened = lab.host.open_frozen_disk(&disk.path).unwrap();
        assert_eq!(opened.virtual_disk_id().as_uuid(), facts.virtual_disk_id.unwrap().guid());
        assert_eq!(opened.capacity(), facts.capacity_bytes);
    }
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_disk_stays_as_it_was_while_the_guest_goes_on() {
    let lab = Lab::new().await;
    lab.write(0, 10 * MIB, 1);
    let checkpoint = lab.freeze().await;
    lab.write(0, 10 * MIB, 2);
    let frozen = lab.host.open_frozen_disk(&checkpoint.disks[0].path).unwrap();
    assert_eq!(byte(&frozen, 10 * MIB), 1);
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_since_a_reference_point_hold_every_write_and_little_else() {
    let lab = Lab::new().await;
    lab.write(0, 10 * MIB, 1);
    let first = lab.freeze().await;
    lab.write(0, 40 * MIB, 2);
    let since = lab.convert(&first).await;
    lab.write(0, 200 * MIB, 3);
    let second = lab.freeze().await;

    let system = lab.changes(&second, 0, &since).await;
    let data = lab.changes(&second, 1, &since).await;

    assert!(system.covers(ByteRange::at(40 * MIB, 4096)), "written while the first checkpoint stood");
    assert!(system.covers(ByteRange::at(200 * MIB, 4096)), "written after it");
    assert!(!system.covers(ByteRange::at(10 * MIB, 4096)), "written before it");
    assert!(system.total_bytes() < MIB, "{} bytes", system.total_bytes());
    assert!(data.is_empty(), "nothing was written to the other disk");
    let frozen = lab.host.open_frozen_disk(&second.disks[0].path).unwrap();
    assert_eq!([10, 40, 200].map(|at| byte(&frozen, at * MIB)), [1, 2, 3], "the merge kept all writes");
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_on_the_host_once_everything_is_released() {
    let lab = Lab::new().await;
    let checkpoint = lab.freeze().await;
    lab.host.name_checkpoint(&checkpoint.id, "refpoint 42").await.unwrap();
    assert_eq!(lab.host.recovery_checkpoints(&lab.vm).await.unwrap()[0].name, "refpoint 42");
    let point = lab.convert(&checkpoint).await;
    let only = std::slice::from_ref(&point);
    assert_eq!(lab.host.reference_points(&lab.vm).await.unwrap(), only);
    assert_eq!(lab.facts().await.reference_points, only);

    lab.host.destroy_reference_point(&point.id).await.unwrap();
    let given_up = lab.freeze().await;
    lab.host.destroy_checkpoint(&given_up.id).await.unwrap();
    assert!(lab.host.await_idle(&lab.vm, ENOUGH).await.unwrap());
    assert_eq!(lab.host.await_merge(&lab.vm, ENOUGH).await.unwrap(), MergeOutcome::Merged);

    let facts = lab.facts().await;
    assert_eq!((facts.checkpoints, facts.reference_points), (vec![], vec![]));
    let error = lab.host.convert_to_reference_point(&given_up).await.unwrap_err();
    assert_eq!(error.code(), "HV-022");
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_change_history_is_told_and_names_the_disk() {
    let lab = Lab::new().await;
    let since = lab.convert(&lab.freeze().await).await;
    lab.sim.invalidate_change_tracking(lab.sim_vm, 0).unwrap();
    let checkpoint = lab.freeze().await;
    let frozen = &checkpoint.disks[0];
    let id = since.rct_id(&frozen.attachment).unwrap();
    let error = lab.host.changed_ranges(&frozen.path, id, 256 * MIB).await.unwrap_err();
    assert_eq!(error.code(), "HV-030", "{error}");
    assert!(error.to_string().contains("system.vhdx"), "{error}");
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_cannot_be_quiesced_fails_with_its_hresult_and_leaves_nothing() {
    let lab = Lab::new().await;
    lab.sim.set_guest_vss(lab.sim_vm, GuestVss::Failing(0x8004_23F4)).unwrap();
    let error = lab.host.create_recovery_checkpoint(&lab.vm, Consistency::Application).await.unwrap_err();
    let hyperv::Error::JobFailed { failure, .. } = &error else { unreachable!("{error}") };
    assert_eq!(failure.hresult, Some(0x8004_23F4), "{error}");
    assert_eq!(lab.facts().await.checkpoints, []);
    lab.host.create_recovery_checkpoint(&lab.vm, Consistency::Crash).await.unwrap();
    lab.end().await;
}

/// The answer is lost after the host has begun: the effect is found, and nothing is asked for a second time.
#[tokio::test(flavor = "multi_thread")]
async fn calls_whose_answer_was_lost_are_found_to_have_happened() {
    let lab = Lab::new().await;
    lab.lose_answer("CreateSnapshot", true).await;
    let checkpoint = lab.freeze().await;
    let listed = lab.host.recovery_checkpoints(&lab.vm).await.unwrap();
    assert_eq!(listed.iter().map(|found| found.id).collect::<Vec<_>>(), [checkpoint.id]);
    lab.lose_answer("ModifySystemSettings", true).await;
    lab.host.name_checkpoint(&checkpoint.id, "refpoint 42").await.unwrap();
    lab.lose_answer("ConvertToReferencePoint", true).await;
    let point = lab.convert(&checkpoint).await;
    lab.lose_answer("DestroyReferencePoint", true).await;
    lab.host.destroy_reference_point(&point.id).await.unwrap();
    let given_up = lab.freeze().await;
    lab.lose_answer("DestroySnapshot", true).await;
    lab.host.destroy_checkpoint(&given_up.id).await.unwrap();
    for method in
        ["ModifySystemSettings", "ConvertToReferencePoint", "DestroyReferencePoint", "DestroySnapshot"]
    {
        assert_eq!(lab.sim.calls(method), 1, "{method}");
    }
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_reached_the_host_is_not_taken_for_done() {
    let lab = Lab::new().await;
    lab.lose_answer("CreateSnapshot", false).await;
    let error = lab.host.create_recovery_checkpoint(&lab.vm, Consistency::Crash).await.unwrap_err();
    assert_eq!((error.code(), error.retry()), ("HV-011", hyperv::Retry::Later), "{error}");
    lab.freeze().await;
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_is_made_of_a_definition_over_copied_disks_even_when_an_answer_is_lost() {
    let lab = Lab::new().await;
    lab.write(0, 10 * MIB, 1);
    let checkpoint = lab.freeze().await;
    let definition = lab.host.checkpoint_definition(&checkpoint.id).await.unwrap();
    let mut disks = Vec::new();
    for (number, frozen) in checkpoint.disks.iter().enumerate() {
        let restored = format!(r"C:\Restored\disk{number}.vhdx");
        let local = lab.host.paths().to_local(&restored).unwrap();
        std::fs::create_dir_all(local.parent().unwrap()).unwrap();
        std::fs::copy(lab.host.paths().to_local(&frozen.path).unwrap(), local).unwrap();
        disks.push((frozen.attachment.clone(), restored));
    }
    let folder = Some(r"C:\Restored".to_owned());
    let new = NewVm { name: "SQL01 restored".to_owned(), disks: disks.clone(), folder };
    lab.lose_answer("DefineSystem", true).await;

    let made = lab.host.define_vm(&definition, &new).await.unwrap();

    let inventory = lab.host.inventory().await.unwrap();
    let vm = inventory.vm(made.id).unwrap();
    assert_eq!((vm.name.as_str(), vm.generation, inventory.vms.len()), ("SQL01 restored", 2, 2));
    let attached: Vec<_> = vm.disks.iter().map(|disk| disk.path.as_str()).collect();
    assert_eq!(attached, disks.iter().map(|(_, path)| path.as_str()).collect::<Vec<_>>());
    let again = lab.host.vm_definition(&made.id).await.unwrap();
    let memory = |definition: &hyperv::VmDefinition| {
        let setting = definition.settings.iter().find(|one| one.class == "Msvm_MemorySettingData").unwrap();
        setting.text("VirtualQuantity").map(str::to_owned)
    };
    assert_eq!(memory(&again), memory(&definition));
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_whose_disk_file_is_missing_is_not_left_half_made() {
    let lab = Lab::new().await;
    let definition = lab.host.vm_definition(&lab.vm).await.unwrap();
    let attachment = lab.facts().await.disks[0].attachment.clone();
    let disks = vec![(attachment, r"C:\Restored\missing.vhdx".to_owned())];
    let new = NewVm { name: "half made".to_owned(), disks, folder: None };
    let error = lab.host.define_vm(&definition, &new).await.unwrap_err();
    assert_eq!(error.code(), "HV-013", "{error}");
    assert_eq!(lab.host.inventory().await.unwrap().vms.len(), 1);
    lab.end().await;
}
