//! The image management service: facts of a disk file, and what changed in it (WMI notes 1.8, VSS notes 4).

use std::ops::Range;
use std::sync::Arc;

use vdisk::{Disk, DiskKind, FileIo, LocalFile, ParentLocator};
use winremote::cim::{Instance, Value};
use winremote::wsman::Output;

use super::jobs::JobKind;
use super::rct::TrackingLoss;
use super::refusal::{Answer, COMPLETED, FAILED, FILE_NOT_FOUND, INVALID_PARAMETER, JobError, Refusal};
use super::work::{self, JobOrder};
use super::{HostCore, locked};
use crate::error::{Error, Result};
use crate::fault::FaultEffect;
use crate::ids::{ChangeMark, guid_text};
use crate::model::{DiskChain, Power, Slot, Vm};
use crate::paths::HostPath;
use crate::wire::schema;

/// Ranges told in one answer; what is left is for the next call, from `ProcessedByteLength` on. At about 110 bytes of
/// XML each, so many stay below the default envelope of 512,000 bytes.
const RANGES_PER_CALL: usize = 4000;
/// `Format` of VHDX files, differencing ones included.
const FORMAT_VHDX: u16 = 3;

/// What a client asks of `GetVirtualDiskChanges`.
#[derive(Debug, Clone)]
pub(crate) struct ChangesQuery {
    pub(crate) path: String,
    pub(crate) limit_id: String,
    pub(crate) target_snapshot: String,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// `GetVirtualHardDiskSettingData`.
pub(crate) fn setting_data(core: &HostCore, path: &str) -> Answer {
    let path = existing(core, path)?;
    let (disk, files) = open_by_name(core, &path).map_err(|_| Refusal::Return(FAILED))?;
    let layer = disk.layers().next().ok_or(Refusal::Return(FAILED))?;
    let parent_id = layer.parent.as_ref().map(|parent| guid_text(&parent.linkage));
    let setting = Instance::new("Msvm_VirtualHardDiskSettingData")
        .with("Caption", "Virtual Hard Disk Setting Data")
        .with("ElementName", path.file_name())
        .with("Path", path.as_str())
        .with("Format", FORMAT_VHDX)
        .with("Type", kind_number(layer.kind))
        .with("MaxInternalSize", disk.capacity())
        .with("BlockSize", disk.block_bytes())
        .with("LogicalSectorSize", disk.logical_sector())
        .with("PhysicalSectorSize", disk.physical_sector())
        .with("VirtualDiskId", disk.virtual_disk_id().to_string())
        .with("ParentPath", files.get(1).map(|parent| parent.as_str().to_owned()))
        .with("ParentIdentifier", parent_id)
        .with("PmemAddressAbstractionType", 0_u16)
        .with("IsPmemCompatible", false);
    Ok(Output::new(COMPLETED).with("SettingData", schema::complete(setting)).with("Job", Value::Null))
}

/// `GetVirtualHardDiskState`.
pub(crate) fn state(core: &HostCore, path: &str) -> Answer {
    let path = existing(core, path)?;
    let (disk, _) = open_by_name(core, &path).map_err(|_| Refusal::Return(FAILED))?;
    let size = std::fs::metadata(core.drives.local(&path)).map(|facts| facts.len());
    let uses = |vm: &Vm| vm.power == Power::Running && disk_with(vm, &path).is_some();
    let in_use = core.state().model.vms.values().any(uses);
    let state = Instance::new("Msvm_VirtualHardDiskState")
        .with("FileSize", size.map_err(|_| Refusal::Return(FILE_NOT_FOUND))?)
        .with("InUse", in_use)
        .with("MinInternalSize", disk.capacity())
        .with("FragmentationPercentage", 0_u32)
        .with("Alignment", 1_u32);
    Ok(Output::new(COMPLETED).with("State", schema::complete(state)).with("Job", Value::Null))
}

/// `GetVirtualDiskChanges`. Lost tracking is told by a storage job that fails with the HRESULT in its text.
pub(crate) fn changes(core: &Arc<HostCore>, query: &ChangesQuery, fault: Option<FaultEffect>) -> Answer {
    let path = existing(core, &query.path)?;
    if !query.target_snapshot.is_empty() {
        return Err(Refusal::Return(INVALID_PARAMETER));
    }
    if matches!(fault, Some(FaultEffect::FailJob { .. })) {
        return Ok(failing_job(core, TrackingLoss::Missing, fault));
    }
    match changed_ranges(core, &path, query)? {
        Ok((processed, ranges)) => {
            let offsets: Vec<u64> = ranges.iter().map(|range| range.start).collect();
            let lengths: Vec<u64> = ranges.iter().map(|range| range.end - range.start).collect();
            Ok(Output::new(COMPLETED)
                .with("ProcessedByteLength", processed)
                .with("ChangedByteOffsets", offsets)
                .with("ChangedByteLengths", lengths)
                .with("Job", Value::Null))
        }
        Err(loss) => Ok(failing_job(core, loss, None)),
    }
}

/// Processed length and ranges, or why tracking cannot tell.
type Changes = std::result::Result<(u64, Vec<Range<u64>>), TrackingLoss>;

fn changed_ranges(
    core: &HostCore,
    path: &HostPath,
    query: &ChangesQuery,
) -> std::result::Result<Changes, Refusal> {
    let owner = core.state().model.vms.values().find(|vm| disk_with(vm, path).is_some()).cloned();
    let Some(vm) = owner else { return Ok(Err(TrackingLoss::Disabled)) };
    let Some(slot) = disk_with(&vm, path) else { return Ok(Err(TrackingLoss::Disabled)) };
    let storage = core.storage(vm.id).map_err(|_| Refusal::Return(FAILED))?;
    let mut storage = locked(&storage);
    let Some(disk) = storage.in_slot(&slot) else { return Ok(Err(TrackingLoss::Missing)) };
    let end = query.offset.checked_add(query.length).filter(|end| *end <= disk.capacity());
    let (Some(end), true) = (end, query.length > 0) else { return Err(Refusal::Return(INVALID_PARAMETER)) };
    let Ok(mark) = query.limit_id.parse::<ChangeMark>() else { return Ok(Err(TrackingLoss::UnknownMark)) };
    if !vm.holds_mark(&slot, &mark) {
        return Ok(Err(TrackingLoss::UnknownMark));
    }
    Ok(disk.changed_since(&mark, path).map(|ranges| window(ranges, query.offset..end)))
}

/// The part of the changes inside the asked window, as far as one answer tells it.
fn window(ranges: Vec<Range<u64>>, asked: Range<u64>) -> (u64, Vec<Range<u64>>) {
    let clip = |range: Range<u64>| range.start.max(asked.start)..range.end.min(asked.end);
    let mut inside: Vec<Range<u64>> =
        ranges.into_iter().map(clip).filter(|range| !range.is_empty()).collect();
    let mut processed_end = asked.end;
    if let Some(first_left_out) = inside.get(RANGES_PER_CALL) {
        processed_end = first_left_out.start;
        inside.truncate(RANGES_PER_CALL);
    }
    (processed_end - asked.start, inside)
}

fn failing_job(core: &Arc<HostCore>, loss: TrackingLoss, fault: Option<FaultEffect>) -> Output {
    let what = match loss {
        TrackingLoss::UnknownMark => "The change tracking identifier is not valid for this virtual disk",
        TrackingLoss::Disabled => "Change tracking is not enabled for this virtual disk",
        TrackingLoss::Missing => "The change tracking information of this virtual disk is missing",
    };
    let error = JobError::failed(what, loss.hresult());
    let kind = JobKind::DiskInformation;
    let order = JobOrder { kind, duration: core.timing.other, fault };
    work::started(kind, work::start(core, order, move || Err(error), None))
}

/// A path that names an existing file of the host.
fn existing(core: &HostCore, path: &str) -> std::result::Result<HostPath, Refusal> {
    let path = HostPath::parse(path).map_err(|_| Refusal::Return(INVALID_PARAMETER))?;
    if core.drives.local(&path).is_file() { Ok(path) } else { Err(Refusal::Return(FILE_NOT_FOUND)) }
}

/// The slot of the VM's disk whose chain holds this file.
fn disk_with(vm: &Vm, path: &HostPath) -> Option<Slot> {
    let holds = |chain: &DiskChain| chain.files.iter().any(|file| file.same_file(path));
    vm.hardware.drives.iter().find(|drive| drive.disk.as_ref().is_some_and(holds)).map(|drive| drive.slot)
}

/// The chain that a disk file stands for, root first, found through the parents it names.
pub(crate) fn chain_of(core: &HostCore, leaf: &HostPath) -> Result<DiskChain> {
    let (_, files) = open_by_name(core, leaf)?;
    Ok(DiskChain::attached(files.into_iter().rev().collect()))
}

/// Opens a disk file and the parents it names; the files are told leaf first.
fn open_by_name(core: &HostCore, leaf: &HostPath) -> Result<(Disk, Vec<HostPath>)> {
    let local = core.drives.local(leaf);
    let file = LocalFile::open_read(&local).map_err(|error| Error::file("opening", local, error))?;
    let mut files = vec![leaf.clone()];
    let disk = Disk::open_with(Arc::new(file), &mut |locator| {
        let child = files.last().unwrap_or(leaf);
        let (path, file) = open_parent(core, child, locator)?;
        files.push(path);
        Ok(file)
    });
    Ok((disk.map_err(Error::disk(leaf.as_str()))?, files))
}

fn open_parent(
    core: &HostCore,
    child: &HostPath,
    locator: &ParentLocator,
) -> vdisk::Result<(HostPath, Arc<dyn FileIo>)> {
    let name = locator.relative_path.as_deref().unwrap_or_default();
    let missing =
        |source| vdisk::Error::ParentNotFound { file: child.to_string(), path: name.to_owned(), source };
    let path = child.folder().relative(name).map_err(|_| missing(None))?;
    let file = LocalFile::open_read(core.drives.local(&path)).map_err(|error| missing(Some(error)))?;
    Ok((path, Arc::new(file)))
}

fn kind_number(kind: DiskKind) -> u16 {
    match kind {
        DiskKind::Fixed => 2,
        DiskKind::Dynamic => 3,
        DiskKind::Differencing => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_full_tells_how_far_it_got() {
        let ranges: Vec<Range<u64>> = (0..5000).map(|n| n * 10..n * 10 + 5).collect();
        let (processed, told) = window(ranges.clone(), 2..50_000);
        assert_eq!((processed, told.len(), told[0].clone()), (39_998, RANGES_PER_CALL, 2..5));
        let (processed, told) = window(ranges, 40_000..41_000);
        assert_eq!((processed, told.len()), (1000, 100));
    }
}
