//! What restoring a VM will do, before anything is done.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::{Bench, MIB, TestDisk};
use hyperv::{DefinitionSource, VmDefinition};
use recovery::Error;
use recovery::vm::{DEFINITION_ATTACHMENT, DISKS_ATTACHMENT, VmDisk, VmDisks, VmRequest, VmSource, plan};

fn definition() -> Vec<u8> {
    let definition = VmDefinition {
        format: 1,
        host: "HV1".to_owned(),
        vm: "7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77".parse().unwrap(),
        name: "SQL01".to_owned(),
        source: DefinitionSource::Active,
        settings: Vec::new(),
    };
    definition.to_json().unwrap()
}

fn place(key: &str, path: &str) -> VmDisk {
    VmDisk { key: key.to_owned(), attachment: format!(r"CONTROLLER\0\{key}\D"), path: path.to_owned() }
}

/// A VM with two disks whose files have the same name in different folders.
async fn source(disks: Vec<VmDisk>) -> VmSource {
    let bench = Bench::new().await;
    let other = TestDisk { key: "disk-2", ..TestDisk::new(2 * MIB, Vec::new()) };
    let attachments =
        [(DEFINITION_ATTACHMENT, definition()), (DISKS_ATTACHMENT, VmDisks::new(disks).to_json().unwrap())];
    let point = bench.point(&[TestDisk::new(MIB, Vec::new()), other], &attachments).await;
    VmSource::load(&bench.repository, &point).await.unwrap()
}

fn places() -> Vec<VmDisk> {
    vec![
        place("disk-1", r"C:\VMs\SQL01\Virtual Hard Disks\sql01.vhdx"),
        place("disk-2", r"D:\Data\SQL01.vhdx"),
    ]
}

#[tokio::test]
async fn the_new_vm_is_planned_beside_the_original_with_a_file_for_each_disk() {
    let plan = plan(&source(places()).await, &VmRequest::new("SQL01 restored")).unwrap();

    assert_eq!((plan.original.as_str(), plan.name.as_str()), ("SQL01", "SQL01 restored"));
    assert_eq!(plan.folder, r"C:\VMs\SQL01 restored");
    let files: Vec<_> = plan.disks.iter().map(|disk| disk.path.as_str()).collect();
    assert_eq!(
        files,
        [
            r"C:\VMs\SQL01 restored\Virtual Hard Disks\sql01.vhdx",
            r"C:\VMs\SQL01 restored\Virtual Hard Disks\SQL01-2.vhdx",
        ]
    );
    assert_eq!(plan.disks[1].attachment, r"CONTROLLER\0\disk-2\D");
    assert_eq!(plan.disks[1].capacity_bytes, 2 * MIB);
}

#[tokio::test]
async fn a_folder_that_was_asked_for_is_used() {
    let request = VmRequest { folder: Some("E:\\Restores\\One\\".to_owned()), ..VmRequest::new("One") };
    let plan = plan(&source(places()).await, &request).unwrap();
    assert_eq!(plan.folder, r"E:\Restores\One");
    assert_eq!(plan.disks[0].path, r"E:\Restores\One\Virtual Hard Disks\sql01.vhdx");
}

#[tokio::test]
async fn a_plan_is_readable_as_json_for_scripts() {
    let plan = plan(&source(places()).await, &VmRequest::new("X")).unwrap();
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["disks"][0]["key"], "disk-1");
    assert_eq!(json["keep_disk_identities"], false);
}

#[tokio::test]
async fn a_disk_whose_place_is_not_known_is_named() {
    let source = source(vec![place("disk-1", r"C:\VMs\a.vhdx")]).await;
    let error = plan(&source, &VmRequest::new("X")).unwrap_err();
    assert!(error.to_string().ends_with("nothing says where disk disk-2.vhdx was attached."), "{error}");
}

#[tokio::test]
async fn a_name_that_windows_cannot_have_is_refused() {
    let error = plan(&source(places()).await, &VmRequest::new(r"..\..\x")).unwrap_err();
    assert!(matches!(error, Error::BadName { .. }), "{error}");
}

#[tokio::test]
async fn a_restore_point_without_a_vm_is_named() {
    let bench = Bench::new().await;
    let point = bench.point(&[TestDisk::new(MIB, Vec::new())], &[]).await;
    let error = VmSource::load(&bench.repository, &point).await.unwrap_err();
    assert!(matches!(error, Error::NotAVm { missing: DEFINITION_ATTACHMENT, .. }), "{error}");

    let damaged = [(DEFINITION_ATTACHMENT, b"{}".to_vec()), (DISKS_ATTACHMENT, b"{}".to_vec())];
    let point = bench.point(&[TestDisk::new(MIB, Vec::new())], &damaged).await;
    let error = VmSource::load(&bench.repository, &point).await.unwrap_err();
    assert!(matches!(error, Error::AttachmentUnreadable { .. }), "{error}");
}
