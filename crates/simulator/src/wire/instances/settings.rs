//! Settings: of a VM as it is, and of each of its checkpoints as it was (WMI notes 1.3 to 1.5).

use winremote::cim::{Instance, Value};

use super::View;
use crate::host::integration;
use crate::model::{Checkpoint, DiskChain, Drive, Hardware, Nic, Vm};
use crate::wire::names::{self, controller_part, disk_part, drive_part, instance_id, path};
use crate::wire::schema;
use crate::wire::values::{moment, texts, typed};

const SYSTEM: &str = "Msvm_VirtualSystemSettingData";
const RESOURCE: &str = "Msvm_ResourceAllocationSettingData";

/// Whose settings: a VM's active ones, or those of one of its checkpoints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) vm: &'a Vm,
    pub(crate) checkpoint: Option<&'a Checkpoint>,
}

impl<'a> Owner<'a> {
    /// The GUID that stands in InstanceIDs.
    pub(crate) fn text(&self) -> String {
        self.checkpoint.map_or_else(|| self.vm.id.text(), |checkpoint| checkpoint.id.text())
    }

    fn hardware(&self) -> &'a Hardware {
        self.checkpoint.map_or(&self.vm.hardware, |checkpoint| &checkpoint.hardware)
    }
}

impl View {
    /// Every VM's active settings, each followed by those of its checkpoints.
    pub(crate) fn owners(&self) -> Vec<Owner<'_>> {
        let mut owners = Vec::new();
        for vm in self.model.vms_in_order() {
            owners.push(Owner { vm, checkpoint: None });
            let of_checkpoint = |checkpoint| Owner { vm, checkpoint: Some(checkpoint) };
            owners.extend(vm.checkpoints_in_order().into_iter().map(of_checkpoint));
        }
        owners
    }

    /// `Msvm_VirtualSystemSettingData`.
    pub(super) fn system_settings(&self) -> Vec<Instance> {
        self.owners().iter().map(|owner| self.system_setting(owner)).collect()
    }

    /// Device settings of one class.
    pub(super) fn settings_of_class(&self, class: &str) -> Vec<Instance> {
        let all = self.owners().into_iter().flat_map(|owner| self.device_settings(&owner));
        all.filter(|setting| setting.class == class).collect()
    }

    /// The system settings of a VM or checkpoint.
    pub(crate) fn system_setting(&self, owner: &Owner<'_>) -> Instance {
        let (vm, id) = (owner.vm, owner.text());
        let (kind, file, name, created) = match owner.checkpoint {
            None => ("System:Realized", "Virtual Machines", &vm.name, vm.created_unix_ms),
            Some(point) => ("Snapshot:Recovery", "Snapshots", &point.name, point.created_unix_ms),
        };
        let folder = vm.folder.as_str();
        let mut setting = Instance::new(SYSTEM)
            .with("Caption", "Virtual Machine Settings")
            .with("Description", "Active settings for the virtual machine.")
            .with("AutomaticStartupAction", 3_u16)
            .with("AutomaticShutdownAction", 3_u16)
            .with("AutomaticRecoveryAction", 3_u16)
            .with("AutomaticCriticalErrorAction", 1_u16)
            .with("UserSnapshotType", 3_u16)
            .with("VirtualNumaEnabled", true)
            .with("SecureBootEnabled", vm.generation == 2);
        for (property, texts) in &vm.settings {
            given(&mut setting, property, texts);
        }
        setting
            .with("InstanceID", instance_id(&id, ""))
            .with("ElementName", name.as_str())
            .with("VirtualSystemIdentifier", vm.id.text())
            .with("ConfigurationID", id.as_str())
            .with("VirtualSystemType", format!("Microsoft:Hyper-V:{kind}"))
            .with("VirtualSystemSubType", format!("Microsoft:Hyper-V:SubType:{}", vm.generation))
            .with("Version", vm.version.as_str())
            .with("CreationTime", moment(created))
            .with("ConfigurationDataRoot", folder)
            .with("ConfigurationFile", format!(r"{file}\{id}.vmcx"))
            .with("GuestStateDataRoot", folder)
            .with("GuestStateFile", format!(r"{file}\{id}.vmgs"))
            .with("SnapshotDataRoot", folder)
            .with("SuspendDataRoot", folder)
            .with("SwapFileDataRoot", folder)
            .with("LogDataRoot", folder)
            .with("IncrementalBackupEnabled", false)
            .with("IsSaved", false)
            .with("IsAutomaticSnapshot", false)
    }

    /// The settings of all devices of a VM or checkpoint.
    pub(crate) fn device_settings(&self, owner: &Owner<'_>) -> Vec<Instance> {
        let hardware = owner.hardware();
        let mut settings = vec![self.memory(owner), self.processor(owner), vss_setting(owner)];
        for (number, controller) in hardware.controllers.iter().enumerate() {
            settings.push(scsi_controller(owner, number, controller));
        }
        for drive in &hardware.drives {
            settings.push(self.drive(owner, drive));
            settings.extend(drive.disk.as_ref().map(|disk| self.disk(owner, drive, disk)));
        }
        for nic in &hardware.nics {
            settings.extend(self.network(owner, nic));
        }
        settings
    }

    fn memory(&self, owner: &Owner<'_>) -> Instance {
        let mib = owner.hardware().memory_mib;
        resource(owner, "Msvm_MemorySettingData", names::MEMORY, 4, "Memory")
            .with("AllocationUnits", "byte * 2^20")
            .with("VirtualQuantityUnits", "byte * 2^20")
            .with("VirtualQuantity", mib)
            .with("Reservation", mib)
            .with("Limit", mib)
            .with("Weight", 5000_u32)
            .with("DynamicMemoryEnabled", false)
            .with("TargetMemoryBuffer", 20_u32)
    }

    fn processor(&self, owner: &Owner<'_>) -> Instance {
        resource(owner, "Msvm_ProcessorSettingData", names::PROCESSOR, 3, "Processor")
            .with("AllocationUnits", "percent / 1000")
            .with("VirtualQuantityUnits", "count")
            .with("VirtualQuantity", owner.hardware().processors)
            .with("Reservation", 0_u64)
            .with("Limit", 100_000_u64)
            .with("Weight", 100_u32)
    }

    fn drive(&self, owner: &Owner<'_>, drive: &Drive) -> Instance {
        let controller = instance_id(&owner.text(), &controller_part(&drive.slot.controller));
        resource(owner, RESOURCE, &drive_part(&drive.slot), 17, "Synthetic Disk Drive")
            .with("Parent", path(&self.model.name, RESOURCE, &controller))
            .with("AddressOnParent", drive.slot.lun.to_string())
            .with("VirtualQuantity", 1_u64)
    }

    fn disk(&self, owner: &Owner<'_>, drive: &Drive, disk: &DiskChain) -> Instance {
        let parent = instance_id(&owner.text(), &drive_part(&drive.slot));
        let file = disk.leaf().map_or("", |file| file.as_str());
        resource(owner, "Msvm_StorageAllocationSettingData", &disk_part(&drive.slot), 31, "Virtual Hard Disk")
            .with("Parent", path(&self.model.name, RESOURCE, &parent))
            .with("HostResource", texts([file]))
            .with("Access", 3_u16)
            .with("CachingMode", 2_u16)
            .with("WriteHardeningMethod", 0_u16)
            .with("PersistentReservationsSupported", false)
            .with("IgnoreFlushes", false)
            .with("VirtualQuantity", 1_u64)
            .with("VirtualResourceBlockSize", 512_u64)
    }

    fn network(&self, owner: &Owner<'_>, nic: &Nic) -> [Instance; 2] {
        const PORT: &str = "Msvm_SyntheticEthernetPortSettingData";
        let part = crate::ids::guid_text(&nic.id);
        let port = resource(owner, PORT, &part, 10, "Synthetic Ethernet Port")
            .with("ElementName", "Network Adapter")
            .with("Address", nic.mac.as_str())
            .with("StaticMacAddress", false)
            .with("VirtualSystemIdentifiers", texts([format!("{{{part}}}")]))
            .with("VirtualQuantity", 1_u64);
        let parent = path(&self.model.name, PORT, &instance_id(&owner.text(), &part));
        let class = "Msvm_EthernetPortAllocationSettingData";
        let connection = resource(owner, class, &format!(r"{part}\C"), 33, "Ethernet Connection")
            .with("Parent", parent)
            .with("EnabledState", if nic.switch.is_some() { 2_u16 } else { 3 })
            .with("LastKnownSwitchName", nic.switch.clone())
            .with("VirtualQuantity", 1_u64);
        [port, connection]
    }
}

/// What all device settings have in common.
fn resource(owner: &Owner<'_>, class: &str, part: &str, resource_type: u16, sub_type: &str) -> Instance {
    Instance::new(class)
        .with("InstanceID", instance_id(&owner.text(), part))
        .with("Caption", sub_type)
        .with("Description", format!("Settings for the Microsoft {sub_type}."))
        .with("ElementName", sub_type)
        .with("ResourceType", resource_type)
        .with("ResourceSubType", format!("Microsoft:Hyper-V:{sub_type}"))
        .with("AutomaticAllocation", true)
        .with("AutomaticDeallocation", true)
        .with("ConsumerVisibility", 3_u16)
}

fn scsi_controller(owner: &Owner<'_>, number: usize, controller: &uuid::Uuid) -> Instance {
    let guid = crate::ids::guid_text(controller);
    resource(owner, RESOURCE, &controller_part(controller), 6, "Synthetic SCSI Controller")
        .with("ElementName", "SCSI Controller")
        .with("Address", number.to_string())
        .with("VirtualSystemIdentifiers", texts([format!("{{{guid}}}")]))
        .with("VirtualQuantity", 1_u64)
}

fn vss_setting(owner: &Owner<'_>) -> Instance {
    resource(owner, "Msvm_VssComponentSettingData", names::VSS, 1, "VSS Component")
        .with("ResourceSubType", Value::Null)
        .with("OtherResourceType", "Microsoft:Hyper-V:VSS Component")
        .with("ElementName", "Backup (volume shadow copy)")
        .with("EnabledState", integration::enabled_state(owner.vm))
}

/// A setting that a client gave when it defined the VM.
fn given(setting: &mut Instance, property: &str, texts: &[String]) {
    let Some(declared) = schema::property(SYSTEM, property) else { return };
    let mut values = texts.iter().map(|text| typed(&declared.kind, text));
    let value =
        if declared.is_array { Value::Array(values.collect()) } else { values.next().unwrap_or(Value::Null) };
    setting.set(declared.name.as_str(), value);
}
