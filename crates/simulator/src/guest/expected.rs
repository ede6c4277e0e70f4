//! What a disk must contain at a moment: the write log replayed up to it, as a view that is read piece by piece.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use vdisk::Disk;

use super::write_log::{Record, for_each_record};
use crate::error::{Error, Result};
use crate::host::change_map::joined;
use crate::ids::CheckpointId;

/// Disks are compared in pieces of this size: large enough to be fast, small beside everything else.
const PIECE_BYTES: u64 = 1 << 20;

/// The content that the guest's writes give one disk at one moment.
#[derive(Debug)]
pub struct ExpectedDisk {
    capacity: u64,
    log: File,
    /// Start on the disk → end on the disk and place in the log file; nothing else was ever written.
    pieces: BTreeMap<u64, Piece>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    end: u64,
    log_offset: u64,
}

/// The first place where a disk does not hold what the guest wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Offset on the virtual disk.
    pub offset: u64,
    /// What the guest's writes left there.
    pub expected: u8,
    /// What the disk holds.
    pub found: u8,
}

impl ExpectedDisk {
    /// Replays a log up to a checkpoint's moment, or to its end; `None` when the log has no such moment.
    pub(crate) fn replay(
        log: &Path,
        capacity: u64,
        until: Option<CheckpointId>,
    ) -> io::Result<Option<ExpectedDisk>> {
        let mut expected = ExpectedDisk { capacity, log: File::open(log)?, pieces: BTreeMap::new() };
        let mut reached = false;
        for_each_record(log, |record, _| match record {
            _ if reached => {}
            Record::Data { disk, log_offset } => expected.put(disk, Some(log_offset)),
            Record::Zeroes { disk } => expected.put(disk, None),
            Record::Flushed => {}
            Record::Moment(moment) => reached = Some(moment.checkpoint) == until,
        })?;
        Ok((reached || until.is_none()).then_some(expected))
    }

    /// Size of the disk in bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The ranges that were written and not made zero since; everything else reads as zeroes.
    pub fn written(&self) -> Vec<Range<u64>> {
        joined(self.pieces.iter().map(|(&start, piece)| start..piece.end).collect())
    }

    /// Reads what the disk must contain.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0);
        let end = offset + buf.len() as u64;
        let first = self.pieces.range(..=offset).next_back().map_or(offset, |(&start, _)| start);
        for (&start, piece) in self.pieces.range(first..end) {
            let (from, to) = (start.max(offset), piece.end.min(end));
            if from < to {
                let target = &mut buf[index(from - offset)..index(to - offset)];
                self.log.read_exact_at(target, piece.log_offset + (from - start))?;
            }
        }
        Ok(())
    }

    /// Compares a disk with what it must contain, byte for byte; holes on both sides are skipped.
    pub fn first_difference(&self, disk: &Disk) -> Result<Option<Difference>> {
        if disk.capacity() != self.capacity {
            let why = format!("the disk holds {} bytes, the log {}", disk.capacity(), self.capacity);
            return Err(Error::Refused { doing: "compare a disk with the write log", why });
        }
        let name = || "to compare".to_owned();
        let held = disk.allocated().map_err(Error::disk(name()))?;
        let held = held.iter().map(|range| range.start..range.end);
        for range in joined(self.written().into_iter().chain(held).collect()) {
            for piece in pieces(range) {
                let length = index(piece.end - piece.start);
                let (mut expected, mut found) = (vec![0; length], vec![0; length]);
                self.read_at(piece.start, &mut expected)
                    .map_err(|source| Error::file("reading", "the write log", source))?;
                disk.read_at(piece.start, &mut found).map_err(Error::disk(name()))?;
                if let Some(at) = expected.iter().zip(&found).position(|(a, b)| a != b) {
                    let offset = piece.start + at as u64;
                    return Ok(Some(Difference { offset, expected: expected[at], found: found[at] }));
                }
            }
        }
        Ok(None)
    }

    /// Ranges whose content differs between two moments of the same disk: the true changes.
    pub fn changed_since(&self, earlier: &ExpectedDisk) -> io::Result<Vec<Range<u64>>> {
        let mut changed = Vec::new();
        let both = joined(self.written().into_iter().chain(earlier.written()).collect());
        for piece in both.into_iter().flat_map(pieces) {
            let length = index(piece.end - piece.start);
            let (mut now, mut then) = (vec![0; length], vec![0; length]);
            self.read_at(piece.start, &mut now)?;
            earlier.read_at(piece.start, &mut then)?;
            for (sector, (a, b)) in now.chunks(512).zip(then.chunks(512)).enumerate() {
                if a != b {
                    let start = piece.start + sector as u64 * 512;
                    changed.push(start..start + a.len() as u64);
                }
            }
        }
        Ok(joined(changed))
    }

    fn put(&mut self, disk: Range<u64>, log_offset: Option<u64>) {
        if disk.is_empty() {
            return;
        }
        self.cut_at(disk.start);
        self.cut_at(disk.end);
        let covered: Vec<u64> = self.pieces.range(disk.clone()).map(|(&start, _)| start).collect();
        for start in covered {
            self.pieces.remove(&start);
        }
        if let Some(log_offset) = log_offset {
            self.pieces.insert(disk.start, Piece { end: disk.end, log_offset });
        }
    }

    fn cut_at(&mut self, at: u64) {
        let Some((&start, &piece)) = self.pieces.range(..at).next_back() else { return };
        if piece.end > at {
            self.pieces.insert(start, Piece { end: at, ..piece });
            self.pieces.insert(at, Piece { end: piece.end, log_offset: piece.log_offset + (at - start) });
        }
    }
}

/// Cuts a range into pieces that are read at once.
pub(crate) fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    std::iter::successors(Some(range.start), |start| Some(start + PIECE_BYTES))
        .take_while(move |start| *start < end)
        .map(move |start| start..(start + PIECE_BYTES).min(end))
}

/// An offset inside a buffer that was allocated with a `usize` length.
#[expect(clippy::cast_possible_truncation, reason = "offsets inside a piece of at most PIECE_BYTES")]
fn index(offset: u64) -> usize {
    offset as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::write_log::{Moment, WriteLog};
    use uuid::Uuid;

    #[test]
    fn the_view_stops_at_its_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.log");
        let mut log = WriteLog::open(&path).unwrap();
        let checkpoint = CheckpointId(Uuid::from_u128(1));
        log.wrote(0, &[1; 1024]).unwrap();
        log.reached(&Moment { checkpoint, unix_ms: 0 }).unwrap();
        log.wrote(512, &[2; 512]).unwrap();
        log.wrote_zeroes(&(0..100)).unwrap();

        let then = ExpectedDisk::replay(&path, 4096, Some(checkpoint)).unwrap().unwrap();
        let now = ExpectedDisk::replay(&path, 4096, None).unwrap().unwrap();

        let mut buf = [9; 1030];
        then.read_at(0, &mut buf).unwrap();
        assert_eq!((buf[0], buf[511], buf[600], buf[1024]), (1, 1, 1, 0));
        now.read_at(0, &mut buf).unwrap();
        assert_eq!((buf[0], buf[99], buf[100], buf[600], buf[1029]), (0, 0, 1, 2, 0));
        assert_eq!(now.written(), std::slice::from_ref(&(100..1024)));
        assert_eq!(now.changed_since(&then).unwrap(), std::slice::from_ref(&(0..1024)));
    }

    #[test]
    fn an_unknown_moment_has_no_view() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.log");
        drop(WriteLog::open(&path).unwrap());
        let other = CheckpointId(Uuid::from_u128(2));
        assert!(ExpectedDisk::replay(&path, 4096, Some(other)).unwrap().is_none());
    }
}
