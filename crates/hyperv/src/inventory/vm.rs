//! Virtual machines, their checkpoints and the state that decides whether a backup may start.
//!
//! Source: `Msvm_ComputerSystem`, `Msvm_VirtualSystemSettingData`, `Msvm_VssComponent` class references. Only codes
//! are read; captions and status descriptions follow the host's language.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use winremote::cim::{DateTime, Instance};

use super::disk::DiskFacts;
use super::host::Gap;
use crate::id::{CheckpointId, VmId};
use crate::reference_point::ReferencePoint;
use crate::wmi;

/// One virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmFacts {
    /// Its identity.
    pub id: VmId,
    /// Its label; not unique.
    pub name: String,
    /// Power state.
    pub state: PowerState,
    /// Configuration version, `10.0`.
    pub configuration_version: String,
    /// Generation 1 or 2; 0 when the host does not say.
    pub generation: u8,
    /// What Hyper-V is busy with, when that forbids starting a job now.
    pub busy: Option<String>,
    /// Whether the guest can be asked for application consistency.
    pub vss: VssStatus,
    /// Disks attached now.
    pub disks: Vec<DiskFacts>,
    /// Checkpoints, ours and others'.
    pub checkpoints: Vec<CheckpointFacts>,
    /// Reference points, ours and others'.
    pub reference_points: Vec<ReferencePoint>,
}

impl VmFacts {
    /// The disk at `attachment`, compared without regard to case.
    pub fn disk(&self, attachment: &str) -> Option<&DiskFacts> {
        self.disks.iter().find(|disk| disk.attachment.eq_ignore_ascii_case(attachment))
    }
}

/// Power state (`EnabledState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// Running.
    Running,
    /// Off.
    Off,
    /// Memory saved to disk.
    Saved,
    /// Paused.
    Paused,
    /// On the way between two states.
    Changing,
    /// Storage lost ("Critical").
    Critical,
    /// A code this version does not know.
    Unknown(u16),
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Off => f.write_str("off"),
            Self::Saved => f.write_str("saved"),
            Self::Paused => f.write_str("paused"),
            Self::Changing => f.write_str("changing"),
            Self::Critical => f.write_str("critical"),
            Self::Unknown(code) => write!(f, "unknown ({code})"),
        }
    }
}

/// Whether the guest's backup integration service can quiesce applications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VssStatus {
    /// Enabled and in contact.
    Ready,
    /// Switched off for this VM.
    Disabled,
    /// Enabled, but not answering; the text says what the host reports.
    NotResponding(String),
    /// The host does not list the component (no guest service, or not readable).
    Unknown,
}

impl fmt::Display for VssStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Disabled => f.write_str("disabled"),
            Self::NotResponding(why) => write!(f, "not responding ({why})"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// One checkpoint of a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFacts {
    /// Its identity.
    pub id: CheckpointId,
    /// Its label.
    pub name: String,
    /// What made it.
    pub kind: CheckpointKind,
    /// When, as the host wrote it (ISO 8601); `None` when not set.
    pub created: Option<String>,
}

/// What made a checkpoint (`VirtualSystemType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckpointKind {
    /// A person or a script; never touched by us.
    User,
    /// A backup product.
    Recovery,
    /// Replica, planned or missing checkpoints; never touched by us.
    Other,
}

/// What `OperationalStatus[1]` says Hyper-V is doing; any value there forbids starting a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy(pub(crate) u16);

impl Busy {
    /// Merging the disks of a checkpoint that is gone.
    pub(crate) const MERGING: Self = Self(32772);

    /// Read from `Msvm_ComputerSystem`.
    pub(crate) fn of(computer: &Instance) -> Result<Option<Self>, winremote::Error> {
        let status = computer.get_array::<u16>("OperationalStatus")?;
        Ok(status.get(1).copied().map(Self))
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            32768 => "a checkpoint is being created",
            32769 => "a checkpoint is being applied",
            32770 => "a checkpoint is being deleted",
            32771 => "it is waiting to start",
            32772 => "its disks are being merged",
            32773 => "it is being exported",
            32774 => "it is being migrated",
            code => return write!(f, "the host reports status {code}"),
        })
    }
}

/// Whether settings are of this `VirtualSystemType`.
pub(crate) fn is_type(settings: &Instance, wanted: &str) -> bool {
    settings.get_str("VirtualSystemType").is_ok_and(|found| found.eq_ignore_ascii_case(wanted))
}

/// A VM from its active settings; state, disks and the rest are filled in later.
pub(crate) fn vm_of_settings(row: &Instance) -> Result<VmFacts, String> {
    let id =
        read(row.get_str("VirtualSystemIdentifier"))?.parse::<VmId>().map_err(|error| error.to_string())?;
    let text = |name| row.get_opt_str(name).map(Option::unwrap_or_default).map_err(|error| error.to_string());
    let generation =
        text("VirtualSystemSubType")?.rsplit_once("SubType:").and_then(|(_, last)| last.parse().ok());
    Ok(VmFacts {
        id,
        name: text("ElementName")?.to_owned(),
        state: PowerState::Unknown(0),
        configuration_version: text("Version")?.to_owned(),
        generation: generation.unwrap_or(0),
        busy: None,
        vss: VssStatus::Unknown,
        disks: Vec::new(),
        checkpoints: Vec::new(),
        reference_points: Vec::new(),
    })
}

/// The VM that a row of `Msvm_ComputerSystem` is about; `None` for the host itself, whose `Name` is no GUID.
pub(super) fn vm_of_computer(row: &Instance) -> Option<VmId> {
    row.get_str("Name").ok()?.parse().ok()
}

/// Takes over power state and business from a row of `Msvm_ComputerSystem`.
pub(super) fn take_state(vm: &mut VmFacts, row: &Instance, gaps: &mut Vec<Gap>) {
    match row.get_u16("EnabledState") {
        Ok(code) => vm.state = PowerState::of(code),
        Err(error) => gaps.push(Gap::new(format!("power state of VM {}", vm.name), error.to_string())),
    }
    match Busy::of(row) {
        Ok(busy) => vm.busy = busy.map(|busy| busy.to_string()),
        Err(error) => gaps.push(Gap::new(format!("status of VM {}", vm.name), error.to_string())),
    }
}

impl PowerState {
    /// The meaning of an `EnabledState`; hosts use the standard's codes and a vendor range.
    pub(crate) fn of(code: u16) -> Self {
        match code {
            2 => Self::Running,
            3 => Self::Off,
            6 | 32769 | 32779 => Self::Saved,
            9 | 32768 => Self::Paused,
            4 | 10 | 32770 | 32771 | 32773 | 32774 | 32776 | 32777 | 32780 => Self::Changing,
            32781..=32792 => Self::Critical,
            code => Self::Unknown(code),
        }
    }
}

/// A checkpoint and its VM; `None` when the settings are not those of a checkpoint.
pub(crate) fn checkpoint_facts(row: &Instance) -> Option<Result<(VmId, CheckpointFacts), String>> {
    let kind = row.get_str("VirtualSystemType").ok()?;
    let is_checkpoint = kind
        .get(..wmi::TYPE_SNAPSHOT_PREFIX.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(wmi::TYPE_SNAPSHOT_PREFIX));
    is_checkpoint.then(|| read_checkpoint(row, kind))
}

fn read_checkpoint(row: &Instance, kind: &str) -> Result<(VmId, CheckpointFacts), String> {
    let vm =
        read(row.get_str("VirtualSystemIdentifier"))?.parse::<VmId>().map_err(|error| error.to_string())?;
    let instance_id = read(row.get_str("InstanceID"))?;
    let (guid, _) = wmi::split_instance_id(instance_id)
        .ok_or_else(|| format!("InstanceID '{instance_id}' holds no GUID"))?;
    let kind = match kind {
        kind if kind.eq_ignore_ascii_case(wmi::TYPE_USER_CHECKPOINT) => CheckpointKind::User,
        kind if kind.eq_ignore_ascii_case(wmi::TYPE_RECOVERY_CHECKPOINT) => CheckpointKind::Recovery,
        _ => CheckpointKind::Other,
    };
    let name = row.get_opt_str("ElementName").ok().flatten().unwrap_or_default().to_owned();
    let created = row.get_opt::<DateTime>("CreationTime").ok().flatten().map(DateTime::to_iso);
    Ok((vm, CheckpointFacts { id: CheckpointId::new(guid), name, kind, created }))
}

/// Takes over the state of the guests' backup service: the device says whether it answers, its setting whether it
/// is switched on at all.
pub(super) fn take_vss(vms: &mut BTreeMap<VmId, VmFacts>, devices: &[Instance], settings: &[Instance]) {
    for row in devices {
        let owner = row.get_str("SystemName").ok().and_then(|name| name.parse::<VmId>().ok());
        if let Some(vm) = owner.and_then(|owner| vms.get_mut(&owner)) {
            vm.vss = device_status(row);
        }
    }
    for row in settings.iter().filter(|row| row.get_u16("EnabledState").is_ok_and(|state| state == 3)) {
        let owner = row.get_str("InstanceID").ok().and_then(wmi::split_instance_id);
        if let Some(vm) = owner.and_then(|(owner, _)| vms.get_mut(&VmId::new(owner))) {
            vm.vss = VssStatus::Disabled;
        }
    }
}

fn device_status(row: &Instance) -> VssStatus {
    if row.get_u16("EnabledState").is_ok_and(|state| state == 3) {
        return VssStatus::Disabled;
    }
    let Ok(status) = row.get_array::<u16>("OperationalStatus") else {
        return VssStatus::Unknown;
    };
    let what = match (status.first(), status.get(1)) {
        (None, _) => return VssStatus::Unknown,
        (Some(2), None) => return VssStatus::Ready,
        (_, Some(32775)) => "protocol mismatch",
        (_, Some(32782)) => "application critical",
        (_, Some(32783)) => "communication timed out",
        (_, Some(32784)) => "communication failed",
        (Some(2), Some(_)) => return VssStatus::Ready,
        (Some(3), _) => "degraded",
        (Some(7), _) => "non-recoverable error",
        (Some(12), _) => "no contact",
        (Some(13), _) => "lost communication",
        (Some(15), _) => "paused",
        (Some(code), _) => return VssStatus::NotResponding(format!("status {code}")),
    };
    VssStatus::NotResponding(what.to_owned())
}

fn read<T>(value: Result<T, winremote::Error>) -> Result<T, String> {
    value.map_err(|error| error.to_string())
}
