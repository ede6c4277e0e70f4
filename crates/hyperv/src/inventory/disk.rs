//! Disks attached to a VM, with the reason when one cannot be backed up through checkpoints.
//!
//! Source: `Msvm_StorageAllocationSettingData`, `Msvm_VirtualHardDiskSettingData` class references.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use winremote::cim::Instance;

use crate::call::{bad_answer, call_error};
use crate::error::{Attempt, Error, Result};
use crate::host::Host;
use crate::id::{VirtualDiskId, VmId};
use crate::wmi;

/// One attached disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskFacts {
    /// Where it is attached: the device part of the setting's `InstanceID`, the same text in the VM, its
    /// checkpoints and reference points.
    pub attachment: String,
    /// Path of the active file as the host names it (of the physical disk for pass-through).
    pub path: String,
    /// Container format.
    pub format: DiskFormat,
    /// Fixed, dynamic or differencing.
    pub kind: DiskKind,
    /// Size the guest sees; 0 when not readable.
    pub capacity_bytes: u64,
    /// Identity of the disk's contents over its whole chain.
    pub virtual_disk_id: Option<VirtualDiskId>,
    /// Parent of a differencing file, as the host names it.
    pub parent_path: Option<String>,
    /// `None` when recovery checkpoints cover this disk; otherwise the reason why not.
    pub unsupported: Option<String>,
}

impl DiskFacts {
    /// `Ok` when recovery checkpoints cover this disk, otherwise the reason why not.
    pub fn supported(&self) -> Result<(), &str> {
        self.unsupported.as_deref().map_or(Ok(()), Err)
    }
}

/// Container format of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// The older VHD, without change tracking.
    Vhd,
    /// VHDX, also as `.avhdx`.
    Vhdx,
    /// VHD Set, shared between guests.
    VhdSet,
    /// A physical disk of the host given to the guest.
    PassThrough,
    /// Not readable or not known.
    Unknown,
}

impl fmt::Display for DiskFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vhd => "VHD",
            Self::Vhdx => "VHDX",
            Self::VhdSet => "VHD Set",
            Self::PassThrough => "pass-through",
            Self::Unknown => "unknown",
        })
    }
}

/// How a disk's file grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskKind {
    /// All blocks are there.
    Fixed,
    /// Blocks appear when written.
    Dynamic,
    /// Holds differences to a parent.
    Differencing,
    /// Not readable or not known.
    Unknown,
}

/// A disk image in a VM's or checkpoint's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StorageSetting {
    /// The VM or checkpoint.
    pub(crate) owner: Uuid,
    pub(crate) attachment: String,
    pub(crate) path: String,
    /// Persistent reservations are the mark of a disk that several guests share.
    pub(crate) shared: bool,
}

impl StorageSetting {
    /// Reads a row of `Msvm_StorageAllocationSettingData`; `None` for other media, for default settings, which
    /// belong to nobody, and for a slot without a file.
    pub(crate) fn read(row: &Instance) -> Result<Option<Self>, String> {
        let say = |error: winremote::Error| error.to_string();
        let subtype = row.get_opt_str("ResourceSubType").map_err(say)?.unwrap_or_default();
        if !subtype.eq_ignore_ascii_case(wmi::DISK_IMAGE) {
            return Ok(None);
        }
        let Some((owner, attachment)) = wmi::split_instance_id(row.get_str("InstanceID").map_err(say)?)
        else {
            return Ok(None);
        };
        let files = row.get_array::<String>("HostResource").map_err(say)?;
        let Some(path) = files.into_iter().next().filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let shared = row.get_opt::<bool>("PersistentReservationsSupported").map_err(say)?.unwrap_or(false);
        Ok(Some(Self { owner, attachment, path, shared }))
    }
}

/// What the image service says about a disk file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VhdInfo {
    pub(crate) format: DiskFormat,
    pub(crate) kind: DiskKind,
    pub(crate) capacity_bytes: u64,
    pub(crate) virtual_disk_id: Option<VirtualDiskId>,
    pub(crate) parent_path: Option<String>,
}

impl VhdInfo {
    pub(crate) async fn ask(host: &Host, at: &Attempt, path: &str) -> Result<Self> {
        const METHOD: &str = "GetVirtualHardDiskSettingData";
        let arguments = [("Path", path.into())];
        let output = host
            .ask(&wmi::service(wmi::IMAGE_SERVICE), METHOD, &arguments)
            .await
            .map_err(|cause| call_error(at, cause))?;
        if output.return_value != 0 {
            return Err(Error::Refused {
                at: Box::new(at.clone()),
                method: METHOD,
                code: output.return_value,
            });
        }
        let data = output.values.get_embedded("SettingData").map_err(|error| bad_answer(at, &error))?;
        Self::read(&data).map_err(|error| bad_answer(at, &error))
    }

    fn read(data: &Instance) -> Result<Self, winremote::Error> {
        let format = match data.get_u16("Format")? {
            2 => DiskFormat::Vhd,
            3 => DiskFormat::Vhdx,
            4 => DiskFormat::VhdSet,
            _ => DiskFormat::Unknown,
        };
        let kind = match data.get_u16("Type")? {
            2 => DiskKind::Fixed,
            3 => DiskKind::Dynamic,
            4 => DiskKind::Differencing,
            _ => DiskKind::Unknown,
        };
        let id = data.get_opt_str("VirtualDiskId")?.and_then(|text| text.parse::<VirtualDiskId>().ok());
        let parent = data.get_opt_str("ParentPath")?.filter(|path| !path.is_empty());
        Ok(Self {
            format,
            kind,
            capacity_bytes: data.get_u64("MaxInternalSize")?,
            virtual_disk_id: id.filter(|id| !id.guid().is_nil()),
            parent_path: parent.map(str::to_owned),
        })
    }
}

/// A disk of which only the setting is known so far.
pub(super) fn unread(setting: StorageSetting) -> DiskFacts {
    DiskFacts {
        attachment: setting.attachment,
        path: setting.path,
        format: DiskFormat::Unknown,
        kind: DiskKind::Unknown,
        capacity_bytes: 0,
        virtual_disk_id: None,
        parent_path: None,
        unsupported: None,
    }
}

/// Takes over what the image service said, and decides whether checkpoints cover the disk.
pub(super) fn describe(disk: &mut DiskFacts, info: Option<&VhdInfo>, shared: bool) {
    if let Some(info) = info {
        disk.format = info.format;
        disk.kind = info.kind;
        disk.capacity_bytes = info.capacity_bytes;
        disk.virtual_disk_id = info.virtual_disk_id;
        disk.parent_path.clone_from(&info.parent_path);
    }
    disk.unsupported = unsupported(disk, info.is_some(), shared).map(str::to_owned);
}

fn unsupported(disk: &DiskFacts, described: bool, shared: bool) -> Option<&'static str> {
    if disk.format == DiskFormat::VhdSet || has_extension(&disk.path, "vhds") {
        return Some(
            "a VHD Set is shared between guests; backing it up needs a checkpoint of all of them at once",
        );
    }
    if shared {
        return Some("a disk shared between guests cannot be checkpointed with one VM");
    }
    if disk.format == DiskFormat::Vhd || has_extension(&disk.path, "vhd") {
        return Some("the VHD format has no change tracking; convert the disk to VHDX");
    }
    if !described {
        return Some("the host could not describe its file");
    }
    if disk.format != DiskFormat::Vhdx || disk.capacity_bytes == 0 {
        return Some("its format is not known to this version");
    }
    None
}

/// Whether the file name in a host path ends in this extension.
pub(crate) fn has_extension(path: &str, wanted: &str) -> bool {
    path.rsplit(['\\', '/'])
        .next()
        .and_then(|file| file.rsplit_once('.'))
        .is_some_and(|(_, found)| found.eq_ignore_ascii_case(wanted))
}

/// A physical disk of the host given to a VM; `None` for all other devices.
pub(super) fn pass_through(row: &Instance) -> Option<(VmId, DiskFacts)> {
    let subtype = row.get_str("ResourceSubType").ok()?;
    if !subtype.eq_ignore_ascii_case(wmi::PASS_THROUGH_DRIVE) {
        return None;
    }
    let (owner, attachment) = wmi::split_instance_id(row.get_str("InstanceID").ok()?)?;
    let path = row.get_array::<String>("HostResource").ok()?.into_iter().next().unwrap_or_default();
    let reason =
        "a physical disk of the host (pass-through) is in no checkpoint; back it up inside the guest";
    let disk = DiskFacts {
        attachment,
        path,
        format: DiskFormat::PassThrough,
        kind: DiskKind::Unknown,
        capacity_bytes: 0,
        virtual_disk_id: None,
        parent_path: None,
        unsupported: Some(reason.to_owned()),
    };
    Some((VmId::new(owner), disk))
}
