//! `DiskWriter`: the writer of a disk whose format the caller need not know.
//!
//! VHDX and VHD are written by two writers with one promise: what was flushed survives a power cut. What
//! else they offer differs (a VHD cannot become smaller), so this is an enum that its user may look into, and
//! not a trait.

use std::sync::Arc;

use crate::disk::{Disk, DiskFormat};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::layer::format_of;
use crate::range::ByteRange;
use crate::vhd::VhdWriter;
use crate::vhdset;
use crate::vhdx::{CompactReport, Shrinking, WritableDisk};

/// Exclusive writer of the leaf of a chain, in the leaf's own format.
#[derive(Debug)]
pub enum DiskWriter {
    /// A VHDX, which has a log.
    Vhdx(WritableDisk),
    /// A VHD, which has none.
    Vhd(VhdWriter),
}

/// Does the same with either writer.
macro_rules! either {
    ($writer:expr, $disk:ident => $work:expr) => {
        match $writer {
            DiskWriter::Vhdx($disk) => $work,
            DiskWriter::Vhd($disk) => $work,
        }
    };
}

impl DiskWriter {
    /// Opens a disk that needs no parent. The format is told by what stands in the file.
    pub fn open(file: Arc<dyn FileIo>) -> Result<Self> {
        Self::open_chain(vec![file])
    }

    /// Opens a chain, child first; only the first file is written.
    pub fn open_chain(files: Vec<Arc<dyn FileIo>>) -> Result<Self> {
        let Some(leaf) = files.first() else {
            return Err(Error::BadChain { file: "the chain".into(), why: "it has no file".into() });
        };
        if vhdset::is_named_so(leaf.name()) {
            return Err(Error::VhdSet { file: leaf.name().to_owned() });
        }
        match format_of(&**leaf)? {
            Some(DiskFormat::Vhd) => Ok(VhdWriter::open_chain(files)?.into()),
            // A file of neither format is refused there, with what it looks like.
            _ => Ok(WritableDisk::open_chain(files)?.into()),
        }
    }

    /// Makes a new differencing disk over `parent` in an empty file, in the parent's format. The paths
    /// are the hints by which Windows finds the parent: relative to the child's folder, and absolute.
    pub fn create_child(
        file: Arc<dyn FileIo>,
        parent: &Disk,
        relative_path: &str,
        absolute_path: Option<&str>,
    ) -> Result<Self> {
        if parent.layers().next().is_some_and(|layer| layer.format == DiskFormat::Vhd) {
            return Ok(VhdWriter::create_child(file, parent, relative_path, absolute_path)?.into());
        }
        Ok(WritableDisk::create_child(file, parent, relative_path, absolute_path)?.into())
    }

    /// Size of the virtual disk in bytes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        either!(self, disk => disk.capacity())
    }

    /// A view of the disk that also sees later writes of this writer.
    #[must_use]
    pub fn as_disk(&self) -> Disk {
        either!(self, disk => disk.as_disk())
    }

    /// Fills `buf` from `offset`, with everything written so far.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        either!(self, disk => disk.read_at(offset, buf))
    }

    /// Writes `data` at `offset`. A sector written in part is read first.
    pub fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        either!(self, disk => disk.write_at(offset, data))
    }

    /// Makes a range read as zeros, in as little space as the format allows.
    pub fn write_zeroes(&mut self, range: ByteRange) -> Result<()> {
        either!(self, disk => disk.write_zeroes(range))
    }

    /// Returns once everything written so far is durable: it survives a power cut from here on.
    pub fn flush(&mut self) -> Result<()> {
        either!(self, disk => disk.flush())
    }

    /// Frees what the file does not need and cuts it off; see [`WritableDisk::compact`] and
    /// [`VhdWriter::compact`].
    pub fn compact(&mut self) -> Result<CompactReport> {
        either!(self, disk => disk.compact())
    }

    /// Gives the disk another size. Of VHD only a dynamic one can have another, a larger one; see
    /// [`WritableDisk::resize`] and [`VhdWriter::resize`].
    pub fn resize(&mut self, capacity: u64, shrinking: Shrinking) -> Result<()> {
        match self {
            Self::Vhdx(disk) => disk.resize(capacity, shrinking),
            Self::Vhd(disk) => disk.resize(capacity),
        }
    }

    /// Flushes and gives the file back, so that any program can read it. Dropping a writer flushes too,
    /// but cannot tell of errors.
    pub fn close(self) -> Result<()> {
        either!(self, disk => disk.close())
    }
}

impl From<WritableDisk> for DiskWriter {
    fn from(disk: WritableDisk) -> Self {
        Self::Vhdx(disk)
    }
}

impl From<VhdWriter> for DiskWriter {
    fn from(disk: VhdWriter) -> Self {
        Self::Vhd(disk)
    }
}
