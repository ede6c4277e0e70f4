//! What a log changes, merged from its active sequence (MS-VHDX 2.3.2).
//!
//! The entries are applied in order to a map of sectors and a set of cleared ranges, the later one
//! winning. The bytes stay in the log and are fetched when needed, since neither a reader nor a
//! replay writes there: 4 KiB of log cost some 60 bytes of memory.

use std::collections::BTreeMap;

use zerocopy::{FromBytes, IntoBytes};

use super::area::LogArea;
use super::entry::{Descriptor, Entry, descriptors_of, sector_buffer};
use super::layout::{DataDescriptor, DataSector, LOG_SECTOR_BYTES, ZeroDescriptor, table_sectors};
use super::sequence::active_sequence;
use super::zeros::ZeroRanges;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;
use crate::range::ByteRange;
use crate::vhdx::format::{Header, REGION_TABLE_OFFSETS};

/// Separate cleared ranges that a log may have. Writers clear whole blocks, of which there are a few
/// in a log; a hostile log of 1 GiB could name 32 million.
const ZERO_RANGES_MAX: usize = 1 << 18;
/// Longest file that can be: offsets of files are signed.
const FILE_BYTES_MAX: u64 = i64::MAX as u64;

/// The changes of a log that must be applied before the file's structures are read.
#[derive(Debug)]
pub(in crate::vhdx) struct Replay {
    sectors: BTreeMap<u64, LoggedSector>,
    zeros: ZeroRanges,
    entries: u64,
    final_length: u64,
}

/// Where the bytes of a changed sector are.
#[derive(Debug, Clone, Copy)]
struct LoggedSector {
    /// Place of the data sector in the file.
    data_at: u64,
    sequence_number: u64,
    leading: [u8; 8],
    trailing: [u8; 4],
}

/// One change to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhdx) enum Change<'a> {
    /// So many bytes become zero.
    Zeros(u64),
    /// These bytes are written.
    Bytes(&'a [u8]),
}

impl Replay {
    /// Finds and checks what the log that `header` names holds; its LogGuid is not zero.
    pub(in crate::vhdx) fn read(file: &dyn FileIo, header: &Header) -> Result<Self> {
        let length = file.len().map_err(|error| Error::io(file.name(), "read the length of", error))?;
        let log = LogArea::of(file, header, length)?;
        let entries = active_sequence(file, &log)?;
        let Some(last) = entries.last() else {
            return Err(Error::damaged(file.name(), "its log has no entries"));
        };
        check_sizes(file.name(), last, length)?;
        let mut replay = Self {
            sectors: BTreeMap::new(),
            zeros: ZeroRanges::default(),
            entries: entries.len() as u64,
            final_length: length.max(last.last_file_offset),
        };
        for entry in &entries {
            replay.apply(file, &log, entry)?;
        }
        Ok(replay)
    }

    /// Number of entries replayed.
    pub(in crate::vhdx) fn entries(&self) -> u64 {
        self.entries
    }

    /// Length that the file has once it is replayed; never less than it has now.
    pub(in crate::vhdx) fn final_length(&self) -> u64 {
        self.final_length
    }

    /// Calls `apply(file offset, change)` for all changes, in an order that may be written as it is:
    /// the cleared ranges ascending, then the sectors ascending. Nothing reaches beyond
    /// [`Replay::final_length`], into the log or into the headers. Applying all of them again, or a
    /// part and then all, comes to the same.
    pub(in crate::vhdx) fn for_each_change(
        &self,
        file: &dyn FileIo,
        apply: &mut dyn FnMut(u64, Change<'_>) -> Result<()>,
    ) -> Result<()> {
        for range in self.zeros.iter() {
            apply(range.start, Change::Zeros(range.len()))?;
        }
        let mut bytes = sector_buffer();
        for (offset, sector) in &self.sectors {
            sector
                .fetch(file, &mut bytes)
                .map_err(|error| Error::io(file.name(), "read the log of", error))?;
            apply(*offset, Change::Bytes(&bytes))?;
        }
        Ok(())
    }

    /// Replaces what the log changes in `buf`, which holds the file's own bytes from `offset` on.
    pub(super) fn patch(&self, file: &dyn FileIo, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        let range = ByteRange::at(offset, buf.len() as u64);
        let mut at = range.start;
        while let Some(zeros) = self.zeros.next(at).filter(|zeros| zeros.start < range.end) {
            let part = zeros.intersect(range);
            buf[index(part.start - offset)..index(part.end - offset)].fill(0);
            at = part.end;
        }
        let first = range.start - range.start % LOG_SECTOR_BYTES;
        let mut bytes = sector_buffer();
        for (start, sector) in self.sectors.range(first..range.end) {
            sector.fetch(file, &mut bytes)?;
            let part = ByteRange::at(*start, LOG_SECTOR_BYTES).intersect(range);
            buf[index(part.start - offset)..index(part.end - offset)]
                .copy_from_slice(&bytes[index(part.start - start)..index(part.end - start)]);
        }
        Ok(())
    }

    /// Whether the log changes the sector at `offset`; otherwise the next sector that it changes.
    pub(super) fn sector_run(&self, offset: u64) -> (bool, u64) {
        let first = offset - offset % LOG_SECTOR_BYTES;
        if self.sectors.contains_key(&first) {
            return (true, first + LOG_SECTOR_BYTES);
        }
        (false, self.sectors.range(offset..).next().map_or(u64::MAX, |(start, _)| *start))
    }

    /// The first range at or after `offset` that the log clears.
    pub(super) fn zeros_from(&self, offset: u64) -> Option<ByteRange> {
        self.zeros.next(offset)
    }

    fn apply(&mut self, file: &dyn FileIo, log: &LogArea, entry: &Entry) -> Result<()> {
        let tables = table_sectors(entry.descriptor_count);
        let mut data_sector = entry.sector + tables;
        let mut sector = sector_buffer();
        for table in 0..tables {
            log.read_sector(file, entry.sector + table, &mut sector)?;
            for bytes in descriptors_of(&sector, table, entry.descriptor_count) {
                match Descriptor::parse(bytes, entry.sequence_number) {
                    Some(Descriptor::Data(data)) => {
                        self.apply_data(file.name(), log, &data, log.file_offset(data_sector))?;
                        data_sector += 1;
                    }
                    Some(Descriptor::Zero(zero)) => self.apply_zero(file.name(), log, &zero)?,
                    None => return Err(Error::damaged(file.name(), "its log changed while it was read")),
                }
            }
        }
        Ok(())
    }

    fn apply_data(&mut self, name: &str, log: &LogArea, data: &DataDescriptor, data_at: u64) -> Result<()> {
        let offset = data.file_offset.get();
        let range = self.target(name, log, offset, LOG_SECTOR_BYTES)?;
        if range.end > self.final_length {
            let what = format!("its log writes at {offset}, beyond the end it gives the file");
            return Err(Error::damaged(name, what));
        }
        let sector = LoggedSector {
            data_at,
            sequence_number: data.sequence_number.get(),
            leading: data.leading_bytes,
            trailing: data.trailing_bytes,
        };
        self.sectors.insert(offset, sector);
        Ok(())
    }

    /// The part beyond the file's end needs no clearing: it reads as zeros when the file grows.
    fn apply_zero(&mut self, name: &str, log: &LogArea, zero: &ZeroDescriptor) -> Result<()> {
        let range = self.target(name, log, zero.file_offset.get(), zero.zero_length.get())?;
        let range = range.intersect(ByteRange::new(0, self.final_length));
        if range.is_empty() {
            return Ok(());
        }
        let covered: Vec<u64> = self.sectors.range(range.start..range.end).map(|(start, _)| *start).collect();
        for start in covered {
            self.sectors.remove(&start);
        }
        self.zeros.insert(range);
        if self.zeros.count() > ZERO_RANGES_MAX {
            let what = format!("a log that clears more than {ZERO_RANGES_MAX} separate ranges");
            return Err(Error::unsupported(name, what));
        }
        Ok(())
    }

    /// The target of a descriptor: whole sectors, behind the headers, which are never logged, and
    /// outside the log itself.
    fn target(&self, name: &str, log: &LogArea, offset: u64, length: u64) -> Result<ByteRange> {
        let end = offset.checked_add(length).filter(|end| *end <= FILE_BYTES_MAX);
        let aligned = offset.is_multiple_of(LOG_SECTOR_BYTES) && length.is_multiple_of(LOG_SECTOR_BYTES);
        match end.map(|end| ByteRange::new(offset, end)) {
            Some(range)
                if aligned && offset >= REGION_TABLE_OFFSETS[0] && range.intersect(log.range).is_empty() =>
            {
                Ok(range)
            }
            _ => {
                let what = format!("its log changes {length} bytes at {offset}, where no log may write");
                Err(Error::damaged(name, what))
            }
        }
    }
}

/// The file must have kept what was durable when the last entry was written (MS-VHDX 2.3.1.1).
fn check_sizes(name: &str, last: &Entry, length: u64) -> Result<()> {
    if last.flushed_file_offset > length {
        let (file, what) = (name.to_owned(), "what its log builds on".to_owned());
        return Err(Error::Truncated { file, what, needed: last.flushed_file_offset, length });
    }
    if last.last_file_offset > FILE_BYTES_MAX {
        let what = format!("its log gives it {} bytes, more than a file can have", last.last_file_offset);
        return Err(Error::damaged(name, what));
    }
    Ok(())
}

impl LoggedSector {
    /// Rebuilds the sector's bytes, and sees that the log was not written over meanwhile.
    fn fetch(&self, file: &dyn FileIo, bytes: &mut [u8]) -> std::io::Result<()> {
        file.read_at(self.data_at, bytes)?;
        match DataSector::ref_from_bytes(bytes) {
            Ok(sector) if sector.belongs_to(self.sequence_number) => {}
            _ => return Err(std::io::Error::other("the log was written over while the file was open")),
        }
        bytes[..self.leading.len()].copy_from_slice(self.leading.as_bytes());
        let end = bytes.len() - self.trailing.len();
        bytes[end..].copy_from_slice(&self.trailing);
        Ok(())
    }
}
