//! Building a simulated host, and describing the VMs on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::host::disk_stack::is_merged_already;
use crate::host::merge::publish_merged;
use crate::host::saved::SavedState;
use crate::host::vm_storage::{VmStorage, chain_files};
use crate::host::{HostCore, Identity, SimulatedHost};
use crate::ids::SimVmId;
use crate::model::{GuestVss, Hardware, HostModel, Power, Vm};
use crate::paths::HostPath;
use crate::time::{Clock, Timing};

/// Decides how a simulated host comes up; see [`SimulatedHost::builder`].
#[derive(Debug)]
pub struct HostBuilder {
    folder: PathBuf,
    name: Option<String>,
    identity: Identity,
    seed: u64,
    timing: Timing,
    start_unix_ms: Option<u64>,
}

impl HostBuilder {
    pub(crate) fn new(folder: &Path) -> HostBuilder {
        HostBuilder {
            folder: folder.to_owned(),
            name: None,
            identity: Identity {
                user: "Administrator".into(),
                password: "password".into(),
                os_version: "10.0.20348".into(),
                os_caption: "Microsoft Windows Server 2022 Datacenter".into(),
            },
            seed: 1,
            timing: Timing::default(),
            start_unix_ms: None,
        }
    }

    /// Computer name; `HV1` for a new host, the saved one for an old one.
    #[must_use]
    pub fn name(mut self, name: &str) -> HostBuilder {
        self.name = Some(name.to_uppercase());
        self
    }

    /// The account that may sign in.
    #[must_use]
    pub fn credentials(mut self, user: &str, password: &str) -> HostBuilder {
        user.clone_into(&mut self.identity.user);
        password.clone_into(&mut self.identity.password);
        self
    }

    /// What all ids are drawn from, for a new host.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> HostBuilder {
        self.seed = seed;
        self
    }

    /// How long jobs take.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> HostBuilder {
        self.timing = timing;
        self
    }

    /// The host's clock starts at this Unix time in milliseconds, in place of now.
    #[must_use]
    pub fn starts_at(mut self, unix_ms: u64) -> HostBuilder {
        self.start_unix_ms = Some(unix_ms);
        self
    }

    /// Brings the host up: a new one in an empty folder, the old one where it was stopped.
    pub fn build(self) -> Result<SimulatedHost> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|error| Error::file("creating", &self.folder, error))?;
        let saved = SavedState::take(&self.folder)?;
        let model = match saved.load()? {
            Some(model) => self.check_name(model)?,
            None => HostModel::new(self.name.as_deref().unwrap_or("HV1"), self.seed),
        };
        let system_drive = self.folder.join("C");
        std::fs::create_dir_all(&system_drive)
            .map_err(|error| Error::file("creating", system_drive, error))?;
        let clock = Clock::starting_at(self.start_unix_ms);
        let core = HostCore::new(&self.folder, self.identity, self.timing, clock, saved, model);
        finish_merges(&core)?;
        remove_begun_files(&core)?;
        open_storage(&core)?;
        Ok(SimulatedHost::new(core))
    }

    fn check_name(&self, model: HostModel) -> Result<HostModel> {
        match &self.name {
            Some(name) if *name != model.name => Err(Error::Refused {
                doing: "start",
                why: format!("the folder holds the host {}, not {name}", model.name),
            }),
            _ => Ok(model),
        }
    }
}

/// Files that a killed simulator had begun belong to nothing.
fn remove_begun_files(core: &HostCore) -> Result<()> {
    let begun = std::mem::take(&mut core.state().model.begun_files);
    let in_use = |file: &HostPath| {
        let state = core.state();
        let mut chains = state.model.vms.values().flat_map(|vm| vm.hardware.chains());
        chains.any(|chain| chain.files.iter().any(|other| other.same_file(file)))
    };
    for file in begun.into_iter().filter(|file| !in_use(file)) {
        let local = core.drives.local(&file);
        let _ = std::fs::remove_file(crate::host::change_file::beside(&local));
        let _ = std::fs::remove_file(local);
    }
    core.change(|_| ())
}

/// A merge that was complete but not noted is noted now.
fn finish_merges(core: &HostCore) -> Result<()> {
    let vms: Vec<Vm> = core.state().model.vms.values().cloned().collect();
    for vm in &vms {
        for drive in vm.hardware.drives.iter().filter(|drive| vm.needs_merge(drive)) {
            let files = drive.disk.as_ref().map_or_else(Vec::new, |chain| chain_files(core, chain));
            if let Some(leaf) = files.last().filter(|_| is_merged_already(&files)) {
                publish_merged(core, vm.id, &drive.slot, leaf)?;
            }
        }
    }
    Ok(())
}

fn open_storage(core: &HostCore) -> Result<()> {
    let vms: Vec<Vm> = core.state().model.vms.values().cloned().collect();
    for vm in vms {
        let storage = Arc::new(Mutex::new(VmStorage::open(core, &vm)?));
        core.state().storage.insert(vm.id, storage);
    }
    Ok(())
}

/// A VM to add to a host.
#[derive(Debug, Clone)]
pub struct VmSpec {
    /// Its label.
    pub name: String,
    /// Its identity; drawn from the seed when not given.
    pub id: Option<SimVmId>,
    /// Whether it runs.
    pub power: Power,
    /// State of the guest's VSS component.
    pub vss: GuestVss,
    /// Memory.
    pub memory_mib: u64,
    /// Virtual processors.
    pub processors: u64,
    /// Folder on the host; `C:\VMs\<name>` when not given.
    pub folder: Option<String>,
    /// Its disks, in order of their place on the SCSI controller.
    pub disks: Vec<DiskSpec>,
}

impl VmSpec {
    /// A running VM without disks.
    pub fn new(name: &str) -> VmSpec {
        VmSpec {
            name: name.to_owned(),
            id: None,
            power: Power::Running,
            vss: GuestVss::Healthy,
            memory_mib: 4096,
            processors: 2,
            folder: None,
            disks: Vec::new(),
        }
    }

    /// The same VM with one more disk.
    #[must_use]
    pub fn disk(mut self, disk: DiskSpec) -> VmSpec {
        self.disks.push(disk);
        self
    }
}

/// A disk of a new VM: a dynamic VHDX.
#[derive(Debug, Clone)]
pub struct DiskSpec {
    /// File name below the VM's `Virtual Hard Disks` folder.
    pub file_name: String,
    /// What is on it.
    pub source: DiskSource,
    /// Block size of the file; 32 MiB as on Hyper-V when not given.
    pub block_bytes: Option<u32>,
}

impl DiskSpec {
    /// An empty disk.
    pub fn blank(file_name: &str, capacity: u64) -> DiskSpec {
        DiskSpec {
            file_name: file_name.to_owned(),
            source: DiskSource::Blank { capacity },
            block_bytes: None,
        }
    }

    /// A disk with the content of a raw image.
    pub fn from_raw(file_name: &str, image: &Path) -> DiskSpec {
        let source = DiskSource::FromRaw(image.to_owned());
        DiskSpec { file_name: file_name.to_owned(), source, block_bytes: None }
    }
}

/// Content of a new disk.
#[derive(Debug, Clone)]
pub enum DiskSource {
    /// Nothing was ever written.
    Blank {
        /// Size in bytes.
        capacity: u64,
    },
    /// The content of a raw image on this machine; its holes stay unwritten.
    FromRaw(PathBuf),
}

/// A VM with default settings, off and without devices.
pub(crate) fn blank_vm(id: SimVmId, name: &str, number: u64, created_unix_ms: u64) -> Vm {
    let folder_name: String =
        name.chars().map(|c| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '_' }).collect();
    Vm {
        id,
        number,
        name: name.to_owned(),
        created_unix_ms,
        power: Power::Off,
        vss: GuestVss::Healthy,
        folder: HostPath::vm_folder(&folder_name),
        generation: 2,
        version: "10.0".into(),
        hardware: Hardware {
            processors: 1,
            memory_mib: 1024,
            controllers: Vec::new(),
            drives: Vec::new(),
            nics: Vec::new(),
        },
        settings: BTreeMap::new(),
        checkpoints: BTreeMap::new(),
        reference_points: BTreeMap::new(),
        last_backup_unix_ms: None,
    }
}
