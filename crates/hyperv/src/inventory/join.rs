//! The pure half of the inventory: rows of many classes become VMs.

use std::collections::BTreeMap;

use winremote::cim::Instance;

use super::disk::{StorageSetting, pass_through, unread};
use super::gather::{FileToRead, Rows};
use super::host::Gap;
use super::vm::{self, VmFacts};
use crate::id::VmId;
use crate::reference_point::ReferencePoint;
use crate::wmi;

/// Joins the rows. Also returns the disk files that are still to be asked for.
pub(super) fn join(rows: &Rows, gaps: &mut Vec<Gap>) -> (BTreeMap<VmId, VmFacts>, Vec<FileToRead>) {
    let mut vms = systems(&rows.settings, gaps);
    for row in &rows.computers {
        if let Some(vm) = vm::vm_of_computer(row).and_then(|id| vms.get_mut(&id)) {
            vm::take_state(vm, row, gaps);
        }
    }
    checkpoints(&mut vms, &rows.settings, gaps);
    let files = disks(&mut vms, &rows.storage, gaps);
    for row in &rows.resources {
        if let Some((id, disk)) = pass_through(row)
            && let Some(vm) = vms.get_mut(&id)
        {
            vm.disks.push(disk);
        }
    }
    reference_points(&mut vms, &rows.reference_points, gaps);
    vm::take_vss(&mut vms, &rows.vss, &rows.vss_settings);
    (vms, files)
}

/// VMs are the active settings; `Msvm_ComputerSystem` also lists the host and planned VMs.
fn systems(settings: &[Instance], gaps: &mut Vec<Gap>) -> BTreeMap<VmId, VmFacts> {
    let mut vms = BTreeMap::new();
    for row in settings.iter().filter(|row| vm::is_type(row, wmi::TYPE_VM)) {
        match vm::vm_of_settings(row) {
            Ok(facts) => _ = vms.insert(facts.id, facts),
            Err(error) => {
                let name = row.get_str("ElementName").unwrap_or("without a name");
                gaps.push(Gap::new(format!("VM {name}"), error.to_string()));
            }
        }
    }
    vms
}

fn checkpoints(vms: &mut BTreeMap<VmId, VmFacts>, settings: &[Instance], gaps: &mut Vec<Gap>) {
    for row in settings {
        match vm::checkpoint_facts(row) {
            None => {}
            Some(Ok((owner, facts))) => {
                if let Some(vm) = vms.get_mut(&owner) {
                    vm.checkpoints.push(facts);
                }
            }
            Some(Err(error)) => gaps.push(Gap::new("a checkpoint", error.to_string())),
        }
    }
    for vm in vms.values_mut() {
        vm.checkpoints.sort_by(|a, b| (&a.created, a.id).cmp(&(&b.created, b.id)));
    }
}

/// Disks of active settings. The order is that of the attachments, so that two looks compare.
fn disks(vms: &mut BTreeMap<VmId, VmFacts>, storage: &[Instance], gaps: &mut Vec<Gap>) -> Vec<FileToRead> {
    let mut found: Vec<StorageSetting> = Vec::new();
    for row in storage {
        match StorageSetting::read(row) {
            Ok(Some(setting)) if vms.contains_key(&VmId::new(setting.owner)) => found.push(setting),
            Ok(_) => {}
            Err(error) => gaps.push(Gap::new("a disk setting", error.to_string())),
        }
    }
    found.sort_by(|a, b| (a.owner, &a.attachment).cmp(&(b.owner, &b.attachment)));
    let mut files = Vec::new();
    for setting in found {
        let id = VmId::new(setting.owner);
        let Some(vm) = vms.get_mut(&id) else { continue };
        files.push(FileToRead {
            vm: id,
            index: vm.disks.len(),
            path: setting.path.clone(),
            shared: setting.shared,
        });
        vm.disks.push(unread(setting));
    }
    files
}

fn reference_points(vms: &mut BTreeMap<VmId, VmFacts>, rows: &[Instance], gaps: &mut Vec<Gap>) {
    for row in rows {
        match ReferencePoint::read(row) {
            Ok(point) => {
                if let Some(vm) = vms.get_mut(&point.vm) {
                    vm.reference_points.push(point);
                }
            }
            Err(error) => gaps.push(Gap::new("a reference point", error.to_string())),
        }
    }
    for vm in vms.values_mut() {
        vm.reference_points.sort_by(|a, b| a.id.cmp(&b.id));
    }
}
