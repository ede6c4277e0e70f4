//! Opening frozen disks: through the path map, along relative parents.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use vdisk::{CreateOptions, Disk, LocalFile, WritableDisk};

use crate::support::{BASE, Canned, map};

const CHILD: &str = r"C:\VMs\SQL01\Snapshots\sql01_1A2B3C4D.avhdx";

/// A disk with "base" at 0 and, in a child two folders away, "child" at 1 MiB.
fn chain(folder: &Path) {
    let vm = folder.join("VMs/SQL01");
    fs::create_dir_all(vm.join("Snapshots")).unwrap();
    let base = Arc::new(LocalFile::create_new(vm.join("sql01.vhdx")).unwrap());
    let mut disk = WritableDisk::create(base, &CreateOptions::dynamic(64 << 20)).unwrap();
    disk.write_at(0, &[7; 512]).unwrap();
    disk.close().unwrap();
    let parent = Disk::open(Arc::new(LocalFile::open_read(vm.join("sql01.vhdx")).unwrap())).unwrap();
    let child = Arc::new(LocalFile::create_new(vm.join("Snapshots/sql01_1A2B3C4D.avhdx")).unwrap());
    let absolute = Some(r"\\?\C:\VMs\SQL01\sql01.vhdx");
    let mut disk = WritableDisk::create_child(child, &parent, r"..\sql01.vhdx", absolute).unwrap();
    disk.write_at(1 << 20, &[9; 512]).unwrap();
    disk.close().unwrap();
}

async fn open(folder: &Path, path: &str) -> hyperv::Result<Disk> {
    Canned::new(Vec::new()).connect_with_paths(map(folder)).await.open_frozen_disk(path)
}

fn byte(disk: &Disk, offset: u64) -> u8 {
    let mut buffer = [0; 512];
    disk.read_at(offset, &mut buffer).unwrap();
    buffer[511]
}

#[tokio::test]
async fn a_frozen_file_and_its_parents_read_as_one_disk() {
    let folder = tempfile::tempdir().unwrap();
    chain(folder.path());
    let base = open(folder.path(), BASE).await.unwrap();
    assert_eq!((byte(&base, 0), byte(&base, 1 << 20)), (7, 0));
    let child = open(folder.path(), CHILD).await.unwrap();
    assert_eq!((byte(&child, 0), byte(&child, 1 << 20)), (7, 9));
}

#[tokio::test]
async fn a_missing_parent_names_the_child_and_the_place() {
    let folder = tempfile::tempdir().unwrap();
    chain(folder.path());
    fs::remove_file(folder.path().join("VMs/SQL01/sql01.vhdx")).unwrap();
    let error = open(folder.path(), CHILD).await.unwrap_err();
    assert_eq!(error.code(), "HV-042");
    assert!(error.to_string().contains("sql01.vhdx"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_there_not_mapped_or_no_disk_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text.vhdx"), b"hello").unwrap();
    for (path, code) in [
        (r"C:\none.vhdx", "HV-042"),
        (r"C:\text.vhdx", "HV-042"),
        (r"D:\a.vhdx", "HV-040"),
        (r"C:\..\a.vhdx", "HV-041"),
    ] {
        let error = open(folder.path(), path).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

/// A chain that leads back to itself ends in an error, not in a loop.
#[tokio::test]
async fn a_chain_without_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    chain(folder.path());
    let vm = folder.path().join("VMs/SQL01");
    fs::copy(vm.join("Snapshots/sql01_1A2B3C4D.avhdx"), vm.join("sql01.vhdx")).unwrap();
    let error = open(folder.path(), CHILD).await.unwrap_err();
    assert_eq!(error.code(), "HV-042", "{error}");
}
