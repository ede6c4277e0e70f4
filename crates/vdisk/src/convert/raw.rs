//! A raw file: the disk's bytes at their own offsets, holes elsewhere.

use std::sync::Arc;

use super::{Placed, Sink};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::range::ByteRange;

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
    fn place(&mut self, data: ByteRange) -> Result<Vec<Placed>> {
        Ok(vec![Placed { data, file_offset: data.start }])
    }

    fn finish(&mut self) -> Result<()> {
        let file = &self.file;
        file.set_len(self.capacity)
            .and_then(|()| file.flush())
            .map_err(|error| Error::io(file.name(), "make durable", error))
    }
}
