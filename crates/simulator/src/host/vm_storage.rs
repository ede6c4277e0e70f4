//! All disks of one VM, under one lock: what happens to them at an instant happens to all at the same instant.

use std::sync::Arc;

use super::disk_stack::{ChainFile, DiskStack};
use super::{HostCore, locked};
use crate::error::{Error, Result};
use crate::guest::Moment;
use crate::ids::{CheckpointId, SimVmId};
use crate::model::{DiskChain, DiskMark, Drive, Power, Slot, Vm};

/// The disks of one VM in the order of their drives.
#[derive(Debug)]
pub(crate) struct VmStorage {
    pub(crate) vm: SimVmId,
    /// Whether the guest runs and may write.
    pub(crate) running: bool,
    pub(crate) disks: Vec<DiskStack>,
}

impl VmStorage {
    /// Opens the disks of a VM from the model.
    pub(crate) fn open(core: &HostCore, vm: &Vm) -> Result<VmStorage> {
        let mut storage = VmStorage { vm: vm.id, running: vm.power == Power::Running, disks: Vec::new() };
        for drive in &vm.hardware.drives {
            if let Some(chain) = &drive.disk {
                storage.disks.push(open_disk(core, vm, drive, chain)?);
            }
        }
        Ok(storage)
    }

    /// The disk with this number.
    pub(crate) fn disk(&mut self, index: usize) -> Result<&mut DiskStack> {
        let vm = self.vm;
        self.disks.get_mut(index).ok_or(Error::NoSuchDisk { vm, index })
    }

    /// The disk in this slot.
    pub(crate) fn in_slot(&mut self, slot: &Slot) -> Option<&mut DiskStack> {
        self.disks.iter_mut().find(|disk| disk.slot == *slot)
    }

    /// Freezes every disk at this instant. Either all are frozen, or none.
    pub(crate) fn freeze(
        &mut self,
        core: &HostCore,
        children: &[(Slot, ChainFile)],
        moment: &Moment,
    ) -> Result<Vec<DiskMark>> {
        let mut marks = Vec::new();
        for (slot, child) in children {
            let branch = core.new_guid();
            let Some(disk) = self.in_slot(slot) else { continue };
            match disk.freeze(child.clone(), branch) {
                Ok(mark) => marks.push(DiskMark { slot: *slot, mark }),
                Err(error) => {
                    self.unfreeze(&marks)?;
                    let _ = std::fs::remove_file(&child.local);
                    return Err(error);
                }
            }
        }
        for disk in &mut self.disks {
            disk.reached(moment)?;
        }
        Ok(marks)
    }

    /// Takes a freeze back that could not be completed.
    pub(crate) fn unfreeze(&mut self, marks: &[DiskMark]) -> Result<()> {
        for mark in marks {
            if let Some(disk) = self.in_slot(&mark.slot) {
                disk.unfreeze()?;
            }
        }
        Ok(())
    }

    /// Lets go of all files; the next access opens them again.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.disks.iter_mut().try_for_each(DiskStack::close)
    }

    /// Makes everything durable.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.disks.iter_mut().try_for_each(DiskStack::flush)
    }
}

/// Opens one disk of a VM.
pub(crate) fn open_disk(core: &HostCore, vm: &Vm, drive: &Drive, chain: &DiskChain) -> Result<DiskStack> {
    let files = chain_files(core, chain);
    let log = core.saved.write_log(vm.id, &drive.slot);
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::file("creating", folder, error))?;
    }
    DiskStack::open(drive.slot, files, &log)
}

/// The files of a chain with their places on this machine.
pub(crate) fn chain_files(core: &HostCore, chain: &DiskChain) -> Vec<ChainFile> {
    let place =
        |host: &crate::paths::HostPath| ChainFile { host: host.clone(), local: core.drives.local(host) };
    chain.files.iter().map(place).collect()
}

/// The moments of a VM's checkpoints, oldest first, as its first disk noted them.
pub(crate) fn moments(core: &HostCore, vm: SimVmId) -> Result<Vec<Moment>> {
    let storage = core.storage(vm)?;
    let mut storage = locked(&storage);
    let Some(disk) = storage.disks.first_mut() else { return Ok(Vec::new()) };
    let log = disk.log()?;
    log.moments().map_err(|error| Error::file("reading", log.path(), error))
}

/// What a disk must contain at a checkpoint, or now.
pub(crate) fn expected(
    core: &HostCore,
    vm: SimVmId,
    index: usize,
    moment: Option<CheckpointId>,
) -> Result<crate::guest::ExpectedDisk> {
    let storage: Arc<_> = core.storage(vm)?;
    let mut storage = locked(&storage);
    let disk = storage.disk(index)?;
    let log = disk.log()?.path().to_owned();
    let replayed = crate::guest::ExpectedDisk::replay(&log, disk.capacity(), moment);
    let replayed = replayed.map_err(|error| Error::file("reading", &log, error))?;
    replayed.ok_or_else(|| Error::NoSuchMoment {
        vm,
        index,
        moment: moment.map_or_else(String::new, |checkpoint| checkpoint.text()),
    })
}
