//! Whole VHDX files of Hyper-V, Disk2vhd and QEMU, byte for byte: the SHA-256 of each virtual disk is
//! the one that qemu-img finds after it has replayed the log (see samples/SOURCES.md).
//!
//! Those of QEMU's test suite are not in this repository for their licence; they are read from the
//! folder `shared/` beside it.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::sha256;
use vdisk::{Disk, FileIo, LogState, MemoryFile};

/// Unpacks into memory, keeping holes free.
fn unpacked(name: &str, mut bytes: impl Read) -> Arc<MemoryFile> {
    let file = MemoryFile::new(name);
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let mut filled = 0;
        while filled < buf.len() {
            match bytes.read(&mut buf[filled..]).unwrap() {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            return Arc::new(file);
        }
        file.write_at(at, &buf[..filled]).unwrap();
        at += filled as u64;
    }
}

/// A file that Hyper-V made.
fn sample(name: &str) -> Arc<MemoryFile> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(format!("{name}.vhdx.gz"));
    unpacked(name, flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()))
}

/// A file of QEMU's test suite.
fn specimen(name: &str) -> Arc<MemoryFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specimens/vhdx");
    let path = folder.join(format!("{name}.vhdx.bz2"));
    assert!(path.exists(), "this test needs the folder `shared/` beside the repository: no {name} in it");
    let mut command = Command::new("bzip2").arg("-dc").arg(path).stdout(Stdio::piped()).spawn().unwrap();
    let file = unpacked(name, command.stdout.take().unwrap());
    assert!(command.wait().unwrap().success(), "{name} cannot be unpacked");
    file
}

/// What matters of a disk: its size in GiB, present blocks, entries replayed and digest.
fn read_whole(file: Arc<MemoryFile>) -> (u64, u64, u64, String) {
    let disk = Disk::open(file).unwrap();
    let layer = disk.layers().next().unwrap();
    let usage = disk.block_usage().unwrap().remove(0);
    assert_eq!(usage.oddities, []);
    let entries = match layer.log {
        LogState::Clean => 0,
        LogState::ReplayedInMemory { entries } => entries,
    };
    (disk.capacity() >> 30, usage.allocated_blocks, entries, sha256::of_disk(&disk))
}

fn expected(gib: u64, blocks: u64, entries: u64, digest: &str) -> (u64, u64, u64, String) {
    (gib, blocks, entries, digest.to_owned())
}

// case 36
#[test]
fn the_disk_of_hyper_v_with_changes_in_its_log() {
    let file = sample("vhdx-log-replay");
    let before = common::bytes_of(&*file);
    let read = read_whole(Arc::clone(&file));
    assert_eq!(read, expected(1, 1, 2, "3ba3b309425b7ff5e8e0199edceed95226250f880c53b24e8eae93865f3fad5e"));
    assert!(common::bytes_of(&*file) == before, "the file was changed");
}

#[test]
fn swap() {
    let read = read_whole(sample("swap"));
    assert_eq!(read, expected(10, 1, 0, "60dd30b4c74361427d1089510cabb36e2eeda0cc4747f467ea43173acd358c49"));
}

#[test]
fn btrfs() {
    let read = read_whole(sample("btrfs"));
    assert_eq!(read, expected(1, 2, 0, "0b959f9cb4e18348ad8b646f152178282542c8304f02fddf765e3fd1a1de6864"));
}

#[test]
fn lvm_with_unmapped_blocks() {
    let read = read_whole(sample("lvm2"));
    assert_eq!(read, expected(10, 18, 0, "f7dc6812a3b12a35f3ec895ce981bd59ff4558270fc80cd812c9cd522bff1295"));
}

#[test]
fn xfs_4() {
    let read = read_whole(sample("xfs"));
    assert_eq!(read, expected(10, 20, 0, "8ca2bd2d91f1c6ada47128fc2f8d38587e73954ede5a664fe2bb09c19606060e"));
}

// case 37
#[test]
fn xfs_5_with_old_sessions_in_its_log() {
    let read = read_whole(sample("xfs5"));
    assert_eq!(read, expected(10, 5, 0, "edc5d630b2da0ddb08992afb58ded06ffb56b884e184b4974fda16e31b7e6817"));
}

#[test]
fn dynamic_of_server_2012() {
    let read = read_whole(specimen("iotest-dynamic-1G"));
    assert_eq!(read, expected(1, 3, 0, "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478"));
}

// cases 15, 37
#[test]
fn the_disk_of_qemu_with_changes_in_its_log() {
    let read = read_whole(specimen("iotest-dirtylog-10G-4M"));
    assert_eq!(read, expected(10, 18, 1, "179cefe8b0587f123393eedf2aa7aa8d25798591178e6bc3950a09762f38f96f"));
}

// case 5
#[test]
fn the_disk_of_disk2vhd_with_identical_headers() {
    let read = read_whole(specimen("test-disk2vhd"));
    assert_eq!(read, expected(0, 128, 0, "96d964042be9b58dda1725567abfb0cf9fd8380e2118754afa979c2ad445938a"));
}
