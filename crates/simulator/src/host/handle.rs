//! The handle of a simulated host, for everyone on this side of the wire.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{HostCore, locked, merge, reference_points, vm_storage, vmms};
use crate::builder::{HostBuilder, VmSpec};
use crate::error::{Error, Result};
use crate::fault::{Fault, FaultEffect};
use crate::guest::{ExpectedDisk, Guest, Moment};
use crate::ids::{CheckpointId, ReferencePointId, SimVmId};
use crate::model::{GuestVss, Power, Vm};

/// One simulated Hyper-V host. Clones are the same host.
#[derive(Debug, Clone)]
pub struct SimulatedHost {
    core: Arc<HostCore>,
}

/// One VM in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmSummary {
    /// Its identity.
    pub id: SimVmId,
    /// Its label.
    pub name: String,
    /// Whether it runs.
    pub power: Power,
    /// The file that each of its disks is written to now, as the host names it.
    pub disks: Vec<String>,
}

/// What backups left on a VM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leftovers {
    /// Checkpoints, oldest first.
    pub checkpoints: Vec<CheckpointId>,
    /// Reference points, oldest first.
    pub reference_points: Vec<ReferencePointId>,
    /// Differencing files in the folders of its disks, whether they belong to a chain or not.
    pub avhdx_files: Vec<PathBuf>,
    /// Whether a merge runs or waits.
    pub merging: bool,
}

/// An entry of the host's event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEvent {
    /// Its number in `Microsoft-Windows-Hyper-V-VMMS/Admin`.
    pub number: u32,
    /// The VM.
    pub vm: SimVmId,
    /// Its text.
    pub text: String,
    /// The host's Unix time in milliseconds.
    pub unix_ms: u64,
}

impl SimulatedHost {
    /// A host whose files live in `folder`.
    pub fn builder(folder: &Path) -> HostBuilder {
        HostBuilder::new(folder)
    }

    pub(crate) fn new(core: HostCore) -> SimulatedHost {
        SimulatedHost { core: Arc::new(core) }
    }

    pub(crate) fn core(&self) -> &Arc<HostCore> {
        &self.core
    }

    /// Computer name.
    pub fn name(&self) -> String {
        self.core.state().model.name.clone()
    }

    /// Where the host's drives are on this machine: host prefix (`C:\`) and folder.
    pub fn path_map(&self) -> Vec<(String, PathBuf)> {
        self.core.drives.map()
    }

    /// Makes a VM with its disks.
    pub fn add_vm(&self, spec: VmSpec) -> Result<SimVmId> {
        vmms::add_vm(&self.core, spec)
    }

    /// All VMs in order of creation.
    pub fn vms(&self) -> Vec<VmSummary> {
        let state = self.core.state();
        state.model.vms_in_order().into_iter().map(summary).collect()
    }

    /// The VM with this name.
    pub fn vm_named(&self, name: &str) -> Result<SimVmId> {
        let found = self.vms().into_iter().find(|vm| vm.name == name);
        found.map(|vm| vm.id).ok_or_else(|| Error::NoSuchVm { vm: name.to_owned() })
    }

    /// The system inside a VM.
    pub fn guest(&self, vm: SimVmId) -> Result<Guest> {
        self.core.vm(vm)?;
        Ok(Guest::new(Arc::clone(&self.core), vm))
    }

    /// The moments of all checkpoints that a VM ever had, oldest first.
    pub fn moments(&self, vm: SimVmId) -> Result<Vec<Moment>> {
        vm_storage::moments(&self.core, vm)
    }

    /// What a disk must contain at the moment of a checkpoint, also one that is gone; now, without one.
    pub fn expected(&self, vm: SimVmId, disk: usize, moment: Option<CheckpointId>) -> Result<ExpectedDisk> {
        vm_storage::expected(&self.core, vm, disk, moment)
    }

    /// What backups left on a VM.
    pub fn leftovers(&self, vm: SimVmId) -> Result<Leftovers> {
        let found = self.core.vm(vm)?;
        let merging = found.hardware.drives.iter().any(|drive| found.needs_merge(drive));
        Ok(Leftovers {
            checkpoints: found.checkpoints_in_order().iter().map(|checkpoint| checkpoint.id).collect(),
            reference_points: found.reference_points_in_order().iter().map(|point| point.id).collect(),
            avhdx_files: self.avhdx_files(&found)?,
            merging,
        })
    }

    /// Entries of the host's event log, oldest first.
    pub fn events(&self) -> Vec<HostEvent> {
        self.core.state().events.clone()
    }

    /// How often a method was called over the wire.
    pub fn calls(&self, method: &str) -> u64 {
        self.core.state().calls.get(method).copied().unwrap_or(0)
    }

    /// Orders a fault.
    pub fn inject(&self, fault: Fault) {
        self.core.state().faults.add(fault);
    }

    /// The next call of a method returns this code and does nothing.
    pub fn fail_next(&self, method: &str, code: u32) {
        self.inject(Fault { call: method.to_owned(), effect: FaultEffect::Return(code), times: 1 });
    }

    /// Takes back all faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.core.state().faults.clear();
    }

    /// Keeps merges from coming to their end, or lets them go on.
    pub fn hold_merges(&self, hold: bool) {
        self.core.state().merges_held = hold;
    }

    /// The host loses all reference points of a VM, as after a move of its files; returns how many.
    pub fn forget_reference_points(&self, vm: SimVmId) -> Result<usize> {
        reference_points::forget(&self.core, vm, |_| true)
    }

    /// A disk's change tracking is lost, as after an offline change; reference points stay and their ids are void.
    pub fn invalidate_change_tracking(&self, vm: SimVmId, disk: usize) -> Result<()> {
        let storage = self.core.storage(vm)?;
        locked(&storage).disk(disk)?.lose_tracking()
    }

    /// Sets the state of the guest's VSS component.
    pub fn set_guest_vss(&self, vm: SimVmId, vss: GuestVss) -> Result<()> {
        self.core.change(|state| match state.model.vms.get_mut(&vm) {
            Some(found) => {
                found.vss = vss;
                Ok(())
            }
            None => Err(Error::NoSuchVm { vm: vm.text() }),
        })?
    }

    /// Switches a VM on or off, as from the host's console.
    pub fn set_power(&self, vm: SimVmId, power: Power) -> Result<()> {
        let switched = super::definition::set_power(&self.core, vm, power);
        switched.map_err(|error| Error::Refused { doing: "switch a VM", why: error.text })
    }

    /// Goes on with merges that a stopped host left. Needs a tokio runtime; [`SimulatedHost::serve`] does it too.
    pub fn resume_merges(&self) {
        merge::resume(&self.core);
    }

    fn avhdx_files(&self, vm: &Vm) -> Result<Vec<PathBuf>> {
        let chains = vm.hardware.chains().filter_map(|chain| chain.root());
        let mut folders: Vec<PathBuf> = chains.map(|root| self.core.drives.local(&root.folder())).collect();
        folders.dedup();
        let mut found = Vec::new();
        for folder in folders {
            let entries =
                std::fs::read_dir(&folder).map_err(|error| Error::file("reading", &folder, error))?;
            let paths = entries.flatten().map(|entry| entry.path());
            found.extend(paths.filter(|path| path.extension().is_some_and(|extension| extension == "avhdx")));
        }
        found.sort();
        Ok(found)
    }
}

fn summary(vm: &Vm) -> VmSummary {
    let leaf = |chain: &crate::model::DiskChain| chain.leaf().map(ToString::to_string);
    VmSummary {
        id: vm.id,
        name: vm.name.clone(),
        power: vm.power,
        disks: vm.hardware.chains().filter_map(leaf).collect(),
    }
}
