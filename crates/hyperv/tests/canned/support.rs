//! A host made of rows and closures, and shortcuts to reach it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use hyperv::{CheckpointId, Credentials, Host, HostProfile, PathMap, VmId};
use winremote::cim::{Instance, Reference, Value};
use winremote::connector::memory;
use winremote::wsman::server::{Provider, Server, ServerOptions};
use winremote::wsman::wql::Query;
use winremote::wsman::{Fault, Identity, Output, code};

pub(crate) const VM: &str = "7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77";
pub(crate) const CHECKPOINT: &str = "1A2B3C4D-0000-4000-8000-000000000001";
pub(crate) const USER_CHECKPOINT: &str = "2B3C4D5E-0000-4000-8000-000000000002";
pub(crate) const SLOT: &str = r"A1A1A1A1-0000-4000-8000-000000000009\0\0\L";
pub(crate) const BASE: &str = r"C:\VMs\SQL01\sql01.vhdx";
pub(crate) const RCT: &str = "rctX:5bfde23b:ce75:4303:b54f:6c18394f105c:00000001";
pub(crate) const JOB: &str = "8A0B7C4E-52B2-4C9C-8D6E-1A2C1C7B9E01";

pub(crate) const NAMESPACE: &str = "root/virtualization/v2";
const PASSWORD: &str = "correct horse";

type Answer = Result<Output, Fault>;
type Method = Arc<dyn Fn(&mut World, &Instance) -> Answer + Send + Sync>;

/// What the host holds, what it was asked, and what a look at a class changes.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) rows: Vec<Instance>,
    /// Products of jobs.
    pub(crate) products: Vec<Instance>,
    pub(crate) calls: Vec<(String, Instance)>,
    /// Classes that cannot be read.
    pub(crate) broken: Vec<&'static str>,
    /// Called before each read of an object or class, with the class name.
    pub(crate) before_read: Option<fn(&mut World, &str)>,
    pub(crate) reads: usize,
    /// Answers every read with this fault.
    pub(crate) refuse_reads: Option<Fault>,
}

impl World {
    pub(crate) fn remove(&mut self, class: &str, id: &str) {
        self.rows
            .retain(|row| !(row.is_class(class) && row.get_str("InstanceID").is_ok_and(|have| have == id)));
    }

    /// Adds a finished job, and answers as a call that went on as this job.
    pub(crate) fn job(&mut self, state: u16) -> Output {
        self.rows.push(
            row("Msvm_ConcreteJob").with("InstanceID", JOB).with("JobState", state).with("ErrorCode", 0u16),
        );
        job_started()
    }

    pub(crate) fn calls_of(&self, method: &str) -> Vec<Instance> {
        self.calls.iter().filter(|call| call.0 == method).map(|call| call.1.clone()).collect()
    }
}

pub(crate) fn job_started() -> Output {
    let job = Reference::new(NAMESPACE, "Msvm_ConcreteJob").with_key("InstanceID", JOB);
    Output::new(4096).with("Job", job)
}

/// A host under construction.
pub(crate) struct Canned {
    world: Arc<Mutex<World>>,
    methods: BTreeMap<&'static str, Method>,
    os_version: &'static str,
}

impl Canned {
    /// A host with its management service and these rows.
    pub(crate) fn new(rows: Vec<Instance>) -> Self {
        let mut world = World { rows, ..World::default() };
        world.rows.push(service());
        Self { world: Arc::new(Mutex::new(world)), methods: BTreeMap::new(), os_version: "10.0.20348" }
    }

    pub(crate) fn on(
        mut self,
        method: &'static str,
        answer: impl Fn(&mut World, &Instance) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.methods.insert(method, Arc::new(answer));
        self
    }

    pub(crate) fn windows(mut self, os_version: &'static str) -> Self {
        self.os_version = os_version;
        self
    }

    pub(crate) fn world(self, change: impl FnOnce(&mut World)) -> Self {
        change(&mut self.world.lock().unwrap());
        self
    }

    /// Connects, with the world kept at hand for looking into.
    pub(crate) async fn connect(self) -> (Host, Arc<Mutex<World>>) {
        let world = Arc::clone(&self.world);
        (self.try_connect(PASSWORD, PathMap::default()).await.unwrap(), world)
    }

    pub(crate) async fn connect_with_paths(self, paths: PathMap) -> Host {
        self.try_connect(PASSWORD, paths).await.unwrap()
    }

    pub(crate) async fn try_connect(self, password: &str, paths: PathMap) -> hyperv::Result<Host> {
        let (connector, listener) = memory();
        let server = Server::new(Arc::new(self), ServerOptions::default());
        tokio::spawn(async move { server.serve_memory(listener).await });
        Host::connect_through(profile("http://hv1:5985/wsman", password, paths), Arc::new(connector)).await
    }

    fn look<T>(&self, class: &str, read: impl FnOnce(&World) -> T) -> Result<T, Fault> {
        let mut world = self.world.lock().unwrap();
        world.reads += 1;
        if let Some(change) = world.before_read {
            change(&mut world, class);
        }
        if let Some(fault) = &world.refuse_reads {
            return Err(fault.clone());
        }
        if world.broken.iter().any(|broken| broken.eq_ignore_ascii_case(class)) {
            return Err(Fault::wmi(code::WBEM_FAILED, "Generic failure"));
        }
        Ok(read(&world))
    }
}

pub(crate) fn profile(endpoint: &str, password: &str, paths: PathMap) -> HostProfile {
    let credentials = Credentials::basic("backup", password);
    HostProfile { name: "HV1".to_owned(), endpoint: endpoint.to_owned(), credentials, paths }
}

impl Provider for Canned {
    fn identify(&self) -> Identity {
        Identity::windows(self.os_version)
    }

    fn authenticate(&self, _user: &str, password: &str) -> bool {
        password == PASSWORD
    }

    async fn get(&self, target: &Reference) -> Result<Instance, Fault> {
        let found = self.look(&target.class, |world| {
            let same = |row: &&Instance| {
                row.is_class(&target.class)
                    && target.keys().all(|(key, value)| row.get_str(key).is_ok_and(|have| have == value))
            };
            world.rows.iter().find(same).cloned()
        })?;
        found.ok_or_else(|| Fault::wmi(code::WBEM_NOT_FOUND, "Not found"))
    }

    async fn query(&self, _namespace: &str, query: &Query) -> Result<Vec<Instance>, Fault> {
        match query {
            Query::Select(select) => self.look(&select.class, |world| {
                let wanted = |row: &&Instance| row.is_class(&select.class) && select.matches(row);
                world.rows.iter().filter(wanted).cloned().collect()
            }),
            Query::Associators(query) if query.source.is_class("Msvm_ConcreteJob") => {
                self.look("Msvm_AffectedJobElement", |world| {
                    let wanted =
                        |row: &&Instance| query.result_class.as_ref().is_none_or(|class| row.is_class(class));
                    world.products.iter().filter(wanted).cloned().collect()
                })
            }
            Query::Associators(query) => {
                let owner = query.source.key("InstanceID").unwrap_or_default().to_owned() + r"\";
                self.look("Msvm_VirtualSystemSettingDataComponent", |world| {
                    let part =
                        |row: &&Instance| row.get_str("InstanceID").is_ok_and(|id| id.starts_with(&owner));
                    world.rows.iter().filter(part).cloned().collect()
                })
            }
            Query::References(_) => Err(Fault::new(code::WBEM_FAILED)),
        }
    }

    async fn invoke(&self, _target: &Reference, method: &str, arguments: &Instance) -> Answer {
        let mut world = self.world.lock().unwrap();
        world.calls.push((method.to_owned(), arguments.clone()));
        match self.methods.get(method) {
            Some(answer) => answer(&mut world, arguments),
            None => Err(Fault::new(code::INVALID_ACTION_URI)),
        }
    }
}

pub(crate) fn row(class: &str) -> Instance {
    Instance::new(class).in_namespace(NAMESPACE)
}

fn service() -> Instance {
    row("Msvm_VirtualSystemManagementService").with("Name", "vmms").with("SystemName", "HV1")
}

pub(crate) fn vm_id() -> VmId {
    VM.parse().unwrap()
}

pub(crate) fn checkpoint_id() -> CheckpointId {
    CHECKPOINT.parse().unwrap()
}

/// `Msvm_ComputerSystem` of the VM, doing nothing.
pub(crate) fn computer() -> Instance {
    row("Msvm_ComputerSystem")
        .with("CreationClassName", "Msvm_ComputerSystem")
        .with("Name", VM)
        .with("ElementName", "SQL01")
        .with("EnabledState", 2u16)
        .with("OperationalStatus", vec![2u16])
}

/// Settings of the VM itself or of one of its checkpoints.
pub(crate) fn settings(owner: &str, kind: &str, name: &str) -> Instance {
    row("Msvm_VirtualSystemSettingData")
        .with("InstanceID", format!("Microsoft:{owner}"))
        .with("VirtualSystemIdentifier", VM)
        .with("VirtualSystemType", format!("Microsoft:Hyper-V:{kind}"))
        .with("VirtualSystemSubType", "Microsoft:Hyper-V:SubType:2")
        .with("Version", "10.0")
        .with("ElementName", name)
}

pub(crate) fn recovery_checkpoint() -> Instance {
    settings(CHECKPOINT, "Snapshot:Recovery", "SQL01 - backup")
}

/// A disk image of the VM or of one of its checkpoints.
pub(crate) fn disk(owner: &str, path: &str) -> Instance {
    row("Msvm_StorageAllocationSettingData")
        .with("InstanceID", format!(r"Microsoft:{owner}\{SLOT}"))
        .with("ResourceSubType", "Microsoft:Hyper-V:Virtual Hard Disk")
        .with("ResourceType", 31u16)
        .with("HostResource", vec![path])
}

/// A VM with one disk.
pub(crate) fn vm() -> Vec<Instance> {
    vec![computer(), settings(VM, "System:Realized", "SQL01"), disk(VM, BASE)]
}

/// What the image service says about a VHDX.
pub(crate) fn vhdx(kind: u16, parent: Option<&str>) -> Instance {
    Instance::new("Msvm_VirtualHardDiskSettingData")
        .with("Format", 3u16)
        .with("Type", kind)
        .with("MaxInternalSize", 64u64 << 30)
        .with("VirtualDiskId", "C0FFEE00-0000-4000-8000-0000000000D1")
        .with("ParentPath", parent.map_or(Value::Null, Value::from))
}

pub(crate) fn described(data: Instance) -> Output {
    Output::new(0).with("SettingData", data)
}

pub(crate) fn map(folder: &std::path::Path) -> PathMap {
    PathMap::new([(r"C:\", PathBuf::from(folder))]).unwrap()
}
