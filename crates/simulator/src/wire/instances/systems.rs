//! `Msvm_ComputerSystem`: the host itself and its VMs; `Msvm_VssComponent` of each VM (WMI notes 1.3, 1.5).

use winremote::cim::Instance;

use super::View;
use crate::host::integration;
use crate::model::{Power, Vm};
use crate::wire::names::{self, instance_id};
use crate::wire::values::{moment, texts};

const CLASS: &str = "Msvm_ComputerSystem";

impl View {
    /// The host first, then the VMs in order of creation.
    pub(super) fn computer_systems(&self) -> Vec<Instance> {
        let vms = self.model.vms_in_order().into_iter().map(|vm| self.vm_system(vm));
        std::iter::once(self.host_system()).chain(vms).collect()
    }

    fn host_system(&self) -> Instance {
        Instance::new(CLASS)
            .with("Caption", "Hosting Computer System")
            .with("Description", "Microsoft Hosting Computer System")
            .with("CreationClassName", CLASS)
            .with("Name", self.model.name.as_str())
            .with("ElementName", self.model.name.as_str())
            .with("EnabledState", 2_u16)
            .with("RequestedState", 12_u16)
            .with("HealthState", 5_u16)
            .with("OperationalStatus", vec![2_u16])
            .with("StatusDescriptions", texts(["Operating normally"]))
            .with("Status", "OK")
    }

    fn vm_system(&self, vm: &Vm) -> Instance {
        let busy = self.busy.get(&vm.id);
        let running = vm.power == Power::Running;
        let status: Vec<u16> = std::iter::once(2).chain(busy.map(|busy| busy.status())).collect();
        let words = std::iter::once("Operating normally").chain(busy.map(|busy| busy.description()));
        Instance::new(CLASS)
            .with("Caption", "Virtual Machine")
            .with("Description", "Microsoft Virtual Machine")
            .with("CreationClassName", CLASS)
            .with("Name", vm.id.text())
            .with("ElementName", vm.name.as_str())
            .with("EnabledState", if running { 2_u16 } else { 3 })
            .with("EnabledDefault", 2_u16)
            .with("RequestedState", 12_u16)
            .with("HealthState", 5_u16)
            .with("OperationalStatus", status)
            .with("StatusDescriptions", texts(words))
            .with("InstallDate", moment(vm.created_unix_ms))
            .with("TimeOfLastStateChange", moment(vm.created_unix_ms))
            .with("TimeOfLastConfigurationChange", moment(vm.created_unix_ms))
            .with(
                "LastSuccessfulBackupTime",
                vm.last_backup_unix_ms.map_or(winremote::cim::Value::Null, moment),
            )
            .with(
                "OnTimeInMilliseconds",
                if running { self.now_unix_ms - vm.created_unix_ms.min(self.now_unix_ms) } else { 0 },
            )
            .with("ProcessID", running.then_some(4000_u32))
            .with("NumberOfNumaNodes", 1_u16)
            .with("EnhancedSessionModeState", 6_u16)
            .with("ReplicationState", 0_u16)
            .with("ReplicationHealth", 0_u16)
            .with("ReplicationMode", 0_u16)
    }

    /// One component per VM.
    pub(super) fn vss_components(&self) -> Vec<Instance> {
        self.model.vms_in_order().into_iter().map(vss_component).collect()
    }
}

fn vss_component(vm: &Vm) -> Instance {
    Instance::new("Msvm_VssComponent")
        .with("Caption", "Backup (volume shadow copy)")
        .with("Description", "Microsoft VSS Component")
        .with("ElementName", "Backup (volume shadow copy)")
        .with("CreationClassName", "Msvm_VssComponent")
        .with("DeviceID", instance_id(&vm.id.text(), names::VSS))
        .with("SystemCreationClassName", CLASS)
        .with("SystemName", vm.id.text())
        .with("EnabledState", integration::enabled_state(vm))
        .with("HealthState", 5_u16)
        .with("OperationalStatus", integration::operational_status(vm))
}
