//! What the host knows and keeps over a restart: VMs, their hardware, checkpoints and reference points, as plain data.
//!
//! Nothing here touches a file or the wire. The whole model is written as one JSON file after every change, so a
//! simulated host that is stopped at any point comes back as it was (see `host::saved`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{ChangeMark, CheckpointId, ReferencePointId, SimVmId, guid_text};
use crate::paths::HostPath;
use crate::seed::Chance;

/// Everything that survives a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HostModel {
    pub(crate) format: u32,
    /// Computer name, upper case.
    pub(crate) name: String,
    pub(crate) chance: Chance,
    /// Counts everything that is created, so that "oldest first" needs no clock.
    pub(crate) created: u64,
    pub(crate) vms: BTreeMap<SimVmId, Vm>,
    /// Files that were begun and belong to nothing yet; removed when a host starts again in between.
    pub(crate) begun_files: Vec<HostPath>,
}

/// One virtual machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Vm {
    pub(crate) id: SimVmId,
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) created_unix_ms: u64,
    pub(crate) power: Power,
    pub(crate) vss: GuestVss,
    /// `ConfigurationDataRoot`: the VM's folder.
    pub(crate) folder: HostPath,
    /// 1 or 2.
    pub(crate) generation: u8,
    /// Configuration version: `10.0` for Windows Server 2022.
    pub(crate) version: String,
    pub(crate) hardware: Hardware,
    /// Other settings that a client gave, by property name; each a list of texts.
    pub(crate) settings: BTreeMap<String, Vec<String>>,
    pub(crate) checkpoints: BTreeMap<CheckpointId, Checkpoint>,
    pub(crate) reference_points: BTreeMap<ReferencePointId, ReferencePoint>,
    pub(crate) last_backup_unix_ms: Option<u64>,
}

/// Whether a VM runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Power {
    /// The guest runs and writes.
    Running,
    /// Switched off.
    Off,
}

/// State of the VSS integration component of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestVss {
    /// Enabled, and the guest answers.
    Healthy,
    /// Switched off in the VM's settings.
    Disabled,
    /// Enabled, but the guest does not answer (`OperationalStatus` 13, lost communication).
    NoContact,
    /// Answers, and then a writer fails with this HRESULT.
    Failing(u32),
}

/// The virtual hardware; a checkpoint holds the hardware of its instant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hardware {
    pub(crate) processors: u64,
    pub(crate) memory_mib: u64,
    pub(crate) controllers: Vec<Uuid>,
    pub(crate) drives: Vec<Drive>,
    pub(crate) nics: Vec<Nic>,
}

/// One drive on a SCSI controller, with or without a disk in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Drive {
    pub(crate) slot: Slot,
    pub(crate) disk: Option<DiskChain>,
}

/// Where a drive sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// VMBus instance of the SCSI controller.
    pub controller: Uuid,
    /// Position on it.
    pub lun: u8,
}

impl Slot {
    /// The part of a drive's or disk's InstanceID after its owner: `<controller>\0\<lun>`.
    pub fn text(&self) -> String {
        format!(r"{}\0\{}", guid_text(&self.controller), self.lun)
    }
}

/// The files of one virtual disk, root first; the last one is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskChain {
    pub(crate) files: Vec<HostPath>,
    /// So many of them were there when the disk was attached; only what checkpoints added is ever merged back.
    pub(crate) attached: usize,
}

/// One network adapter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Nic {
    pub(crate) id: Uuid,
    pub(crate) mac: String,
    pub(crate) switch: Option<String>,
}

/// One checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) id: CheckpointId,
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) created_unix_ms: u64,
    pub(crate) consistency: Consistency,
    /// Hardware at the instant; its chains end at the frozen files.
    pub(crate) hardware: Hardware,
    /// The mark of the instant on every disk.
    pub(crate) marks: Vec<DiskMark>,
}

/// How the content of a checkpoint hangs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consistency {
    /// The guest's writers took part: 1.
    Application,
    /// As after a power cut: 2.
    Crash,
}

impl Consistency {
    /// The number in `ConsistencyLevel`.
    pub(crate) fn level(self) -> u8 {
        match self {
            Consistency::Application => 1,
            Consistency::Crash => 2,
        }
    }
}

/// A mark on one disk of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskMark {
    pub(crate) slot: Slot,
    pub(crate) mark: ChangeMark,
}

/// One reference point.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReferencePoint {
    pub(crate) id: ReferencePointId,
    pub(crate) number: u64,
    /// The checkpoint it was converted from.
    pub(crate) checkpoint: CheckpointId,
    pub(crate) created_unix_ms: u64,
    pub(crate) consistency: Consistency,
    pub(crate) marks: Vec<DiskMark>,
}

impl HostModel {
    pub(crate) const FORMAT: u32 = 1;

    pub(crate) fn new(name: &str, seed: u64) -> HostModel {
        HostModel {
            format: Self::FORMAT,
            name: name.to_uppercase(),
            chance: Chance::from_seed(seed),
            created: 0,
            vms: BTreeMap::new(),
            begun_files: Vec::new(),
        }
    }

    /// The next number in order of creation.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.created += 1;
        self.created
    }

    /// VMs in the order they were created.
    pub(crate) fn vms_in_order(&self) -> Vec<&Vm> {
        let mut vms: Vec<&Vm> = self.vms.values().collect();
        vms.sort_by_key(|vm| vm.number);
        vms
    }

    /// The VM that owns a checkpoint.
    pub(crate) fn vm_of_checkpoint(&self, id: CheckpointId) -> Option<(&Vm, &Checkpoint)> {
        self.vms.values().find_map(|vm| Some((vm, vm.checkpoints.get(&id)?)))
    }

    /// A VM, other than `except`, that runs with this disk file.
    pub(crate) fn running_user_of(&self, file: &HostPath, except: SimVmId) -> Option<&Vm> {
        let uses =
            |vm: &Vm| vm.hardware.chains().any(|chain| chain.files.iter().any(|other| other.same_file(file)));
        self.vms.values().find(|vm| vm.id != except && vm.power == Power::Running && uses(vm))
    }
}

impl Vm {
    /// Checkpoints, oldest first.
    pub(crate) fn checkpoints_in_order(&self) -> Vec<&Checkpoint> {
        let mut checkpoints: Vec<&Checkpoint> = self.checkpoints.values().collect();
        checkpoints.sort_by_key(|checkpoint| checkpoint.number);
        checkpoints
    }

    /// Reference points, oldest first.
    pub(crate) fn reference_points_in_order(&self) -> Vec<&ReferencePoint> {
        let mut points: Vec<&ReferencePoint> = self.reference_points.values().collect();
        points.sort_by_key(|point| point.number);
        points
    }

    /// Whether the leaf of a disk is only there because of a checkpoint that is gone: it has to be merged.
    pub(crate) fn needs_merge(&self, drive: &Drive) -> bool {
        let Some(chain) = &drive.disk else { return false };
        let parent = chain.files.iter().rev().nth(1);
        chain.files.len() > chain.attached && parent.is_some_and(|file| !self.is_frozen(file))
    }

    /// Whether a checkpoint needs this file to stay as it is.
    pub(crate) fn is_frozen(&self, file: &HostPath) -> bool {
        let leaves = |checkpoint: &Checkpoint| {
            checkpoint.hardware.chains().any(|chain| chain.leaf().is_some_and(|leaf| leaf.same_file(file)))
        };
        self.checkpoints.values().any(leaves)
    }

    /// Whether an id still stands for an instant of this disk: a checkpoint or a reference point carries it.
    pub(crate) fn holds_mark(&self, slot: &Slot, mark: &ChangeMark) -> bool {
        let wanted = DiskMark { slot: *slot, mark: *mark };
        let of_checkpoints = self.checkpoints.values().any(|checkpoint| checkpoint.marks.contains(&wanted));
        of_checkpoints || self.reference_points.values().any(|point| point.marks.contains(&wanted))
    }
}

impl Hardware {
    /// The disks in slot order of their drives.
    pub(crate) fn chains(&self) -> impl Iterator<Item = &DiskChain> {
        self.drives.iter().filter_map(|drive| drive.disk.as_ref())
    }

    /// The drive in a slot.
    pub(crate) fn drive_mut(&mut self, slot: &Slot) -> Option<&mut Drive> {
        self.drives.iter_mut().find(|drive| drive.slot == *slot)
    }
}

impl DiskChain {
    /// A disk as it is attached.
    pub(crate) fn attached(files: Vec<HostPath>) -> DiskChain {
        DiskChain { attached: files.len(), files }
    }

    /// The file that is written to.
    pub(crate) fn leaf(&self) -> Option<&HostPath> {
        self.files.last()
    }

    /// The file that stands for the disk as a whole.
    pub(crate) fn root(&self) -> Option<&HostPath> {
        self.files.first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> HostPath {
        HostPath::parse(text).unwrap()
    }

    #[test]
    fn a_disk_needs_a_merge_only_when_no_checkpoint_holds_its_parent() {
        let mut vm = crate::builder::blank_vm(SimVmId(Uuid::from_u128(1)), "SQL01", 1, 0);
        let slot = Slot { controller: Uuid::from_u128(2), lun: 0 };
        let chain =
            |files: &[&str]| DiskChain { files: files.iter().map(|file| path(file)).collect(), attached: 1 };
        let drive = Drive { slot, disk: Some(chain(&[r"C:\a.vhdx", r"C:\a_1.avhdx"])) };
        vm.hardware.drives = vec![drive.clone()];
        assert!(vm.needs_merge(&drive));

        let mut frozen = vm.hardware.clone();
        frozen.drives[0].disk = Some(chain(&[r"C:\a.vhdx"]));
        let id = CheckpointId(Uuid::from_u128(3));
        let checkpoint = Checkpoint {
            id,
            number: 1,
            name: String::new(),
            created_unix_ms: 0,
            consistency: Consistency::Crash,
            hardware: frozen,
            marks: Vec::new(),
        };
        vm.checkpoints.insert(id, checkpoint);
        assert!(!vm.needs_merge(&drive));
        assert!(!vm.needs_merge(&Drive { slot, disk: Some(chain(&[r"C:\a.vhdx"])) }));
        let attached = DiskChain::attached(vec![path(r"C:\b.vhdx"), path(r"C:\b_1.avhdx")]);
        assert!(!vm.needs_merge(&Drive { slot, disk: Some(attached) }), "it was attached as a chain");
    }
}
