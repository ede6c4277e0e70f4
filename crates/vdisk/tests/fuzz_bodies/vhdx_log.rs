//! Target `vhdx_log`: entries built from the bytes, placed in the ring of a sound file, with right checksums.
//!
//! When nothing was bent, a replay of a few lines here says what must come of it: the file with the changes
//! written into it, opened without a log, shows the same disk.

use std::sync::{Arc, LazyLock};

use uuid::Uuid;
use vdisk::{Disk, FileIo, MemoryFile, WritableDisk};

use super::input::Input;
use super::oracle::{check_disk, check_error, check_same, sealed, whole};
use super::plain::{BAT, LOG, METADATA, MIB, Plain, seal};
use super::vhdx_open::PARENT;

const SECTOR: usize = 4096;
const LOG_SECTORS: u64 = MIB / 4096;
const ENTRIES_MAX: usize = 10;
const LOG_GUID: u128 = 0x10c;

static DIRTY: LazyLock<Plain> = LazyLock::new(|| Plain { log_guid: LOG_GUID, ..PARENT.clone() });

/// Its bytes before the log is replayed.
static DIRTY_BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let file = DIRTY.file("x.vhdx");
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
});

/// A change of the file: a sector, or zeros.
struct Change {
    at: u64,
    data: Option<Vec<u8>>,
    length: u64,
}

/// An entry and where it lies.
struct Entry {
    sector: u64,
    sequence: u64,
    tail: u64,
    flushed: u64,
    last: u64,
    changes: Vec<Change>,
}

pub fn body(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let file = DIRTY.file("x.vhdx");
    let length = file.len().unwrap();
    let sector = input.below(LOG_SECTORS);
    // Sequence numbers near their end may not overflow before the last entry.
    let sequence = input.u64().clamp(1, u64::MAX - 2 * ENTRIES_MAX as u64);
    let mut next = Next { sector, sequence, used: 0, tails: Vec::new(), length };
    let mut entries = Vec::new();
    let mut bent = false;
    for _ in 0..ENTRIES_MAX {
        if input.is_empty() {
            break;
        }
        let entry = next.entry(&mut input, &mut bent);
        let mut bytes = entry.bytes();
        bent |= bend(&mut bytes, &mut input);
        let sectors = bytes.len() as u64 / 4096;
        if next.used + sectors >= LOG_SECTORS {
            bent = true;
        }
        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
            let at = (entry.sector + number as u64) % LOG_SECTORS;
            file.write_at(LOG + at * 4096, sector).unwrap();
        }
        next.after(&entry, sectors);
        entries.push(entry);
    }
    let opened = Disk::open(sealed(&file));
    match &opened {
        Ok(disk) => check_disk(disk),
        Err(error) => check_error(error),
    }
    if !bent && !entries.is_empty() {
        check_same(&opened, &Disk::open(sealed(&replayed(&entries))));
    }
    if let Ok(disk) = &opened {
        check_real_replay(disk, &file);
    }
}

/// Where the next entry goes.
struct Next {
    sector: u64,
    sequence: u64,
    used: u64,
    tails: Vec<u64>,
    length: u64,
}

impl Next {
    fn entry(&mut self, input: &mut Input<'_>, bent: &mut bool) -> Entry {
        let choice = input.byte();
        let sector = match choice & 3 {
            3 => {
                *bent = true;
                input.below(LOG_SECTORS)
            }
            _ => self.sector,
        };
        let sequence = match choice >> 2 & 7 {
            7 => {
                *bent = true;
                self.sequence.wrapping_add(u64::from(input.byte()))
            }
            _ => self.sequence,
        };
        self.tails.push(sector);
        let tail = match choice >> 5 {
            0..4 => sector,
            4..7 => self.tails[input.below(self.tails.len() as u64) as usize],
            _ => {
                *bent = true;
                input.below(LOG_SECTORS + 2)
            }
        };
        let sizes = input.byte();
        let flushed = match sizes & 7 {
            7 => {
                *bent = true;
                input.u64()
            }
            _ => self.length,
        };
        let last = match sizes >> 3 & 7 {
            6 => self.length + MIB,
            7 => {
                *bent = true;
                input.u64()
            }
            _ => self.length,
        };
        let changes = (0..sizes >> 6).map(|_| self.change(input, last, bent)).collect();
        Entry { sector, sequence, tail, flushed, last, changes }
    }

    fn change(&self, input: &mut Input<'_>, last: u64, bent: &mut bool) -> Change {
        let choice = input.byte();
        let place = input.below(16) * 4096;
        let at = match choice % 8 {
            0 | 1 => BAT,
            2 => METADATA + place,
            3 => METADATA + 0x1_0000,
            4 => 0x3_0000 + place,
            5 => self.length - 2 * MIB + place,
            6 => last.saturating_sub(4096) & !4095,
            _ => input.u64(),
        };
        let is_zero = choice & 8 != 0;
        let length = match choice >> 4 {
            _ if !is_zero => 4096,
            15 => input.u64(),
            pages => u64::from(pages) * 4096,
        };
        let overflows = at.checked_add(length).is_none_or(|end| end > i64::MAX as u64);
        let in_log = !overflows && at < LOG + MIB && at + length > LOG;
        let beyond = !overflows && at + length > last.max(self.length);
        *bent |= overflows || in_log || beyond || at < 0x3_0000 || at % 4096 != 0 || length % 4096 != 0;
        Change { at, data: (!is_zero).then(|| self.sector_for(at, input)), length }
    }

    /// What stands there now, with a few bytes changed.
    fn sector_for(&self, at: u64, input: &mut Input<'_>) -> Vec<u8> {
        let mut bytes = vec![0; SECTOR];
        if let Some(held) = DIRTY_BYTES.get(usize::try_from(at).unwrap_or(usize::MAX)..) {
            let count = held.len().min(SECTOR);
            bytes[..count].copy_from_slice(&held[..count]);
        }
        let offset = input.below(SECTOR as u64 - 16) as usize;
        let count = usize::from(input.byte() % 9);
        let patch = input.take(count);
        bytes[offset..offset + patch.len()].copy_from_slice(patch);
        bytes
    }

    fn after(&mut self, entry: &Entry, sectors: u64) {
        self.used += sectors;
        self.sector = (entry.sector + sectors) % LOG_SECTORS;
        self.sequence = entry.sequence.wrapping_add(1);
    }
}

impl Entry {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; (64 + 32 * self.changes.len()).div_ceil(SECTOR) * SECTOR];
        let put =
            |bytes: &mut [u8], at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        for (number, change) in self.changes.iter().enumerate() {
            let at = 64 + 32 * number;
            put(&mut bytes, at + 16, &change.at.to_le_bytes());
            put(&mut bytes, at + 24, &self.sequence.to_le_bytes());
            match &change.data {
                Some(data) => {
                    put(&mut bytes, at, b"desc");
                    put(&mut bytes, at + 4, &data[SECTOR - 4..]);
                    put(&mut bytes, at + 8, &data[..8]);
                    let start = bytes.len();
                    bytes.extend(data);
                    put(&mut bytes, start, b"data");
                    put(&mut bytes, start + 4, &self.sequence.to_le_bytes()[4..]);
                    put(&mut bytes, start + SECTOR - 4, &self.sequence.to_le_bytes()[..4]);
                }
                None => {
                    put(&mut bytes, at, b"zero");
                    put(&mut bytes, at + 8, &change.length.to_le_bytes());
                }
            }
        }
        put(&mut bytes, 0, b"loge");
        let length = bytes.len() as u32;
        put(&mut bytes, 8, &length.to_le_bytes());
        put(&mut bytes, 12, &((self.tail * 4096) as u32).to_le_bytes());
        put(&mut bytes, 16, &self.sequence.to_le_bytes());
        put(&mut bytes, 24, &(self.changes.len() as u32).to_le_bytes());
        put(&mut bytes, 32, &Uuid::from_u128(LOG_GUID).to_bytes_le());
        put(&mut bytes, 48, &self.flushed.to_le_bytes());
        put(&mut bytes, 56, &self.last.to_le_bytes());
        seal(&mut bytes);
        bytes
    }
}

/// Changes bytes of a built entry, before or after its checksum is made.
fn bend(bytes: &mut [u8], input: &mut Input<'_>) -> bool {
    let choice = input.byte();
    if choice < 192 {
        return false;
    }
    let reach = if choice & 1 == 0 { 192 } else { bytes.len() as u64 };
    let at = input.below(reach) as usize;
    let patch = input.take(1 + usize::from(choice & 7));
    let end = (at + patch.len()).min(bytes.len());
    bytes[at..end].copy_from_slice(&patch[..end - at]);
    if choice & 32 != 0 {
        seal(bytes);
    }
    true
}

/// The file with the changes in place and no log in use.
fn replayed(entries: &[Entry]) -> MemoryFile {
    let file = Plain { log_guid: 0, ..DIRTY.clone() }.file("x.vhdx");
    let last = entries.last().unwrap();
    file.set_len(file.len().unwrap().max(last.last)).unwrap();
    let first = entries.iter().position(|entry| entry.sector == last.tail).unwrap();
    for change in entries[first..].iter().flat_map(|entry| &entry.changes) {
        let zeros = vec![0; change.length as usize];
        file.write_at(change.at, change.data.as_ref().unwrap_or(&zeros)).unwrap();
    }
    file
}

/// A writer puts the changes in place for good, where it can; the disk must stay what the overlay showed.
fn check_real_replay(disk: &Disk, file: &MemoryFile) {
    let Some(expected) = whole(disk) else { return };
    let Ok(writer) = WritableDisk::open(Arc::new(file.clone())) else { return };
    writer.close().expect("a disk that opened for writing can be closed");
    let after = Disk::open(sealed(file)).expect("what was replayed in place opens");
    assert!(whole(&after).is_some_and(|bytes| bytes == expected), "replay in place shows another disk");
}
