//! The write log: everything the guest ever wrote to one disk, in order, with the moments of its checkpoints.
//!
//! This is the judge of every restore: it never looks at a disk file, so a mistake in the disk stack, in change
//! tracking, in the backup or in the restore shows as a difference. Records are appended to a file as they come;
//! memory does not grow with the log.
//!
//! | offset | record field |
//! |---|---|
//! | 0 | kind: 1 data written (bytes follow), 2 zeroes written, 3 moment, 4 all before is safe on the disk |
//! | 8 | offset on the disk |
//! | 16 | length |
//! | 24 | Unix time in milliseconds |
//! | 32 | id of the checkpoint that is this moment |

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::ids::CheckpointId;

const RECORD_BYTES: usize = 48;
const KIND_DATA: u32 = 1;
const KIND_ZEROES: u32 = 2;
const KIND_MOMENT: u32 = 3;
const KIND_FLUSHED: u32 = 4;

/// An instant in the life of a VM at which the content of its disks is known for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The checkpoint that was taken at this instant.
    pub checkpoint: CheckpointId,
    /// The host's Unix time in milliseconds.
    pub unix_ms: u64,
}

/// One record as the reader of the log sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// Bytes at this place of the log file went to this range of the disk.
    Data { disk: Range<u64>, log_offset: u64 },
    /// This range of the disk became zero.
    Zeroes { disk: Range<u64> },
    /// A checkpoint was taken.
    Moment(Moment),
    /// Everything before this is durable in the disk's files.
    Flushed,
}

/// A write that may be missing on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unflushed {
    /// These bytes at this offset.
    Data(u64, Vec<u8>),
    /// Zeroes in this range.
    Zeroes(Range<u64>),
}

/// The log of one disk, open for appending.
#[derive(Debug)]
pub(crate) struct WriteLog {
    path: PathBuf,
    file: File,
}

impl WriteLog {
    /// Opens the log, starting an empty one where there is none. A record cut off by a kill is dropped.
    pub(crate) fn open(path: &Path) -> io::Result<WriteLog> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut whole = 0;
        for_each_record(path, |_, end| whole = end)?;
        file.set_len(whole)?;
        Ok(WriteLog { path: path.to_owned(), file })
    }

    /// The guest wrote `data` at `offset`.
    pub(crate) fn wrote(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut record = header(KIND_DATA, offset, data.len() as u64, 0, Uuid::nil()).to_vec();
        record.extend_from_slice(data);
        self.file.write_all(&record)
    }

    /// The guest made a range zero.
    pub(crate) fn wrote_zeroes(&mut self, range: &Range<u64>) -> io::Result<()> {
        self.file.write_all(&header(KIND_ZEROES, range.start, range.end - range.start, 0, Uuid::nil()))
    }

    /// A checkpoint was taken now.
    pub(crate) fn reached(&mut self, moment: &Moment) -> io::Result<()> {
        self.file.write_all(&header(KIND_MOMENT, 0, 0, moment.unix_ms, moment.checkpoint.0))
    }

    /// All moments so far, oldest first.
    pub(crate) fn moments(&self) -> io::Result<Vec<Moment>> {
        let mut moments = Vec::new();
        for_each_record(&self.path, |record, _| {
            if let Record::Moment(moment) = record {
                moments.push(moment);
            }
        })?;
        Ok(moments)
    }

    /// Everything written so far is durable in the disk's files.
    pub(crate) fn flushed(&mut self) -> io::Result<()> {
        self.file.write_all(&header(KIND_FLUSHED, 0, 0, 0, Uuid::nil()))
    }

    /// The writes after the last flush: those that a killed simulator may have kept from the disk.
    pub(crate) fn unflushed(&self) -> io::Result<Vec<Unflushed>> {
        let mut records = Vec::new();
        for_each_record(&self.path, |record, _| match record {
            Record::Flushed => records.clear(),
            Record::Moment(_) => {}
            write => records.push(write),
        })?;
        let file = File::open(&self.path)?;
        let read = |record| match record {
            Record::Data { disk, log_offset } => {
                let length = usize::try_from(disk.end - disk.start).map_err(io::Error::other)?;
                let mut data = vec![0; length];
                file.read_exact_at(&mut data, log_offset)?;
                Ok(Unflushed::Data(disk.start, data))
            }
            Record::Zeroes { disk } => Ok(Unflushed::Zeroes(disk)),
            Record::Moment(_) | Record::Flushed => Err(io::Error::other("not a write")),
        };
        records.into_iter().map(read).collect()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Walks through the whole records of a log file; the visitor also gets the end of each in the file.
pub(crate) fn for_each_record(path: &Path, mut visit: impl FnMut(Record, u64)) -> io::Result<()> {
    let file = File::open(path)?;
    let file_bytes = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let mut at = 0;
    while at + RECORD_BYTES as u64 <= file_bytes {
        let mut bytes = [0; RECORD_BYTES];
        reader.read_exact(&mut bytes)?;
        at += RECORD_BYTES as u64;
        let (record, payload) = decode(&bytes, at)?;
        let end = at.saturating_add(payload);
        if end > file_bytes {
            break;
        }
        reader.seek_relative(i64::try_from(payload).map_err(io::Error::other)?)?;
        at = end;
        visit(record, at);
    }
    Ok(())
}

fn header(kind: u32, offset: u64, length: u64, unix_ms: u64, id: Uuid) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[0..4].copy_from_slice(&kind.to_le_bytes());
    bytes[8..16].copy_from_slice(&offset.to_le_bytes());
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    bytes[24..32].copy_from_slice(&unix_ms.to_le_bytes());
    bytes[32..48].copy_from_slice(id.as_bytes());
    bytes
}

/// A record and the bytes of payload that follow it in the file.
fn decode(bytes: &[u8; RECORD_BYTES], after: u64) -> io::Result<(Record, u64)> {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let (kind, disk) = (word(0) & 0xffff_ffff, word(8)..word(8).saturating_add(word(16)));
    match u32::try_from(kind).unwrap_or_default() {
        KIND_DATA => Ok((Record::Data { disk, log_offset: after }, word(16))),
        KIND_ZEROES => Ok((Record::Zeroes { disk }, 0)),
        KIND_MOMENT => {
            let mut id = [0; 16];
            id.copy_from_slice(&bytes[32..48]);
            let checkpoint = CheckpointId(Uuid::from_bytes(id));
            Ok((Record::Moment(Moment { checkpoint, unix_ms: word(24) }), 0))
        }
        KIND_FLUSHED => Ok((Record::Flushed, 0)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the write log holds an unknown record")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_cut_off_by_a_kill_is_not_part_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.log");
        let mut log = WriteLog::open(&path).unwrap();
        log.wrote(512, b"whole").unwrap();
        log.file.write_all(&header(KIND_DATA, 0, 100, 0, Uuid::nil())).unwrap();
        drop(log);
        let log = WriteLog::open(&path).unwrap();
        assert_eq!(log.unflushed().unwrap(), [Unflushed::Data(512, b"whole".to_vec())]);
        assert_eq!(log.file.metadata().unwrap().len(), RECORD_BYTES as u64 + 5);
    }

    #[test]
    fn writes_before_a_flush_need_no_second_try() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = WriteLog::open(&folder.path().join("disk.log")).unwrap();
        log.wrote(0, &[1; 512]).unwrap();
        log.flushed().unwrap();
        log.wrote_zeroes(&(0..512)).unwrap();
        assert_eq!(log.unflushed().unwrap(), [Unflushed::Zeroes(0..512)]);
    }

    #[test]
    fn moments_are_listed_in_the_order_they_came() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = WriteLog::open(&folder.path().join("disk.log")).unwrap();
        let moments = [1, 2].map(|n| Moment { checkpoint: CheckpointId(Uuid::from_u128(n)), unix_ms: 5 });
        log.reached(&moments[0]).unwrap();
        log.wrote(0, &[1; 512]).unwrap();
        log.reached(&moments[1]).unwrap();
        assert_eq!(log.moments().unwrap(), moments);
    }
}
