//! A raw file: the disk's bytes at their own offsets, holes elsewhere.

use std::sync::Arc;

use super::Sink;
use crate::error::{Error, Result};
use crate::file_io::FileIo;

pub(super) struct Raw {
    file: Arc<dyn FileIo>,
    capacity: u64,
}

impl Raw {
    pub(super) fn new(file: Arc<dyn FileIo>, capacity: u64) -> Self {
        Self { file, capacity }
    }
}

impl Sink for Raw {
    fn write(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.file.write_at(offset, data).map_err(|error| Error::io(self.file.name(), "write", error))
    }

    fn finish(&mut self) -> Result<()> {
        let file = &self.file;
        file.set_len(self.capacity)
            .and_then(|()| file.flush())
            .map_err(|error| Error::io(file.name(), "make durable", error))
    }
}
