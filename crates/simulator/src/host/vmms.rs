//! New VMs with new disks: what an administrator does at the host before anything is backed up.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;
use vdisk::{CreateOptions, WritableDisk};

use super::host_file::HostFile;
use super::{HostCore, definition};
use crate::builder::{DiskSource, DiskSpec, VmSpec, blank_vm};
use crate::error::{Error, Result};
use crate::guest::{WriteLog, data_ranges, pieces};
use crate::ids::SimVmId;
use crate::model::{DiskChain, Drive, Slot, Vm};
use crate::paths::HostPath;

/// Makes a VM with its disks.
pub(crate) fn add_vm(core: &HostCore, spec: VmSpec) -> Result<SimVmId> {
    let id = spec.id.unwrap_or_else(|| SimVmId(core.new_guid()));
    let mut vm = blank_vm(id, &spec.name, 0, core.clock.unix_ms());
    vm.power = spec.power;
    vm.vss = spec.vss;
    vm.hardware.memory_mib = spec.memory_mib;
    vm.hardware.processors = spec.processors;
    if let Some(folder) = &spec.folder {
        vm.folder = HostPath::parse(folder)?;
    }
    let controller = core.new_guid();
    vm.hardware.controllers = vec![controller];
    definition::check_new(core, &vm)?;
    let files = disk_files(&vm, &spec.disks)?;
    check_free(core, &files)?;
    core.change(|state| state.model.begun_files.extend(files.iter().cloned()))?;
    let added =
        add_disks(core, &mut vm, controller, &spec.disks, &files).and_then(|()| definition::insert(core, vm));
    if added.is_err() {
        for file in &files {
            let _ = std::fs::remove_file(core.drives.local(file));
        }
    }
    core.change(|state| state.model.begun_files.retain(|file| !files.contains(file)))?;
    let id = added?;
    definition::add_nic(core, id, None).map_err(|_| Error::NoSuchVm { vm: id.text() })?;
    Ok(id)
}

fn add_disks(
    core: &HostCore,
    vm: &mut Vm,
    controller: Uuid,
    disks: &[DiskSpec],
    files: &[HostPath],
) -> Result<()> {
    for ((lun, disk), file) in (0..).zip(disks).zip(files) {
        let slot = Slot { controller, lun };
        create_disk(core, vm, &slot, file, disk)?;
        vm.hardware.drives.push(Drive { slot, disk: Some(DiskChain::attached(vec![file.clone()])) });
    }
    Ok(())
}

/// A new disk never takes the place of a file that is there.
fn check_free(core: &HostCore, files: &[HostPath]) -> Result<()> {
    match files.iter().find(|file| core.drives.local(file).exists()) {
        None => Ok(()),
        Some(file) => {
            Err(Error::Refused { doing: "add a VM", why: format!("there is a file {file} already") })
        }
    }
}

fn disk_files(vm: &Vm, disks: &[DiskSpec]) -> Result<Vec<HostPath>> {
    let folder = vm.folder.join("Virtual Hard Disks");
    let path = |disk: &DiskSpec| folder.relative(&disk.file_name);
    disks.iter().map(path).collect()
}

/// Makes a disk file and its write log from the same source.
fn create_disk(core: &HostCore, vm: &Vm, slot: &Slot, path: &HostPath, spec: &DiskSpec) -> Result<()> {
    let local = core.drives.local(path);
    if let Some(folder) = local.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::file("creating", folder, error))?;
    }
    let file = HostFile::create(&local).map_err(|error| Error::file("creating", &local, error))?;
    let capacity = match &spec.source {
        DiskSource::Blank { capacity } => *capacity,
        DiskSource::FromRaw(raw) => raw_length(raw)?,
    };
    let mut options = CreateOptions::dynamic(capacity);
    options.block_bytes = spec.block_bytes.unwrap_or(options.block_bytes);
    let mut disk = WritableDisk::create(file, &options).map_err(Error::disk(path.as_str()))?;
    let staged = core.saved.write_log(vm.id, slot).with_extension("staged");
    // What an attempt before this one left is not part of the new disk.
    let _ = std::fs::remove_file(&staged);
    let mut log = WriteLog::open(&staged).map_err(|error| Error::file("creating", &staged, error))?;
    if let DiskSource::FromRaw(raw) = &spec.source {
        fill(&mut disk, &mut log, path, raw)?;
    }
    disk.close().map_err(Error::disk(path.as_str()))?;
    log.flushed().map_err(|error| Error::file("writing", &staged, error))?;
    let finished = staged.with_extension("log");
    std::fs::rename(&staged, &finished).map_err(|error| Error::file("writing", finished, error))
}

fn fill(disk: &mut WritableDisk, log: &mut WriteLog, path: &HostPath, raw: &PathBuf) -> Result<()> {
    let wrap = |error| Error::file("reading", raw, error);
    let source = File::open(raw).map_err(wrap)?;
    for piece in data_ranges(&source).map_err(wrap)?.into_iter().flat_map(pieces) {
        let mut data = vec![0; usize::try_from(piece.end - piece.start).unwrap_or_default()];
        source.read_exact_at(&mut data, piece.start).map_err(wrap)?;
        if data.iter().any(|&byte| byte != 0) {
            disk.write_at(piece.start, &data).map_err(Error::disk(path.as_str()))?;
            log.wrote(piece.start, &data).map_err(|error| Error::file("writing", log.path(), error))?;
        }
    }
    Ok(())
}

fn raw_length(raw: &Path) -> Result<u64> {
    std::fs::metadata(raw).map(|facts| facts.len()).map_err(|error| Error::file("reading", raw, error))
}
