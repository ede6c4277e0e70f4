//! Names of the host's objects: references, object paths and InstanceIDs (WMI notes 1.1, 1.3, 1.4).
//!
//! An InstanceID of settings is `Microsoft:<owner>\<rest>`. The owner is the VM for the active settings and the
//! checkpoint for a checkpoint's; the rest is the same in both, which is how a device is known across checkpoints.

use winremote::cim::Reference;

use super::schema::VIRTUALIZATION;
use crate::ids::{JobId, ReferencePointId, SimVmId};
use crate::model::Slot;

/// Fixed device part of the memory settings.
pub(crate) const MEMORY: &str = "4764334D-E001-4176-82EE-5594EC9B530E";
/// Fixed device part of the processor settings.
pub(crate) const PROCESSOR: &str = r"B637F346-6A0E-4DEC-AF52-BD70CB80A21D\0";
/// Fixed device part of the VSS component and its settings.
pub(crate) const VSS: &str = "5CED1297-4598-4915-A5FC-AD21BB4D02A4";

/// InstanceID of something that belongs to `owner`, or of the owner's system settings when `rest` is empty.
pub(crate) fn instance_id(owner: &str, rest: &str) -> String {
    if rest.is_empty() { format!("Microsoft:{owner}") } else { format!(r"Microsoft:{owner}\{rest}") }
}

/// Owner and rest of an InstanceID.
pub(crate) fn split_instance_id(id: &str) -> Option<(&str, &str)> {
    let (prefix, name) = id.split_at_checked("Microsoft:".len())?;
    let (owner, rest) = name.split_once('\\').unwrap_or((name, ""));
    (prefix.eq_ignore_ascii_case("Microsoft:") && !owner.is_empty()).then_some((owner, rest))
}

/// Device part of a SCSI controller.
pub(crate) fn controller_part(controller: &uuid::Uuid) -> String {
    format!(r"{}\0", crate::ids::guid_text(controller))
}

/// Device part of a drive.
pub(crate) fn drive_part(slot: &Slot) -> String {
    format!(r"{}\D", slot.text())
}

/// Device part of the disk in a drive.
pub(crate) fn disk_part(slot: &Slot) -> String {
    format!(r"{}\L", slot.text())
}

/// The object path of settings, as it stands in `Parent` and `HostResource`.
pub(crate) fn path(host: &str, class: &str, instance_id: &str) -> String {
    by_instance_id(class, instance_id).on_host(host).to_object_path()
}

/// A reference to an object whose key is its InstanceID.
pub(crate) fn by_instance_id(class: &str, instance_id: &str) -> Reference {
    Reference::new(VIRTUALIZATION, class).with_key("InstanceID", instance_id)
}

/// A reference to a VM.
pub(crate) fn vm(vm: SimVmId) -> Reference {
    let class = "Msvm_ComputerSystem";
    Reference::new(VIRTUALIZATION, class).with_key("CreationClassName", class).with_key("Name", vm.text())
}

/// A reference to the system settings of a VM or checkpoint.
pub(crate) fn settings(owner: &str) -> Reference {
    by_instance_id("Msvm_VirtualSystemSettingData", &instance_id(owner, ""))
}

/// A reference to a job.
pub(crate) fn job(class: &str, id: JobId) -> Reference {
    by_instance_id(class, &id.text())
}

/// A reference to a reference point.
pub(crate) fn reference_point(id: ReferencePointId, vm: SimVmId) -> Reference {
    by_instance_id("Msvm_VirtualSystemReferencePoint", &instance_id(&id.text(), ""))
        .with_key("VirtualSystemIdentifier", vm.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_id_is_owner_and_device() {
        assert_eq!(split_instance_id(r"Microsoft:AB\C\0\0\D"), Some(("AB", r"C\0\0\D")));
        assert_eq!(split_instance_id("microsoft:AB"), Some(("AB", "")));
        assert_eq!(split_instance_id("AB"), None);
        assert_eq!(split_instance_id("Microsoft:"), None);
        assert_eq!(instance_id("AB", r"C\0"), r"Microsoft:AB\C\0");
    }
}
