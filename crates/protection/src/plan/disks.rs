//! What is read of each disk: its changed ranges where everything that they rest on still
//! holds, otherwise the whole disk with the reason.
//!
//! The safe direction is always the whole read, so each condition here is a reason to refuse,
//! never a reason to trust.

use std::collections::BTreeSet;

use hyperv::{DiskFacts, RctId, ReferencePoint, VirtualDiskId, VmFacts};
use repository::{DiskKey, PointId};

use super::{DiskPlan, LeftOut, Read};
use crate::continuation::ContinuationDisk;
use crate::history::VmHistory;
use crate::policy::Policy;

/// The disks of a VM: those that are read and those that are left out.
pub(super) fn plan_disks(
    policy: &Policy,
    vm: &VmFacts,
    history: &VmHistory,
) -> (Vec<DiskPlan>, Vec<LeftOut>) {
    let mut taken = BTreeSet::new();
    let (mut disks, mut left_out) = (Vec::new(), Vec::new());
    for disk in &vm.disks {
        let known = identity(disk).and_then(|id| Ok((id, disk_key(id, &mut taken)?)));
        let (id, key) = match known {
            Ok(known) => known,
            Err(reason) => {
                let (attachment, path) = (disk.attachment.clone(), disk.path.clone());
                left_out.push(LeftOut { attachment, path, reason });
                continue;
            }
        };
        let read = if policy.read_everything {
            whole("the policy asks for everything to be read")
        } else {
            decide(vm, disk, id, &key, history)
        };
        disks.push(DiskPlan {
            key,
            attachment: disk.attachment.clone(),
            name: file_name(&disk.path),
            path: disk.path.clone(),
            virtual_disk_id: id,
            capacity_bytes: disk.capacity_bytes,
            read,
        });
    }
    (disks, left_out)
}

/// The identity of a disk that can be backed up, or why it cannot.
fn identity(disk: &DiskFacts) -> Result<VirtualDiskId, String> {
    disk.supported()?;
    match disk.virtual_disk_id {
        Some(id) if disk.capacity_bytes > 0 => Ok(id),
        _ => Err("the host could not read its identity and size".into()),
    }
}

/// The virtual disk id is the identity of a disk. A copied file shares it with its original, so
/// where one VM has both, the later attachment gets a suffix.
fn disk_key(id: VirtualDiskId, taken: &mut BTreeSet<String>) -> Result<DiskKey, String> {
    let id = id.to_string().to_ascii_lowercase();
    let mut name = id.clone();
    let mut copy = 2;
    while !taken.insert(name.clone()) {
        name = format!("{id}-{copy}");
        copy += 1;
    }
    DiskKey::new(name).map_err(|error| error.to_string())
}

/// The last component of a path as the host writes it.
fn file_name(path: &str) -> String {
    path.rsplit(['\\', '/']).next().unwrap_or(path).to_owned()
}

fn decide(vm: &VmFacts, disk: &DiskFacts, id: VirtualDiskId, key: &DiskKey, history: &VmHistory) -> Read {
    if history.points.is_empty() {
        return whole("this is the first backup of this VM in this repository");
    }
    let mut first_refusal = None;
    for point in &history.points {
        let Some(record) = &point.continuation else { continue };
        let Some(remembered) = record.disk(&disk.attachment) else { continue };
        let on_host = vm.reference_points.iter().find(|held| held.id == record.reference_point);
        let refusal = match on_host {
            None => format!("its reference point {} is no longer on the host", record.reference_point),
            Some(on_host) => match mismatch(disk, id, key, remembered, on_host) {
                None if point.holds(key, disk.capacity_bytes) => {
                    return changed(remembered.rct_id.clone(), point.id);
                }
                None => "the restore point does not hold this disk at its present size".into(),
                Some(refusal) => refusal,
            },
        };
        first_refusal.get_or_insert(refusal);
    }
    match first_refusal {
        Some(refusal) => whole(&refusal),
        None => whole("no restore point has a continuation record for this disk"),
    }
}

/// The first thing that no longer holds between what was recorded and what is there.
fn mismatch(
    disk: &DiskFacts,
    id: VirtualDiskId,
    key: &DiskKey,
    remembered: &ContinuationDisk,
    on_host: &ReferencePoint,
) -> Option<String> {
    if remembered.key != key.as_str() || remembered.virtual_disk_id != id {
        return Some(format!(
            "another disk is attached here now (was {}, is {id})",
            remembered.virtual_disk_id
        ));
    }
    if remembered.capacity_bytes != disk.capacity_bytes {
        return Some(format!(
            "its size changed from {} to {} bytes",
            remembered.capacity_bytes, disk.capacity_bytes
        ));
    }
    // A user checkpoint that is made, applied or deleted moves the VM to another file. Applying
    // one takes blocks back, which a tracker bound to the new file need not report.
    if !remembered.path.eq_ignore_ascii_case(&disk.path) {
        return Some(format!("the VM's file moved from {} to {}", remembered.path, disk.path));
    }
    match on_host.rct_id(&disk.attachment) {
        None => Some("the reference point on the host holds no RCT id for this disk".into()),
        Some(id) if *id != remembered.rct_id => {
            Some("the reference point on the host holds another RCT id than was recorded".into())
        }
        Some(_) => None,
    }
}

fn changed(since: RctId, base: PointId) -> Read {
    Read::Changed { since, base }
}

fn whole(reason: &str) -> Read {
    Read::Whole { reason: reason.into() }
}
