//! The guest's side of its disks: writes and reads by whole sectors, while the VM runs.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::expected::pieces;
use super::sparse::data_ranges;
use crate::error::{Error, Result};
use crate::host::change_map::joined;
use crate::host::disk_stack::DiskStack;
use crate::host::{HostCore, locked};
use crate::ids::SimVmId;

/// A file system writes in blocks of this size.
const BLOCK_BYTES: usize = 4096;

/// The system inside one VM.
#[derive(Debug, Clone)]
pub struct Guest {
    core: Arc<HostCore>,
    vm: SimVmId,
}

impl Guest {
    pub(crate) fn new(core: Arc<HostCore>, vm: SimVmId) -> Guest {
        Guest { core, vm }
    }

    /// Size of a disk in bytes.
    pub fn capacity(&self, disk: usize) -> Result<u64> {
        let storage = self.core.storage(self.vm)?;
        let mut storage = locked(&storage);
        Ok(storage.disk(disk)?.capacity())
    }

    /// Number of disks.
    pub fn disks(&self) -> Result<usize> {
        let storage = self.core.storage(self.vm)?;
        let storage = locked(&storage);
        Ok(storage.disks.len())
    }

    /// Writes whole sectors.
    pub fn write(&self, disk: usize, offset: u64, data: &[u8]) -> Result<()> {
        self.access(disk, offset, data.len() as u64, |stack| stack.write(offset, data))
    }

    /// Makes whole sectors zero, as a discard does.
    pub fn write_zeroes(&self, disk: usize, range: &Range<u64>) -> Result<()> {
        let length = range.end.saturating_sub(range.start);
        self.access(disk, range.start, length, |stack| stack.write_zeroes(range))
    }

    /// Reads whole sectors.
    pub fn read(&self, disk: usize, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.access(disk, offset, buf.len() as u64, |stack| stack.read(offset, buf))
    }

    /// Makes everything written so far durable.
    pub fn flush(&self) -> Result<()> {
        let storage = self.core.storage(self.vm)?;
        locked(&storage).flush()
    }

    /// Makes the disk hold what a raw image holds, writing only the 4 KiB blocks that differ; returns the bytes
    /// written. Each write is one of the guest's, between which checkpoints may come.
    pub fn write_image(&self, disk: usize, image: &Path) -> Result<u64> {
        let wrap = |error| Error::file("reading", image, error);
        let source = File::open(image).map_err(wrap)?;
        let held = {
            let storage = self.core.storage(self.vm)?;
            let mut storage = locked(&storage);
            let stack = storage.disk(disk)?;
            if source.metadata().map_err(wrap)?.len() != stack.capacity() {
                let why = format!("{} has not the size of the disk", image.display());
                return Err(Error::Refused { doing: "write an image to a disk", why });
            }
            stack.allocated()?
        };
        let mut written = 0;
        let wanted = data_ranges(&source).map_err(wrap)?;
        for piece in joined(wanted.into_iter().chain(held).collect()).into_iter().flat_map(pieces) {
            let length = usize::try_from(piece.end - piece.start).unwrap_or_default();
            let (mut new, mut old) = (vec![0; length], vec![0; length]);
            source.read_exact_at(&mut new, piece.start).map_err(wrap)?;
            self.read(disk, piece.start, &mut old)?;
            for run in differing_runs(&new, &old) {
                self.write(disk, piece.start + run.start as u64, &new[run.clone()])?;
                written += run.len() as u64;
            }
        }
        Ok(written)
    }

    fn access(
        &self,
        disk: usize,
        offset: u64,
        length: u64,
        act: impl FnOnce(&mut DiskStack) -> Result<()>,
    ) -> Result<()> {
        let storage = self.core.storage(self.vm)?;
        let mut storage = locked(&storage);
        let (running, vm) = (storage.running, self.vm);
        let stack = storage.disk(disk)?;
        let refuse = |why| Err(Error::GuestAccess { vm, index: disk, offset, length, why });
        if !running {
            return refuse("the VM does not run");
        }
        if !offset.is_multiple_of(stack.sector()) || !length.is_multiple_of(stack.sector()) {
            return refuse("it is not made of whole sectors");
        }
        match offset.checked_add(length) {
            Some(end) if end <= stack.capacity() => act(stack),
            _ => refuse("it reaches beyond the end of the disk"),
        }
    }
}

/// Runs of 4 KiB blocks that differ.
fn differing_runs(new: &[u8], old: &[u8]) -> Vec<Range<usize>> {
    let blocks = new.chunks(BLOCK_BYTES).zip(old.chunks(BLOCK_BYTES)).enumerate();
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (number, (new, _)) in blocks.filter(|(_, (new, old))| new != old) {
        let start = number * BLOCK_BYTES;
        match runs.last_mut() {
            Some(last) if last.end == start => last.end += new.len(),
            _ => runs.push(start..start + new.len()),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_that_differ_are_written() {
        let old = vec![0; 5 * BLOCK_BYTES + 512];
        let mut new = old.clone();
        new[BLOCK_BYTES] = 1;
        new[2 * BLOCK_BYTES] = 1;
        new[5 * BLOCK_BYTES + 511] = 1;
        let runs = differing_runs(&new, &old);
        assert_eq!(runs, [BLOCK_BYTES..3 * BLOCK_BYTES, 5 * BLOCK_BYTES..5 * BLOCK_BYTES + 512]);
    }
}
