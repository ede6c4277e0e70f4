//! The reading half of the inventory: rows of each class, then the disk files.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream;
use winremote::cim::Instance;

use super::disk::{VhdInfo, describe};
use super::host::{Gap, HostFacts};
use super::vm::VmFacts;
use crate::error::{Attempt, Result};
use crate::host::Host;
use crate::id::VmId;
use crate::wmi;

/// Disk files asked for at the same time; matches the connections that the client opens to one host.
const FILES_AT_ONCE: usize = 4;

/// What the host holds, by class.
pub(super) struct Rows {
    pub(super) computers: Vec<Instance>,
    pub(super) settings: Vec<Instance>,
    pub(super) storage: Vec<Instance>,
    pub(super) resources: Vec<Instance>,
    pub(super) reference_points: Vec<Instance>,
    pub(super) vss: Vec<Instance>,
    pub(super) vss_settings: Vec<Instance>,
    pub(super) operating_system: Vec<Instance>,
    pub(super) gaps: Vec<Gap>,
}

impl Rows {
    /// Without VMs and their settings there is no picture; anything else missing is a gap.
    pub(super) async fn read(host: &Host, at: &Attempt) -> Result<Self> {
        let all =
            |class: &'static str| async move { host.query(at, &format!("select * from {class}")).await };
        let system = || host.query_in(at, wmi::CIMV2, "select * from Win32_OperatingSystem");
        let (computers, settings, storage, resources, points, vss, vss_settings, os) = tokio::join!(
            all(wmi::COMPUTER_SYSTEM),
            all(wmi::SYSTEM_SETTINGS),
            all(wmi::STORAGE_SETTINGS),
            all(wmi::RESOURCE_SETTINGS),
            all(wmi::REFERENCE_POINT),
            all(wmi::VSS_COMPONENT),
            all(wmi::VSS_SETTINGS),
            system(),
        );
        let mut gaps = Vec::new();
        let mut or_gap = |rows: Result<Vec<Instance>>, what: &str| {
            rows.unwrap_or_else(|error| {
                gaps.push(Gap::new(what, error.to_string()));
                Vec::new()
            })
        };
        Ok(Self {
            computers: computers?,
            settings: settings?,
            storage: storage?,
            resources: or_gap(resources, "pass-through disks of all VMs"),
            reference_points: or_gap(points, "reference points of all VMs"),
            vss: or_gap(vss, "guest backup services of all VMs"),
            vss_settings: or_gap(vss_settings, "settings of the guest backup services of all VMs"),
            operating_system: or_gap(os, "Windows version of the host"),
            gaps,
        })
    }

    pub(super) fn host_facts(&self, host: &Host, gaps: &mut Vec<Gap>) -> HostFacts {
        let system = self.operating_system.first();
        let read = |name| system.and_then(|row| row.get_opt_str(name).ok().flatten()).map(str::to_owned);
        let os_version = read("Version").unwrap_or_else(|| host.os_version().to_owned());
        let product = read("Caption").unwrap_or_default();
        if os_version.is_empty() {
            gaps.push(Gap::new("Windows version of the host", "it does not say"));
        }
        HostFacts { name: host.computer_name().to_owned(), os_version, product }
    }
}

/// A disk file to ask for: which VM, which of its disks, which path, and whether the setting marks it as shared.
pub(super) struct FileToRead {
    pub(super) vm: VmId,
    pub(super) index: usize,
    pub(super) path: String,
    pub(super) shared: bool,
}

/// Fills in what only the image service knows.
pub(super) async fn fill_disks(
    host: &Host,
    vms: &mut BTreeMap<VmId, VmFacts>,
    files: Vec<FileToRead>,
    gaps: &mut Vec<Gap>,
) {
    let mut answers = stream::iter(files)
        .map(|file| async move {
            let info = host.vhd_info(&file.path).await;
            (file, info)
        })
        .buffered(FILES_AT_ONCE);
    while let Some((file, info)) = answers.next().await {
        let info = info.map_err(|error| {
            gaps.push(Gap::new(format!("disk {}", file.path), error.to_string()));
        });
        let disk = vms.get_mut(&file.vm).and_then(|vm| vm.disks.get_mut(file.index));
        if let Some(disk) = disk {
            describe(disk, info.ok().as_ref(), file.shared);
        }
    }
}

impl Host {
    /// What the image service says about a disk file.
    pub(crate) async fn vhd_info(&self, path: &str) -> Result<VhdInfo> {
        let at = self.at(format!("describing disk {path}"));
        VhdInfo::ask(self, &at, path).await
    }
}
