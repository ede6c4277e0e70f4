//! Writing a whole disk into a new file in one pass: raw, VHDX, VHD, qcow2.
//!
//! These writers need no log and no second look. Places are given out in ascending order, so
//! tables are written once behind the data; everything is durable before the headers that make the
//! file readable, and the file bears its name only after that. What is not data (absent, declared
//! zero, in a hole, or zero bytes in whole 64 KiB units) takes no space in the new file.
//!
//! ```text
//! pipeline   workers read, find zeros, get places in turn, write  staged   temporary name, then rename
//! raw, qcow2 the forms of those formats; VHDX and VHD ones stand with their formats
//! ```

mod pipeline;
mod qcow2;
mod raw;
mod staged;

use std::path::Path;
use std::sync::Arc;

use crate::digest::Watch;
use crate::disk::{Disk, DiskFormat};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::id::DiskId;
use crate::range::ByteRange;
use crate::vhd::{self, VhdOptions};
use crate::vhdx::{self, CreateKind, CreateOptions};

pub use staged::Existing;

/// Unit in which zeros are left out; a whole qcow2 cluster, and a part of every VHDX and VHD block.
pub(crate) const UNIT_BYTES: u64 = 64 * 1024;

/// What a disk is written as. Size and sectors are those of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The disk's bytes, with holes where nothing is.
    Raw,
    /// VHDX without a parent.
    Vhdx {
        /// Dynamic or fixed.
        kind: CreateKind,
        /// Bytes of a block; what Hyper-V chooses if not given.
        block_bytes: Option<u32>,
        /// Identity of the virtual disk; a fresh one if not given.
        disk_id: Option<DiskId>,
    },
    /// VHD without a parent, the older format of Hyper-V; blocks of 2 MiB.
    Vhd {
        /// Dynamic or fixed.
        kind: CreateKind,
    },
    /// qcow2 of QEMU: version 3, clusters of 64 KiB, not compressed.
    Qcow2,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the disk that were written; the rest reads as zeros.
    pub data_bytes: u64,
    /// Length of the new file.
    pub file_bytes: u64,
}

/// The form of a file: decides where the content of a disk goes, and writes everything around it.
pub(crate) trait Sink: Send {
    /// Places for data at a multiple of [`UNIT_BYTES`], whole units but for the end of the disk. Asked
    /// in ascending order; the caller writes the data, at any time before `finish`.
    fn place(&mut self, data: ByteRange) -> Result<Vec<Placed>>;

    /// Makes everything durable, the headers last.
    fn finish(&mut self) -> Result<()>;
}

/// Data of the disk and where it begins in the new file.
pub(crate) struct Placed {
    pub data: ByteRange,
    pub file_offset: u64,
}

impl Placed {
    /// Places for data that is cut at the borders of blocks; `place` tells where a block begins.
    pub(crate) fn by_block(
        data: ByteRange,
        block_bytes: u64,
        mut place: impl FnMut(u64) -> Result<u64>,
    ) -> Result<Vec<Self>> {
        let blocks = data.start / block_bytes..data.end.div_ceil(block_bytes);
        let placed = blocks.map(|block| {
            let part = ByteRange::at(block * block_bytes, block_bytes).intersect(data);
            Ok(Self { data: part, file_offset: place(block)? + part.start % block_bytes })
        });
        placed.collect()
    }
}

/// Writes the disk as a new file at `path`. The file appears under its name once it is complete and
/// durable; until then it is hidden beside it, and it is removed when anything fails.
pub fn convert(
    disk: &Disk,
    path: &Path,
    target: &Target,
    existing: Existing,
    watch: &Watch<'_>,
) -> Result<Written> {
    let staged = staged::StagedFile::create(path, existing)?;
    let written = write_image(disk, &staged.file(), target, watch)?;
    staged.publish()?;
    Ok(written)
}

/// Writes the disk into an empty file, durably.
pub fn write_image(
    disk: &Disk,
    file: &Arc<dyn FileIo>,
    target: &Target,
    watch: &Watch<'_>,
) -> Result<Written> {
    match file.len() {
        Ok(0) => {}
        Ok(length) => {
            let what = format!("there are already {length} bytes in it");
            return Err(Error::BadOptions { file: file.name().to_owned(), what });
        }
        Err(error) => return Err(Error::io(file.name(), "read the length of", error)),
    }
    let mut sink = open_sink(disk, file, target)?;
    let write = |offset, bytes: &[u8]| {
        file.write_at(offset, bytes).map_err(|error| Error::io(file.name(), "write", error))
    };
    let data_bytes = pipeline::run(disk, &mut |data| sink.place(data), &write, watch)?;
    sink.finish()?;
    let file_bytes = file.len().map_err(|error| Error::io(file.name(), "read the length of", error))?;
    Ok(Written { data_bytes, file_bytes })
}

/// Reads everything that the disk holds and writes nothing: how many bytes a conversion would write.
pub fn measure(disk: &Disk, watch: &Watch<'_>) -> Result<u64> {
    pipeline::run(disk, &mut |_| Ok(Vec::new()), &|_, _| Ok(()), watch)
}

fn open_sink(disk: &Disk, file: &Arc<dyn FileIo>, target: &Target) -> Result<Box<dyn Sink>> {
    Ok(match *target {
        Target::Raw => Box::new(raw::Raw::new(Arc::clone(file), disk.capacity())),
        Target::Vhdx { kind, block_bytes, disk_id } => {
            let defaults = CreateOptions::dynamic(disk.capacity());
            let options = CreateOptions {
                kind,
                disk_id,
                block_bytes: block_bytes.unwrap_or(defaults.block_bytes),
                logical_sector: disk.logical_sector(),
                physical_sector: physical_sector(disk).unwrap_or(defaults.physical_sector),
                ..defaults
            };
            Box::new(vhdx::OneShot::begin(Arc::clone(file), &options)?)
        }
        Target::Vhd { kind } => {
            if disk.logical_sector() != 512 {
                let what = format!("a VHD has sectors of 512 bytes, the disk has {}", disk.logical_sector());
                return Err(Error::BadOptions { file: file.name().to_owned(), what });
            }
            let options = VhdOptions { kind, ..VhdOptions::dynamic(disk.capacity()) };
            Box::new(vhd::OneShot::begin(Arc::clone(file), &options)?)
        }
        Target::Qcow2 => Box::new(qcow2::Qcow2::begin(Arc::clone(file), disk.capacity())?),
    })
}

/// The unit that the guest saw so far; formats other than VHDX do not say.
fn physical_sector(disk: &Disk) -> Option<u32> {
    let leaf = disk.layers().next()?;
    (leaf.format == DiskFormat::Vhdx).then(|| disk.physical_sector())
}
