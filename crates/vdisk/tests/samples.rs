//! Files made by Hyper-V itself (see samples/SOURCES.md).
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io::Read;
use std::sync::Arc;

use common::MIB;
use vdisk::{ByteRange, Disk, DiskKind, ExtentKind, FileIo, LogState, MemoryFile};

/// Unpacks a sample into memory, keeping its holes free.
fn sample(name: &str) -> Arc<MemoryFile> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    let mut unpacked = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    let file = MemoryFile::new(name);
    let mut buf = vec![0; 64 * 1024];
    let mut at = 0;
    loop {
        let count = unpacked.read(&mut buf).unwrap();
        if count == 0 {
            return Arc::new(file);
        }
        file.write_at(at, &buf[..count]).unwrap();
        at += count as u64;
    }
}

/// In place, the table of this file is empty: only its log leads to the partition table.
// case 36
#[test]
fn a_disk_of_hyper_v_whose_log_was_not_replayed_is_read_through_its_log() {
    let file = sample("vhdx-log-replay.vhdx.gz");
    let before = common::bytes_of(&*file);

    let disk = Disk::open(file.clone()).unwrap();

    let mut sector = [0; 512];
    disk.read_at(0, &mut sector).unwrap();
    assert_eq!(sector[510..], [0x55, 0xaa], "the signature of its partition table");
    assert_eq!(disk.layers().next().unwrap().log, LogState::ReplayedInMemory { entries: 2 });
    assert_eq!(disk.block_usage().unwrap()[0].allocated_blocks, 1);
    assert!(common::bytes_of(&*file) == before, "the file was changed");
}

#[test]
fn a_clean_disk_of_hyper_v_is_read_right() {
    let disk = Disk::open(sample("swap.vhdx.gz")).unwrap();

    let layer = disk.layers().next().unwrap();
    assert_eq!(layer.creator, "Microsoft Windows 10.0.14393.0");
    assert_eq!((layer.kind, layer.block_bytes), (DiskKind::Dynamic, 32 << 20));
    assert_eq!(disk.block_usage().unwrap()[0].allocated_blocks, 1);
    assert_eq!((disk.capacity(), disk.logical_sector(), disk.physical_sector()), (10 << 30, 512, 4096));
    // The last bytes of the first page of a Linux swap area are its signature.
    let mut signature = [0; 10];
    disk.read_at(4096 - 10, &mut signature).unwrap();
    assert_eq!(&signature, b"SWAPSPACE2");

    let extents: Vec<_> = disk.extents(ByteRange::new(0, u64::MAX)).map(Result::unwrap).collect();
    assert_eq!(extents[0].range, ByteRange::new(0, 32 * MIB));
    assert!(matches!(extents[0].kind, ExtentKind::Data { layer: 0, .. }));
    assert!(extents.iter().any(|extent| extent.kind == ExtentKind::Zero));
    assert!(extents.iter().any(|extent| extent.kind == ExtentKind::Absent));
    assert_eq!(extents.last().unwrap().range.end, 10 << 30);
}
