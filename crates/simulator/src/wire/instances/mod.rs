//! The objects of the host as CIM instances, built on demand from the model.
//!
//! Nothing is stored here: what a client reads is the model at that moment, so no copy can be out of date.

mod host_objects;
pub(crate) mod job_objects;
mod points;
mod services;
mod settings;
mod systems;

use std::collections::BTreeMap;

use winremote::cim::{Instance, Reference};

use super::schema;
use crate::host::jobs::Job;
use crate::host::{Busy, HostCore, Identity};
use crate::ids::SimVmId;
use crate::model::HostModel;

pub(crate) use settings::Owner;

/// The host at one moment.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) model: HostModel,
    pub(crate) busy: BTreeMap<SimVmId, Busy>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) identity: Identity,
    pub(crate) now_unix_ms: u64,
    pub(crate) job_life: std::time::Duration,
}

impl View {
    /// A copy of the host's state.
    pub(crate) fn of(core: &HostCore) -> View {
        let mut state = core.state();
        View {
            jobs: state.jobs.all().cloned().collect(),
            job_life: state.jobs.life(),
            model: state.model.clone(),
            busy: state.busy.clone(),
            identity: core.identity.clone(),
            now_unix_ms: core.clock.unix_ms(),
        }
    }

    /// All instances of a class and of those that derive from it.
    pub(crate) fn instances_of(&self, namespace: &str, class: &str) -> Vec<Instance> {
        let derived = schema::classes_in(namespace).filter(|found| schema::is_a(&found.name, class));
        derived.flat_map(|found| self.exactly(&found.name)).map(schema::complete).collect()
    }

    /// The object that a reference names; its keys may be a part of all keys of the class.
    pub(crate) fn find(&self, target: &Reference) -> Option<Instance> {
        let namespace = if target.namespace.is_empty() { schema::VIRTUALIZATION } else { &target.namespace };
        let fits = |instance: &Instance| {
            target.keys().all(|(name, wanted)| {
                instance
                    .get_opt_str(name)
                    .ok()
                    .flatten()
                    .is_some_and(|found| found.eq_ignore_ascii_case(wanted))
            })
        };
        self.instances_of(namespace, &target.class).into_iter().find(fits)
    }

    fn exactly(&self, class: &str) -> Vec<Instance> {
        match class {
            "Msvm_ComputerSystem" => self.computer_systems(),
            "Msvm_VirtualSystemSettingData" => self.system_settings(),
            "Msvm_VssComponent" => self.vss_components(),
            "Msvm_VirtualSystemReferencePoint" => self.reference_points(),
            "Msvm_ConcreteJob" | "Msvm_StorageJob" => self.job_objects(class),
            "Win32_OperatingSystem" => vec![self.operating_system()],
            "Win32_ComputerSystem" => vec![self.host_computer()],
            service if schema::is_a(service, "CIM_Service") => self.services(service),
            setting if schema::is_a(setting, "CIM_SettingData") => self.settings_of_class(setting),
            _ => Vec::new(),
        }
    }
}
