//! What must be read of a disk: extents refined by the holes of the files below.
//!
//! A block that has space in its file was often never written: fixed disks, and blocks of which the
//! guest wrote a part. Where the file system tells holes (`SEEK_HOLE`) those stretches are zeros
//! without being read. Whether bytes *are* zero is found out by reading them (`is_zero`); this file
//! only says what need not be read. Hole or not, the bytes a reader gets are the same.

use crate::disk::{Disk, Extent, ExtentKind, Extents};
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::range::ByteRange;

/// Extents in which data that lies in a hole of its file is told as zeros. Ends after the first error.
#[derive(Debug)]
pub struct Contents<'a> {
    disk: &'a Disk,
    extents: Extents<'a>,
    rest: Option<Extent>,
}

/// Aligned stretches of a disk that hold data somewhere; what lies between them is zeros.
#[derive(Debug)]
pub struct DataWindows<'a> {
    contents: Contents<'a>,
    within: ByteRange,
    bytes: u64,
    /// Windows that are known to hold data and were not given out yet.
    ready: ByteRange,
}

impl Disk {
    /// The extents of a range, with the holes of the files told as zeros.
    #[must_use]
    pub fn contents(&self, range: ByteRange) -> Contents<'_> {
        Contents { disk: self, extents: self.extents(range), rest: None }
    }

    /// The windows of `bytes` bytes each (counted from the disk's start) that hold data in `range`,
    /// in order, cut at the ends of the range.
    #[must_use]
    pub fn data_windows(&self, range: ByteRange, bytes: u64) -> DataWindows<'_> {
        let within = range.intersect(ByteRange::new(0, self.capacity()));
        DataWindows {
            contents: self.contents(range),
            within,
            bytes: bytes.max(1),
            ready: ByteRange::new(within.start, within.start),
        }
    }
}

impl Iterator for Contents<'_> {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        let extent = match self.rest.take() {
            Some(rest) => rest,
            None => match self.extents.next()? {
                Ok(extent) => extent,
                Err(error) => return Some(Err(error)),
            },
        };
        Some(self.refine(extent))
    }
}

impl Contents<'_> {
    /// The beginning of an extent that is all data or all hole; the rest is kept for the next call.
    fn refine(&mut self, extent: Extent) -> Result<Extent> {
        let ExtentKind::Data { layer, file_offset } = extent.kind else { return Ok(extent) };
        let file = match &self.disk.chain().layers[layer] {
            // Its extents are made from its holes already.
            Layer::Raw { .. } => return Ok(extent),
            other => other.file(),
        };
        let failed = |error| Error::io(file.name(), "look for holes in", error);
        let run = file.run_at(file_offset).map_err(failed)?;
        // A file that was cut meanwhile has no run here; reading it tells so.
        let length = match run.end.saturating_sub(file_offset) {
            0 => extent.range.len(),
            length => length.min(extent.range.len()),
        };
        let (first, rest) = extent.split_at(length);
        self.rest = rest;
        Ok(if run.is_hole && run.end > file_offset {
            Extent { kind: ExtentKind::Zero, ..first }
        } else {
            first
        })
    }
}

impl Extent {
    /// The first `length` bytes, and what follows them if anything does.
    fn split_at(self, length: u64) -> (Self, Option<Self>) {
        if length >= self.range.len() {
            return (self, None);
        }
        let middle = self.range.start + length;
        let kind = match self.kind {
            ExtentKind::Data { layer, file_offset } => {
                ExtentKind::Data { layer, file_offset: file_offset + length }
            }
            same => same,
        };
        let first = Self { range: ByteRange::new(self.range.start, middle), ..self };
        (first, Some(Self { range: ByteRange::new(middle, self.range.end), kind }))
    }
}

impl Iterator for DataWindows<'_> {
    type Item = Result<ByteRange>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            let Extent { range, kind } = match self.contents.next()? {
                Ok(extent) => extent,
                Err(error) => return Some(Err(error)),
            };
            if matches!(kind, ExtentKind::Data { .. }) {
                self.ready = self.windows_of(range);
            }
        }
        let end = (self.ready.start - self.ready.start % self.bytes).saturating_add(self.bytes);
        let window = ByteRange::new(self.ready.start, end.min(self.ready.end));
        self.ready.start = window.end;
        Some(Ok(window))
    }
}

impl DataWindows<'_> {
    /// The whole windows that a run of data touches, without those given out before.
    fn windows_of(&self, data: ByteRange) -> ByteRange {
        let start = (data.start - data.start % self.bytes).max(self.ready.end);
        let end = data.end.checked_next_multiple_of(self.bytes).unwrap_or(u64::MAX);
        ByteRange::new(start.max(self.within.start), end.min(self.within.end))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::number::{MIB, index};
    use crate::{CreateOptions, FileIo, LocalFile, WritableDisk};

    const CAPACITY: u64 = 40 * MIB;

    /// A fixed disk in a real file with holes; written at a few places, one of them with zeros.
    fn disk_with_holes(folder: &std::path::Path) -> Disk {
        let file: Arc<dyn FileIo> = Arc::new(LocalFile::create_new(folder.join("disk.vhdx")).unwrap());
        let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::fixed(CAPACITY) };
        let mut disk = WritableDisk::create(file, &options).unwrap();
        for (at, byte) in [(0, 1), (7 * MIB + 512, 2), (20 * MIB, 0), (39 * MIB, 3)] {
            disk.write_at(at, &[byte; 8192]).unwrap();
        }
        disk.close().unwrap();
        Disk::open_local(folder.join("disk.vhdx")).unwrap()
    }

    // case 34
    #[test]
    fn skipping_holes_shows_the_same_bytes_as_reading_everything() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk_with_holes(folder.path());
        let (mut all, mut skipping) = (vec![0; index(CAPACITY)], vec![0; index(CAPACITY)]);
        disk.read_at(0, &mut all).unwrap();
        let mut read = 0;
        for window in disk.data_windows(ByteRange::new(0, CAPACITY), 65_536) {
            let window = window.unwrap();
            disk.read_at(window.start, &mut skipping[index(window.start)..index(window.end)]).unwrap();
            read += window.len();
        }
        assert!(all == skipping && all.iter().any(|byte| *byte != 0));
        assert!(read <= CAPACITY / 4, "{read} bytes were read although most are holes");
    }

    #[test]
    fn contents_cover_the_range_without_gaps() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk_with_holes(folder.path());
        for range in [ByteRange::new(0, CAPACITY), ByteRange::new(7 * MIB + 1000, 21 * MIB)] {
            let mut at = range.start;
            for extent in disk.contents(range) {
                let extent = extent.unwrap();
                assert_eq!(extent.range.start, at);
                at = extent.range.end;
            }
            assert_eq!(at, range.end);
        }
    }

    #[test]
    fn windows_are_aligned_disjoint_and_cut_at_the_range() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk_with_holes(folder.path());
        let range = ByteRange::new(1000, CAPACITY - 1000);
        let windows: Vec<_> = disk.data_windows(range, MIB).map(Result::unwrap).collect();
        assert_eq!(windows.first().unwrap().start, 1000);
        assert_eq!(windows.last().unwrap().end, CAPACITY - 1000);
        assert!(windows.windows(2).all(|pair| pair[0].end <= pair[1].start && pair[1].start % MIB == 0));
    }
}
