//! Names of the WMI classes, associations and codes this crate speaks, and references to their objects.
//!
//! Services are addressed by `CreationClassName` alone, which public clients (libvirt, go-wsman) do with success and
//! which spares us the service names that Microsoft does not document. Identity inside `InstanceID` follows the
//! pattern `Microsoft:<owner GUID>\<device part>`: the owner is the VM for active settings and the checkpoint for
//! frozen ones, the device part is the same in both. Source: `HyperV_v2` class reference.

use uuid::Uuid;
use winremote::cim::Reference;

use crate::id::{VmId, parse_guid};

pub(crate) const NAMESPACE: &str = "root/virtualization/v2";
pub(crate) const CIMV2: &str = "root/cimv2";

pub(crate) const COMPUTER_SYSTEM: &str = "Msvm_ComputerSystem";
pub(crate) const SYSTEM_SETTINGS: &str = "Msvm_VirtualSystemSettingData";
pub(crate) const RESOURCE_SETTINGS: &str = "Msvm_ResourceAllocationSettingData";
pub(crate) const STORAGE_SETTINGS: &str = "Msvm_StorageAllocationSettingData";
pub(crate) const SNAPSHOT_SETTINGS: &str = "Msvm_VirtualSystemSnapshotSettingData";
pub(crate) const MEMORY_SETTINGS: &str = "Msvm_MemorySettingData";
pub(crate) const PROCESSOR_SETTINGS: &str = "Msvm_ProcessorSettingData";
pub(crate) const REFERENCE_POINT: &str = "Msvm_VirtualSystemReferencePoint";
pub(crate) const VSS_COMPONENT: &str = "Msvm_VssComponent";
pub(crate) const VSS_SETTINGS: &str = "Msvm_VssComponentSettingData";

pub(crate) const MANAGEMENT_SERVICE: &str = "Msvm_VirtualSystemManagementService";
pub(crate) const SNAPSHOT_SERVICE: &str = "Msvm_VirtualSystemSnapshotService";
pub(crate) const REFERENCE_POINT_SERVICE: &str = "Msvm_VirtualSystemReferencePointService";
pub(crate) const IMAGE_SERVICE: &str = "Msvm_ImageManagementService";

pub(crate) const AFFECTED_JOB_ELEMENT: &str = "Msvm_AffectedJobElement";
pub(crate) const SETTING_COMPONENT: &str = "Msvm_VirtualSystemSettingDataComponent";

pub(crate) const TYPE_VM: &str = "Microsoft:Hyper-V:System:Realized";
pub(crate) const TYPE_USER_CHECKPOINT: &str = "Microsoft:Hyper-V:Snapshot:Realized";
pub(crate) const TYPE_RECOVERY_CHECKPOINT: &str = "Microsoft:Hyper-V:Snapshot:Recovery";
pub(crate) const TYPE_SNAPSHOT_PREFIX: &str = "Microsoft:Hyper-V:Snapshot:";

pub(crate) const DISK_IMAGE: &str = "Microsoft:Hyper-V:Virtual Hard Disk";
pub(crate) const OPTICAL_IMAGE: &str = "Microsoft:Hyper-V:Virtual CD/DVD Disk";
pub(crate) const PASS_THROUGH_DRIVE: &str = "Microsoft:Hyper-V:Physical Disk Drive";
pub(crate) const DISK_DRIVE: &str = "Microsoft:Hyper-V:Synthetic Disk Drive";
pub(crate) const OPTICAL_DRIVE: &str = "Microsoft:Hyper-V:Synthetic DVD Drive";
pub(crate) const IDE_CONTROLLER: &str = "Microsoft:Hyper-V:Emulated IDE Controller";
pub(crate) const SCSI_CONTROLLER: &str = "Microsoft:Hyper-V:Synthetic SCSI Controller";
pub(crate) const SYNTHETIC_NIC: &str = "Microsoft:Hyper-V:Synthetic Ethernet Port";
pub(crate) const EMULATED_NIC: &str = "Microsoft:Hyper-V:Emulated Ethernet Port";
pub(crate) const NIC_CONNECTION: &str = "Microsoft:Hyper-V:Ethernet Connection";

/// A service of the host.
pub(crate) fn service(class: &str) -> Reference {
    Reference::new(NAMESPACE, class).with_key("CreationClassName", class)
}

/// A VM.
pub(crate) fn vm_reference(vm: VmId) -> Reference {
    Reference::new(NAMESPACE, COMPUTER_SYSTEM)
        .with_key("CreationClassName", COMPUTER_SYSTEM)
        .with_key("Name", vm.to_string())
}

/// The settings of a VM (by its id) or of a checkpoint (by its id).
pub(crate) fn settings_reference(owner: Uuid) -> Reference {
    Reference::new(NAMESPACE, SYSTEM_SETTINGS).with_key("InstanceID", instance_id(owner))
}

/// `Microsoft:<GUID>`.
pub(crate) fn instance_id(owner: Uuid) -> String {
    format!("Microsoft:{:X}", owner.hyphenated())
}

/// WQL for all settings of one class that belong to one owner. A GUID holds none of the signs that `like` and
/// quoting give a meaning to.
pub(crate) fn owned_by(class: &str, owner: Uuid) -> String {
    format!("select * from {class} where InstanceID like '{}%'", instance_id(owner))
}

/// Splits `Microsoft:<owner GUID>\<device part>`; the device part is upper-cased so that equal means equal.
/// The default settings (`Microsoft:Definition\…`) and anything else without an owner give `None`.
pub(crate) fn split_instance_id(text: &str) -> Option<(Uuid, String)> {
    const PREFIX: &str = "Microsoft:";
    let head = text.get(..PREFIX.len())?;
    if !head.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let rest = &text[PREFIX.len()..];
    let (owner, device) = rest.split_once('\\').unwrap_or((rest, ""));
    Some((parse_guid(owner)?, device.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VM: &str = "7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77";

    #[test]
    fn an_instance_id_splits_into_owner_and_device() {
        let (owner, device) =
            split_instance_id(&format!(r"Microsoft:{VM}\83f8638b-8dca-4152-9eda-2ca8b33039b4\1\0\L"))
                .unwrap();
        assert_eq!(owner, parse_guid(VM).unwrap());
        assert_eq!(device, r"83F8638B-8DCA-4152-9EDA-2CA8B33039B4\1\0\L");
        assert_eq!(split_instance_id(&format!("microsoft:{VM}")).unwrap(), (owner, String::new()));
    }

    #[test]
    fn what_belongs_to_no_vm_has_no_owner() {
        for text in
            ["", "Microsoft:", r"Microsoft:Definition\7F1B\Default", "Other:7F1B", "Micro\u{17f}oft:", VM]
        {
            assert_eq!(split_instance_id(text), None, "{text}");
        }
    }

    #[test]
    fn a_query_for_an_owner_is_plain_text() {
        let owner = parse_guid(VM).unwrap();
        assert_eq!(
            owned_by(STORAGE_SETTINGS, owner),
            format!(
                "select * from Msvm_StorageAllocationSettingData where InstanceID like 'Microsoft:{VM}%'"
            )
        );
    }
}
