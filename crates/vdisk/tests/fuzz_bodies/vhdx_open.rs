//! Target `vhdx_open`: a small sound file with patches in the structures that describe it.
//!
//! Input: a byte of switches, then patches: area, offset in it (2 bytes), count, bytes. The copies of headers and
//! region tables are changed alike and sealed again, unless a switch says otherwise.

use std::sync::{Arc, LazyLock};

use vdisk::{Disk, FileIo, MemoryFile, WritableDisk};

use super::input::Input;
use super::oracle::{check_disk, check_error, sealed, whole};
use super::plain::{BAT, HEADERS, ITEMS, METADATA, MIB, Plain, REGION_TABLES, locator_of, seal_in};

pub(super) const PATCHES_MAX: usize = 24;
/// Bounds the time of one input: a table can be as long as the file.
const LENGTH_MAX: u64 = 24 * MIB;
const PARENT_GUID: u128 = 0xba5e;

/// Three blocks and a part, two of which have data.
pub(super) static PARENT: LazyLock<Plain> = LazyLock::new(|| {
    let mut plain = Plain::new(3 * MIB + 1024, MIB);
    plain.data_guid = PARENT_GUID;
    plain.file_guid = 1;
    let start = plain.payload_start();
    plain.table = vec![(0, start | 6), (1, 2), (3, (start + MIB) | 6)];
    plain.parts = vec![(start, vec![0xA1; 9000]), (start + MIB, vec![0xA2; 1024])];
    plain.length = start + 2 * MIB;
    plain
});

/// The same disk, with a block whose sectors alternate, one whole, one zero and one of the parent.
pub(super) static CHILD: LazyLock<Plain> = LazyLock::new(|| {
    let mut plain = Plain::new(3 * MIB + 1024, MIB);
    plain.locator = Some(locator_of(PARENT_GUID, ".\\parent.vhdx"));
    let start = plain.payload_start();
    plain.table =
        vec![(0, (start + MIB) | 7), (1, (start + 2 * MIB) | 6), (2, 2), (plain.bitmap_entry(0), start | 6)];
    plain.parts =
        vec![(start, vec![0xAA; 200]), (start + MIB, vec![0xC1; 70_000]), (start + 2 * MIB, vec![0xC2; 600])];
    plain.length = start + 3 * MIB;
    plain
});

/// Switches of the first byte.
pub(super) const AS_CHILD: u8 = 1;
const AS_TORN: u8 = 2;
const APART: u8 = 4;
const ALSO_WRITE: u8 = 8;

pub fn body(bytes: &[u8]) {
    let (file, switches) = patched(bytes);
    match open(&file, switches) {
        Ok(disk) => {
            check_disk(&disk);
            if switches & ALSO_WRITE != 0 {
                check_write(&disk, &file, switches);
            }
        }
        Err(error) => check_error(&error),
    }
}

/// The file that an input describes, and its switches.
pub(super) fn patched(bytes: &[u8]) -> (MemoryFile, u8) {
    let mut input = Input::new(bytes);
    let switches = input.byte();
    let plain = if switches & AS_CHILD != 0 { &*CHILD } else { &*PARENT };
    let file = plain.file("x.vhdx");
    for _ in 0..PATCHES_MAX {
        if input.is_empty() {
            break;
        }
        patch(plain, &file, &mut input, switches & APART != 0);
    }
    if switches & AS_TORN == 0 {
        seal_all(&file);
    }
    (file, switches)
}

/// Makes all checksums right.
pub(super) fn seal_all(file: &MemoryFile) {
    HEADERS.into_iter().for_each(|at| seal_in(file, at, 4096));
    REGION_TABLES.into_iter().for_each(|at| seal_in(file, at, 0x1_0000));
}

/// Changes a few bytes of one area, or the length of the file.
pub(super) fn patch(plain: &Plain, file: &MemoryFile, input: &mut Input<'_>, apart: bool) {
    let start = plain.payload_start();
    let chosen = input.byte();
    let (first, copy, length) = match chosen % 10 {
        0 | 1 => (HEADERS[0], Some(HEADERS[1]), 96),
        2 => (REGION_TABLES[0], Some(REGION_TABLES[1]), 160),
        3 => (METADATA, None, 320),
        4 => (ITEMS, None, 512),
        5 | 6 => (BAT, None, 64),
        7 => (BAT + plain.bitmap_entry(0) * 8 - 16, None, 48),
        8 => (start, None, 2 * MIB),
        _ => {
            let length = u64::from(input.u16()) * 512 + u64::from(input.byte());
            file.set_len(length.min(LENGTH_MAX)).unwrap();
            return;
        }
    };
    let offset = input.below(length);
    let count = usize::from(input.byte()) % 16 + 1;
    let bytes = input.take(count);
    if file.len().unwrap() < first + offset + bytes.len() as u64 {
        return;
    }
    let place = if apart && chosen >= 128 { copy.unwrap_or(first) } else { first };
    file.write_at(place + offset, bytes).unwrap();
    if let Some(copy) = copy.filter(|_| !apart) {
        // The second header keeps its own sequence number.
        if first != HEADERS[0] || !(8..16).contains(&offset) {
            file.write_at(copy + offset, bytes).unwrap();
        }
    }
}

fn open(file: &MemoryFile, switches: u8) -> Result<Disk, vdisk::Error> {
    let mut chain = vec![sealed(file)];
    if switches & AS_CHILD != 0 {
        chain.push(sealed(&PARENT.file("parent.vhdx")));
    }
    Disk::open_chain(chain)
}

/// A write changes what was written and nothing else.
fn check_write(before: &Disk, file: &MemoryFile, switches: u8) {
    let Some(mut expected) = whole(before) else { return };
    let mut chain: Vec<Arc<dyn FileIo>> = vec![Arc::new(file.clone())];
    if switches & AS_CHILD != 0 {
        chain.push(sealed(&PARENT.file("parent.vhdx")));
    }
    let Ok(mut disk) = WritableDisk::open_chain(chain.clone()) else { return };
    let at = (expected.len() / 2).min(MIB as usize + 100);
    let data = &[0xD7; 700][..(expected.len() - at).min(700)];
    if disk.write_at(at as u64, data).is_err() {
        return;
    }
    disk.close().unwrap();
    expected[at..at + data.len()].copy_from_slice(data);
    let after = Disk::open_chain(chain).expect("what the writer closed opens again");
    assert!(whole(&after).is_some_and(|bytes| bytes == expected), "a write changed other bytes");
}
