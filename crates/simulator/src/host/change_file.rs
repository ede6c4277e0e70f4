//! The side file that keeps change tracking over a restart of the simulator: `<disk file>.rct`.
//!
//! Its layout is the simulator's own, since the real one is not published. A header is followed by records that are
//! only appended: a run of units is recorded *before* the guest's data is written, so a simulator that is killed
//! between both reports too much, never too little. That is the promise of the real pair of files (`.rct` and the
//! write-through `.mrt`) with the coarse step left out.
//!
//! | offset | header field | | offset | record field |
//! |---|---|---|---|---|
//! | 0 | magic `RPSIMRCT` | | 0 | kind: 1 run written, 2 mark taken |
//! | 8 | version, 1 | | 4 | sequence number |
//! | 12 | sequence number at creation | | 8 | first unit |
//! | 16 | branch GUID | | 16 | end unit |
//! | 32 | bytes per unit | | | |
//! | 40 | checksum of the bytes before it | | | |

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::change_map::ChangeMap;

const MAGIC: &[u8; 8] = b"RPSIMRCT";
const HEADER_BYTES: usize = 48;
const RECORD_BYTES: usize = 24;
/// A file with more records than this is not one of ours: 1 GiB of records.
const FILE_BYTES_MAX: u64 = 1 << 30;
const KIND_RUN: u32 = 1;
const KIND_MARK: u32 = 2;

/// Path of the side file of a disk file.
pub(crate) fn beside(disk_file: &Path) -> PathBuf {
    let mut name = disk_file.as_os_str().to_owned();
    name.push(".rct");
    PathBuf::from(name)
}

/// What a side file starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChangeFileHeader {
    pub(crate) branch: Uuid,
    pub(crate) sequence: u32,
    pub(crate) unit_bytes: u64,
}

/// Everything that a side file says.
#[derive(Debug)]
pub(crate) struct LoadedChanges {
    pub(crate) header: ChangeFileHeader,
    /// The sequence number that writes get now: one above the last mark.
    pub(crate) sequence: u32,
    pub(crate) map: ChangeMap,
}

/// An open side file that records are appended to.
#[derive(Debug)]
pub(crate) struct ChangeFile {
    path: PathBuf,
    file: File,
}

impl ChangeFile {
    /// Writes a side file anew with the given content. It appears under its name only when it is complete.
    pub(crate) fn create(
        disk_file: &Path,
        header: ChangeFileHeader,
        map: &ChangeMap,
    ) -> io::Result<ChangeFile> {
        let path = beside(disk_file);
        let mut bytes = encode_header(&header);
        for (units, sequence) in map.iter() {
            bytes.extend(encode_record(KIND_RUN, sequence, &units));
        }
        let staged = path.with_extension("rct-new");
        std::fs::write(&staged, &bytes)?;
        std::fs::rename(&staged, &path)?;
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok(ChangeFile { path, file })
    }

    /// Reads a side file and opens it for appending; `None` when the disk has none.
    pub(crate) fn open(disk_file: &Path) -> io::Result<Option<(ChangeFile, LoadedChanges)>> {
        let path = beside(disk_file);
        let file = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() > FILE_BYTES_MAX {
            return Err(damaged("it is larger than any tracking file"));
        }
        let bytes = std::fs::read(&path)?;
        let loaded = decode(&bytes)?;
        // A record cut off by a kill was never followed by its data; drop it before new ones are appended.
        let whole = bytes.len() - (bytes.len() - HEADER_BYTES) % RECORD_BYTES;
        file.set_len(whole as u64)?;
        Ok(Some((ChangeFile { path, file }, loaded)))
    }

    /// Records that a run of units is about to be written.
    pub(crate) fn append_run(&mut self, sequence: u32, units: &Range<u64>) -> io::Result<()> {
        self.file.write_all(&encode_record(KIND_RUN, sequence, units))
    }

    /// Records that a mark was taken: later writes carry a higher number than `sequence`.
    pub(crate) fn append_mark(&mut self, sequence: u32) -> io::Result<()> {
        self.file.write_all(&encode_record(KIND_MARK, sequence, &(0..0)))
    }

    /// Removes the side file.
    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

fn encode_header(header: &ChangeFileHeader) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(header.sequence.to_le_bytes());
    bytes.extend(header.branch.as_bytes());
    bytes.extend(header.unit_bytes.to_le_bytes());
    let sum = checksum(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn encode_record(kind: u32, sequence: u32, units: &Range<u64>) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[0..4].copy_from_slice(&kind.to_le_bytes());
    bytes[4..8].copy_from_slice(&sequence.to_le_bytes());
    bytes[8..16].copy_from_slice(&units.start.to_le_bytes());
    bytes[16..24].copy_from_slice(&units.end.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> io::Result<LoadedChanges> {
    if bytes.len() < HEADER_BYTES || &bytes[..8] != MAGIC || u32_at(bytes, 8) != 1 {
        return Err(damaged("it does not begin like a tracking file"));
    }
    if u64_at(bytes, 40) != checksum(&bytes[..40]) {
        return Err(damaged("the checksum of its header is wrong"));
    }
    let mut branch = [0; 16];
    branch.copy_from_slice(&bytes[16..32]);
    let header = ChangeFileHeader {
        branch: Uuid::from_bytes(branch),
        sequence: u32_at(bytes, 12),
        unit_bytes: u64_at(bytes, 32),
    };
    let mut loaded = LoadedChanges { header, sequence: header.sequence, map: ChangeMap::default() };
    for record in bytes[HEADER_BYTES..].chunks_exact(RECORD_BYTES) {
        let sequence = u32_at(record, 4);
        match u32_at(record, 0) {
            KIND_RUN => loaded.map.stamp(u64_at(record, 8)..u64_at(record, 16), sequence),
            KIND_MARK => loaded.sequence = loaded.sequence.max(sequence.saturating_add(1)),
            _ => return Err(damaged("it holds a record of an unknown kind")),
        }
    }
    Ok(loaded)
}

fn checksum(bytes: &[u8]) -> u64 {
    // FNV-1a, 64 bits: enough to notice a torn or foreign header.
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> ChangeFileHeader {
        ChangeFileHeader { branch: Uuid::from_u128(7), sequence: 3, unit_bytes: 16384 }
    }

    #[test]
    fn a_side_file_says_after_reopening_what_was_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("a.vhdx");
        let mut file = ChangeFile::create(&disk, header(), &ChangeMap::default()).unwrap();
        file.append_run(3, &(5..9)).unwrap();
        file.append_mark(3).unwrap();
        file.append_run(4, &(8..10)).unwrap();
        drop(file);
        let (_, loaded) = ChangeFile::open(&disk).unwrap().unwrap();
        assert_eq!((loaded.header, loaded.sequence), (header(), 4));
        assert_eq!(loaded.map.iter().collect::<Vec<_>>(), [(5..8, 3), (8..10, 4)]);
    }

    #[test]
    fn a_record_cut_off_by_a_kill_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("a.vhdx");
        let mut file = ChangeFile::create(&disk, header(), &ChangeMap::default()).unwrap();
        file.append_run(3, &(5..9)).unwrap();
        file.file.write_all(&[1, 0, 0]).unwrap();
        drop(file);
        let (mut file, _) = ChangeFile::open(&disk).unwrap().unwrap();
        file.append_run(3, &(20..21)).unwrap();
        let (_, loaded) = ChangeFile::open(&disk).unwrap().unwrap();
        assert_eq!(loaded.map.iter().collect::<Vec<_>>(), [(5..9, 3), (20..21, 3)]);
    }

    #[test]
    fn a_damaged_header_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("a.vhdx");
        drop(ChangeFile::create(&disk, header(), &ChangeMap::default()).unwrap());
        let mut bytes = std::fs::read(beside(&disk)).unwrap();
        bytes[20] ^= 1;
        std::fs::write(beside(&disk), bytes).unwrap();
        assert_eq!(ChangeFile::open(&disk).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(ChangeFile::open(&folder.path().join("other.vhdx")).unwrap().is_none());
    }
}
