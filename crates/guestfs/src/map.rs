//! `VolumeMap`: where each byte of a volume lies on the disks.
//!
//! A map is a row of runs; a run is a piece of a disk, or stripes, copies or parity over further maps. The same
//! map answers a read and says which disk bytes belong to a range of the volume, so that what is excluded from a
//! backup is exactly what the volume would have read.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use vdisk::{ByteRange, ChangedRanges};

use crate::number::{bytes, index};
use crate::source::{Source, beyond_end};

/// The disks that maps refer to by position.
pub(crate) type Disks = Arc<[Arc<dyn Source>]>;

/// Where the bytes of a volume lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeMap {
    runs: Vec<Run>,
    length: u64,
}

/// Bytes of a volume that one piece holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    /// First byte on the volume.
    start: u64,
    length: u64,
    /// Bytes of the piece that lie before this run.
    skip: u64,
    piece: Piece,
}

/// How the bytes of a run are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Linear {
        disk: usize,
        offset: u64,
    },
    Striped(Arc<Stripes>),
    Mirrored(Arc<[VolumeMap]>),
    /// RAID-5 in the order that Windows and Linux call left-symmetric.
    Parity(Arc<Stripes>),
    Missing {
        why: Arc<str>,
    },
}

/// Columns of equal use, filled `unit` bytes at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stripes {
    unit: u64,
    columns: Vec<VolumeMap>,
}

impl VolumeMap {
    /// `length` bytes of a disk from `offset`.
    #[must_use]
    pub fn linear(disk: usize, offset: u64, length: u64) -> Self {
        Self::single(length, Piece::Linear { disk, offset })
    }

    /// Bytes that are on none of the disks; `why` completes "cannot be read: …".
    #[must_use]
    pub fn missing(length: u64, why: &str) -> Self {
        Self::single(length, Piece::Missing { why: why.into() })
    }

    /// `length` bytes in stripes of `unit` bytes; `None` when the columns do not hold as much.
    #[must_use]
    pub fn striped(length: u64, unit: u64, columns: Vec<Self>) -> Option<Self> {
        let held = rows(unit, &columns)?.checked_mul(unit)?.checked_mul(bytes(columns.len()))?;
        (length <= held).then(|| Self::single(length, Piece::Striped(Arc::new(Stripes { unit, columns }))))
    }

    /// The same bytes in each copy, read from the first that can be read; `None` when a copy is too short.
    #[must_use]
    pub fn mirrored(length: u64, copies: Vec<Self>) -> Option<Self> {
        let fits = !copies.is_empty() && copies.iter().all(|copy| copy.length >= length);
        fits.then(|| Self::single(length, Piece::Mirrored(copies.into())))
    }

    /// `length` bytes in left-symmetric RAID-5; `None` with fewer than three columns or too little room.
    #[must_use]
    pub fn raid5(length: u64, unit: u64, columns: Vec<Self>) -> Option<Self> {
        let data_columns = bytes(columns.len()).checked_sub(1).filter(|&count| count >= 2)?;
        let held = rows(unit, &columns)?.checked_mul(unit)?.checked_mul(data_columns)?;
        (length <= held).then(|| Self::single(length, Piece::Parity(Arc::new(Stripes { unit, columns }))))
    }

    /// Maps one behind the other; `None` when the sum is beyond any disk.
    #[must_use]
    pub fn concat(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut whole = Self::default();
        for part in parts {
            let length = whole.length.checked_add(part.length)?;
            for run in part.runs {
                whole.push(Run { start: whole.length + run.start, ..run });
            }
            whole.length = length;
        }
        Some(whole)
    }

    fn single(length: u64, piece: Piece) -> Self {
        let runs = if length == 0 { Vec::new() } else { vec![Run { start: 0, length, skip: 0, piece }] };
        Self { runs, length }
    }

    /// Adds a run behind the others, joined with the last where that continues on the same disk.
    fn push(&mut self, run: Run) {
        if let Some(last) = self.runs.last_mut()
            && let (Piece::Linear { disk, offset }, Piece::Linear { disk: next, offset: at }) =
                (&last.piece, &run.piece)
            && disk == next
            && offset.checked_add(last.skip + last.length) == at.checked_add(run.skip)
        {
            last.length += run.length;
        } else {
            self.runs.push(run);
        }
    }

    /// The part of the map from `offset` on; `None` when it reaches beyond the end.
    #[must_use]
    pub fn slice(&self, offset: u64, length: u64) -> Option<Self> {
        let end = offset.checked_add(length).filter(|&end| end <= self.length)?;
        let wanted = ByteRange::new(offset, end);
        let runs = self.runs_in(wanted).map(|run| {
            let part = run.range().intersect(wanted);
            Run {
                start: part.start - offset,
                length: part.len(),
                skip: run.skip + (part.start - run.start),
                piece: run.piece.clone(),
            }
        });
        Some(Self { runs: runs.collect(), length })
    }

    /// Runs that it is made of.
    pub(crate) fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Size of the volume in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Why some of the volume cannot be read at all; empty when every byte is on a disk that is there, or can be
    /// made from what is there.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps: Vec<String> = self.runs.iter().flat_map(|run| run.piece.gaps()).collect();
        gaps.dedup();
        gaps
    }

    /// The disks that hold some of it, in ascending order.
    #[must_use]
    pub fn disks(&self) -> Vec<usize> {
        let mut disks: Vec<usize> = self.runs.iter().flat_map(|run| run.piece.disks()).collect();
        disks.sort_unstable();
        disks.dedup();
        disks
    }

    fn runs_in(&self, range: ByteRange) -> impl Iterator<Item = &Run> {
        let first = self.runs.partition_point(|run| run.range().end <= range.start);
        self.runs[first..].iter().take_while(move |run| run.start < range.end)
    }

    /// Fills `buf` from `offset`; `name` is the volume's, for texts.
    pub(crate) fn read(&self, disks: &Disks, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let length = bytes(buf.len());
        let end = offset.checked_add(length).filter(|&end| end <= self.length);
        let Some(end) = end else { return Err(beyond_end(name, offset, length, self.length)) };
        let wanted = ByteRange::new(offset, end);
        for run in self.runs_in(wanted) {
            let part = run.range().intersect(wanted);
            let target = &mut buf[index(part.start - offset)..index(part.end - offset)];
            run.piece.read(disks, name, run.skip + (part.start - run.start), target)?;
        }
        Ok(())
    }

    /// The disk bytes that hold these bytes of the volume, all copies of them, for each disk by its position.
    ///
    /// `None` when some of them take part in parity: such a disk byte serves several bytes of the volume at once
    /// and cannot be told apart. Ranges beyond the end, and bytes on missing disks, have no place.
    #[must_use]
    pub fn on_disks(&self, ranges: &ChangedRanges) -> Option<BTreeMap<usize, ChangedRanges>> {
        let mut places = BTreeMap::<usize, Vec<ByteRange>>::new();
        for range in ranges {
            self.collect_places(range, &mut places)?;
        }
        Some(places.into_iter().map(|(disk, list)| (disk, ChangedRanges::from_ranges(list))).collect())
    }

    fn collect_places(&self, range: ByteRange, places: &mut BTreeMap<usize, Vec<ByteRange>>) -> Option<()> {
        for run in self.runs_in(range) {
            let part = run.range().intersect(range);
            let from = run.skip + (part.start - run.start);
            run.piece.collect_places(ByteRange::at(from, part.len()), places)?;
        }
        Some(())
    }
}

impl Run {
    fn range(&self) -> ByteRange {
        ByteRange::at(self.start, self.length)
    }
}

impl Piece {
    fn read(&self, disks: &Disks, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Linear { disk, offset: base } => {
                let at = base.checked_add(offset);
                match (disks.get(*disk), at) {
                    (Some(disk), Some(at)) => disk.read_at(at, buf),
                    _ => Err(beyond_end(name, offset, bytes(buf.len()), 0)),
                }
            }
            Self::Missing { why } => {
                Err(io::Error::other(format!("this part of {name} cannot be read: {why}")))
            }
            Self::Mirrored(copies) => read_any_copy(copies, disks, name, offset, buf),
            Self::Striped(stripes) => stripes.read(disks, name, offset, buf),
            Self::Parity(stripes) => stripes.read_with_parity(disks, name, offset, buf),
        }
    }

    fn collect_places(&self, range: ByteRange, places: &mut BTreeMap<usize, Vec<ByteRange>>) -> Option<()> {
        match self {
            Self::Linear { disk, offset } => {
                places
                    .entry(*disk)
                    .or_default()
                    .push(ByteRange::at(offset.checked_add(range.start)?, range.len()));
                Some(())
            }
            Self::Missing { .. } => Some(()),
            Self::Mirrored(copies) => copies.iter().try_for_each(|copy| copy.collect_places(range, places)),
            Self::Striped(stripes) => stripes.collect_places(range, places),
            Self::Parity(_) => None,
        }
    }

    fn disks(&self) -> Vec<usize> {
        match self {
            Self::Linear { disk, .. } => vec![*disk],
            Self::Missing { .. } => Vec::new(),
            Self::Mirrored(copies) => copies.iter().flat_map(VolumeMap::disks).collect(),
            Self::Striped(stripes) | Self::Parity(stripes) => {
                stripes.columns.iter().flat_map(VolumeMap::disks).collect()
            }
        }
    }

    fn gaps(&self) -> Vec<String> {
        match self {
            Self::Linear { .. } => Vec::new(),
            Self::Missing { why } => vec![why.to_string()],
            Self::Striped(stripes) => stripes.columns.iter().flat_map(VolumeMap::gaps).collect(),
            Self::Mirrored(copies) => {
                let whole = copies.iter().any(|copy| copy.gaps().is_empty());
                if whole { Vec::new() } else { copies.iter().flat_map(VolumeMap::gaps).collect() }
            }
            Self::Parity(stripes) => {
                let gaps: Vec<Vec<String>> =
                    stripes.columns.iter().map(VolumeMap::gaps).filter(|gaps| !gaps.is_empty()).collect();
                if gaps.len() < 2 { Vec::new() } else { gaps.concat() }
            }
        }
    }
}

fn read_any_copy(
    copies: &[VolumeMap],
    disks: &Disks,
    name: &str,
    offset: u64,
    buf: &mut [u8],
) -> io::Result<()> {
    let mut answer = Err(io::Error::other(format!("no copy of {name} is there")));
    for copy in copies {
        answer = copy.read(disks, name, offset, buf);
        if answer.is_ok() {
            break;
        }
    }
    answer
}

/// Whole rows that every column holds; `None` for a unit of zero or no columns.
fn rows(unit: u64, columns: &[VolumeMap]) -> Option<u64> {
    columns.iter().map(VolumeMap::length).min()?.checked_div(unit)
}

impl Stripes {
    fn count(&self) -> u64 {
        bytes(self.columns.len())
    }

    fn read(&self, disks: &Disks, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.for_each_chunk(offset, buf, |chunk, inside, part| {
            let column = &self.columns[index(chunk % self.count())];
            column.read(disks, name, chunk / self.count() * self.unit + inside, part)
        })
    }

    /// Row `r` of n columns has its parity in column n-1 - r mod n; the data follows behind it, around the end.
    fn read_with_parity(&self, disks: &Disks, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let count = self.count();
        self.for_each_chunk(offset, buf, |chunk, inside, part| {
            let row = chunk / (count - 1);
            let parity = count - 1 - row % count;
            let column = index((parity + 1 + chunk % (count - 1)) % count);
            let at = row * self.unit + inside;
            match self.columns[column].read(disks, name, at, part) {
                Ok(()) => Ok(()),
                Err(error) => self.rebuild(disks, name, at, column, part).map_err(|_| error),
            }
        })
    }

    /// What column `lost` holds at `at` is the exclusive or of all others.
    fn rebuild(&self, disks: &Disks, name: &str, at: u64, lost: usize, part: &mut [u8]) -> io::Result<()> {
        part.fill(0);
        let mut other = vec![0; part.len()];
        for (number, column) in self.columns.iter().enumerate() {
            if number != lost {
                column.read(disks, name, at, &mut other)?;
                part.iter_mut().zip(&other).for_each(|(byte, other)| *byte ^= other);
            }
        }
        Ok(())
    }

    /// Calls `read` with the number of each chunk, the place inside it and its share of `buf`.
    fn for_each_chunk(
        &self,
        offset: u64,
        buf: &mut [u8],
        mut read: impl FnMut(u64, u64, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            let at = offset + bytes(done);
            let inside = at % self.unit;
            let part = index((self.unit - inside).min(bytes(buf.len() - done)));
            read(at / self.unit, inside, &mut buf[done..done + part])?;
            done += part;
        }
        Ok(())
    }

    /// A range without gaps takes one range without gaps of each column, so its length does not matter here.
    fn collect_places(&self, range: ByteRange, places: &mut BTreeMap<usize, Vec<ByteRange>>) -> Option<()> {
        for (number, column) in (0..).zip(&self.columns) {
            let part =
                ByteRange::new(self.bytes_before(range.start, number), self.bytes_before(range.end, number));
            if !part.is_empty() {
                column.collect_places(part, places)?;
            }
        }
        Some(())
    }

    /// How many of the first `offset` bytes of the volume lie in column `number`.
    fn bytes_before(&self, offset: u64, number: u64) -> u64 {
        let chunk = offset / self.unit;
        let (row, column) = (chunk / self.count(), chunk % self.count());
        row * self.unit
            + match number.cmp(&column) {
                std::cmp::Ordering::Less => self.unit,
                std::cmp::Ordering::Equal => offset % self.unit,
                std::cmp::Ordering::Greater => 0,
            }
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
