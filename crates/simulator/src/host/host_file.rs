//! Disk files of the host: local files that are never forced to the platter.
//!
//! The simulator promises to survive a kill, for which the system's cache is enough, and not a power cut. A real sync
//! for every flush of every simulated disk would make tests wait for this machine's disk and show nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;

use vdisk::{FileIo, LocalFile};

/// A local file whose flush is free.
#[derive(Debug)]
pub(crate) struct HostFile(LocalFile);

impl HostFile {
    /// Opens a file for reading.
    pub(crate) fn read(path: &Path) -> io::Result<Arc<dyn FileIo>> {
        Ok(Arc::new(HostFile(LocalFile::open_read(path)?)))
    }

    /// Opens a file for writing, as its only writer.
    pub(crate) fn write(path: &Path) -> io::Result<Arc<dyn FileIo>> {
        Ok(Arc::new(HostFile(LocalFile::open_read_write(path)?)))
    }

    /// Makes a new file.
    pub(crate) fn create(path: &Path) -> io::Result<Arc<dyn FileIo>> {
        Ok(Arc::new(HostFile(LocalFile::create_new(path)?)))
    }
}

impl FileIo for HostFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}
