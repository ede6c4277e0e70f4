//! Target `vhd_open`: small sound VHD files, fixed, dynamic and differencing, with patches in what describes them.
//!
//! Input: a byte of switches (kind, and whether checksums are left as the patches made them), then patches as in
//! `vhdx_open`. The two copies of the footer are changed alike, unless a patch names one of them.

use std::sync::Arc;

use vdisk::{Disk, FileIo, MemoryFile};

use super::input::Input;
use super::oracle::{check_disk, check_error, sealed};

pub(super) const PATCHES_MAX: usize = 24;
const SECTOR: u64 = 512;
const BLOCK: u64 = 512 << 10;
/// Three blocks, the last in part.
const CAPACITY: u64 = 2 * BLOCK + 10 * SECTOR;
const HEADER_AT: u64 = 512;
const TABLE_AT: u64 = 1536;
const LOCATOR_AT: u64 = 2048;
const BLOCKS_AT: u64 = 4096;
const LENGTH_MAX: u64 = 8 << 20;
const PARENT_ID: Id = *b"sixteen bytes id";
const OWN_ID: Id = *b"another bytes id";

pub(super) const FIXED: u8 = 2;
pub(super) const DYNAMIC: u8 = 3;
pub(super) const DIFFERENCING: u8 = 4;

/// Tells a disk from others.
pub(super) type Id = [u8; 16];

pub fn body(bytes: &[u8]) {
    match Disk::open_chain(patched(bytes)) {
        Ok(disk) => check_disk(&disk),
        Err(error) => check_error(&error),
    }
}

/// The file that an input describes, with its parent if it is a child.
pub(super) fn patched(bytes: &[u8]) -> Vec<Arc<dyn FileIo>> {
    let mut input = Input::new(bytes);
    let switches = input.byte();
    let kind = [DYNAMIC, DIFFERENCING, FIXED, DYNAMIC][usize::from(switches % 4)];
    let file = sound(kind, "x.vhd", OWN_ID, PARENT_ID);
    for _ in 0..PATCHES_MAX {
        if input.is_empty() {
            break;
        }
        patch(&file, &mut input, kind);
    }
    if switches & 4 == 0 {
        seal_all(&file, kind);
    }
    let mut chain = vec![sealed(&file)];
    if kind == DIFFERENCING {
        chain.push(sealed(&sound(DYNAMIC, "parent.vhd", PARENT_ID, PARENT_ID)));
    }
    chain
}

/// Makes all checksums right.
pub(super) fn seal_all(file: &MemoryFile, kind: u8) {
    footers(kind).iter().for_each(|at| seal(file, *at, 512, 64));
    if kind != FIXED {
        seal(file, HEADER_AT, 1024, 36);
    }
}

/// Places of the footer: the copy, if the kind has one, and the end.
fn footers(kind: u8) -> Vec<u64> {
    if kind == FIXED { vec![CAPACITY] } else { vec![0, end_of_blocks()] }
}

/// Two of the three blocks have space, with their bitmaps of one sector.
const fn end_of_blocks() -> u64 {
    BLOCKS_AT + 2 * (SECTOR + BLOCK)
}

/// A file of this kind without a fault; `parent` counts for children only.
pub(super) fn sound(kind: u8, name: &str, id: Id, parent: Id) -> MemoryFile {
    let file = MemoryFile::new(name);
    let put = |at: u64, bytes: &[u8]| file.write_at(at, bytes).unwrap();
    for at in footers(kind) {
        put(at, &footer(kind, id));
        seal(&file, at, 512, 64);
    }
    if kind == FIXED {
        put(1000, &[0xF1; 5000]);
        return file;
    }
    put(HEADER_AT, &header(kind, parent));
    seal(&file, HEADER_AT, 1024, 36);
    let second = ((BLOCKS_AT + SECTOR + BLOCK) / SECTOR) as u32;
    put(TABLE_AT, &[0xFF; 512]);
    put(TABLE_AT, &second.to_be_bytes());
    put(TABLE_AT + 8, &((BLOCKS_AT / SECTOR) as u32).to_be_bytes());
    let path: Vec<u8> = ".\\parent.vhd".encode_utf16().flat_map(u16::to_le_bytes).collect();
    put(LOCATOR_AT, &path);
    // All sectors of one block, every other of the first.
    put(BLOCKS_AT, &[0xFF; 128]);
    put(BLOCKS_AT + SECTOR, &[0xB2; 4096]);
    put(BLOCKS_AT + SECTOR + BLOCK, &[if kind == DIFFERENCING { 0xAA } else { 0xFF }; 128]);
    put(BLOCKS_AT + 2 * SECTOR + BLOCK, &[0xB0; 20_000]);
    file
}

fn footer(kind: u8, id: Id) -> Vec<u8> {
    let mut bytes = b"conectix\0\0\0\x02\0\x01\0\0".to_vec();
    bytes.extend(if kind == FIXED { u64::MAX } else { HEADER_AT }.to_be_bytes());
    bytes.extend([0x20, 0, 0, 0]);
    bytes.extend(b"win \0\x06\0\x03Wi2k");
    bytes.extend(CAPACITY.to_be_bytes());
    bytes.extend(CAPACITY.to_be_bytes());
    bytes.extend([0, 30, 4, 17, 0, 0, 0, kind]);
    bytes.extend([0; 4]);
    bytes.extend(id);
    bytes.resize(512, 0);
    bytes
}

fn header(kind: u8, parent: Id) -> Vec<u8> {
    let mut bytes = b"cxsparse".to_vec();
    bytes.extend(u64::MAX.to_be_bytes());
    bytes.extend(TABLE_AT.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 0, 0, 3]);
    bytes.extend((BLOCK as u32).to_be_bytes());
    bytes.extend([0; 4]);
    if kind == DIFFERENCING {
        bytes.extend(parent);
        bytes.resize(64, 0);
        bytes.extend("parent.vhd".encode_utf16().flat_map(u16::to_be_bytes));
        bytes.resize(576, 0);
        bytes.extend(b"W2ru\0\0\x02\0");
        bytes.extend(24_u32.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(LOCATOR_AT.to_be_bytes());
    }
    bytes.resize(1024, 0);
    bytes
}

/// Changes a few bytes of one area, or the length of the file.
pub(super) fn patch(file: &MemoryFile, input: &mut Input<'_>, kind: u8) {
    let choice = input.byte();
    let footers = footers(kind);
    let last = footers[footers.len() - 1];
    let (places, length) = match choice % 8 {
        0 | 1 => (footers, 88),
        2 => (vec![footers[usize::from(choice >> 7) % footers.len()]], 512),
        3 => (vec![HEADER_AT], 80),
        4 => (vec![HEADER_AT + 576], 192),
        5 => (vec![TABLE_AT], 24),
        6 => (vec![if choice & 128 == 0 { LOCATOR_AT } else { BLOCKS_AT }], 600),
        _ => {
            let length = (u64::from(input.u16()) * 64 + u64::from(input.byte())).min(LENGTH_MAX);
            file.set_len(length.min(last + 4096)).unwrap();
            return;
        }
    };
    let offset = input.below(length);
    let count = usize::from(input.byte()) % 16 + 1;
    let bytes = input.take(count);
    for place in places {
        if place + offset + bytes.len() as u64 <= file.len().unwrap() {
            file.write_at(place + offset, bytes).unwrap();
        }
    }
}

/// The ones' complement of the byte sum, where the structure is still there.
fn seal(file: &MemoryFile, at: u64, length: usize, field: usize) {
    let mut bytes = vec![0; length];
    if file.read_at(at, &mut bytes).is_ok() {
        bytes[field..field + 4].fill(0);
        let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
        file.write_at(at + field as u64, &(!sum).to_be_bytes()).unwrap();
    }
}
