//! The pure half of making a VM: which settings of the definition become devices, and what each hangs on.

use winremote::cim::Reference;

use super::NewVm;
use crate::error::{Error, Result};
use crate::inventory::Gap;
use crate::path_map::HostPath;
use crate::vm_definition::{Setting, VmDefinition};
use crate::wmi;

/// The devices to make, checked: every drive's controller and every image's drive is there.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) system: &'a Setting,
    pub(super) memory: Option<&'a Setting>,
    pub(super) processor: Option<&'a Setting>,
    pub(super) controllers: Vec<Controller<'a>>,
    pub(super) adapters: Vec<&'a Setting>,
    pub(super) left_out: Vec<Gap>,
}

/// A controller with its drives.
#[derive(Debug)]
pub(super) struct Controller<'a> {
    pub(super) setting: &'a Setting,
    pub(super) drives: Vec<Drive<'a>>,
}

/// A drive, with the disk in it.
#[derive(Debug)]
pub(super) struct Drive<'a> {
    pub(super) setting: &'a Setting,
    pub(super) image: Option<Image<'a>>,
}

/// A disk to attach.
#[derive(Debug)]
pub(super) struct Image<'a> {
    pub(super) setting: &'a Setting,
    pub(super) path: &'a str,
}

impl<'a> Layout<'a> {
    pub(super) fn of(definition: &'a VmDefinition, new: &'a NewVm) -> Result<Self> {
        let lacks = |what: String| Error::DefinitionIncomplete { vm: definition.vm, what };
        let of_class =
            |class: &str| definition.settings.iter().find(|one| one.class.eq_ignore_ascii_case(class));
        let system = of_class(wmi::SYSTEM_SETTINGS)
            .ok_or_else(|| lacks("the settings of the VM itself".to_owned()))?;
        let mut left_out = Vec::new();
        let mut images = images(definition, new, &mut left_out).map_err(lacks)?;
        let mut drives = drives(definition, &mut images)?;
        let mut controllers = Vec::new();
        for setting in of_subtype(definition, &[wmi::IDE_CONTROLLER, wmi::SCSI_CONTROLLER]) {
            let (on_it, rest) = drives.into_iter().partition(|drive| hangs_on(drive.setting, setting));
            drives = rest;
            controllers.push(Controller { setting, drives: on_it });
        }
        if let Some(drive) = drives.iter().find(|drive| drive.image.is_some()) {
            return Err(lacks(format!("the controller of drive {}", instance_id(drive.setting))));
        }
        let adapters = of_subtype(definition, &[wmi::SYNTHETIC_NIC, wmi::EMULATED_NIC]).collect();
        note_what_stays_behind(definition, &mut left_out);
        let (memory, processor) = (of_class(wmi::MEMORY_SETTINGS), of_class(wmi::PROCESSOR_SETTINGS));
        Ok(Self { system, memory, processor, controllers, adapters, left_out })
    }
}

/// The disks to attach. Each one asked for must be in the definition, and its path one that the host can have.
fn images<'a>(
    definition: &'a VmDefinition,
    new: &'a NewVm,
    left_out: &mut Vec<Gap>,
) -> Result<Vec<Image<'a>>, String> {
    let mut images = Vec::new();
    for (attachment, path) in &new.disks {
        HostPath::parse(path).map_err(|error| format!("a usable place for disk {attachment}: {error}"))?;
        let setting = of_subtype(definition, &[wmi::DISK_IMAGE])
            .find(|setting| attachment_of(setting).eq_ignore_ascii_case(attachment))
            .ok_or_else(|| format!("the disk at {attachment}"))?;
        images.push(Image { setting, path });
    }
    for setting in of_subtype(definition, &[wmi::DISK_IMAGE]) {
        let attachment = attachment_of(setting);
        if !new.disks.iter().any(|(wanted, _)| wanted.eq_ignore_ascii_case(&attachment)) {
            left_out.push(Gap::new(format!("disk at {attachment}"), "no file was given for it"));
        }
    }
    Ok(images)
}

/// Disk drives that get an image, and all optical drives, which stay empty.
fn drives<'a>(definition: &'a VmDefinition, images: &mut Vec<Image<'a>>) -> Result<Vec<Drive<'a>>> {
    let mut drives = Vec::new();
    for setting in of_subtype(definition, &[wmi::DISK_DRIVE, wmi::OPTICAL_DRIVE]) {
        let place = images.iter().position(|image| hangs_on(image.setting, setting));
        let image = place.map(|place| images.swap_remove(place));
        if image.is_some() || is_subtype(setting, wmi::OPTICAL_DRIVE) {
            drives.push(Drive { setting, image });
        }
    }
    match images.first() {
        None => Ok(drives),
        Some(image) => Err(Error::DefinitionIncomplete {
            vm: definition.vm,
            what: format!("the drive of disk {}", attachment_of(image.setting)),
        }),
    }
}

fn note_what_stays_behind(definition: &VmDefinition, left_out: &mut Vec<Gap>) {
    for setting in of_subtype(definition, &[wmi::NIC_CONNECTION]) {
        if setting.text("HostResource").is_some_and(|switch| !switch.is_empty()) {
            let switch = setting.text("LastKnownSwitchName").unwrap_or("a virtual switch");
            left_out
                .push(Gap::new(format!("connection to {switch}"), "network adapters are left disconnected"));
        }
    }
    for setting in of_subtype(definition, &[wmi::OPTICAL_IMAGE]) {
        let file = setting.text("HostResource").unwrap_or("without a name");
        left_out.push(Gap::new(format!("optical disc {file}"), "optical drives are left empty"));
    }
    for setting in of_subtype(definition, &[wmi::PASS_THROUGH_DRIVE]) {
        let what = format!("pass-through disk at {}", attachment_of(setting));
        left_out.push(Gap::new(what, "physical disks are not attached to a new VM"));
    }
    let tpm = definition.settings.iter().any(|setting| {
        setting.class.eq_ignore_ascii_case("Msvm_SecuritySettingData")
            && setting.text("TpmEnabled").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    });
    if tpm {
        left_out.push(Gap::new("virtual TPM", "its state and key protector are not part of the definition"));
    }
}

fn of_subtype<'a>(
    definition: &'a VmDefinition,
    subtypes: &'a [&'a str],
) -> impl Iterator<Item = &'a Setting> + use<'a> {
    definition.settings.iter().filter(|setting| subtypes.iter().any(|subtype| is_subtype(setting, subtype)))
}

pub(super) fn is_subtype(setting: &Setting, wanted: &str) -> bool {
    setting.text("ResourceSubType").is_some_and(|found| found.eq_ignore_ascii_case(wanted))
}

/// Whether the object path in `child`'s `Parent` names `parent`. The host's name in the path does not matter.
fn hangs_on(child: &Setting, parent: &Setting) -> bool {
    let path = child.text("Parent").and_then(|path| Reference::parse_object_path(path).ok());
    path.as_ref()
        .and_then(|path| path.key("InstanceID"))
        .is_some_and(|id| id.eq_ignore_ascii_case(instance_id(parent)))
}

fn instance_id(setting: &Setting) -> &str {
    setting.text("InstanceID").unwrap_or_default()
}

fn attachment_of(setting: &Setting) -> String {
    let id = instance_id(setting);
    wmi::split_instance_id(id).map_or_else(|| id.to_ascii_uppercase(), |(_, device)| device)
}
