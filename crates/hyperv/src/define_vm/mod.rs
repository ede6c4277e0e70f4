//! Making a new VM from a kept definition, over disks that are already in place.
//!
//! The new VM gets its own identity; nothing of the original is touched. `DefineSystem` makes the bare VM, then the
//! devices follow in the order controllers → drives → images → adapters, because each names its parent by an object
//! path that exists only once the parent does. Those paths hold the host's name, so they are made from the new
//! host's and never taken over. Adapters stay disconnected: beside the original, two guests with one address would
//! disturb each other. On any failure the bare VM is removed again; disks are never deleted.
//! Source: `Msvm_VirtualSystemManagementService` class reference; order of calls as in os-win and libvirt.

mod devices;
mod layout;
mod typed;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use winremote::cim::Instance;

use crate::call::{Call, Ended, bad_answer, effect_or};
use crate::error::{Attempt, Error, Result};
use crate::host::Host;
use crate::id::VmId;
use crate::inventory::Gap;
use crate::vm_definition::VmDefinition;
use crate::wmi;

use layout::Layout;
use typed::{SYSTEM, typed_instance};

/// How long one step of making a VM may take; none moves data.
const STEP_WITHIN: Duration = Duration::from_secs(5 * 60);

/// What is to be different from the definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVm {
    /// Its label.
    pub name: String,
    /// Attachment in the definition and path of the file that is to be attached there, as the host names it. Disks
    /// of the definition that are not named here are left out.
    pub disks: Vec<(String, String)>,
    /// Folder for its configuration, as the host names it; the host's default when not given.
    pub folder: Option<String>,
}

/// A VM that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinedVm {
    /// Its new identity.
    pub id: VmId,
    /// What of the definition was left out, and why.
    pub left_out: Vec<Gap>,
}

impl Host {
    /// Makes a VM of a definition. It is registered and off.
    pub async fn define_vm(&self, definition: &VmDefinition, new: &NewVm) -> Result<DefinedVm> {
        let mut layout = Layout::of(definition, new)?;
        let at = self.at(format!("making VM {} of the definition of {}", new.name, definition.name));
        let mut left_out = std::mem::take(&mut layout.left_out);
        let id = self.define_system(&at, &layout, new, &mut left_out).await?;
        match self.equip(&at, &id, &layout, &mut left_out).await {
            Ok(()) => {
                tracing::info!(host = self.name(), vm = %id, name = %new.name, "VM made");
                Ok(DefinedVm { id, left_out })
            }
            Err(error) => {
                if let Err(undo) = self.destroy_system(&id).await {
                    tracing::warn!(host = self.name(), vm = %id, error = %undo, "a half-made VM stayed behind");
                }
                Err(error)
            }
        }
    }

    /// The bare VM: label, behaviour and firmware, without devices beyond those every VM has.
    async fn define_system(
        &self,
        at: &Attempt,
        layout: &Layout<'_>,
        new: &NewVm,
        left_out: &mut Vec<Gap>,
    ) -> Result<VmId> {
        let mut settings = typed_instance(layout.system, SYSTEM, left_out);
        settings.set("ElementName", new.name.as_str());
        if let Some(folder) = &new.folder {
            for root in ["ConfigurationDataRoot", "SnapshotDataRoot", "SwapFileDataRoot", "SuspendDataRoot"] {
                settings.set(root, folder.as_str());
            }
        }
        let before = self.vms_named(at, &new.name).await?;
        let call = Call {
            target: wmi::service(wmi::MANAGEMENT_SERVICE),
            method: "DefineSystem",
            arguments: vec![("SystemSettings", settings.into())],
            within: STEP_WITHIN,
        };
        let made = match self.run(at, call).await? {
            Ended::Now(output) => {
                let system =
                    output.values.get_reference("ResultingSystem").map_err(|error| bad_answer(at, &error))?;
                system.key("Name").map(str::to_owned)
            }
            Ended::Job(job) => {
                let made =
                    self.associators(at, &job, wmi::AFFECTED_JOB_ELEMENT, wmi::COMPUTER_SYSTEM).await?;
                made.iter().find_map(|row| row.get_str("Name").ok().map(str::to_owned))
            }
            Ended::Unseen(error) => {
                let before = &before;
                let look = || async move {
                    let now = self.vms_named(at, &new.name).await?;
                    Ok(now.difference(before).next().copied())
                };
                return effect_or(error, look).await;
            }
        };
        let made = made.ok_or_else(|| bad_answer(at, &"it does not say which VM was made"))?;
        made.parse().map_err(|error| bad_answer(at, &error))
    }

    /// VMs with this label, which need not be unique.
    async fn vms_named(&self, at: &Attempt, name: &str) -> Result<BTreeSet<VmId>> {
        let query =
            format!("select * from {} where VirtualSystemType = '{}'", wmi::SYSTEM_SETTINGS, wmi::TYPE_VM);
        let rows = self.query(at, &query).await?;
        let named = rows.iter().filter(|row| row.get_str("ElementName").is_ok_and(|label| label == name));
        Ok(named.filter_map(|row| row.get_str("VirtualSystemIdentifier").ok()?.parse().ok()).collect())
    }

    async fn destroy_system(&self, vm: &VmId) -> Result<()> {
        let at = self.at(format!("removing the half-made VM {vm}"));
        let call = Call {
            target: wmi::service(wmi::MANAGEMENT_SERVICE),
            method: "DestroySystem",
            arguments: vec![("AffectedSystem", wmi::vm_reference(*vm).into())],
            within: STEP_WITHIN,
        };
        match self.run(&at, call).await? {
            Ended::Now(_) | Ended::Job(_) => Ok(()),
            Ended::Unseen(error) => Err(error),
        }
    }

    /// Adds one device. `Unseen` is success here, since the caller looks for the device itself.
    async fn add_resource(&self, at: &Attempt, vm: &VmId, device: Instance) -> Result<Option<Error>> {
        let call = Call {
            target: wmi::service(wmi::MANAGEMENT_SERVICE),
            method: "AddResourceSettings",
            arguments: vec![
                ("AffectedConfiguration", wmi::settings_reference(vm.guid()).into()),
                ("ResourceSettings", vec![device].into()),
            ],
            within: STEP_WITHIN,
        };
        Ok(match self.run(at, call).await? {
            Ended::Now(_) | Ended::Job(_) => None,
            Ended::Unseen(error) => Some(error),
        })
    }
}
