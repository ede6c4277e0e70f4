//! A guest that remembers every value of every sector, and checks what a cut may leave of its disk.

use std::collections::BTreeMap;

use vdisk::{ByteRange, CreateOptions, Disk, WritableDisk};

use super::power_cut::{Bytes, RecordingFile, cut_everywhere};

const SECTOR: u64 = 512;

/// A disk under a guest, with every value that each sector ever had.
pub(crate) struct Guest {
    pub(crate) file: RecordingFile,
    pub(crate) below: Vec<RecordingFile>,
    pub(crate) disk: Option<WritableDisk>,
    /// Sizes that the disk may have.
    pub(crate) capacities: Vec<u64>,
    /// By sector: (operations of the file when the write began, version), ascending.
    pub(crate) written: BTreeMap<u64, Vec<(usize, u64)>>,
    /// Operations of the file at which a flush had returned, and the version up to which it holds.
    flushed: Vec<(usize, u64)>,
    version: u64,
}

impl Guest {
    pub(crate) fn new(capacity: u64) -> Self {
        let file = RecordingFile::new("disk.vhdx");
        let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(capacity) };
        let disk = WritableDisk::create(file.io(), &options).unwrap();
        Self::over(file, Vec::new(), disk)
    }

    pub(crate) fn over(file: RecordingFile, below: Vec<RecordingFile>, disk: WritableDisk) -> Self {
        let capacities = vec![disk.capacity()];
        let flushed = vec![(file.position(), 0)];
        let written = BTreeMap::new();
        Self { file, below, disk: Some(disk), capacities, written, flushed, version: 0 }
    }

    /// A child over what this guest wrote, which is closed.
    pub(crate) fn into_child(mut self) -> Self {
        self.disk.take().unwrap().close().unwrap();
        let parent = Disk::open(self.file.io()).unwrap();
        let file = RecordingFile::new("child.avhdx");
        let disk = WritableDisk::create_child(file.io(), &parent, "disk.vhdx", None).unwrap();
        let mut child = Self::over(file, vec![self.file], disk);
        child.version = self.version;
        child.flushed = vec![(child.file.position(), self.version)];
        child.written = self.written;
        child.written.values_mut().flatten().for_each(|(at, _)| *at = 0);
        child
    }

    pub(crate) fn disk(&mut self) -> &mut WritableDisk {
        self.disk.as_mut().unwrap()
    }

    pub(crate) fn note(&mut self, range: ByteRange, version: u64) {
        let position = self.file.position();
        for sector in range.start / SECTOR..range.end / SECTOR {
            self.written.entry(sector).or_default().push((position, version));
        }
    }

    pub(crate) fn write(&mut self, offset: u64, length: u64) {
        self.version += 1;
        let version = self.version;
        self.note(ByteRange::at(offset, length), version);
        let data: Vec<u8> = (offset / SECTOR..(offset + length) / SECTOR)
            .flat_map(|sector| sector_of(sector, version))
            .collect();
        self.disk().write_at(offset, &data).unwrap();
    }

    pub(crate) fn zero(&mut self, offset: u64, length: u64) {
        self.version += 1;
        self.note(ByteRange::at(offset, length), 0);
        self.disk().write_zeroes(ByteRange::at(offset, length)).unwrap();
    }

    pub(crate) fn flush(&mut self) {
        self.disk().flush().unwrap();
        self.note_flush();
    }

    pub(crate) fn close(&mut self) {
        self.disk.take().unwrap().close().unwrap();
        self.note_flush();
    }

    /// Version numbers do not tell zeros apart, so the number of values of each sector is what counts.
    pub(crate) fn note_flush(&mut self) {
        self.flushed.push((self.file.position(), self.version));
    }

    /// Checks every image that a cut may leave. Returns their number.
    pub(crate) fn check_all_cuts(&self, start: &Bytes, from: usize, seed: u64) -> usize {
        let ops = self.file.ops();
        cut_everywhere(start, &ops[from..], seed, |position, image| {
            self.check(&image, from + position);
        })
    }

    pub(crate) fn check(&self, image: &Bytes, position: usize) {
        let readable = RecordingFile::over("cut.vhdx", image.clone());
        let chain = |leaf: &RecordingFile| {
            let files = std::iter::once(leaf).chain(&self.below);
            files.map(RecordingFile::io).collect::<Vec<_>>()
        };
        let disk = match Disk::open_chain(chain(&readable)) {
            Ok(disk) => disk,
            Err(error) => panic!("cut after {position} operations: {error}"),
        };
        self.check_content(&disk, position);
        assert_eq!(readable.position(), 0, "reading wrote");
        let writer = WritableDisk::open_chain(chain(&readable)).unwrap();
        self.check_content(&writer.as_disk(), position);
        drop(writer);
        let again = Disk::open_chain(chain(&readable)).unwrap();
        self.check_content(&again, position);
    }

    pub(crate) fn check_content(&self, disk: &Disk, position: usize) {
        assert!(self.capacities.contains(&disk.capacity()), "cut after {position}");
        let flush = self.flushed.iter().rev().find(|(at, _)| *at <= position).unwrap();
        let flushed_at = flush.0;
        let mut chunk = Chunk::default();
        let mut expected_data = 0;
        for (sector, versions) in self.written.range(..disk.capacity() / SECTOR) {
            let found = version_in(*sector, chunk.sector(disk, *sector), position);
            // The value at the flush: the last one whose write began before the flush returned.
            let durable = versions.iter().rposition(|(at, _)| *at < flushed_at);
            let later = &versions[durable.unwrap_or(0)..];
            let allowed =
                later.iter().filter(|(at, _)| *at <= position).any(|(_, version)| *version == found)
                    || (durable.is_none() && found == 0);
            assert!(
                allowed,
                "cut after {position}: sector {sector} has version {found}, of {versions:?}, flushed at {flushed_at}"
            );
            expected_data += u64::from(found != 0);
        }
        // Looking through gigabytes of blocks with one sector each would take long.
        if disk.capacity() > 1 << 30 {
            return;
        }
        assert_eq!(data_sectors(disk), expected_data, "sectors that nobody wrote show data");
    }
}

/// Bytes of the disk read at once.
#[derive(Default)]
struct Chunk {
    start: u64,
    bytes: Vec<u8>,
}

impl Chunk {
    fn sector(&mut self, disk: &Disk, sector: u64) -> &[u8] {
        const CHUNK: u64 = 64 * 1024;
        let start = sector * SECTOR / CHUNK * CHUNK;
        if self.bytes.is_empty() || start != self.start {
            self.bytes.resize((disk.capacity() - start).min(CHUNK) as usize, 0);
            disk.read_at(start, &mut self.bytes).unwrap();
            self.start = start;
        }
        let at = (sector * SECTOR - start) as usize;
        &self.bytes[at..at + SECTOR as usize]
    }
}

/// Number of sectors that are not zero.
fn data_sectors(disk: &Disk) -> u64 {
    let mut count = 0;
    let mut buf = vec![0; 64 * 1024];
    for range in &disk.allocated().unwrap() {
        let mut at = range.start;
        while at < range.end {
            let part = &mut buf[..(range.end - at).min(64 * 1024) as usize];
            disk.read_at(at, part).unwrap();
            count += part.chunks(512).filter(|sector| sector[..8] != [0; 8]).count() as u64;
            at += part.len() as u64;
        }
    }
    count
}

/// A sector whose every word tells its own number and the version of its content.
fn sector_of(sector: u64, version: u64) -> Vec<u8> {
    (sector << 32 | version).to_le_bytes().repeat(SECTOR as usize / 8)
}

/// The version in a sector, which is whole and its own; 0 for zeros.
fn version_in(sector: u64, bytes: &[u8], position: usize) -> u64 {
    let word = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes[8..] == bytes[..bytes.len() - 8], "sector {sector} is mixed, cut {position}");
    assert!(word == 0 || word >> 32 == sector, "sector {sector} shows {:?}, cut {position}", word >> 32);
    word & 0xffff_ffff
}
