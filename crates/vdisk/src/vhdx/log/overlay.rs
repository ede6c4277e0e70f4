//! A file as it will be once its log is replayed, without writing to it.
//!
//! Bytes come from the file, then cleared ranges, then logged sectors are laid over them. The end of
//! the file is the one that the log gives it: what lies between the two reads as zeros.

use std::io;
use std::sync::Arc;

use super::replay::Replay;
use crate::file_io::{FileIo, FileRun};
use crate::number::index;

/// The read-only view.
#[derive(Debug)]
pub(in crate::vhdx) struct Overlay {
    source: Arc<dyn FileIo>,
    /// Length of the source when it was opened.
    source_length: u64,
    replay: Replay,
}

impl Overlay {
    pub(in crate::vhdx) fn new(source: Arc<dyn FileIo>, replay: Replay) -> io::Result<Self> {
        Ok(Self { source_length: source.len()?, source, replay })
    }
}

impl FileIo for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.replay.final_length())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match offset.checked_add(buf.len() as u64) {
            Some(end) if end <= self.replay.final_length() => {}
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        let held = self.source_length.saturating_sub(offset).min(buf.len() as u64);
        let (own, grown) = buf.split_at_mut(index(held));
        if !own.is_empty() {
            self.source.read_at(offset, own)?;
        }
        grown.fill(0);
        self.replay.patch(&*self.source, offset, buf)
    }

    fn write_at(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn run_at(&self, offset: u64) -> io::Result<FileRun> {
        let (is_changed, next) = self.replay.sector_run(offset);
        let limit = next.min(self.replay.final_length());
        if is_changed {
            return Ok(FileRun { is_hole: false, end: limit });
        }
        let zeros = self.replay.zeros_from(offset);
        if let Some(zeros) = zeros.filter(|zeros| zeros.start == offset) {
            return Ok(FileRun { is_hole: true, end: zeros.end.min(limit) });
        }
        let limit = zeros.map_or(limit, |zeros| zeros.start.min(limit));
        if offset >= self.source_length {
            return Ok(FileRun { is_hole: true, end: limit });
        }
        let run = self.source.run_at(offset)?;
        Ok(FileRun { is_hole: run.is_hole, end: run.end.min(limit) })
    }

    fn name(&self) -> &str {
        self.source.name()
    }
}
