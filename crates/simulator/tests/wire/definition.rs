//! A VM is made over the wire as a restore makes it, from disk files that are already there.

use simulator::{DiskSpec, Power, SimVmId, VmSpec};
use winremote::cim::{Instance, Reference, Value};

use crate::support::{Lab, MIB, V2, reference, vm_reference};

const SYSTEMS: &str = "Msvm_VirtualSystemManagementService";
const RESOURCE: &str = "Msvm_ResourceAllocationSettingData";
const COPY: &str = r"C:\Restored\copy.vhdx";

async fn define(lab: &Lab) -> SimVmId {
    let settings = Instance::new("Msvm_VirtualSystemSettingData")
        .with("ElementName", "SQL01 restored")
        .with("VirtualSystemSubType", "Microsoft:Hyper-V:SubType:2")
        .with("ConfigurationDataRoot", r"C:\Restored")
        .with("Notes", vec!["made by a restore"])
        .with("AutomaticStartupAction", 2_u16);
    let memory = Instance::new("Msvm_MemorySettingData").with("VirtualQuantity", 2048_u64);
    let arguments: Vec<(&str, Value)> =
        vec![("SystemSettings", settings.into()), ("ResourceSettings", vec![memory].into())];
    let output = lab.call(SYSTEMS, "DefineSystem", arguments).await;
    assert_eq!(output.return_value, 0);
    output.values.get_reference("ResultingSystem").unwrap().key("Name").unwrap().parse().unwrap()
}

async fn add(lab: &Lab, vm: SimVmId, setting: Instance) -> Reference {
    let output = lab.call(SYSTEMS, "AddResourceSettings", add_arguments(lab, vm, setting).await).await;
    assert_eq!(output.return_value, 0);
    output.values.get_reference("ResultingResourceSettings").unwrap()
}

async fn add_arguments(lab: &Lab, vm: SimVmId, setting: Instance) -> Vec<(&'static str, Value)> {
    let settings = lab.settings(vm).await;
    vec![("AffectedConfiguration", reference(&settings).into()), ("ResourceSettings", vec![setting].into())]
}

fn path_to(reference: &Reference) -> String {
    reference.clone().on_host("HV1").to_object_path()
}

/// An empty drive on a new controller.
async fn drive(lab: &Lab, vm: SimVmId) -> Reference {
    let controller = Instance::new(RESOURCE)
        .with("ResourceType", 6_u16)
        .with("ResourceSubType", "Microsoft:Hyper-V:Synthetic SCSI Controller");
    let controller = add(lab, vm, controller).await;
    let drive = Instance::new(RESOURCE)
        .with("ResourceType", 17_u16)
        .with("ResourceSubType", "Microsoft:Hyper-V:Synthetic Disk Drive")
        .with("Parent", path_to(&controller))
        .with("AddressOnParent", "0");
    add(lab, vm, drive).await
}

fn disk_in(drive: &Reference, file: &str) -> Instance {
    Instance::new("Msvm_StorageAllocationSettingData")
        .with("ResourceType", 31_u16)
        .with("ResourceSubType", "Microsoft:Hyper-V:Virtual Hard Disk")
        .with("Parent", path_to(drive))
        .with("HostResource", vec![file])
}

/// A host with a disk file that belongs to no VM.
async fn lab_with_copy() -> Lab {
    let lab = Lab::new().await;
    let vm = lab.host.add_vm(VmSpec::new("SQL01").disk(DiskSpec::blank("sql01.vhdx", 8 * MIB))).unwrap();
    let guest = lab.host.guest(vm).unwrap();
    guest.write(0, 4096, &[7; 512]).unwrap();
    guest.flush().unwrap();
    std::fs::create_dir_all(lab.local(r"C:\Restored")).unwrap();
    std::fs::copy(lab.local(r"C:\VMs\SQL01\Virtual Hard Disks\sql01.vhdx"), lab.local(COPY)).unwrap();
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defined_vm_starts_and_reads_its_restored_disk() {
    let lab = lab_with_copy().await;
    let vm = define(&lab).await;
    let drive = drive(&lab, vm).await;
    let job =
        lab.job(SYSTEMS, "AddResourceSettings", add_arguments(&lab, vm, disk_in(&drive, COPY)).await).await;
    assert_eq!(job.get_u16("JobState").unwrap(), 7, "{:?}", job.get("ErrorDescription"));
    assert_eq!(
        lab.product(&job, "Msvm_StorageAllocationSettingData")
            .await
            .get_array::<String>("HostResource")
            .unwrap(),
        [COPY]
    );

    let settings = lab.settings(vm).await;
    assert_eq!(settings.get_str("ElementName").unwrap(), "SQL01 restored");
    assert_eq!(settings.get_u16("AutomaticStartupAction").unwrap(), 2);
    assert_eq!(settings.get_array::<String>("Notes").unwrap(), ["made by a restore"]);
    let start = lab
        .client
        .invoke(&vm_reference(vm), "RequestStateChange", [("RequestedState", Value::U16(2))])
        .await
        .unwrap();
    assert_eq!(
        lab.job_end(&start.values.get_reference("Job").unwrap()).await.get_u16("JobState").unwrap(),
        7
    );
    let mut sector = [0; 512];
    lab.host.guest(vm).unwrap().read(0, 4096, &mut sector).unwrap();
    assert_eq!(sector, [7; 512]);
    let checkpoint = lab.checkpoint(vm).await;
    let expected = lab.host.expected(vm, 0, Some(lab.host.moments(vm).unwrap()[0].checkpoint)).unwrap();
    assert_eq!(expected.first_difference(&lab.open(&lab.disk_files(&checkpoint).await[0])).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_used_disk_file_fails_the_job() {
    let lab = lab_with_copy().await;
    let vm = define(&lab).await;
    let drive = drive(&lab, vm).await;
    let text = |file: &'static str| {
        let (lab, drive) = (&lab, &drive);
        async move {
            let arguments = add_arguments(lab, vm, disk_in(drive, file)).await;
            let job = lab.job(SYSTEMS, "AddResourceSettings", arguments).await;
            job.get_str("ErrorDescription").unwrap().to_owned()
        }
    };
    assert!(text(r"C:\Restored\none.vhdx").await.ends_with("(0x80070002)."));
    let used = text(r"C:\VMs\SQL01\Virtual Hard Disks\sql01.vhdx").await;
    assert!(used.contains("'SQL01'") && used.ends_with("(0x80070020)."), "{used}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_are_refused_before_anything_is_done() {
    let lab = lab_with_copy().await;
    let vm = define(&lab).await;
    let drive = drive(&lab, vm).await;
    let code = |setting| {
        let lab = &lab;
        async move {
            lab.call(SYSTEMS, "AddResourceSettings", add_arguments(lab, vm, setting).await).await.return_value
        }
    };
    let scalar = Instance::new("Msvm_StorageAllocationSettingData").with("HostResource", COPY);
    assert_eq!(code(scalar).await, 32776);
    let mut no_file = disk_in(&drive, COPY);
    no_file.remove("HostResource");
    assert_eq!(code(no_file).await, 32773);
    let nowhere = Reference::new(V2, RESOURCE).with_key("InstanceID", format!(r"Microsoft:{vm}\none\0\0\D"));
    assert_eq!(code(disk_in(&nowhere, COPY)).await, 32773);
    let odd = lab.client.invoke(&lab.service(SYSTEMS), "DestroySystem", [("System", Value::from("x"))]).await;
    assert!(odd.unwrap_err().to_string().contains("2150858817"));
    let nobody = lab
        .client
        .invoke(&Reference::new(V2, SYSTEMS), "DestroySystem", [("AffectedSystem", vm_reference(vm).into())])
        .await;
    assert!(nobody.unwrap_err().to_string().contains("8004102F"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_is_deleted_only_when_it_is_off_and_its_disks_stay() {
    let lab = lab_with_copy().await;
    let vm = lab.host.vm_named("SQL01").unwrap();
    let arguments = || vec![("AffectedSystem", vm_reference(vm).into())];
    assert_eq!(lab.call(SYSTEMS, "DestroySystem", arguments()).await.return_value, 32775);
    lab.host.set_power(vm, Power::Off).unwrap();
    assert_eq!(lab.job(SYSTEMS, "DestroySystem", arguments()).await.get_u16("JobState").unwrap(), 7);
    assert!(lab.host.vms().is_empty());
    assert!(lab.local(r"C:\VMs\SQL01\Virtual Hard Disks\sql01.vhdx").is_file());
}
