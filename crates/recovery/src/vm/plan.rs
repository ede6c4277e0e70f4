//! What restoring a VM will do: a pure function from the restore point to a plan.
//!
//! The plan names every file and the new VM before anything is made, so that it can be shown, checked
//! against the host and agreed to.

use std::collections::BTreeSet;

use repository::{DiskKey, PointId};
use serde::Serialize;

use super::name::{check_vm_name, disk_file_name, disks_folder, folder_beside};
use super::source::VmSource;
use crate::error::{Error, Result};

/// What the operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmRequest {
    /// Name of the new VM.
    pub name: String,
    /// Folder for it, as the host names it; beside the original's when not given.
    pub folder: Option<String>,
    /// Whether its disks keep the virtual disk ids of the originals.
    pub keep_disk_identities: bool,
    /// Whether each disk is compared with the restore point before the VM is registered.
    pub verify: bool,
}

impl VmRequest {
    /// A new VM beside the original, with disk identities of its own, verified.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), folder: None, keep_disk_identities: false, verify: true }
    }
}

/// What will be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VmPlan {
    /// The restore point.
    pub point: PointId,
    /// Name of the VM in it.
    pub original: String,
    /// Name of the new VM.
    pub name: String,
    /// Folder of the new VM, as the host names it.
    pub folder: String,
    /// The disks to be written, in the order of the restore point.
    pub disks: Vec<PlannedDisk>,
    /// Whether the disks keep the virtual disk ids of the originals.
    pub keep_disk_identities: bool,
    /// Whether each disk is compared with the restore point before the VM is registered.
    pub verify: bool,
}

/// A disk to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedDisk {
    /// Its key in the restore point.
    pub key: DiskKey,
    /// Where it is attached.
    pub attachment: String,
    /// The file to be written, as the host names it.
    pub path: String,
    /// Size of the disk.
    pub capacity_bytes: u64,
}

/// Plans a new VM from a restore point.
pub fn plan(source: &VmSource, request: &VmRequest) -> Result<VmPlan> {
    check_vm_name(&request.name)?;
    let folder = folder(source, request)?;
    let mut file_names = BTreeSet::new();
    let mut disks = Vec::new();
    for record in &source.point.disks {
        let known = source.disks.disks.iter().find(|disk| disk.key == record.key.as_str());
        let Some(known) = known else {
            return Err(not_restorable(
                source,
                format!("nothing says where disk {} was attached", record.name),
            ));
        };
        let file_name = unused(&mut file_names, &disk_file_name(&known.path));
        disks.push(PlannedDisk {
            key: record.key.clone(),
            attachment: known.attachment.clone(),
            path: format!("{}\\{file_name}", disks_folder(&folder)),
            capacity_bytes: record.capacity_bytes,
        });
    }
    Ok(VmPlan {
        point: source.point.id,
        original: source.point.source_name.clone(),
        name: request.name.clone(),
        folder,
        disks,
        keep_disk_identities: request.keep_disk_identities,
        verify: request.verify,
    })
}

fn folder(source: &VmSource, request: &VmRequest) -> Result<String> {
    if let Some(folder) = &request.folder {
        return Ok(folder.trim_end_matches('\\').to_owned());
    }
    let beside = source.disks.disks.iter().find_map(|disk| folder_beside(&disk.path, &request.name));
    beside.ok_or_else(|| {
        not_restorable(source, "the original's folder is not known; give a folder for the new VM".to_owned())
    })
}

/// Disks from different folders may share a file name; later ones get a number. Windows does not
/// tell case apart.
fn unused(taken: &mut BTreeSet<String>, name: &str) -> String {
    let stem = name.strip_suffix(".vhdx").unwrap_or(name);
    let mut candidate = name.to_owned();
    for number in 2.. {
        if taken.insert(candidate.to_lowercase()) {
            break;
        }
        candidate = format!("{stem}-{number}.vhdx");
    }
    candidate
}

fn not_restorable(source: &VmSource, why: String) -> Error {
    Error::NotRestorable { point: source.point.id.to_string(), why }
}
