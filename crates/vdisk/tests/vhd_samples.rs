//! VHD files made by Windows, Virtual PC, Disk2vhd and QEMU (see samples/SOURCES.md).
//!
//! Those of QEMU's test suite are not in this repository for their licence; they are read from the
//! folder `shared/` beside it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::MIB;
use vdisk::{ByteRange, Disk, DiskFormat, DiskKind, Error, FileIo, MemoryFile};

/// Unpacks into memory, keeping holes free.
fn unpacked(name: &str, mut bytes: impl Read) -> Arc<MemoryFile> {
    let file = MemoryFile::new(name);
    let mut buf = vec![0; 64 * 1024];
    let mut at = 0;
    loop {
        let count = bytes.read(&mut buf).unwrap();
        if count == 0 {
            return Arc::new(file);
        }
        file.write_at(at, &buf[..count]).unwrap();
        at += count as u64;
    }
}

fn sample(name: &str) -> Arc<MemoryFile> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(format!("{name}.gz"));
    unpacked(name, flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()))
}

/// A file of QEMU's test suite.
fn specimen(name: &str) -> Arc<MemoryFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specimens/vhd");
    let path = folder.join(format!("{name}.bz2"));
    assert!(path.exists(), "this test needs the folder `shared/` beside the repository: no {name} in it");
    let mut command = Command::new("bzip2").arg("-dc").arg(path).stdout(Stdio::piped()).spawn().unwrap();
    let file = unpacked(name, command.stdout.take().unwrap());
    assert!(command.wait().unwrap().success(), "{name} cannot be unpacked");
    file
}

/// SHA-256 of a whole disk, as `sha256sum` computes it.
fn sha256(disk: &Disk) -> String {
    let mut command = Command::new("sha256sum");
    let mut command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = command.stdin.take().unwrap();
    let mut buf = vec![0; MIB as usize];
    let mut at = 0;
    while at < disk.capacity() {
        let part = &mut buf[..(disk.capacity() - at).min(MIB) as usize];
        disk.read_at(at, part).unwrap();
        input.write_all(part).unwrap();
        at += part.len() as u64;
    }
    drop(input);
    let output = command.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// Hyper-V and Virtual PC wrote the same two sizes, and meant different ones.
// case 69
#[test]
fn the_size_of_a_disk_follows_the_program_that_made_it() {
    for (name, creator, capacity) in [
        ("hyperv2012r2-dynamic.vhd", "win 6.3", 136_365_211_648),
        ("virtualpc-dynamic.vhd", "vpc 1.0", 136_363_130_880),
    ] {
        let disk = Disk::open(specimen(name)).unwrap();
        let layer = disk.layers().next().unwrap();
        assert_eq!((layer.creator.as_str(), disk.capacity()), (creator, capacity), "{name}");
        assert_eq!((layer.format, layer.kind), (DiskFormat::Vhd, DiskKind::Dynamic));
        assert_eq!((layer.block_bytes, disk.block_usage().unwrap()[0].allocated_blocks), (2 << 20, 0));
        assert!(disk.allocated().unwrap().is_empty());
    }
}

#[test]
fn a_disk_made_by_disk2vhd_reads_as_its_digest_says() {
    let disk = Disk::open(specimen("d2v-zerofilled.vhd")).unwrap();

    let layer = disk.layers().next().unwrap();
    assert_eq!(layer.creator, "d2v 1.0");
    assert_eq!(disk.block_usage().unwrap()[0].allocated_blocks, 126);
    assert_eq!(sha256(&disk), "1ba076be94a8a64541c25aae8d5a5f8b0da758c3797af597e03acb431ff8d143");
}

#[test]
fn a_disk_made_by_qemu_reads_as_its_digest_says() {
    let disk = Disk::open(sample("ext2.vhd")).unwrap();

    assert_eq!((disk.capacity(), disk.logical_sector(), disk.physical_sector()), (4_212_736, 512, 512));
    assert_eq!(sha256(&disk), "870be7ae16c1fa8faab05c6eb9205dc9a7ae35c5f552c5cf8a267c0bc6a5cb99");
    let mut magic = [0; 2];
    disk.read_at(1024 + 56, &mut magic).unwrap();
    assert_eq!(magic, [0x53, 0xef], "the signature of ext2");
}

/// The space of its two paths is counted in bytes, which the specification does not say.
// cases 56, 71
#[test]
fn a_differencing_disk_of_windows_without_its_parent_shows_what_it_is_and_no_wrong_data() {
    let file = sample("fat-differential.vhd");

    let error = Disk::open(file.clone()).unwrap_err();
    let disk = Disk::open_leaf(file).unwrap();

    assert!(
        matches!(&error, Error::NeedsParent { parent_path: Some(path), .. } if path == r".\fat-parent.vhd")
    );
    let layers: Vec<_> = disk.layers().collect();
    let [layer] = layers.as_slice() else { panic!("{layers:?}") };
    assert_eq!(
        (layer.kind, layer.creator.as_str(), layer.capacity),
        (DiskKind::Differencing, "win 10.0", 4 * MIB)
    );
    let parent = layer.parent.as_ref().unwrap();
    assert_eq!(parent.linkage.to_string(), "5fa21a55-f394-aa4d-9958-1951a67d5540");
    assert_eq!(parent.absolute_path.as_deref(), Some(r"C:\Projects\dfvfs\test_data\fat-parent.vhd"));
    let mut sector = [0; 512];
    let error = disk.read_at(0, &mut sector).unwrap_err();
    assert!(matches!(error, Error::NeedsParent { .. }), "{error}");
    let own = disk.extents(ByteRange::new(0, 4 * MIB)).any(|extent| extent.is_err());
    assert!(own, "what the parent holds is no extent");
}

/// Both were edited by hand after QEMU made them, and their checksums were not.
// case 68
#[test]
fn a_disk_whose_footers_both_have_wrong_checksums_is_refused() {
    for name in ["image.vhd", "image-differential.vhd"] {
        let error = Disk::open_leaf(sample(name)).unwrap_err();
        assert_eq!(error.to_string(), format!("{name} is damaged: the checksum of its footer is wrong."));
    }
}
