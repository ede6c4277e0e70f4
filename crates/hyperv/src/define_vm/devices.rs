//! The acting half of making a VM: devices, one after the other.
//!
//! A device that was just added is found as the one that was not there before. That works alike for hosts that
//! answer at once, as a job, or not at all.

use std::collections::BTreeSet;

use winremote::cim::{Instance, Reference};

use super::layout::{Controller, Drive, Image, Layout, is_subtype};
use super::typed::{
    ADAPTER, CONTROLLER, DRIVE, IMAGE, MEMORY, PROCESSOR, Properties, typed_instance, typed_of_class,
};
use crate::call::{Call, Ended, bad_answer, effect_or};
use crate::error::{Attempt, Error, Result};
use crate::host::Host;
use crate::id::VmId;
use crate::inventory::Gap;
use crate::vm_definition::Setting;
use crate::wmi;

/// What making devices needs to know.
struct Site<'a> {
    host: &'a Host,
    at: &'a Attempt,
    vm: &'a VmId,
}

impl Host {
    /// Gives a bare VM its memory, processors and devices, and checks that its disks are there.
    pub(super) async fn equip(
        &self,
        at: &Attempt,
        vm: &VmId,
        layout: &Layout<'_>,
        left_out: &mut Vec<Gap>,
    ) -> Result<()> {
        let site = Site { host: self, at, vm };
        site.adjust("memory settings", wmi::MEMORY_SETTINGS, layout.memory, MEMORY, left_out).await?;
        site.adjust("processor settings", wmi::PROCESSOR_SETTINGS, layout.processor, PROCESSOR, left_out)
            .await?;
        for controller in &layout.controllers {
            site.add_controller(controller, left_out).await?;
        }
        for adapter in &layout.adapters {
            site.add_adapter(adapter, left_out).await?;
        }
        site.check_disks(layout).await
    }
}

impl Site<'_> {
    /// Memory and processors are there from the start and only get their figures. A smaller host may refuse them;
    /// then its defaults stay.
    async fn adjust(
        &self,
        what: &str,
        class: &str,
        setting: Option<&Setting>,
        properties: Properties,
        left_out: &mut Vec<Gap>,
    ) -> Result<()> {
        let Some(setting) = setting else { return Ok(()) };
        let rows = self.host.query(self.at, &wmi::owned_by(class, self.vm.guid())).await?;
        let Some(id) = rows.first().and_then(|row| row.get_str("InstanceID").ok()) else {
            left_out.push(Gap::new(what, "the new VM has none of its own"));
            return Ok(());
        };
        let changed = typed_instance(setting, properties, left_out).with("InstanceID", id);
        let call = Call {
            target: wmi::service(wmi::MANAGEMENT_SERVICE),
            method: "ModifyResourceSettings",
            arguments: vec![("ResourceSettings", vec![changed].into())],
            within: super::STEP_WITHIN,
        };
        let changed = match self.host.run(self.at, call).await {
            Ok(Ended::Now(_) | Ended::Job(_)) => Ok(()),
            Ok(Ended::Unseen(error)) | Err(error) => Err(error),
        };
        unless_refused(changed, what, left_out)
    }

    async fn add_controller(&self, controller: &Controller<'_>, left_out: &mut Vec<Gap>) -> Result<()> {
        let path = match self.existing_controller(controller.setting).await? {
            Some(path) => path,
            None => self.add(typed_instance(controller.setting, CONTROLLER, left_out)).await?,
        };
        for drive in &controller.drives {
            let added = self.add_drive(drive, &path, left_out).await;
            match drive.image {
                Some(_) => added?,
                None => unless_refused(added, "optical drive", left_out)?,
            }
        }
        Ok(())
    }

    /// A VM of generation 1 has its two IDE controllers from the start; they are told apart by `Address`.
    async fn existing_controller(&self, wanted: &Setting) -> Result<Option<String>> {
        if !is_subtype(wanted, wmi::IDE_CONTROLLER) {
            return Ok(None);
        }
        let rows = self.resources().await?;
        let same = rows.iter().find(|row| {
            let text = |name| row.get_opt_str(name).ok().flatten();
            text("ResourceSubType").is_some_and(|found| found.eq_ignore_ascii_case(wmi::IDE_CONTROLLER))
                && text("Address") == wanted.text("Address")
        });
        same.map(|row| self.path_of(row)).transpose()
    }

    async fn add_drive(&self, drive: &Drive<'_>, controller: &str, left_out: &mut Vec<Gap>) -> Result<()> {
        let path = match self.existing_drive(drive.setting, controller).await? {
            Some(path) => path,
            None => {
                let wanted = typed_instance(drive.setting, DRIVE, left_out).with("Parent", controller);
                self.add(wanted).await?
            }
        };
        match &drive.image {
            Some(image) => self.add_image(image, &path, left_out).await,
            None => Ok(()),
        }
    }

    /// Some hosts give a new VM an optical drive; the place is taken, and the drive is what was wanted.
    async fn existing_drive(&self, wanted: &Setting, controller: &str) -> Result<Option<String>> {
        let rows = self.resources().await?;
        let controller = Reference::parse_object_path(controller).ok();
        let same = rows.iter().find(|row| {
            let text = |name| row.get_opt_str(name).ok().flatten();
            let parent = text("Parent").and_then(|path| Reference::parse_object_path(path).ok());
            parent.zip(controller.as_ref()).is_some_and(|(parent, controller)| parent.same_object(controller))
                && text("AddressOnParent") == wanted.text("AddressOnParent")
                && text("ResourceSubType") == wanted.text("ResourceSubType")
        });
        same.map(|row| self.path_of(row)).transpose()
    }

    async fn add_image(&self, image: &Image<'_>, drive: &str, left_out: &mut Vec<Gap>) -> Result<()> {
        let wanted = typed_instance(image.setting, IMAGE, left_out)
            .with("Parent", drive)
            .with("HostResource", vec![image.path]);
        match self.host.add_resource(self.at, self.vm, wanted).await? {
            None => Ok(()),
            Some(error) => {
                let path = &image.path.to_lowercase();
                let look = || async move { Ok(self.attached().await?.contains(path).then_some(())) };
                effect_or(error, look).await
            }
        }
    }

    /// The adapter keeps its VMBus identity, so that the guest finds its address settings, and a fixed MAC address;
    /// a MAC address from the host's pool is drawn anew.
    async fn add_adapter(&self, adapter: &Setting, left_out: &mut Vec<Gap>) -> Result<()> {
        let mut wanted = typed_of_class(adapter, &adapter.class, ADAPTER, left_out);
        if !wanted.get_bool("StaticMacAddress").unwrap_or(false) {
            wanted.remove("Address");
        }
        let added = match self.host.add_resource(self.at, self.vm, wanted).await {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(error),
        };
        unless_refused(added, "network adapter", left_out)
    }

    /// Adds a controller or drive and returns its object path.
    async fn add(&self, device: Instance) -> Result<String> {
        let before: BTreeSet<String> = self.resources().await?.iter().filter_map(id_of).collect();
        let subtype = device.get_str("ResourceSubType").unwrap_or_default().to_owned();
        let unseen = self.host.add_resource(self.at, self.vm, device).await?;
        let (before, subtype) = (&before, subtype.as_str());
        let look = || async move {
            let mut new = self.resources().await?;
            new.retain(|row| {
                let added = id_of(row).is_some_and(|id| !before.contains(&id));
                added && row.get_str("ResourceSubType").is_ok_and(|found| found.eq_ignore_ascii_case(subtype))
            });
            match new.as_slice() {
                [] => Ok(None),
                [row] => self.path_of(row).map(Some),
                _ => Err(bad_answer(self.at, &format!("more than one {subtype} appeared"))),
            }
        };
        match unseen {
            Some(error) => effect_or(error, look).await,
            None => {
                look().await?.ok_or_else(|| bad_answer(self.at, &format!("the added {subtype} is not there")))
            }
        }
    }

    async fn resources(&self) -> Result<Vec<Instance>> {
        self.host.query(self.at, &wmi::owned_by(wmi::RESOURCE_SETTINGS, self.vm.guid())).await
    }

    /// The object path of a device, with this host's name in it.
    fn path_of(&self, row: &Instance) -> Result<String> {
        let id = row.get_str("InstanceID").map_err(|error| bad_answer(self.at, &error))?;
        let reference = Reference::new(wmi::NAMESPACE, wmi::RESOURCE_SETTINGS)
            .on_host(self.host.computer_name())
            .with_key("InstanceID", id);
        Ok(reference.to_object_path())
    }

    async fn attached(&self) -> Result<BTreeSet<String>> {
        let disks = self.host.storage_of(self.at, self.vm.guid()).await?;
        Ok(disks.into_iter().map(|disk| disk.path.to_lowercase()).collect())
    }

    /// The VM is only right when every disk hangs on it.
    async fn check_disks(&self, layout: &Layout<'_>) -> Result<()> {
        let attached = self.attached().await?;
        let images =
            layout.controllers.iter().flat_map(|one| &one.drives).filter_map(|drive| drive.image.as_ref());
        for image in images {
            if !attached.contains(&image.path.to_lowercase()) {
                return Err(bad_answer(
                    self.at,
                    &format!("disk {} is not attached to the new VM", image.path),
                ));
            }
        }
        Ok(())
    }
}

/// A VM with its disks is worth more than none: what else the host refuses is left out and told. A call that did
/// not come through is an error all the same.
fn unless_refused(done: Result<()>, what: &str, left_out: &mut Vec<Gap>) -> Result<()> {
    match done {
        Err(error @ (Error::Refused { .. } | Error::JobFailed { .. })) => {
            left_out.push(Gap::new(what, error.to_string()));
            Ok(())
        }
        done => done,
    }
}

fn id_of(row: &Instance) -> Option<String> {
    row.get_str("InstanceID").ok().map(str::to_owned)
}
