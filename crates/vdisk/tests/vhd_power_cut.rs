//! Power cuts while a VHD is written: it has no log, only the order of writes and two footers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::power_cut::{Bytes, Random, RecordingFile, cut_everywhere};
use common::{MIB, content, pattern};
use vdisk::{ByteRange, Disk, Extent, ExtentKind, VhdOptions, VhdWriter};

const KIB: u64 = 1024;
/// Five blocks of 64 KiB and a partial one.
const CAPACITY: u64 = 333 * KIB;

/// A VHD under a guest, with all contents that the disk ever had.
struct Guest {
    file: RecordingFile,
    below: Vec<RecordingFile>,
    disk: Option<VhdWriter>,
    /// (operations of the file when this content began to be written, content)
    states: Vec<(usize, Vec<u8>)>,
    /// (operations of the file when a flush had returned, number of states then)
    flushed: Vec<(usize, usize)>,
}

impl Guest {
    fn new(options: &VhdOptions) -> Self {
        let file = RecordingFile::new("disk.vhd");
        let disk = VhdWriter::create(file.io(), options).unwrap();
        Self::over(file, Vec::new(), disk)
    }

    fn over(file: RecordingFile, below: Vec<RecordingFile>, disk: VhdWriter) -> Self {
        let (flushed, states) = (vec![(file.position(), 1)], vec![(0, content(&disk.as_disk()))]);
        Self { file, below, disk: Some(disk), states, flushed }
    }

    fn into_child(mut self) -> Self {
        self.disk.take().unwrap().close().unwrap();
        let file = RecordingFile::new("child.avhd");
        let parent = Disk::open(self.file.io()).unwrap();
        let disk = VhdWriter::create_child(file.io(), &parent, "disk.vhd", None).unwrap();
        Self::over(file, vec![self.file], disk)
    }

    fn write(&mut self, offset: u64, length: u64) {
        let (mut next, version) = (self.states.last().unwrap().1.clone(), self.states.len() as u64);
        for sector in offset / 512..(offset + length) / 512 {
            let at = sector as usize * 512;
            next[at..at + 512].copy_from_slice(&(sector << 32 | version).to_le_bytes().repeat(64));
        }
        let data = next[offset as usize..(offset + length) as usize].to_vec();
        self.states.push((self.file.position(), next));
        self.disk.as_mut().unwrap().write_at(offset, &data).unwrap();
    }

    fn zero(&mut self, offset: u64, length: u64) {
        let mut next = self.states.last().unwrap().1.clone();
        next[offset as usize..(offset + length) as usize].fill(0);
        self.states.push((self.file.position(), next));
        self.disk.as_mut().unwrap().write_zeroes(ByteRange::at(offset, length)).unwrap();
    }

    fn flush(&mut self) {
        self.disk.as_mut().unwrap().flush().unwrap();
        self.flushed.push((self.file.position(), self.states.len()));
    }

    /// Checks every image that a cut may leave. Returns their number.
    fn check_all_cuts(&mut self, start: &Bytes, from: usize, seed: u64) -> usize {
        self.disk.take().unwrap().close().unwrap();
        let ops = self.file.ops();
        cut_everywhere(start, &ops[from..], seed, |position, image| self.check(&image, from + position))
    }

    /// Each sector is as it was at the last flush, or as some later write had it.
    fn check(&self, image: &Bytes, position: usize) {
        let cut = RecordingFile::over("cut.vhd", image.clone());
        let chain = || std::iter::once(&cut).chain(&self.below).map(RecordingFile::io).collect::<Vec<_>>();
        let disk = Disk::open_chain(chain()).unwrap_or_else(|error| panic!("cut after {position}: {error}"));
        let found = content(&disk);
        let flushed = self.flushed.iter().rev().find(|(at, _)| *at <= position).unwrap().1;
        let allowed: Vec<_> = self.states[flushed - 1..].iter().filter(|(at, _)| *at <= position).collect();
        for at in (0..found.len()).step_by(512) {
            let sector = &found[at..at + 512];
            let is_known = allowed.iter().any(|(_, state)| &state[at..at + 512] == sector);
            assert!(is_known, "cut after {position}: the sector at {at} is none of {} states", allowed.len());
        }
        let mut writer = VhdWriter::open_chain(chain()).unwrap();
        writer.write_at(CAPACITY - 512, &[9; 512]).unwrap();
        writer.close().unwrap();
        let again = content(&Disk::open_chain(chain()).unwrap());
        assert!(
            again[..again.len() - 512] == found[..found.len() - 512],
            "cut after {position}, then written"
        );
    }

    fn any_action(&mut self, random: &mut Random) {
        let offset = random.below(CAPACITY / 512 - 130) * 512;
        match random.below(5) {
            0 => self.flush(),
            1 => self.zero(offset, 512 * (1 + random.below(130))),
            2 => self.write(offset, 64 * KIB),
            _ => self.write(offset, 512 * (1 + random.below(4))),
        }
    }
}

#[test]
fn after_a_cut_at_any_write_each_sector_is_as_flushed_or_as_written_later() {
    let mut images = 0;
    for seed in 0..6 {
        for options in [VhdOptions::dynamic(CAPACITY), VhdOptions::fixed(CAPACITY)] {
            let mut guest = Guest::new(&VhdOptions { block_bytes: 64 << 10, ..options });
            let (start, from) = (guest.file.bytes(), guest.file.position());
            let mut random = Random(seed);
            (0..10).for_each(|_| guest.any_action(&mut random));
            images += guest.check_all_cuts(&start, from, seed);
        }
    }
    assert!(images > 500, "{images}");
}

#[test]
fn a_child_cut_at_any_write_shows_its_own_sectors_or_those_of_its_parent() {
    let mut images = 0;
    for seed in 0..6 {
        let mut parent = Guest::new(&VhdOptions::dynamic(CAPACITY));
        parent.write(0, 40 * KIB);
        parent.write(200 * KIB, 90 * KIB);
        let mut guest = parent.into_child();
        let (start, from) = (guest.file.bytes(), guest.file.position());
        let mut random = Random(seed);
        (0..10).for_each(|_| guest.any_action(&mut random));
        images += guest.check_all_cuts(&start, from, seed);
    }
    assert!(images > 300, "{images}");
}

/// A sparse disk of 64 KiB blocks.
fn sparse_guest() -> Guest {
    Guest::new(&VhdOptions { block_bytes: 64 << 10, ..VhdOptions::dynamic(CAPACITY) })
}

fn is_sound(file: &RecordingFile) -> bool {
    vdisk::check::check(&[file.io()]).unwrap().is_sound()
}

#[test]
fn compacting_keeps_what_the_guest_sees_wherever_it_is_cut() {
    let mut guest = sparse_guest();
    for block in [5, 1, 0, 4, 3, 2] {
        guest.write(block * 64 * KIB, (CAPACITY - block * 64 * KIB).min(64 * KIB));
    }
    guest.zero(64 * KIB, 64 * KIB);
    guest.zero(0, 64 * KIB);
    guest.zero(320 * KIB, 13 * KIB);
    guest.flush();
    let (start, from) = (guest.file.bytes(), guest.file.position());

    let report = guest.disk.as_mut().unwrap().compact().unwrap();

    assert_eq!((report.zero_blocks, report.moved_blocks), (3, 3));
    assert_eq!(report.bytes_before - report.bytes_after, 3 * (64 * KIB + 512));
    assert_eq!((report.bytes_after, is_sound(&guest.file)), (guest.file.io().len().unwrap(), true));
    let images = guest.check_all_cuts(&start, from, 5);
    assert!(images > 30, "{images}");
}

/// Its bitmaps move with the blocks.
#[test]
fn a_compacted_child_shows_its_own_sectors_and_those_of_its_parent_wherever_it_is_cut() {
    let (parent, file) = (RecordingFile::new("disk.vhd"), RecordingFile::new("child.avhd"));
    let mut disk = VhdWriter::create(parent.io(), &VhdOptions::dynamic(5 * MIB)).unwrap();
    disk.write_at(0, &pattern(1, 5 * MIB)).unwrap();
    let mut disk = VhdWriter::create_child(file.io(), &disk.as_disk(), "disk.vhd", None).unwrap();
    for block in 0..3 {
        disk.write_at(block * 2 * MIB + 512 * (1 + block), &[0x70; 1024]).unwrap();
    }
    disk.close().unwrap();
    // The table lets go of the first block, so that there is a gap before the others.
    file.io().write_at(0x2000, &[0xFF; 4]).unwrap();
    file.io().flush().unwrap();
    let (start, from) = (file.bytes(), file.position());
    let mut disk = VhdWriter::open_chain(vec![file.io(), parent.io()]).unwrap();
    let expected = content(&disk.as_disk());

    let report = disk.compact().unwrap();

    assert_eq!((report.zero_blocks, report.moved_blocks), (0, 1));
    assert!(content(&disk.as_disk()) == expected);
    disk.close().unwrap();
    let images = cut_everywhere(&start, &file.ops()[from..], 6, |position, image| {
        let cut = RecordingFile::over("cut.avhd", image).io();
        let disk = Disk::open_chain(vec![cut, parent.io()]);
        assert!(content(&disk.unwrap()) == expected, "cut after {position}");
    });
    assert!(images > 10, "{images}");
}

/// The part of the last block behind the old end of the disk holds old bytes.
#[test]
fn a_disk_that_grows_and_is_cut_anywhere_has_the_old_size_or_the_new_one_and_zeros_in_between() {
    const GROWN: u64 = 3 * MIB + 512;
    let mut guest = sparse_guest();
    guest.write(0, 100 * KIB);
    guest.write(320 * KIB, 13 * KIB);
    guest.disk.take().unwrap().close().unwrap();
    let last = Disk::open(guest.file.io()).unwrap().extents(ByteRange::new(320 * KIB, CAPACITY)).next();
    let Some(Ok(Extent { kind: ExtentKind::Data { file_offset, .. }, .. })) = last else {
        panic!("{last:?}")
    };
    guest.file.io().write_at(file_offset + 13 * KIB, &[0xAB; 51 * 1024]).unwrap();
    guest.file.io().flush().unwrap();
    let (start, from) = (guest.file.bytes(), guest.file.position());
    let mut disk = VhdWriter::open(guest.file.io()).unwrap();

    disk.resize(GROWN).unwrap();

    disk.write_at(GROWN - 512, &[0; 512]).unwrap();
    disk.close().unwrap();
    assert!(is_sound(&guest.file));
    let old = guest.states.pop().unwrap().1;
    let mut sizes = std::collections::BTreeSet::new();
    let images = cut_everywhere(&start, &guest.file.ops()[from..], 8, |position, image| {
        let cut = RecordingFile::over("cut.vhd", image);
        let mut disk =
            VhdWriter::open(cut.io()).unwrap_or_else(|error| panic!("cut after {position}: {error}"));
        let mut found = content(&disk.as_disk());
        let (kept, added) = found.split_at(old.len());
        assert!(kept == old && vdisk::is_zero(added), "cut after {position}");
        sizes.insert(found.len() as u64);
        let end = found.len() - 512;
        disk.write_at(end as u64, &[9; 512]).unwrap();
        disk.close().unwrap();
        found[end..].fill(9);
        assert!(content(&Disk::open(cut.io()).unwrap()) == found, "cut after {position}, then written");
    });
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [CAPACITY, GROWN]);
    assert!(images > 20, "{images}");
}
