//! Which parent paths of an image are followed, and what is said of the others.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::sync::Arc;

use common::chain_files::{code, seal_header, vhd_base, vhd_child, vhdx_child};
use common::{MIB, bytes_of};
use vdisk::{CreateOptions, Disk, FileIo, LocalFile, ParentMap, WritableDisk};

/// What an image says of its parent's place is a stranger's word.
// case 55
#[test]
fn paths_out_of_the_childs_folder_lead_nowhere_unless_the_caller_maps_them() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.vhdx");
    let file: Arc<dyn FileIo> = Arc::new(LocalFile::create_new(&base).unwrap());
    WritableDisk::create(Arc::clone(&file), &CreateOptions::dynamic(4 * MIB)).unwrap().close().unwrap();
    std::fs::create_dir(folder.path().join("child")).unwrap();
    for (number, path) in [
        r"..\base.vhdx",
        r"\\server\share\base.vhdx",
        r"\\.\PhysicalDrive0",
        r"C:\VMs\base.vhdx",
        "/etc/base.vhdx",
        r"aux\base.vhdx",
        &"a".repeat(29_000),
    ]
    .into_iter()
    .enumerate()
    {
        let leaf = folder.path().join(format!("child/{number}.avhdx"));
        vhdx_child(Arc::new(LocalFile::create_new(&leaf).unwrap()), &[Arc::clone(&file)], path, None);
        assert_eq!(code(Disk::open_local(&leaf)), "VD-016", "{number}");
        let mut parents = ParentMap::new();
        parents.insert(&path.to_uppercase(), &base);
        assert_eq!(Disk::open_local_with(&leaf, &parents).unwrap().layers().len(), 2, "{number}");
    }
}

/// Without any path, with an absolute one only, and with text that is none.
// case 55
#[test]
fn a_child_without_a_usable_path_says_that_it_needs_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let leaf = folder.path().join("leaf.avhd");
    let bytes = bytes_of(&*vhd_child(&[vhd_base()], 2));
    let locators = 512 + 576;
    let write = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        std::fs::write(&leaf, &bytes).unwrap();
        seal_header(&LocalFile::open_read_write(&leaf).unwrap());
        code(Disk::open_local(&leaf))
    };
    let path_at = |bytes: &[u8]| u64::from_be_bytes(bytes[locators + 16..][..8].try_into().unwrap()) as usize;
    assert_eq!(write(&|b| b[locators..locators + 4].fill(0)), "VD-010", "the name is a path too");
    assert_eq!(
        write(&|b| {
            b[locators..locators + 4].fill(0);
            b[512 + 64..512 + 576].fill(0);
        }),
        "VD-009"
    );
    assert_eq!(write(&|b| b[locators..locators + 4].copy_from_slice(b"W2ku")), "VD-016");
    assert_eq!(
        write(&|b| {
            let at = path_at(b);
            b[at + 2..at + 4].fill(0);
        }),
        "VD-004",
        "a NUL inside"
    );
    assert_eq!(
        write(&|b| {
            let at = path_at(b);
            b[at + 1] = 0xd8;
        }),
        "VD-004",
        "an unpaired surrogate"
    );
    assert_eq!(write(&|b| b[locators + 8..locators + 12].fill(0xff)), "VD-004", "4 GiB of path");
    assert_eq!(write(&|b| b[locators + 16..locators + 24].fill(0xfe)), "VD-003", "a path past the end");
}

/// Space told in sectors, as the specification says and Virtual PC wrote.
// case 71
#[test]
fn the_space_of_a_path_may_be_told_in_sectors() {
    let base = vhd_base();
    let child = vhd_child(&[Arc::clone(&base)], 2);
    child.write_at(512 + 576 + 4, &128u32.to_be_bytes()).unwrap();
    seal_header(&*child);
    let disk = Disk::open_chain(vec![child, base]).unwrap();
    let parent = disk.layers().next().unwrap().parent.unwrap();
    assert_eq!(parent.relative_path.as_deref(), Some("below.vhd"));
}
