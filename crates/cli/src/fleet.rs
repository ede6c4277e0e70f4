//! Looking at the registered hosts, and finding virtual machines on them by name or id.
//!
//! One host that does not answer must not hide the others: it is told as a warning as long as another answered.

use hyperv::{Host, HostInventory, VmFacts, VmId};
use serde::Serialize;

use crate::context::Context;
use crate::error::Error;
use crate::report::{Failure, Outcome};
use crate::select::near;

/// A host that answered.
pub(crate) struct SeenHost {
    pub host: Host,
    pub inventory: HostInventory,
}

/// What all asked hosts said.
pub(crate) struct Fleet {
    pub hosts: Vec<SeenHost>,
    /// Hosts that did not answer.
    pub silent: Vec<SilentHost>,
}

/// A host that did not answer, and why.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SilentHost {
    pub host: String,
    pub error: Failure,
}

/// One host and the virtual machines on it that are meant.
pub(crate) struct Chosen {
    pub seen: SeenHost,
    pub vms: Vec<VmId>,
}

impl Chosen {
    /// Names of the virtual machines, for people.
    pub(crate) fn names(&self) -> Vec<String> {
        let name =
            |id: &VmId| self.seen.inventory.vm(*id).map_or_else(|| id.to_string(), |vm| vm.name.clone());
        self.vms.iter().map(name).collect()
    }
}

impl Fleet {
    /// Looks at one registered host, or at all of them.
    ///
    /// Fails when the host that was named, or every host, does not answer.
    pub(crate) async fn look(context: &Context, only: Option<&str>) -> Outcome<Self> {
        let entries = match only {
            Some(name) => vec![context.settings.host(name)?],
            None => context.settings.hosts()?,
        };
        let mut fleet = Self { hosts: Vec::new(), silent: Vec::new() };
        for entry in &entries {
            match look_at(context, entry).await {
                Ok(seen) => fleet.hosts.push(seen),
                Err(error) => fleet.silent.push(SilentHost { host: entry.name.clone(), error }),
            }
        }
        match (fleet.hosts.is_empty(), fleet.silent.first()) {
            (true, Some(silent)) => Err(silent.error.clone()),
            (true, None) => Err(Error::NoHosts.into()),
            (false, _) => {
                fleet.warn_about_silent(context);
                Ok(fleet)
            }
        }
    }

    fn warn_about_silent(&self, context: &Context) {
        for SilentHost { host, error } in &self.silent {
            context.output.warn(&format!("host {host} did not answer: {}", error.headline()));
        }
    }

    /// The virtual machines named, grouped by host; all of them if `names` is empty.
    pub(crate) fn choose(self, names: &[String]) -> Result<Vec<Chosen>, Error> {
        let mut wanted: Vec<Vec<VmId>> = vec![Vec::new(); self.hosts.len()];
        if names.is_empty() {
            for (vms, seen) in wanted.iter_mut().zip(&self.hosts) {
                vms.extend(seen.inventory.vms.iter().map(|vm| vm.id));
            }
        }
        for name in names {
            let (host, vm) = self.find(name)?;
            // Naming a virtual machine by name and by id means it once.
            if !wanted[host].contains(&vm) {
                wanted[host].push(vm);
            }
        }
        let pairs = self.hosts.into_iter().zip(wanted);
        Ok(pairs.filter(|(_, vms)| !vms.is_empty()).map(|(seen, vms)| Chosen { seen, vms }).collect())
    }

    /// The one virtual machine of this name or id, as (position of the host, id).
    fn find(&self, name: &str) -> Result<(usize, VmId), Error> {
        let everywhere = || {
            self.hosts
                .iter()
                .enumerate()
                .flat_map(|(at, seen)| seen.inventory.vms.iter().map(move |vm| (at, vm)))
        };
        let found: Vec<(usize, &VmFacts)> = everywhere().filter(|(_, vm)| is_named(vm, name)).collect();
        match found.as_slice() {
            [(at, vm)] => Ok((*at, vm.id)),
            [] => Err(Error::VmUnknown {
                name: name.to_owned(),
                searched: self.host_names().join(", "),
                near: near(name, everywhere().map(|(_, vm)| vm.name.as_str())),
            }),
            several => Err(Error::VmAmbiguous {
                name: name.to_owned(),
                candidates: several
                    .iter()
                    .map(|(at, vm)| format!("{} on {}", vm.id, self.hosts[*at].host.name()))
                    .collect(),
            }),
        }
    }

    fn host_names(&self) -> Vec<&str> {
        self.hosts.iter().map(|seen| seen.host.name()).collect()
    }
}

/// By label as Windows compares it, or by id.
fn is_named(vm: &VmFacts, name: &str) -> bool {
    vm.name.to_lowercase() == name.to_lowercase() || vm.id.to_string().eq_ignore_ascii_case(name)
}

async fn look_at(context: &Context, entry: &crate::settings::HostEntry) -> Outcome<SeenHost> {
    let host = context.connect(entry).await?;
    let inventory = host.inventory().await?;
    Ok(SeenHost { host, inventory })
}
