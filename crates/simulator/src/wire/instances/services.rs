//! The service objects: singletons with keys (WMI notes 1.1).

use winremote::cim::Instance;

use super::View;

/// `Name` of each service. That of the reference point service is not known from any source.
const NAMES: [(&str, &str); 4] = [
    ("Msvm_VirtualSystemManagementService", "vmms"),
    ("Msvm_VirtualSystemSnapshotService", "vssnapsvc"),
    ("Msvm_VirtualSystemReferencePointService", "vsrefpointsvc"),
    ("Msvm_ImageManagementService", "vhdsvc"),
];

impl View {
    /// The one instance of a service class.
    pub(super) fn services(&self, class: &str) -> Vec<Instance> {
        let known = NAMES.iter().filter(|(service, _)| *service == class);
        known.map(|(service, name)| self.service(service, name)).collect()
    }

    fn service(&self, class: &str, name: &str) -> Instance {
        Instance::new(class)
            .with("Caption", class.trim_start_matches("Msvm_"))
            .with("ElementName", class.trim_start_matches("Msvm_"))
            .with("CreationClassName", class)
            .with("Name", name)
            .with("SystemCreationClassName", "Msvm_ComputerSystem")
            .with("SystemName", self.model.name.as_str())
            .with("EnabledState", 2_u16)
            .with("HealthState", 5_u16)
            .with("OperationalStatus", vec![2_u16])
            .with("Started", true)
            .with("StartMode", "Automatic")
            .with("Status", "OK")
    }
}
