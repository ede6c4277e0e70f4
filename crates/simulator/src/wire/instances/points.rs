//! `Msvm_VirtualSystemReferencePoint` (WMI notes 1.7): parallel arrays of disks and change tracking ids.

use winremote::cim::Instance;

use super::View;
use crate::model::{ReferencePoint, Vm};
use crate::wire::names::{disk_part, instance_id};
use crate::wire::values::texts;

/// `ReferencePointType` of a reference point with change tracking ids.
const TYPE_RCT: u16 = 2;

impl View {
    /// All reference points, VM by VM, oldest first.
    pub(super) fn reference_points(&self) -> Vec<Instance> {
        let vms = self.model.vms_in_order().into_iter();
        vms.flat_map(|vm| vm.reference_points_in_order().into_iter().map(|point| instance(vm, point)))
            .collect()
    }
}

fn instance(vm: &Vm, point: &ReferencePoint) -> Instance {
    let disks = point.marks.iter().map(|mark| instance_id(&vm.id.text(), &disk_part(&mark.slot)));
    let ids = point.marks.iter().map(|mark| mark.mark.to_string());
    Instance::new("Msvm_VirtualSystemReferencePoint")
        .with("Caption", "Reference Point")
        .with("ElementName", vm.name.as_str())
        .with("InstanceID", instance_id(&point.id.text(), ""))
        .with("VirtualSystemIdentifier", vm.id.text())
        .with("ReferencePointType", TYPE_RCT)
        .with("ConsistencyLevel", u16::from(point.consistency.level()))
        .with("HasAssociatedData", false)
        .with("VirtualDiskIdentifiers", texts(disks))
        .with("ResilientChangeTrackingIdentifiers", texts(ids))
}
