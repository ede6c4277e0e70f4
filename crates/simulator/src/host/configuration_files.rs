//! The files beside the disks that describe a VM: `.vmcx`, `.vmrs`, `.vmgs` (WMI notes 1.3).
//!
//! Their real formats are not published. The simulator writes its own text into `.vmcx` and placeholders into the
//! other two, so that paths, names and copying can be tried; importing them is not modelled.

use std::path::Path;

use super::HostCore;
use crate::error::{Error, Result};
use crate::ids::CheckpointId;
use crate::model::{Checkpoint, Vm};
use crate::paths::HostPath;

const EXTENSIONS: [&str; 3] = ["vmcx", "vmrs", "vmgs"];

/// Writes the files of a VM's active configuration.
pub(crate) fn write_vm(core: &HostCore, vm: &Vm) -> Result<()> {
    let folder = vm.folder.join("Virtual Machines");
    write(core, &folder, &vm.id.text(), &serde_json::to_value(vm).unwrap_or_default())
}

/// Removes the files of a VM's active configuration.
pub(crate) fn remove_vm(core: &HostCore, vm: &Vm) {
    remove(core, &vm.folder.join("Virtual Machines"), &vm.id.text());
}

/// Writes the files of a checkpoint.
pub(crate) fn write_checkpoint(core: &HostCore, vm: &Vm, checkpoint: &Checkpoint) -> Result<()> {
    let content = serde_json::to_value(checkpoint).unwrap_or_default();
    write(core, &vm.folder.join("Snapshots"), &checkpoint.id.text(), &content)
}

/// Removes the files of a checkpoint.
pub(crate) fn remove_checkpoint(core: &HostCore, vm: &Vm, checkpoint: CheckpointId) {
    remove(core, &vm.folder.join("Snapshots"), &checkpoint.text());
}

fn write(core: &HostCore, folder: &HostPath, stem: &str, content: &serde_json::Value) -> Result<()> {
    let local = core.drives.local(folder);
    std::fs::create_dir_all(&local).map_err(|error| Error::file("creating", &local, error))?;
    for extension in EXTENSIONS {
        let text = match extension {
            "vmcx" => format!("Refpoint simulator, configuration of a virtual machine\n{content:#}\n"),
            other => format!("Refpoint simulator, placeholder for a .{other} file\n"),
        };
        let path = local.join(format!("{stem}.{extension}"));
        std::fs::write(&path, text).map_err(|error| Error::file("writing", path, error))?;
    }
    Ok(())
}

/// Files that are already gone, or cannot be removed, do no harm: nothing reads them back.
fn remove(core: &HostCore, folder: &HostPath, stem: &str) {
    let local: &Path = &core.drives.local(folder);
    for extension in EXTENSIONS {
        let _ = std::fs::remove_file(local.join(format!("{stem}.{extension}")));
    }
}
