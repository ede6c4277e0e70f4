//! Builds logs: entries with data and zero descriptors, placed anywhere in the ring, right or wrong.

use std::sync::{Arc, LazyLock};

use uuid::Uuid;
use vdisk::{Disk, Error, MemoryFile};

use super::{MIB, bytes_of, pattern, small_disk};

/// Bytes of a log sector.
pub(crate) const SECTOR: usize = 4096;
const HEADERS: [usize; 2] = [0x1_0000, 0x2_0000];

/// One change that an entry describes.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A sector of these bytes at a place of the file.
    Data(u64, Vec<u8>),
    /// Zeros: place and length.
    Zero(u64, u64),
}

/// A log entry before it is placed.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) guid: Uuid,
    pub(crate) sequence: u64,
    /// Sector of the log in which the oldest live entry starts.
    pub(crate) tail: u32,
    pub(crate) flushed: u64,
    pub(crate) last: u64,
    pub(crate) changes: Vec<Change>,
}

impl Entry {
    /// The bytes of the entry, whose checksum is right.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let tables = (64 + 32 * self.changes.len()).div_ceil(SECTOR);
        let mut bytes = vec![0; tables * SECTOR];
        for (number, change) in self.changes.iter().enumerate() {
            let at = 64 + 32 * number;
            bytes[at + 24..at + 32].copy_from_slice(&self.sequence.to_le_bytes());
            match change {
                Change::Data(offset, data) => {
                    bytes[at..at + 4].copy_from_slice(b"desc");
                    bytes[at + 4..at + 8].copy_from_slice(&data[SECTOR - 4..]);
                    bytes[at + 8..at + 16].copy_from_slice(&data[..8]);
                    bytes[at + 16..at + 24].copy_from_slice(&offset.to_le_bytes());
                    let mut sector = data.clone();
                    sector[..4].copy_from_slice(b"data");
                    sector[4..8].copy_from_slice(&self.sequence.to_le_bytes()[4..]);
                    sector[SECTOR - 4..].copy_from_slice(&self.sequence.to_le_bytes()[..4]);
                    bytes.extend(sector);
                }
                Change::Zero(offset, length) => {
                    bytes[at..at + 4].copy_from_slice(b"zero");
                    bytes[at + 8..at + 16].copy_from_slice(&length.to_le_bytes());
                    bytes[at + 16..at + 24].copy_from_slice(&offset.to_le_bytes());
                }
            }
        }
        bytes[..4].copy_from_slice(b"loge");
        let length = bytes.len() as u32;
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.tail * SECTOR as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&(self.changes.len() as u32).to_le_bytes());
        bytes[32..48].copy_from_slice(&self.guid.to_bytes_le());
        bytes[48..56].copy_from_slice(&self.flushed.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.last.to_le_bytes());
        seal(&mut bytes);
        bytes
    }
}

/// Makes the checksum of an entry right again.
pub(crate) fn seal(entry: &mut [u8]) {
    entry[4..8].fill(0);
    let sum = crc32c::crc32c(entry);
    entry[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// A disk file of which some log is in use.
#[derive(Debug, Clone)]
pub(crate) struct DirtyFile {
    pub(crate) bytes: Vec<u8>,
    pub(crate) guid: Uuid,
}

impl DirtyFile {
    /// Gives a clean file a log in use, still without entries.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let mut file = Self { bytes, guid: Uuid::from_u128(0x10c) };
        file.put_headers(48, &file.guid.to_bytes_le());
        file
    }

    /// Changes both headers alike.
    pub(crate) fn put_headers(&mut self, offset: usize, value: &[u8]) {
        for at in HEADERS {
            self.bytes[at + offset..at + offset + value.len()].copy_from_slice(value);
            seal(&mut self.bytes[at..at + SECTOR]);
        }
    }

    /// An entry of this log that changes nothing yet.
    pub(crate) fn entry(&self, sequence: u64, tail: u32) -> Entry {
        let length = self.bytes.len() as u64;
        Entry { guid: self.guid, sequence, tail, flushed: length, last: length, changes: Vec::new() }
    }

    /// Places an entry at a sector of the ring, and returns the sector where it ends.
    pub(crate) fn place(&mut self, sector: u32, entry: &Entry) -> u32 {
        self.place_bytes(sector, &entry.bytes())
    }

    /// As [`DirtyFile::place`], with the bytes of an entry.
    pub(crate) fn place_bytes(&mut self, sector: u32, entry: &[u8]) -> u32 {
        let mut at = sector as usize;
        for part in entry.chunks(SECTOR) {
            let (start, sectors) = self.ring();
            let place = start + at % sectors * SECTOR;
            self.bytes[place..place + SECTOR].copy_from_slice(part);
            at += 1;
        }
        (at % self.ring().1) as u32
    }

    /// Start of the log in the file, and its sectors.
    fn ring(&self) -> (usize, usize) {
        let header = &self.bytes[HEADERS[1]..];
        let length = u32::from_le_bytes(header[68..72].try_into().unwrap());
        let start = u64::from_le_bytes(header[72..80].try_into().unwrap());
        (start as usize, length as usize / SECTOR)
    }
}

/// Where block 0 of the disk lies in the file.
pub(crate) const BLOCK: u64 = 4 << 20;

/// 4 MiB in 1 MiB blocks, of which block 0 is present; its first sector is of version 0.
pub(crate) fn dirty() -> DirtyFile {
    static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let (file, mut disk) = small_disk(4 * MIB);
        disk.write_at(0, &pattern(1, MIB)).unwrap();
        disk.write_at(0, &[0; SECTOR]).unwrap();
        disk.close().unwrap();
        bytes_of(&file)
    });
    DirtyFile::new(SOUND.clone())
}

/// A sector of a version.
pub(crate) fn sector(version: u8) -> Vec<u8> {
    vec![version; SECTOR]
}

/// An entry that raises the version to its own number.
pub(crate) fn raise(file: &DirtyFile, sequence: u64, tail: u32) -> Entry {
    Entry { changes: vec![Change::Data(BLOCK, sector(sequence as u8))], ..file.entry(sequence, tail) }
}

/// Opens a file for reading.
pub(crate) fn open(file: &DirtyFile) -> Result<Disk, Error> {
    Disk::open(Arc::new(MemoryFile::with_bytes("x.vhdx", &file.bytes)))
}

/// The version that a reader finds in the first sector, or the code of the error.
pub(crate) fn seen(file: &DirtyFile) -> String {
    let version = |disk: Disk| {
        let mut first = sector(0);
        disk.read_at(0, &mut first).map(|()| first)
    };
    match open(file).and_then(version) {
        Ok(first) if first == sector(first[0]) => first[0].to_string(),
        Ok(_) => "mixed".into(),
        Err(error) => error.code().into(),
    }
}
