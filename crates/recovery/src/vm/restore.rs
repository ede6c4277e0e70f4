//! Carrying out a [`VmPlan`]: write the disks, compare them, register the VM; or take all of it back.
//!
//! Disks are written to the host's folders through its path map. A failure removes the files and
//! folders that this restore made, and nothing else. The host itself removes a half-registered VM
//! (`Host::define_vm`). A program that is killed leaves only partial files and folders, which the next
//! restore to the same place replaces, and never a VM over incomplete disks, since registration comes
//! last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hyperv::{Gap, Host, NewVm, VmId};
use repository::{Opened, Repository};
use serde::Serialize;

use super::plan::{PlannedDisk, VmPlan};
use super::source::VmSource;
use crate::destination::{DiskTarget, TargetFormat};
use crate::disk::{DiskRestored, Progress, restore_disk};
use crate::error::{Error, Result};
use crate::verify::verify_restored;

/// How far the restore of a VM is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmProgress {
    /// A disk is being written.
    Writing {
        /// Its place in the plan.
        disk: usize,
        /// How far it is.
        progress: Progress,
    },
    /// A disk is being compared with the restore point.
    Verifying {
        /// Its place in the plan.
        disk: usize,
        /// How far it is.
        progress: Progress,
    },
    /// The disks are in place; the host is making the VM.
    Registering,
}

/// Is told how far the restore is.
pub type OnVmProgress<'a> = &'a (dyn Fn(VmProgress) + Send + Sync);

/// A VM that was restored. It is registered and off, its network adapters are disconnected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VmRestored {
    /// Its new identity.
    pub vm: VmId,
    /// Its name.
    pub name: String,
    /// Its disks, in the order of the plan.
    pub disks: Vec<DiskRestored>,
    /// Bytes compared with the restore point after writing.
    pub verified_bytes: u64,
    /// What of the original's settings was left out, and why.
    pub left_out: Vec<Gap>,
}

/// Looks whether a plan can be carried out on the host: the name is free, the files are not there and
/// their places can be reached.
pub async fn check(plan: &VmPlan, host: &Host) -> Result<()> {
    let inventory = host.inventory().await.map_err(|error| Error::host("Looking at its VMs", error))?;
    if inventory.vms.iter().any(|vm| vm.name.eq_ignore_ascii_case(&plan.name)) {
        return Err(Error::NameTaken { name: plan.name.clone(), host: host.name().to_owned() });
    }
    for disk in &plan.disks {
        let path = local_path(host, disk)?;
        if path.symlink_metadata().is_ok() {
            return Err(Error::TargetExists { path: disk.path.clone() });
        }
    }
    Ok(())
}

/// Carries out a plan. Given up midway (the future dropped), it removes the disks it wrote; given up while
/// the host makes the VM, it may leave that VM without disks, so let the last step end.
pub async fn restore_vm<State: Opened>(
    repository: &Repository<State>,
    source: &VmSource,
    plan: &VmPlan,
    host: &Host,
    on_progress: OnVmProgress<'_>,
) -> Result<VmRestored> {
    check(plan, host).await?;
    let mut made = Made::default();
    let mut disks = Vec::new();
    let mut verified_bytes = 0;
    for (place, disk) in plan.disks.iter().enumerate() {
        let view = repository.disk(&plan.point, &disk.key).await;
        let view = view.map_err(|error| Error::repository(format!("Disk {}", disk.key), error))?;
        let path = local_path(host, disk)?;
        made.folders_for(&path)?;
        let target = DiskTarget {
            keep_identity: plan.keep_disk_identities,
            ..DiskTarget::new(&path, TargetFormat::Vhdx)
        };
        let writing = |progress| on_progress(VmProgress::Writing { disk: place, progress });
        disks.push(restore_disk(&view, &target, &writing).await?);
        made.files.push(path.clone());
        if plan.verify {
            let verifying = |progress| on_progress(VmProgress::Verifying { disk: place, progress });
            let compared = verify_restored(&view, &path, TargetFormat::Vhdx, &verifying).await?;
            verified_bytes += compared.compared_bytes;
        }
    }
    on_progress(VmProgress::Registering);
    let defined = host.define_vm(&source.definition, &new_vm(plan)).await;
    let defined = defined.map_err(|error| Error::host(format!("Making VM {}", plan.name), error))?;
    made.keep();
    let (vm, left_out) = (defined.id, defined.left_out);
    Ok(VmRestored { vm, name: plan.name.clone(), disks, verified_bytes, left_out })
}

fn new_vm(plan: &VmPlan) -> NewVm {
    NewVm {
        name: plan.name.clone(),
        disks: plan.disks.iter().map(|disk| (disk.attachment.clone(), disk.path.clone())).collect(),
        folder: Some(plan.folder.clone()),
    }
}

fn local_path(host: &Host, disk: &PlannedDisk) -> Result<PathBuf> {
    let local = host.paths().to_local(&disk.path);
    local.map_err(|error| Error::host(format!("Finding the place for {}", disk.path), error))
}

/// What this restore made; dropped before [`Made::keep`], it removes that again.
#[derive(Debug, Default)]
struct Made {
    files: Vec<PathBuf>,
    /// In the order of making, outermost first.
    folders: Vec<PathBuf>,
}

impl Made {
    /// Makes the folders above a file that are missing.
    fn folders_for(&mut self, file: &Path) -> Result<()> {
        let missing: Vec<_> = file.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => self.folders.push(folder.to_owned()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file(folder, "create the folder", error)),
            }
        }
        Ok(())
    }

    fn keep(mut self) {
        self.files.clear();
        self.folders.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for file in &self.files {
            if let Err(error) = fs::remove_file(file) {
                tracing::warn!(file = %file.display(), %error, "a restored disk stayed behind");
            }
        }
        for folder in self.folders.iter().rev() {
            if let Err(error) = remove_empty(folder, HOST_FOLDERS_DEEP) {
                tracing::warn!(folder = %folder.display(), %error, "a folder stayed behind");
            }
        }
    }
}

/// Levels of folders that the host makes below that of a VM, such as `Virtual Machines`.
const HOST_FOLDERS_DEEP: usize = 3;

/// Removes a folder and the empty ones in it: a host that removes a VM leaves the folders it made for
/// its settings. A file of anybody keeps its folder.
fn remove_empty(folder: &Path, levels: usize) -> io::Result<()> {
    if levels > 0 {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                remove_empty(&entry.path(), levels - 1)?;
            }
        }
    }
    fs::remove_dir(folder)
}
