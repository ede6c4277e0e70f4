//! `Source`: positioned reads of whatever looks like a disk.
//!
//! Partitions, volumes and file systems are all read through this one trait, so that a file system does not know
//! whether it lies on a whole disk, a partition or a logical volume striped over three disks. It speaks
//! `io::Error` because the readers below it do; [`crate::Error`] adds the object's name and the next step.

use std::io;
use std::sync::Arc;

use vdisk::Disk;

/// Read-only bytes at positions. Shared between threads and kept alive by whoever reads from it.
pub trait Source: Send + Sync {
    /// Size in bytes.
    fn len(&self) -> u64;

    /// Whether there is no byte at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills all of `buf` from `offset`; `UnexpectedEof` when that reaches beyond the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Smallest unit that the guest reads and writes: 512 or 4096.
    fn logical_sector(&self) -> u32;

    /// Name for texts: a disk's file, or a volume's name.
    fn name(&self) -> &str;
}

impl Source for Disk {
    fn len(&self) -> u64 {
        self.capacity()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        Self::read_at(self, offset, buf).map_err(|error| match error {
            vdisk::Error::Io { source, .. } => source,
            vdisk::Error::OutOfRange { .. } => io::Error::new(io::ErrorKind::UnexpectedEof, error),
            error => io::Error::other(error),
        })
    }

    fn logical_sector(&self) -> u32 {
        Self::logical_sector(self)
    }

    fn name(&self) -> &str {
        Self::name(self)
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buf)
    }

    fn logical_sector(&self) -> u32 {
        (**self).logical_sector()
    }

    fn name(&self) -> &str {
        (**self).name()
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buf)
    }

    fn logical_sector(&self) -> u32 {
        (**self).logical_sector()
    }

    fn name(&self) -> &str {
        (**self).name()
    }
}

/// The error of a read beyond the end of `name`.
pub(crate) fn beyond_end(name: &str, offset: u64, length: u64, size: u64) -> io::Error {
    let text = format!("{length} bytes at {offset} reach beyond the end of {name} ({size} bytes)");
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}
