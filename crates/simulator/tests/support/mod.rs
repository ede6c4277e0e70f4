//! A simulated host in a temporary folder, and a client of `winremote` that speaks with it over TCP.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use simulator::{DiskSpec, Served, SimVmId, SimulatedHost, VmSpec};
use vdisk::{Disk, LocalFile};
use winremote::cim::{Instance, Reference, Value};
use winremote::wsman::Output;
use winremote::wsman::client::{Client, ClientOptions, Credentials};

pub(crate) const V2: &str = "root/virtualization/v2";
pub(crate) const MIB: u64 = 1 << 20;

/// A running host.
pub(crate) struct Lab {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) host: SimulatedHost,
    pub(crate) served: Served,
    pub(crate) client: Client,
}

impl Lab {
    /// A host without VMs.
    pub(crate) async fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        Lab::in_folder(folder).await
    }

    /// A host with the VM SQL01 and a blank disk of 64 MiB with blocks of 1 MiB.
    pub(crate) async fn with_vm() -> (Lab, SimVmId) {
        let lab = Lab::new().await;
        let disk = DiskSpec { block_bytes: Some(1 << 20), ..DiskSpec::blank("sql01.vhdx", 64 * MIB) };
        let vm = lab.host.add_vm(VmSpec::new("SQL01").disk(disk)).unwrap();
        (lab, vm)
    }

    /// The host that was or will be in this folder.
    pub(crate) async fn in_folder(folder: tempfile::TempDir) -> Lab {
        let host = SimulatedHost::builder(folder.path()).credentials("admin", "secret").build().unwrap();
        let served = host.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let client = client(&served, "secret");
        Lab { folder, host, served, client }
    }

    /// Stops the host and starts it again on the same folder.
    pub(crate) async fn restart(self) -> Lab {
        self.restart_after(|| ()).await
    }

    /// The same, with something that happens while the host is down.
    pub(crate) async fn restart_after(self, meanwhile: impl FnOnce()) -> Lab {
        let Lab { folder, host, served, client } = self;
        served.shutdown().await;
        drop(host);
        drop(client);
        while matches!(
            SimulatedHost::builder(folder.path()).build(),
            Err(simulator::Error::FolderInUse { .. })
        ) {
            // A job of the host has not come to its end.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        meanwhile();
        Lab::in_folder(folder).await
    }

    pub(crate) async fn query(&self, wql: &str) -> Vec<Instance> {
        self.client.query(V2, wql).await.unwrap()
    }

    pub(crate) fn service(&self, class: &str) -> Reference {
        Reference::new(V2, class).with_key("CreationClassName", class)
    }

    pub(crate) async fn call(&self, service: &str, method: &str, arguments: Vec<(&str, Value)>) -> Output {
        self.client.invoke(&self.service(service), method, arguments).await.unwrap()
    }

    /// Calls a method that starts a job and waits for the job's end; returns the job.
    pub(crate) async fn job(&self, service: &str, method: &str, arguments: Vec<(&str, Value)>) -> Instance {
        let output = self.call(service, method, arguments).await;
        assert_eq!(output.return_value, 4096, "{method}: {output:?}");
        self.job_end(&output.values.get_reference("Job").unwrap()).await
    }

    pub(crate) async fn job_end(&self, job: &Reference) -> Instance {
        loop {
            let found = self.client.get(job).await.unwrap();
            match found.get_u16("JobState").unwrap() {
                4 => tokio::time::sleep(Duration::from_millis(5)).await,
                _ => return found,
            }
        }
    }

    /// The product of a job of this class.
    pub(crate) async fn product(&self, job: &Instance, class: &str) -> Instance {
        let job = job.reference(&["InstanceID"]).unwrap();
        let found = self.client.associators(&job, "Msvm_AffectedJobElement", class).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    /// Takes a recovery checkpoint; returns its settings.
    pub(crate) async fn checkpoint(&self, vm: SimVmId) -> Instance {
        let job = self.job("Msvm_VirtualSystemSnapshotService", "CreateSnapshot", checkpoint_of(vm, 1)).await;
        assert_eq!(job.get_u16("JobState").unwrap(), 7, "{:?}", job.get("ErrorDescription"));
        self.product(&job, "Msvm_VirtualSystemSettingData").await
    }

    /// Converts a checkpoint; returns the reference point.
    pub(crate) async fn convert(&self, checkpoint: &Instance) -> Instance {
        let arguments =
            vec![("AffectedSnapshot", reference(checkpoint).into()), ("ReferencePointSettings", "".into())];
        let job = self.job("Msvm_VirtualSystemSnapshotService", "ConvertToReferencePoint", arguments).await;
        assert_eq!(job.get_u16("JobState").unwrap(), 7, "{:?}", job.get("ErrorDescription"));
        self.product(&job, "Msvm_VirtualSystemReferencePoint").await
    }

    /// The file behind each disk of a VM or checkpoint, in order.
    pub(crate) async fn disk_files(&self, settings: &Instance) -> Vec<String> {
        let class = "Msvm_StorageAllocationSettingData";
        let component = "Msvm_VirtualSystemSettingDataComponent";
        let disks = self.client.associators(&reference(settings), component, class).await.unwrap();
        disks.iter().map(|disk| disk.get_array::<String>("HostResource").unwrap().remove(0)).collect()
    }

    /// Waits until the VM is idle and its disks are merged.
    pub(crate) async fn merged(&self, vm: SimVmId) {
        while !self.operational_status(vm).await.eq(&[2]) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn operational_status(&self, vm: SimVmId) -> Vec<u16> {
        let vm = self.client.get(&vm_reference(vm)).await.unwrap();
        vm.get_array("OperationalStatus").unwrap()
    }

    /// The active settings of a VM.
    pub(crate) async fn settings(&self, vm: SimVmId) -> Instance {
        let found = self.client.associators(&vm_reference(vm), "Msvm_SettingsDefineState", "").await.unwrap();
        found.into_iter().next().unwrap()
    }

    /// All ranges that changed on a disk since an id.
    pub(crate) async fn changes(&self, path: &str, limit_id: &str, capacity: u64) -> Vec<Range<u64>> {
        let mut ranges = Vec::new();
        let mut at = 0;
        while at < capacity {
            let output = self.changes_call(path, limit_id, at, capacity - at).await;
            assert_eq!(output.return_value, 0, "{output:?}");
            let offsets: Vec<u64> = output.values.get_array("ChangedByteOffsets").unwrap();
            let lengths: Vec<u64> = output.values.get_array("ChangedByteLengths").unwrap();
            ranges.extend(offsets.iter().zip(lengths).map(|(&offset, length)| offset..offset + length));
            at += output.values.get_u64("ProcessedByteLength").unwrap();
        }
        ranges
    }

    pub(crate) async fn changes_call(&self, path: &str, limit_id: &str, offset: u64, length: u64) -> Output {
        let arguments = vec![
            ("Path", path.into()),
            ("LimitId", limit_id.into()),
            ("TargetSnapshotId", "".into()),
            ("ByteOffset", offset.into()),
            ("ByteLength", length.into()),
        ];
        self.call("Msvm_ImageManagementService", "GetVirtualDiskChanges", arguments).await
    }

    /// The local file behind a host path.
    pub(crate) fn local(&self, host_path: &str) -> PathBuf {
        let (prefix, folder) = self.host.path_map().remove(0);
        folder.join(host_path.strip_prefix(&prefix).unwrap().replace('\\', "/"))
    }

    pub(crate) fn open(&self, host_path: &str) -> Disk {
        Disk::open_local(self.local(host_path)).unwrap()
    }
}

pub(crate) fn client(served: &Served, password: &str) -> Client {
    let mut options = ClientOptions::new(served.url(), Credentials::basic("admin", password));
    options.timeout = Duration::from_secs(20);
    Client::over_tcp(options).unwrap()
}

pub(crate) fn vm_reference(vm: SimVmId) -> Reference {
    Reference::new(V2, "Msvm_ComputerSystem")
        .with_key("CreationClassName", "Msvm_ComputerSystem")
        .with_key("Name", vm.to_string())
}

pub(crate) fn reference(instance: &Instance) -> Reference {
    let keys: &[&str] = match instance.class.as_str() {
        "Msvm_VirtualSystemReferencePoint" => &["InstanceID", "VirtualSystemIdentifier"],
        _ => &["InstanceID"],
    };
    instance.reference(keys).unwrap()
}

pub(crate) fn checkpoint_of(vm: SimVmId, level: u8) -> Vec<(&'static str, Value)> {
    let settings = Instance::new("Msvm_VirtualSystemSnapshotSettingData")
        .with("ConsistencyLevel", level)
        .with("GuestBackupType", 2_u8)
        .with("IgnoreNonSnapshottableDisks", true);
    vec![
        ("AffectedSystem", vm_reference(vm).into()),
        ("SnapshotSettings", settings.into()),
        ("SnapshotType", 32768_u16.into()),
    ]
}

pub(crate) fn rct_id(point: &Instance) -> String {
    point.get_array::<String>("ResilientChangeTrackingIdentifiers").unwrap().remove(0)
}

pub(crate) fn covers(outer: &[Range<u64>], inner: &Range<u64>) -> bool {
    outer.iter().any(|range| range.start <= inner.start && inner.end <= range.end)
}

pub(crate) fn raw_disk(path: &Path) -> Disk {
    Disk::open_raw(Arc::new(LocalFile::open_read(path).unwrap())).unwrap()
}
