//! Reading a VM's definition, and making a new VM of it.

use hyperv::{DefinitionSource, Host, NewVm, SettingValue, VmDefinition};
use winremote::cim::{Instance, Interval, Reference, Value};
use winremote::wsman::Output;

use crate::support::{
    BASE, CHECKPOINT, Canned, NAMESPACE, SLOT, VM, World, checkpoint_id, disk, row, vm, vm_id,
};

const NEW: &str = "99999999-0B0C-4D61-9D0E-3C0E4A1A2B77";
const CONTROLLER: &str = r"A1A1A1A1-0000-4000-8000-000000000009\0";
const RESTORED: &str = r"D:\Restored\sql01.vhdx";

fn resource(device: &str, subtype: &str, kind: u16) -> Instance {
    row("Msvm_ResourceAllocationSettingData")
        .with("InstanceID", format!(r"Microsoft:{VM}\{device}"))
        .with("ResourceSubType", format!("Microsoft:Hyper-V:{subtype}"))
        .with("ResourceType", kind)
}

/// An object path as the original host writes it.
fn path(device: &str) -> String {
    Reference::new(NAMESPACE, "Msvm_ResourceAllocationSettingData")
        .on_host("OLDHOST")
        .with_key("InstanceID", format!(r"Microsoft:{VM}\{device}"))
        .to_object_path()
}

/// A VM with memory, a SCSI controller with a disk and an empty optical drive, and a connected adapter.
fn original() -> Vec<Instance> {
    let (drive, optical) = (format!(r"{CONTROLLER}\0\D"), format!(r"{CONTROLLER}\1\D"));
    let mut rows = vm();
    rows[1].set("AutomaticStartupActionDelay", Interval::parse_iso("P0DT0H1M40S"));
    rows[1].set("BIOSGUID", "{OLD}");
    rows.retain(|row| !row.is_class("Msvm_StorageAllocationSettingData"));
    rows.extend([
        disk(VM, BASE).with("Parent", path(&drive)),
        resource(CONTROLLER, "Synthetic SCSI Controller", 6)
            .with("VirtualSystemIdentifiers", vec!["{A1A1A1A1}"]),
        resource(&drive, "Synthetic Disk Drive", 17)
            .with("Parent", path(CONTROLLER))
            .with("AddressOnParent", "0"),
        resource(&optical, "Synthetic DVD Drive", 16)
            .with("Parent", path(CONTROLLER))
            .with("AddressOnParent", "1"),
        row("Msvm_MemorySettingData")
            .with("InstanceID", format!(r"Microsoft:{VM}\MEMORY"))
            .with("ResourceSubType", "Microsoft:Hyper-V:Memory")
            .with("VirtualQuantity", 4096u64),
        row("Msvm_SyntheticEthernetPortSettingData")
            .with("InstanceID", format!(r"Microsoft:{VM}\NIC"))
            .with("ResourceSubType", "Microsoft:Hyper-V:Synthetic Ethernet Port")
            .with("ResourceType", 10u16)
            .with("StaticMacAddress", false)
            .with("Address", "00155D000001"),
        row("Msvm_EthernetPortAllocationSettingData")
            .with("InstanceID", format!(r"Microsoft:{VM}\NIC\CONNECTION"))
            .with("ResourceSubType", "Microsoft:Hyper-V:Ethernet Connection")
            .with("LastKnownSwitchName", "Production")
            .with("HostResource", vec!["a switch"]),
    ]);
    rows
}

async fn definition() -> VmDefinition {
    Canned::new(original()).connect().await.0.vm_definition(&vm_id()).await.unwrap()
}

fn new_vm() -> NewVm {
    let disks = vec![(SLOT.to_owned(), RESTORED.to_owned())];
    NewVm { name: "SQL01 restored".to_owned(), disks, folder: Some(r"D:\Restored".to_owned()) }
}

/// A host that makes what it is told to, with InstanceIDs of its own.
fn target() -> Canned {
    Canned::new(Vec::new())
        .on("DefineSystem", |world, _| {
            let memory = row("Msvm_MemorySettingData").with("InstanceID", format!(r"Microsoft:{NEW}\M"));
            world.rows.push(memory);
            let made = Reference::new(NAMESPACE, "Msvm_ComputerSystem").with_key("Name", NEW);
            Ok(Output::new(0).with("ResultingSystem", made))
        })
        .on("AddResourceSettings", |world, asked| {
            let mut device = asked.get_array::<Instance>("ResourceSettings").unwrap().remove(0);
            device.set("InstanceID", format!(r"Microsoft:{NEW}\{}", world.calls.len()));
            world.rows.push(device.in_namespace(NAMESPACE));
            Ok(world.job(7))
        })
        .on("ModifyResourceSettings", |_, _| Ok(Output::new(0)))
        .on("DestroySystem", |_, _| Ok(Output::new(0)))
}

async fn define(
    target: Canned,
) -> (hyperv::Result<hyperv::DefinedVm>, std::sync::Arc<std::sync::Mutex<World>>) {
    let definition = definition().await;
    let (host, world) = target.connect().await;
    (host.define_vm(&definition, &new_vm()).await, world)
}

fn added(world: &World) -> Vec<Instance> {
    let calls = world.calls_of("AddResourceSettings");
    calls.iter().map(|call| call.get_array::<Instance>("ResourceSettings").unwrap().remove(0)).collect()
}

#[tokio::test]
async fn a_definition_keeps_every_setting_with_the_systems_own_first() {
    let definition = definition().await;
    assert_eq!((definition.vm, definition.source), (vm_id(), DefinitionSource::Active));
    assert_eq!(definition.settings.len(), original().len() - 1, "all but the computer system itself");
    let system = &definition.settings[0];
    assert_eq!(system.class, "Msvm_VirtualSystemSettingData");
    assert_eq!(system.get("BIOSGUID"), Some(&SettingValue::Text("{OLD}".to_owned())));
    let delay = SettingValue::Interval { interval: "P0DT0H1M40S".to_owned() };
    assert_eq!(system.get("AutomaticStartupActionDelay"), Some(&delay));
    assert_eq!(VmDefinition::from_json(&definition.to_json().unwrap()).unwrap(), definition);
}

#[tokio::test]
async fn a_checkpoint_has_a_definition_of_its_own() {
    let checkpoint = crate::support::recovery_checkpoint();
    let (host, _) = Canned::new(vec![checkpoint, disk(CHECKPOINT, BASE), disk(VM, "other")]).connect().await;
    let definition = host.checkpoint_definition(&checkpoint_id()).await.unwrap();
    assert_eq!((definition.vm, definition.source), (vm_id(), DefinitionSource::Checkpoint(checkpoint_id())));
    assert_eq!(definition.settings[1].text("HostResource"), Some(BASE));
    assert_eq!(missing(&host).await, ("HV-020", "HV-022"));
}

async fn missing(host: &Host) -> (&'static str, &'static str) {
    let vm = host.vm_definition(&NEW.parse().unwrap()).await.unwrap_err();
    let checkpoint = host.checkpoint_definition(&NEW.parse().unwrap()).await.unwrap_err();
    (vm.code(), checkpoint.code())
}

#[tokio::test]
async fn devices_are_made_from_the_controller_down_and_hang_on_the_new_host() {
    let (made, world) = define(target()).await;

    assert_eq!(made.unwrap().id.to_string(), NEW);
    let devices = added(&world.lock().unwrap());
    let kinds: Vec<_> = devices.iter().map(|device| device.get_str("ResourceSubType").unwrap()).collect();
    let expected = [
        "Synthetic SCSI Controller",
        "Synthetic Disk Drive",
        "Virtual Hard Disk",
        "Synthetic DVD Drive",
        "Synthetic Ethernet Port",
    ];
    assert_eq!(kinds, expected.map(|kind| format!("Microsoft:Hyper-V:{kind}")));
    let parents: Vec<_> =
        devices.iter().map(|device| device.get_opt::<Reference>("Parent").unwrap()).collect();
    for parent in parents.iter().flatten() {
        assert_eq!(parent.host.as_deref(), Some("HV1"));
        assert!(parent.key("InstanceID").unwrap().contains(NEW));
    }
    assert_eq!(parents[1], parents[3], "both drives hang on the one controller");
    assert_eq!(devices[2].get("HostResource"), Some(&Value::Array(vec![RESTORED.into()])));
    assert!(!devices[4].has("Address"), "a MAC address from the pool is drawn anew");
}

#[tokio::test]
async fn the_new_vm_gets_the_old_figures_and_its_own_name_folder_and_identity() {
    let (_, world) = define(target()).await;
    let world = world.lock().unwrap();
    let system = world.calls_of("DefineSystem")[0].get_embedded("SystemSettings").unwrap();
    assert_eq!(system.get_str("ElementName").unwrap(), "SQL01 restored");
    assert_eq!(system.get_str("ConfigurationDataRoot").unwrap(), r"D:\Restored");
    assert_eq!(system.get_str("VirtualSystemSubType").unwrap(), "Microsoft:Hyper-V:SubType:2");
    assert!(!system.has("InstanceID") && !system.has("BIOSGUID") && !system.has("VirtualSystemIdentifier"));
    let delay = system.get_interval("AutomaticStartupActionDelay").unwrap();
    assert_eq!(Some(delay), Interval::parse_iso("P0DT0H1M40S"));
    let memory =
        world.calls_of("ModifyResourceSettings")[0].get_array::<Instance>("ResourceSettings").unwrap();
    assert_eq!(memory[0].get("VirtualQuantity"), Some(&Value::U64(4096)));
    assert_eq!(memory[0].get_str("InstanceID").unwrap(), format!(r"Microsoft:{NEW}\M"));
}

#[tokio::test]
async fn what_is_left_out_is_told() {
    let (made, _) = define(target()).await;
    let left_out: Vec<_> = made.unwrap().left_out.into_iter().map(|gap| gap.what).collect();
    assert_eq!(left_out, ["connection to Production"]);
}

#[tokio::test]
async fn a_vm_with_its_disks_is_worth_more_than_none() {
    let made = |world: &mut World, asked: &Instance| {
        let mut device = asked.get_array::<Instance>("ResourceSettings").unwrap().remove(0);
        if ["Synthetic DVD Drive", "Synthetic Ethernet Port"].iter().any(|kind| is(&device, kind)) {
            return Ok(Output::new(32770));
        }
        device.set("InstanceID", format!(r"Microsoft:{NEW}\{}", world.calls.len()));
        world.rows.push(device.in_namespace(NAMESPACE));
        Ok(Output::new(0))
    };
    let small =
        target().on("AddResourceSettings", made).on("ModifyResourceSettings", |_, _| Ok(Output::new(32773)));
    let (made, _) = define(small).await;
    let left_out: Vec<_> = made.unwrap().left_out.into_iter().map(|gap| gap.what).collect();
    assert_eq!(left_out, ["connection to Production", "memory settings", "optical drive", "network adapter"]);
}

fn is(device: &Instance, kind: &str) -> bool {
    device.get_str("ResourceSubType").unwrap().ends_with(kind)
}

#[tokio::test]
async fn a_vm_that_cannot_be_finished_is_removed_again() {
    let (made, world) = define(target().on("AddResourceSettings", |_, _| Ok(Output::new(32773)))).await;
    assert_eq!(made.unwrap_err().code(), "HV-012");
    let removed = world.lock().unwrap().calls_of("DestroySystem");
    assert_eq!(removed[0].get_reference("AffectedSystem").unwrap().key("Name"), Some(NEW));
}

#[tokio::test]
async fn a_disk_that_did_not_arrive_is_noticed() {
    let forgetful = target().on("AddResourceSettings", |world, asked| {
        let device = asked.get_array::<Instance>("ResourceSettings").unwrap().remove(0);
        if !device.is_class("Msvm_StorageAllocationSettingData") {
            let id = format!(r"Microsoft:{NEW}\{}", world.calls.len());
            world.rows.push(device.in_namespace(NAMESPACE).with("InstanceID", id));
        }
        Ok(Output::new(0))
    });
    let (made, world) = define(forgetful).await;
    assert!(made.unwrap_err().to_string().contains("is not attached to the new VM"));
    assert_eq!(world.lock().unwrap().calls_of("DestroySystem").len(), 1);
}

#[tokio::test]
async fn a_definition_without_the_asked_disk_is_refused_before_anything_is_made() {
    let (host, world) = target().connect().await;
    let mut new = new_vm();
    new.disks.push((SLOT.replace(r"\0\L", r"\7\L"), RESTORED.to_owned()));
    let error = host.define_vm(&definition().await, &new).await.unwrap_err();
    assert_eq!(error.code(), "HV-051");
    assert!(error.to_string().contains(r"lacks the disk at A1A1A1A1"), "{error}");
    assert!(world.lock().unwrap().calls.is_empty());
}
