//! Files of chains made for tests: a VHD base and children of both formats, and checksums set right again.

use std::sync::Arc;

use vdisk::{Disk, Error, FileIo, MemoryFile, VhdOptions, VhdWriter, WritableDisk};

use super::{MIB, pattern};

/// The code of the error that must have come.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.unwrap_err().code()
}

/// An empty file in memory.
pub(crate) fn memory(name: &str) -> Arc<dyn FileIo> {
    Arc::new(MemoryFile::new(name))
}

/// A VHD of 4 MiB whose first MiB has data.
pub(crate) fn vhd_base() -> Arc<dyn FileIo> {
    let file = memory("base.vhd");
    let mut disk = VhdWriter::create(Arc::clone(&file), &VhdOptions::dynamic(4 * MIB)).unwrap();
    disk.write_at(0, &pattern(1, MIB)).unwrap();
    disk.close().unwrap();
    file
}

/// A child of these files, leaf first, with one sector of its own.
pub(crate) fn vhd_child(below: &[Arc<dyn FileIo>], seed: u64) -> Arc<dyn FileIo> {
    let file = memory(&format!("child{seed}.avhd"));
    let parent = Disk::open_chain(below.to_vec()).unwrap();
    let mut disk = VhdWriter::create_child(Arc::clone(&file), &parent, "below.vhd", None).unwrap();
    disk.write_at(seed * 512, &pattern(seed, 512)).unwrap();
    disk.close().unwrap();
    file
}

/// Makes an empty VHDX child of these files, leaf first, in `file`.
pub(crate) fn vhdx_child(
    file: Arc<dyn FileIo>,
    below: &[Arc<dyn FileIo>],
    path: &str,
    absolute: Option<&str>,
) {
    let parent = Disk::open_chain(below.to_vec()).unwrap();
    WritableDisk::create_child(file, &parent, path, absolute).unwrap().close().unwrap();
}

fn seal(file: &dyn FileIo, start: u64, length: usize, field: u64) {
    file.write_at(start + field, &[0; 4]).unwrap();
    let mut bytes = vec![0; length];
    file.read_at(start, &mut bytes).unwrap();
    let sum = bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    file.write_at(start + field, &(!sum).to_be_bytes()).unwrap();
}

/// Makes the checksum of a VHD footer right again.
pub(crate) fn seal_footer(file: &dyn FileIo, at: u64) {
    seal(file, at, 512, 64);
}

/// Makes the checksum of a VHD dynamic header right again.
pub(crate) fn seal_header(file: &dyn FileIo) {
    seal(file, 512, 1024, 36);
}
