//! Power cuts at every write: what was flushed is there, nothing else shows, and the file opens.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::collections::BTreeMap;

use common::MIB;
use common::power_cut::{Bytes, Random, RecordingFile, cut_at, cut_everywhere};
use vdisk::{ByteRange, CreateOptions, Disk, WritableDisk};

const SECTOR: u64 = 512;

/// A disk under a guest, with every value that each sector ever had.
struct Guest {
    file: RecordingFile,
    below: Vec<RecordingFile>,
    disk: Option<WritableDisk>,
    capacity: u64,
    /// By sector: (operations of the file when the write began, version), ascending.
    written: BTreeMap<u64, Vec<(usize, u64)>>,
    /// Operations of the file at which a flush had returned, and the version up to which it holds.
    flushed: Vec<(usize, u64)>,
    version: u64,
}

impl Guest {
    fn new(capacity: u64) -> Self {
        let file = RecordingFile::new("disk.vhdx");
        let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(capacity) };
        let disk = WritableDisk::create(file.io(), &options).unwrap();
        Self::over(file, Vec::new(), disk)
    }

    fn over(file: RecordingFile, below: Vec<RecordingFile>, disk: WritableDisk) -> Self {
        let capacity = disk.capacity();
        let flushed = vec![(file.position(), 0)];
        let written = BTreeMap::new();
        Self { file, below, disk: Some(disk), capacity, written, flushed, version: 0 }
    }

    /// A child over what this guest wrote, which is closed.
    fn into_child(mut self) -> Self {
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

    fn disk(&mut self) -> &mut WritableDisk {
        self.disk.as_mut().unwrap()
    }

    fn note(&mut self, range: ByteRange, version: u64) {
        let position = self.file.position();
        for sector in range.start / SECTOR..range.end / SECTOR {
            self.written.entry(sector).or_default().push((position, version));
        }
    }

    fn write(&mut self, offset: u64, length: u64) {
        self.version += 1;
        let version = self.version;
        self.note(ByteRange::at(offset, length), version);
        let data: Vec<u8> = (offset / SECTOR..(offset + length) / SECTOR)
            .flat_map(|sector| sector_of(sector, version))
            .collect();
        self.disk().write_at(offset, &data).unwrap();
    }

    fn zero(&mut self, offset: u64, length: u64) {
        self.version += 1;
        self.note(ByteRange::at(offset, length), 0);
        self.disk().write_zeroes(ByteRange::at(offset, length)).unwrap();
    }

    fn flush(&mut self) {
        self.disk().flush().unwrap();
        self.note_flush();
    }

    fn close(&mut self) {
        self.disk.take().unwrap().close().unwrap();
        self.note_flush();
    }

    /// Version numbers do not tell zeros apart, so the number of values of each sector is what counts.
    fn note_flush(&mut self) {
        self.flushed.push((self.file.position(), self.version));
    }

    /// Checks every image that a cut may leave. Returns their number.
    fn check_all_cuts(&self, start: &Bytes, from: usize, seed: u64) -> usize {
        let ops = self.file.ops();
        cut_everywhere(start, &ops[from..], seed, |position, image| {
            self.check(&image, from + position);
        })
    }

    fn check(&self, image: &Bytes, position: usize) {
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

    fn check_content(&self, disk: &Disk, position: usize) {
        assert_eq!(disk.capacity(), self.capacity);
        let flush = self.flushed.iter().rev().find(|(at, _)| *at <= position).unwrap();
        let flushed_at = flush.0;
        let mut bytes = [0; SECTOR as usize];
        let mut expected_data = 0;
        for (sector, versions) in &self.written {
            disk.read_at(sector * SECTOR, &mut bytes).unwrap();
            let found = version_in(*sector, &bytes, position);
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
        assert_eq!(self.data_sectors(disk), expected_data, "sectors that nobody wrote show data");
    }

    /// Number of sectors that are not zero.
    fn data_sectors(&self, disk: &Disk) -> u64 {
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
}

/// A sector whose every word tells its own number and the version of its content.
fn sector_of(sector: u64, version: u64) -> Vec<u8> {
    (sector << 32 | version).to_le_bytes().repeat(SECTOR as usize / 8)
}

/// The version in a sector, which is whole and its own; 0 for zeros.
fn version_in(sector: u64, bytes: &[u8], position: usize) -> u64 {
    let word = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes.chunks(8).all(|other| other == &bytes[..8]), "sector {sector} is mixed, cut {position}");
    assert!(word == 0 || word >> 32 == sector, "sector {sector} shows {:?}, cut {position}", word >> 32);
    word & 0xffff_ffff
}

// case 61
#[test]
fn after_a_cut_at_any_write_each_sector_is_as_flushed_or_as_written_later() {
    let mut guest = Guest::new(6 * MIB);
    let (start, from) = (guest.file.bytes(), guest.file.position());
    guest.write(4096, 4096);
    guest.write(MIB + 512, 1024);
    guest.flush();
    guest.write(4096, 2048);
    guest.write(3 * MIB, 4096);
    guest.flush();
    guest.zero(MIB, MIB);
    guest.write(8192, 512);
    guest.flush();
    guest.close();
    let images = guest.check_all_cuts(&start, from, 1);
    assert!(images > 100, "{images}");
}

/// Blocks are cleared and their space is used again for others, with and without a flush between.
// cases 61, 62
#[test]
fn recycled_space_never_shows_what_another_block_held() {
    let mut images = 0;
    for seed in 0..8 {
        let mut guest = Guest::new(5 * MIB);
        guest.write(0, MIB);
        guest.write(MIB, 8192);
        guest.flush();
        let (start, from) = (guest.file.bytes(), guest.file.position());
        let mut random = Random(seed);
        for _ in 0..16 {
            let block = random.below(5) * MIB;
            match random.below(4) {
                0 => guest.zero(block, MIB),
                1 => guest.flush(),
                2 => guest.write(block, MIB / 4),
                _ => guest.write(block + random.below(250) * 4096, 4096),
            }
        }
        guest.close();
        images += guest.check_all_cuts(&start, from, seed);
    }
    assert!(images > 500, "{images}");
}

/// Partly present blocks: their bitmaps, the payload, and the table go through the log together.
// case 61
#[test]
fn a_child_cut_at_any_write_shows_its_own_sectors_or_those_of_its_parent() {
    let mut parent = Guest::new(9 * MIB);
    parent.write(0, 64 * 1024);
    parent.write(5 * MIB, 8192);
    let mut guest = parent.into_child();
    let (start, from) = (guest.file.bytes(), guest.file.position());
    guest.write(512, 1024);
    guest.write(5 * MIB - 512, 2048);
    guest.flush();
    guest.write(1024, 2048);
    guest.zero(4 * MIB, 2 * MIB);
    guest.zero(2048, 512);
    guest.flush();
    guest.write(5 * MIB, 512);
    guest.write(2 * MIB, 2 * MIB);
    guest.flush();
    guest.close();
    let images = guest.check_all_cuts(&start, from, 3);
    assert!(images > 100, "{images}");
}

/// The log of 1 MiB goes round several times, with entries that wrap at its end.
#[test]
fn a_log_that_goes_round_keeps_its_promise() {
    let mut guest = Guest::new(70 * 512 * MIB);
    let (start, from) = (guest.file.bytes(), guest.file.position());
    for round in 0..4 {
        for page in 0..70 {
            // Blocks of 1 MiB: 512 entries of 8 bytes are a page of the table.
            guest.write((page * 512 + round) * MIB, 512);
        }
        guest.flush();
    }
    guest.close();
    let mut random = Random(5);
    let chosen = |_| random.below(30) == 0;
    let ops = guest.file.ops();
    let images =
        cut_at(&start, &ops[from..], 5, chosen, |position, image| guest.check(&image, from + position));
    assert!(images > 50, "{images}");
}
