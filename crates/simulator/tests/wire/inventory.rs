//! Who signs in sees the host, its VMs and their settings.

use simulator::{DiskSpec, GuestVss, VmSpec};
use winremote::cim::Reference;

use crate::support::{Lab, MIB, V2, client, vm_reference};

#[tokio::test(flavor = "multi_thread")]
async fn the_host_tells_who_it_is() {
    let lab = Lab::new().await;
    assert_eq!(lab.client.identify().await.unwrap().os_version(), Some("10.0.20348"));
    let systems = lab.client.query("root/cimv2", "select * from Win32_OperatingSystem").await.unwrap();
    assert_eq!(systems[0].get_str("Caption").unwrap(), "Microsoft Windows Server 2022 Datacenter");
    assert_eq!(systems[0].get_str("CSName").unwrap(), "HV1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused() {
    let lab = Lab::new().await;
    let error = client(&lab.served, "wrong").identify().await.unwrap_err();
    assert!(error.to_string().contains("admin"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn vms_are_listed_beside_the_host_itself() {
    let (lab, vm) = Lab::with_vm().await;
    let systems = lab.query("select * from Msvm_ComputerSystem").await;
    let names: Vec<_> = systems.iter().map(|system| system.get_str("ElementName").unwrap()).collect();
    assert_eq!(names, ["HV1", "SQL01"]);
    assert_eq!(systems[1].get_str("Name").unwrap(), vm.to_string());
    let base = lab.query("select Name from CIM_ComputerSystem where EnabledState = 2").await;
    assert_eq!(base.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_name_the_disk_file_and_its_place() {
    let (lab, vm) = Lab::with_vm().await;
    let wql =
        format!("select * from Msvm_StorageAllocationSettingData where InstanceID like 'Microsoft:{vm}%'");
    let disks = lab.query(&wql).await;
    let files: Vec<String> = disks[0].get_array("HostResource").unwrap();
    assert_eq!(files, [r"C:\VMs\SQL01\Virtual Hard Disks\sql01.vhdx"]);
    assert!(disks[0].get_str("InstanceID").unwrap().ends_with(r"\0\0\L"));
    let mut drive = disks[0].get_reference("Parent").unwrap();
    assert_eq!(drive.host.take().as_deref(), Some("HV1"));
    let drive = lab.client.get(&drive).await.unwrap();
    assert_eq!(drive.get_str("ResourceSubType").unwrap(), "Microsoft:Hyper-V:Synthetic Disk Drive");
    assert!(lab.local(&files[0]).is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_leads_to_its_settings_and_they_to_their_parts() {
    let (lab, vm) = Lab::with_vm().await;
    let settings = lab.settings(vm).await;
    assert_eq!(settings.get_str("VirtualSystemType").unwrap(), "Microsoft:Hyper-V:System:Realized");
    assert_eq!(settings.get_str("Version").unwrap(), "10.0");
    let source = settings.reference(&["InstanceID"]).unwrap();
    let parts = lab.client.associators(&source, "Msvm_VirtualSystemSettingDataComponent", "").await.unwrap();
    let mut classes: Vec<_> = parts.iter().map(|part| part.class.as_str()).collect();
    classes.sort_unstable();
    assert_eq!(
        classes,
        [
            "Msvm_EthernetPortAllocationSettingData",
            "Msvm_MemorySettingData",
            "Msvm_ProcessorSettingData",
            "Msvm_ResourceAllocationSettingData",
            "Msvm_ResourceAllocationSettingData",
            "Msvm_StorageAllocationSettingData",
            "Msvm_SyntheticEthernetPortSettingData",
            "Msvm_VssComponentSettingData",
        ]
    );
    assert_eq!(
        lab.client.associators(&source, "Msvm_SettingsDefineState", "").await.unwrap()[0].class,
        "Msvm_ComputerSystem"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vss_component_shows_the_state_of_the_guest() {
    let (lab, vm) = Lab::with_vm().await;
    let component = || async {
        let found = lab.client.associators(&vm_reference(vm), "Msvm_SystemDevice", "Msvm_VssComponent").await;
        let found = found.unwrap().remove(0);
        (found.get_u16("EnabledState").unwrap(), found.get_array::<u16>("OperationalStatus").unwrap())
    };
    assert_eq!(component().await, (2, vec![2]));
    lab.host.set_guest_vss(vm, GuestVss::Disabled).unwrap();
    assert_eq!(component().await.0, 3);
    lab.host.set_guest_vss(vm, GuestVss::NoContact).unwrap();
    assert_eq!(component().await, (2, vec![13, 32783]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_service_tells_the_facts_of_a_disk_file() {
    let (lab, _) = Lab::with_vm().await;
    let path = r"c:\vms\sql01\Virtual Hard Disks\SQL01.VHDX";
    let call = |path: &'static str| {
        lab.call("Msvm_ImageManagementService", "GetVirtualHardDiskSettingData", vec![("Path", path.into())])
    };
    let data = call(path).await.values.get_embedded("SettingData").unwrap();
    assert_eq!(data.get_u64("MaxInternalSize").unwrap(), 64 * MIB);
    assert_eq!((data.get_u16("Type").unwrap(), data.get_u16("Format").unwrap()), (3, 3));
    assert_eq!(data.get_str("VirtualDiskId").unwrap().len(), 36);
    assert_eq!(call(r"C:\VMs\none.vhdx").await.return_value, 32779);
    assert_eq!(call(r"\\hv1\C$\a.vhdx").await.return_value, 32773);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_host_is_listed_whole() {
    let lab = Lab::new().await;
    for number in 0..40 {
        lab.host.add_vm(VmSpec::new(&format!("VM{number:02}")).disk(DiskSpec::blank("a.vhdx", MIB))).unwrap();
    }
    let settings = lab.query("select * from Msvm_VirtualSystemSettingData").await;
    assert_eq!(settings.len(), 40);
    assert_eq!(settings[39].get_str("ElementName").unwrap(), "VM39");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_are_told_apart() {
    let lab = Lab::new().await;
    let code = |result: winremote::Result<Vec<_>>| match result {
        Err(winremote::Error::Fault { fault, .. }) => fault.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(lab.client.query(V2, "select * from Msvm_NoSuchClass").await), 0x8004_1010);
    assert_eq!(
        code(lab.client.query("root/nowhere", "select * from Msvm_ComputerSystem").await),
        0x8004_100E
    );
    let nobody = Reference::new(V2, "Msvm_ComputerSystem").with_key("Name", "nobody");
    assert_eq!(code(lab.client.get(&nobody).await.map(|one| vec![one])), 0x8004_1002);
    let odd = Reference::new(V2, "Msvm_ComputerSystem").with_key("ElementName", "HV1");
    assert_eq!(code(lab.client.get(&odd).await.map(|one| vec![one])), 2_150_858_813);
}
