//! Associations: which object leads to which, under which association class and in which roles (WMI notes 1.9).
//!
//! They are functions over the model, not stored objects. `references of` builds the association objects from the
//! same table.

use winremote::cim::{Instance, Reference};

use super::instances::{Owner, View};
use super::names::{self, instance_id, split_instance_id};
use super::schema;
use crate::model::Vm;

/// One association class with the roles of its two ends.
struct Association {
    class: &'static str,
    /// Role of the end that [`Association::forward`] starts from.
    from: &'static str,
    to: &'static str,
    /// From the first end to the second.
    forward: fn(&View, &Instance) -> Vec<Instance>,
    /// From the second end to the first.
    backward: fn(&View, &Instance) -> Vec<Instance>,
}

const ASSOCIATIONS: [Association; 6] = [
    Association {
        class: "Msvm_SettingsDefineState",
        from: "ManagedElement",
        to: "SettingData",
        forward: defined_by,
        backward: defines,
    },
    Association {
        class: "Msvm_VirtualSystemSettingDataComponent",
        from: "GroupComponent",
        to: "PartComponent",
        forward: parts,
        backward: whole,
    },
    Association {
        class: "Msvm_SnapshotOfVirtualSystem",
        from: "Antecedent",
        to: "Dependent",
        forward: snapshots,
        backward: vm_of_snapshot,
    },
    Association {
        class: "Msvm_ReferencePointOfVirtualSystem",
        from: "Antecedent",
        to: "Dependent",
        forward: reference_points,
        backward: vm_of_reference_point,
    },
    Association {
        class: "Msvm_SystemDevice",
        from: "GroupComponent",
        to: "PartComponent",
        forward: devices,
        backward: system_of_device,
    },
    Association {
        class: "Msvm_AffectedJobElement",
        from: "AffectingElement",
        to: "AffectedElement",
        forward: affected,
        backward: jobs_affecting,
    },
];

/// One object found through an association.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Associated {
    pub(crate) association: &'static str,
    pub(crate) source_role: &'static str,
    pub(crate) result_role: &'static str,
    pub(crate) object: Instance,
}

/// Whether there is an association of this name.
pub(crate) fn is_known(class: &str) -> bool {
    ASSOCIATIONS.iter().any(|association| association.class.eq_ignore_ascii_case(class))
}

/// Everything that the source leads to.
pub(crate) fn of(view: &View, source: &Instance) -> Vec<Associated> {
    let mut found = Vec::new();
    for association in &ASSOCIATIONS {
        let Association { class, from, to, forward, backward } = *association;
        let mut put = |objects: Vec<Instance>, source_role, result_role| {
            found.extend(objects.into_iter().map(|object| Associated {
                association: class,
                source_role,
                result_role,
                object: schema::complete(object),
            }));
        };
        put(forward(view, source), from, to);
        put(backward(view, source), to, from);
    }
    found
}

/// The association object itself.
pub(crate) fn as_object(source: &Instance, associated: &Associated) -> Option<Instance> {
    let object = Instance::new(associated.association)
        .in_namespace(schema::VIRTUALIZATION)
        .with(associated.source_role, schema::reference(source)?)
        .with(associated.result_role, schema::reference(&associated.object)?);
    Some(object)
}

fn text<'a>(instance: &'a Instance, property: &str) -> &'a str {
    instance.get_opt_str(property).ok().flatten().unwrap_or_default()
}

fn vm_named<'a>(view: &'a View, guid: &str) -> Option<&'a Vm> {
    view.model.vms.get(&guid.parse().ok()?)
}

/// The VM that an `Msvm_ComputerSystem` is.
fn vm_of_system<'a>(view: &'a View, system: &Instance) -> Option<&'a Vm> {
    system.is_class("Msvm_ComputerSystem").then(|| vm_named(view, text(system, "Name"))).flatten()
}

fn system(view: &View, guid: &str) -> Vec<Instance> {
    let name = Reference::new(schema::VIRTUALIZATION, "Msvm_ComputerSystem").with_key("Name", guid);
    view.find(&name).into_iter().collect()
}

/// The owner of settings with this InstanceID, and the device part.
fn owner_of<'a>(view: &'a View, id: &str) -> Option<(Owner<'a>, String)> {
    let (guid, rest) = split_instance_id(id)?;
    let owner = view.owners().into_iter().find(|owner| owner.text().eq_ignore_ascii_case(guid))?;
    Some((owner, rest.to_owned()))
}

fn defined_by(view: &View, source: &Instance) -> Vec<Instance> {
    if let Some(vm) = vm_of_system(view, source) {
        return vec![view.system_setting(&Owner { vm, checkpoint: None })];
    }
    if !source.is_class("Msvm_VssComponent") {
        return Vec::new();
    }
    let setting = instance_id(text(source, "SystemName"), names::VSS);
    view.find(&names::by_instance_id("Msvm_VssComponentSettingData", &setting)).into_iter().collect()
}

fn defines(view: &View, source: &Instance) -> Vec<Instance> {
    match owner_of(view, text(source, "InstanceID")) {
        Some((Owner { vm, checkpoint: None }, rest)) => match source.class.as_str() {
            "Msvm_VirtualSystemSettingData" if rest.is_empty() => system(view, &vm.id.text()),
            "Msvm_VssComponentSettingData" => devices_of(view, vm),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn parts(view: &View, source: &Instance) -> Vec<Instance> {
    match owner_of(view, text(source, "InstanceID")) {
        Some((owner, rest)) if rest.is_empty() && source.is_class("Msvm_VirtualSystemSettingData") => {
            view.device_settings(&owner)
        }
        _ => Vec::new(),
    }
}

fn whole(view: &View, source: &Instance) -> Vec<Instance> {
    let is_part = schema::is_a(&source.class, "CIM_ResourceAllocationSettingData");
    match owner_of(view, text(source, "InstanceID")) {
        Some((owner, _)) if is_part => vec![view.system_setting(&owner)],
        _ => Vec::new(),
    }
}

fn snapshots(view: &View, source: &Instance) -> Vec<Instance> {
    let Some(vm) = vm_of_system(view, source) else { return Vec::new() };
    let owners = view.owners().into_iter().filter(|owner| owner.vm.id == vm.id && owner.checkpoint.is_some());
    owners.map(|owner| view.system_setting(&owner)).collect()
}

fn vm_of_snapshot(view: &View, source: &Instance) -> Vec<Instance> {
    match owner_of(view, text(source, "InstanceID")) {
        Some((Owner { vm, checkpoint: Some(_) }, rest)) if rest.is_empty() => system(view, &vm.id.text()),
        _ => Vec::new(),
    }
}

fn reference_points(view: &View, source: &Instance) -> Vec<Instance> {
    let Some(vm) = vm_of_system(view, source) else { return Vec::new() };
    let all = view.instances_of(schema::VIRTUALIZATION, "Msvm_VirtualSystemReferencePoint");
    all.into_iter().filter(|point| text(point, "VirtualSystemIdentifier") == vm.id.text()).collect()
}

fn vm_of_reference_point(view: &View, source: &Instance) -> Vec<Instance> {
    if source.is_class("Msvm_VirtualSystemReferencePoint") {
        system(view, text(source, "VirtualSystemIdentifier"))
    } else {
        Vec::new()
    }
}

fn devices(view: &View, source: &Instance) -> Vec<Instance> {
    vm_of_system(view, source).map_or_else(Vec::new, |vm| devices_of(view, vm))
}

fn devices_of(view: &View, vm: &Vm) -> Vec<Instance> {
    let all = view.instances_of(schema::VIRTUALIZATION, "CIM_LogicalDevice");
    all.into_iter().filter(|device| text(device, "SystemName") == vm.id.text()).collect()
}

fn system_of_device(view: &View, source: &Instance) -> Vec<Instance> {
    if schema::is_a(&source.class, "CIM_LogicalDevice") {
        system(view, text(source, "SystemName"))
    } else {
        Vec::new()
    }
}

fn affected(view: &View, source: &Instance) -> Vec<Instance> {
    if !schema::is_a(&source.class, "CIM_ConcreteJob") {
        return Vec::new();
    }
    let job = view.jobs.iter().find(|job| job.id.text() == text(source, "InstanceID"));
    // What is gone since the job ended is left out, as WMI leaves it out.
    job.map_or_else(Vec::new, |job| job.affected().iter().filter_map(|name| view.find(name)).collect())
}

fn jobs_affecting(view: &View, source: &Instance) -> Vec<Instance> {
    let Some(name) = schema::reference(source) else { return Vec::new() };
    let affecting =
        view.jobs.iter().filter(|job| job.affected().iter().any(|other| other.same_object(&name)));
    affecting.filter_map(|job| view.find(&names::job(job.kind.class(), job.id))).collect()
}
