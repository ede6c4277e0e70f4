//! Small helpers that several test files share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "each test file uses a part"
)]

pub(crate) mod chain_files;
pub(crate) mod damage;
pub(crate) mod guest;
pub(crate) mod log;
pub(crate) mod power_cut;
pub(crate) mod qemu_img;
pub(crate) mod sha256;

use std::sync::Arc;

use vdisk::{ChangedRanges, CreateOptions, Disk, FileIo, MemoryFile, WritableDisk};

/// One mebibyte.
pub(crate) const MIB: u64 = 1 << 20;

/// `length` bytes that differ from sector to sector and are never zero.
pub(crate) fn pattern(seed: u64, length: u64) -> Vec<u8> {
    (0..length).map(|at| (((at / 512) * 31 + at + seed * 7) % 251) as u8 + 1).collect()
}

/// A dynamic disk of 1 MiB blocks in memory.
pub(crate) fn small_disk(capacity: u64) -> (MemoryFile, WritableDisk) {
    let file = MemoryFile::new("disk.vhdx");
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(capacity) };
    (file.clone(), WritableDisk::create(Arc::new(file), &options).unwrap())
}

/// All bytes of a file.
pub(crate) fn bytes_of(file: &dyn FileIo) -> Vec<u8> {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A file of its own with the same bytes.
pub(crate) fn copy_of(file: &dyn FileIo) -> Arc<dyn FileIo> {
    Arc::new(MemoryFile::with_bytes(file.name(), &bytes_of(file)))
}

/// All bytes of a small disk.
pub(crate) fn content(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0xEE; disk.capacity() as usize];
    disk.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Copies every data extent of a disk into another.
pub(crate) fn copy_disk(from: &Disk, to: &mut WritableDisk) -> ChangedRanges {
    let allocated = from.allocated().unwrap();
    let mut buf = vec![0; MIB as usize];
    for range in &allocated {
        let mut at = range.start;
        while at < range.end {
            let part = &mut buf[..(range.end - at).min(MIB) as usize];
            from.read_at(at, part).unwrap();
            to.write_at(at, part).unwrap();
            at += part.len() as u64;
        }
    }
    allocated
}
