//! Real files in a real file system on a guest's disk: built, changed through the guest, and read back from the
//! disk files with e2fsprogs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;

use simulator::guest::FileRecord;
use simulator::{DiskSpec, GuestFiles, GuestFilesSpec, SimVmId, SimulatedHost, VmSpec};
use vdisk::Disk;

const MIB: u64 = 1 << 20;

fn small() -> GuestFilesSpec {
    GuestFilesSpec {
        capacity: 48 * MIB,
        documents: 40,
        binaries: 3,
        binary_bytes: 256 << 10,
        database_pages: 256,
        ..GuestFilesSpec::default()
    }
}

struct Lab {
    folder: tempfile::TempDir,
    host: SimulatedHost,
    vm: SimVmId,
    files: GuestFiles,
}

fn lab() -> Lab {
    let folder = tempfile::tempdir().unwrap();
    let files = GuestFiles::create(&folder.path().join("guest"), small()).unwrap();
    let host = SimulatedHost::builder(&folder.path().join("host")).build().unwrap();
    let vm = host.add_vm(VmSpec::new("FS01").disk(DiskSpec::from_raw("data.vhdx", &files.image()))).unwrap();
    Lab { folder, host, vm, files }
}

/// The VM's disk file, read as any program would read it, as a raw image.
fn raw_of_disk_file(lab: &Lab) -> std::path::PathBuf {
    lab.host.guest(lab.vm).unwrap().flush().unwrap();
    let disk_file = lab.folder.path().join("host/C/VMs/FS01/Virtual Hard Disks/data.vhdx");
    let raw = lab.folder.path().join("read-back.raw");
    let _ = std::fs::remove_file(&raw);
    simulator::guest::write_raw(&Disk::open_local(disk_file).unwrap(), &raw).unwrap();
    raw
}

fn by_path(image: &Path, scratch: &Path) -> BTreeMap<String, FileRecord> {
    GuestFiles::list(image, scratch).unwrap().into_iter().map(|file| (file.path.clone(), file)).collect()
}

#[test]
fn the_files_of_a_disk_read_back_as_they_were_built() {
    let lab = lab();
    let raw = raw_of_disk_file(&lab);
    GuestFiles::check(&raw).unwrap();
    let built = by_path(&lab.files.image(), lab.folder.path());
    let found = by_path(&raw, lab.folder.path());
    assert_eq!(found, built);
    assert!(found.len() > 240, "{} files", found.len());
    assert!(found.contains_key("/documents/日本語/報告書.txt"));
    assert_eq!(found["/images/sparse.img"].bytes, 48 * MIB);
    assert_eq!(GuestFiles::torn_pages(&raw).unwrap(), Vec::<u32>::new());
}

#[test]
fn the_same_seed_gives_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let list = |name: &str, seed| {
        let files =
            GuestFiles::create(&folder.path().join(name), GuestFilesSpec { seed, ..small() }).unwrap();
        GuestFiles::list(&files.image(), folder.path()).unwrap()
    };
    let first = list("first", 1);
    assert_eq!(first, list("second", 1));
    assert_ne!(first, list("third", 2));
}

#[test]
fn changes_go_through_the_guest_and_touch_a_part_of_the_disk() {
    let mut lab = lab();
    let before = by_path(&lab.files.image(), lab.folder.path());
    let guest = lab.host.guest(lab.vm).unwrap();

    let first = lab.files.change(&guest, 0).unwrap();
    // A lab that is started again goes on with the files that it has.
    lab.files = GuestFiles::open(&lab.folder.path().join("guest")).unwrap();
    lab.files.change(&guest, 0).unwrap();

    let raw = raw_of_disk_file(&lab);
    GuestFiles::check(&raw).unwrap();
    let after = by_path(&raw, lab.folder.path());
    assert_eq!(after, by_path(&lab.files.image(), lab.folder.path()));
    assert!(after.contains_key("/round-1/new-0.txt") && after.contains_key("/round-2/Zeichnung ü.bin"));
    assert!(before.contains_key("/index/0/0.idx") && !after.contains_key("/index/0/0.idx"));
    assert_ne!(after["/database/ledger.db"].digest, before["/database/ledger.db"].digest);
    assert_eq!(after["/pictures/picture-000.bin"], before["/pictures/picture-000.bin"]);
    assert_eq!(GuestFiles::torn_pages(&raw).unwrap(), Vec::<u32>::new());
    assert!(first.files >= 8 && first.pages > 3);
    assert!(first.written_bytes > 0 && first.written_bytes < 4 * MIB, "{first:?}");
    let expected = lab.host.expected(lab.vm, 0, None).unwrap();
    assert_eq!(expected.first_difference(&disk(&lab)).unwrap(), None);
}

fn disk(lab: &Lab) -> Disk {
    Disk::open_local(lab.folder.path().join("host/C/VMs/FS01/Virtual Hard Disks/data.vhdx")).unwrap()
}

#[test]
fn a_page_of_mixed_halves_is_found() {
    let lab = lab();
    let image = lab.files.image();
    let mut bytes = std::fs::read(&image).unwrap();
    let page = bytes.windows(8).position(|window| window == b"PAGE\x05\0\0\0").unwrap();
    bytes[page + 4096..page + 8192].fill(0xaa);
    std::fs::write(&image, bytes).unwrap();
    assert_eq!(GuestFiles::torn_pages(&image).unwrap(), [5]);
}

#[test]
fn an_image_without_a_file_system_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("empty.raw");
    std::fs::File::create(&image).unwrap().set_len(MIB).unwrap();
    let error = GuestFiles::list(&image, folder.path()).unwrap_err();
    assert_eq!(error.code(), "SM-011");
}
