//! VHDX files as a power cut leaves them: what their logs hold is not in place yet, or only in part.
//!
//! Two ways lead there. [`cut_off`] keeps what our writer had made durable when the guest's flush returned, and any
//! part of what it wrote after that; the guest must find all that it flushed. [`move_into_log`] takes sectors of a
//! file made by hand out of their places and into log entries made by hand (`common/log.rs`), and puts around them
//! what a reader must not replay: entries that are retired, torn, of an older sequence or of another log.

use std::collections::BTreeSet;

use uuid::Uuid;
use vdisk::{FileIo, MemoryFile};

use crate::common::log::{Change, Entry, SECTOR};
use crate::common::power_cut::Op;
use crate::model::Chance;
use crate::plain::{BAT, HEADERS, LOG, MIB, Plain, seal_in};

/// Sectors of the log of a file made by hand.
const LOG_SECTORS: u32 = (MIB as usize / SECTOR) as u32;
/// How far behind the first entry others begin; far more than the entries take.
const ASIDE: u32 = 100;
/// Most sectors of a file's end that are moved into the log.
const END_SECTORS_MAX: usize = 24;
const PAGE: u64 = SECTOR as u64;

/// What a cut leaves after these operations, of which the last flush has returned.
pub(crate) fn cut_off(chance: &mut Chance, name: &str, ops: &[Op]) -> MemoryFile {
    let durable = ops.iter().rposition(|op| matches!(op, Op::Flush)).map_or(0, |at| at + 1);
    let file = MemoryFile::new(name);
    for (number, op) in ops.iter().enumerate() {
        let kept = if number < durable { 2 } else { chance.below(3) };
        match op {
            Op::Write(offset, data) if kept > 0 => {
                let length = if kept == 1 { data.len() / 1024 * 512 } else { data.len() };
                file.write_at(*offset, &data[..length]).unwrap();
            }
            Op::SetLen(length) if kept > 0 => file.set_len(*length).unwrap(),
            _ => {}
        }
    }
    file
}

/// The file as a reader takes it that knows nothing of logs.
pub(crate) fn without_log(file: &MemoryFile) -> MemoryFile {
    let copy = crate::judges::copy_of(file);
    for header in HEADERS {
        copy.write_at(header + 48, &[0; 16]).unwrap();
        seal_in(&copy, header, SECTOR);
    }
    copy
}

/// Moves some of the file's sectors into its log; replayed, the file is what it was. Returns whether QEMU's replay
/// makes something else of it (see `qemu.rs`): the file must become longer, or a retired entry is not what its
/// sector holds now.
pub(crate) fn move_into_log(chance: &mut Chance, plain: &Plain, file: &MemoryFile) -> bool {
    let length = file.len().unwrap().next_multiple_of(MIB);
    file.set_len(length).unwrap();
    let mut moved = chosen_sectors(chance, plain);
    let kept_length = shortened(chance, plain, file, length, &mut moved);
    let mut right: Vec<Change> = moved.iter().map(|at| Change::Data(*at, page_at(file, *at))).collect();
    right.extend(zeros(chance, plain, file).map(|(at, pages)| Change::Zero(at, pages * PAGE)));
    spoil(chance, file, &right);
    file.set_len(kept_length).unwrap();

    let mut ring = Ring {
        file,
        model: Entry {
            guid: Uuid::from_u128(plain.log_guid),
            sequence: 1 + (chance.next() >> 2),
            tail: 0,
            flushed: kept_length,
            last: length,
            changes: Vec::new(),
        },
        sector: chance.below(u64::from(LOG_SECTORS)) as u32,
    };
    ring.model.tail = ring.sector;
    ring.put_aside(chance, &moved);
    let is_stale = chance.one_in(2) && ring.put_retired(chance, &moved);
    ring.put_active(chance, &moved, &right);
    is_stale || kept_length < length
}

/// Pages of the block table, bitmaps and payload.
fn chosen_sectors(chance: &mut Chance, plain: &Plain) -> BTreeSet<u64> {
    let mut moved = BTreeSet::new();
    for (entry, _) in plain.table.iter().take(6) {
        if !chance.one_in(4) {
            moved.insert((BAT + entry * 8) / PAGE * PAGE);
        }
    }
    for (at, bytes) in plain.parts.iter().take(6) {
        if !bytes.is_empty() && chance.one_in(2) {
            moved.insert((at + chance.below(bytes.len() as u64)) / PAGE * PAGE);
        }
    }
    moved
}

/// Sometimes the file is to end earlier, so that only its log tells of the rest.
fn shortened(
    chance: &mut Chance,
    plain: &Plain,
    file: &MemoryFile,
    length: u64,
    moved: &mut BTreeSet<u64>,
) -> u64 {
    let end = length - MIB * (1 + chance.below(2));
    if end < plain.payload_start() || chance.one_in(2) {
        return length;
    }
    let pages = (end..length).step_by(SECTOR);
    let used: Vec<u64> = pages.filter(|at| !vdisk::is_zero(&page_at(file, *at))).collect();
    if used.len() > END_SECTORS_MAX {
        return length;
    }
    moved.extend(used);
    end
}

/// Stretches of zeros in blocks: (place, pages).
fn zeros(chance: &mut Chance, plain: &Plain, file: &MemoryFile) -> impl Iterator<Item = (u64, u64)> {
    let length = file.len().unwrap();
    let mut found = Vec::new();
    for (_, entry) in plain.table.iter().filter(|(_, entry)| entry & 7 == 6) {
        let at = (entry & !0xF_FFFF) + chance.below(MIB / PAGE - 16) * PAGE;
        let pages = 1 + chance.below(16);
        if at + pages * PAGE <= length
            && (0..pages).all(|page| vdisk::is_zero(&page_at(file, at + page * PAGE)))
        {
            found.push((at, pages));
        }
    }
    found.into_iter().take(3)
}

/// What stands in the places of moved sectors: what was there before, which may be anything.
fn spoil(chance: &mut Chance, file: &MemoryFile, right: &[Change]) {
    for change in right {
        match change {
            Change::Data(at, _) => file.write_at(*at, &junk(chance)).unwrap(),
            Change::Zero(at, length) => {
                for page in 0..length / PAGE {
                    file.write_at(at + page * PAGE, &junk(chance)).unwrap();
                }
            }
        }
    }
}

fn junk(chance: &mut Chance) -> Vec<u8> {
    match chance.below(3) {
        0 => vec![0; SECTOR],
        1 => vec![chance.next() as u8; SECTOR],
        _ => (0..SECTOR / 8).flat_map(|_| chance.next().to_le_bytes()).collect(),
    }
}

fn page_at(file: &MemoryFile, at: u64) -> Vec<u8> {
    let mut page = vec![0; SECTOR];
    file.read_at(at, &mut page).unwrap();
    page
}

/// Places entries one after the other.
struct Ring<'a> {
    file: &'a MemoryFile,
    /// The next entry, as yet without changes.
    model: Entry,
    /// Where it goes.
    sector: u32,
}

impl Ring<'_> {
    fn put_bytes(&self, sector: u32, entry: &[u8]) -> u32 {
        let mut at = sector % LOG_SECTORS;
        for part in entry.chunks(SECTOR) {
            self.file.write_at(LOG + u64::from(at) * PAGE, part).unwrap();
            at = (at + 1) % LOG_SECTORS;
        }
        at
    }

    fn put(&mut self, changes: Vec<Change>) {
        let entry = Entry { changes, ..self.model.clone() };
        self.sector = self.put_bytes(self.sector, &entry.bytes());
        self.model.sequence += 1;
    }

    /// Entries of another log, and an older sequence of this one.
    fn put_aside(&self, chance: &mut Chance, moved: &BTreeSet<u64>) {
        let Some(victim) = moved.first() else { return };
        let start = (self.sector + ASIDE) % LOG_SECTORS;
        let changes = vec![Change::Data(*victim, junk(chance))];
        let entry = Entry { changes, tail: start, ..self.model.clone() };
        if chance.one_in(2) {
            let later = Entry { guid: Uuid::from_u128(0xBAD), sequence: entry.sequence + 99, ..entry };
            self.put_bytes(start, &later.bytes());
        } else if chance.one_in(2) && entry.sequence > 50 {
            self.put_bytes(start, &Entry { sequence: entry.sequence - 50, ..entry }.bytes());
        }
    }

    /// Entries whose sectors were changed again since; nothing may bring back what they say. Returns whether there
    /// is one that differs from what its sector holds.
    fn put_retired(&mut self, chance: &mut Chance, moved: &BTreeSet<u64>) -> bool {
        let mut is_stale = false;
        for _ in 0..chance.below(3) {
            let at = BAT + PAGE * chance.below(4);
            let is_in_place = !moved.contains(&at) && at + PAGE <= self.file.len().unwrap();
            let stale = is_in_place.then(|| Change::Data(at, junk(chance)));
            is_stale |= stale.is_some();
            self.put(stale.into_iter().collect());
        }
        is_stale
    }

    /// The sequence that counts, and a torn entry after it.
    fn put_active(&mut self, chance: &mut Chance, moved: &BTreeSet<u64>, right: &[Change]) {
        let victims: Vec<u64> = moved.iter().copied().collect();
        let tail = self.sector;
        if chance.one_in(2) {
            // An entry that is overruled by later ones.
            let early = victims.iter().filter(|_| chance.one_in(2)).copied().collect::<Vec<_>>();
            self.put(early.into_iter().map(|at| Change::Data(at, junk(chance))).collect());
        }
        let order = chance.shuffled(right.len() as u64);
        let mut parts: Vec<Vec<Change>> = vec![Vec::new(); 1 + chance.below(4) as usize];
        for (turn, number) in order.into_iter().enumerate() {
            let part = turn % parts.len();
            parts[part].push(right[number as usize].clone());
        }
        let last = parts.pop();
        for part in parts {
            self.put(part);
        }
        self.model.tail = tail;
        self.put(last.unwrap_or_default());
        if let Some(victim) = victims.first().filter(|_| chance.one_in(2)) {
            let changes = vec![Change::Data(*victim, junk(chance))];
            let mut torn = Entry { changes, ..self.model.clone() }.bytes();
            torn[SECTOR + 2000] ^= 1;
            self.put_bytes(self.sector, &torn);
        }
    }
}
