//! The host's operating system and computer in `root/cimv2`.

use winremote::cim::Instance;

use super::View;
use crate::wire::values::moment;

/// What the host claims to have; nothing in a backup depends on it.
const MEMORY_KIB: u64 = 64 << 20;

impl View {
    /// `Win32_OperatingSystem`.
    pub(super) fn operating_system(&self) -> Instance {
        let version = self.identity.os_version.as_str();
        let build = version.rsplit('.').next().unwrap_or_default();
        let caption = self.identity.os_caption.as_str();
        Instance::new("Win32_OperatingSystem")
            .with("Name", format!(r"{caption}|C:\Windows|\Device\Harddisk0\Partition3"))
            .with("Caption", caption)
            .with("Version", version)
            .with("BuildNumber", build)
            .with("CSName", self.model.name.as_str())
            .with("OSArchitecture", "64-bit")
            .with("Manufacturer", "Microsoft Corporation")
            .with("LocalDateTime", moment(self.now_unix_ms))
            .with("ProductType", 3_u32)
            .with("OSLanguage", 1033_u32)
            .with("ServicePackMajorVersion", 0_u16)
            .with("ServicePackMinorVersion", 0_u16)
            .with("CurrentTimeZone", 0_i16)
            .with("TotalVisibleMemorySize", MEMORY_KIB)
            .with("FreePhysicalMemory", MEMORY_KIB / 2)
    }

    /// `Win32_ComputerSystem`.
    pub(super) fn host_computer(&self) -> Instance {
        let name = self.model.name.as_str();
        Instance::new("Win32_ComputerSystem")
            .with("Name", name)
            .with("Caption", name)
            .with("DNSHostName", name.to_lowercase())
            .with("Domain", "WORKGROUP")
            .with("Workgroup", "WORKGROUP")
            .with("PartOfDomain", false)
            .with("DomainRole", 2_u16)
            .with("HypervisorPresent", true)
            .with("Manufacturer", "Refpoint")
            .with("Model", "Simulated host")
            .with("SystemType", "x64-based PC")
            .with("NumberOfProcessors", 2_u32)
            .with("NumberOfLogicalProcessors", 32_u32)
            .with("TotalPhysicalMemory", MEMORY_KIB << 10)
    }
}
