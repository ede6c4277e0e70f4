//! Damaged and hostile VHD files: each case changes one thing in a sound file, and tells what must
//! come of it. "ok" means that the disk opens and all of it reads as before.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::sync::Arc;

use common::{MIB, bytes_of, content, pattern, small_disk};
use proptest::prelude::*;
use vdisk::{Disk, FileIo, MemoryFile, VhdOptions, VhdWriter};

type Change = fn(&mut Vec<u8>);

const HEADER: usize = 512;
const BAT: usize = 1536;
/// Places of fields in the footer.
const CREATOR: usize = 28;
const SIZE: usize = 48;
const GEOMETRY: usize = 56;
const KIND: usize = 60;
/// Places of fields in the dynamic header.
const TABLE: usize = 16;
const ENTRIES: usize = 28;
const BLOCK: usize = 32;

/// 4 MiB in blocks of 512 KiB, of which 0, 1 and 7 have data.
fn sound() -> Vec<u8> {
    let file = MemoryFile::new("x.vhd");
    let options = VhdOptions { block_bytes: 512 << 10, ..VhdOptions::dynamic(4 * MIB) };
    let mut disk = VhdWriter::create(Arc::new(file.clone()), &options).unwrap();
    disk.write_at(0, &pattern(1, MIB)).unwrap();
    disk.write_at(4 * MIB - 512, &pattern(2, 512)).unwrap();
    disk.close().unwrap();
    bytes_of(&file)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Makes the checksum of a footer or header right again.
fn seal(bytes: &mut [u8], start: usize, length: usize, field: usize) {
    put(bytes, start + field, &[0; 4]);
    let sum = bytes[start..start + length].iter().map(|byte| u32::from(*byte)).sum::<u32>();
    put(bytes, start + field, &(!sum).to_be_bytes());
}

/// Changes both footers alike.
fn put_footers(bytes: &mut [u8], field: usize, value: &[u8]) {
    for start in [0, bytes.len() - 512] {
        put(bytes, start + field, value);
        seal(bytes, start, 512, 64);
    }
}

fn put_header(bytes: &mut [u8], field: usize, value: &[u8]) {
    put(bytes, HEADER + field, value);
    seal(bytes, HEADER, 1024, 36);
}

fn entry(bytes: &[u8], block: usize) -> u32 {
    u32::from_be_bytes(bytes[BAT + block * 4..][..4].try_into().unwrap())
}

fn set_entry(bytes: &mut [u8], block: usize, sector: u32) {
    put(bytes, BAT + block * 4, &sector.to_be_bytes());
}

fn last_footer(bytes: &[u8]) -> usize {
    bytes.len() - 512
}

/// "ok", or the code of the error of opening and reading everything.
fn outcome(bytes: &[u8]) -> &'static str {
    let opened = Disk::open(Arc::new(MemoryFile::with_bytes("x.vhd", bytes)));
    let read = opened.and_then(|disk| {
        let mut bytes = vec![0; disk.capacity().min(8 * MIB) as usize];
        disk.read_at(0, &mut bytes).map(|()| bytes)
    });
    match read {
        Err(error) => error.code(),
        Ok(bytes) if bytes.starts_with(&pattern(1, MIB)) => "ok",
        Ok(_) => "other data",
    }
}

fn check(cases: &[(&str, &str, Change)]) {
    for (name, expected, change) in cases {
        let mut bytes = sound();
        change(&mut bytes);
        assert_eq!(outcome(&bytes), *expected, "{name}");
    }
}

// case 68
#[test]
fn one_good_footer_is_enough_and_a_wrong_checksum_is_never_used() {
    check(&[
        ("untouched", "ok", |_| {}),
        ("footer zeroed", "ok", |b| {
            let at = last_footer(b);
            put(b, at, &[0; 512]);
        }),
        ("footer with a wrong checksum", "ok", |b| {
            let at = last_footer(b);
            b[at + 64] ^= 1;
        }),
        ("footer cut off", "ok", |b| b.truncate(b.len() - 512)),
        ("footer torn", "ok", |b| b.truncate(b.len() - 256)),
        ("copy zeroed", "ok", |b| put(b, 0, &[0; 512])),
        ("copy with a wrong checksum", "ok", |b| b[64] ^= 1),
        ("both zeroed", "VD-002", |b| {
            let at = last_footer(b);
            put(b, 0, &[0; 512]);
            put(b, at, &[0; 512]);
        }),
        ("both with wrong checksums", "VD-004", |b| {
            let at = last_footer(b);
            b[64] ^= 1;
            b[at + 64] ^= 1;
        }),
        ("garbage after the footer", "ok", |b| b.extend([7; 1000])),
        ("copy of another disk", "VD-004", |b| {
            b[68] ^= 1;
            seal(b, 0, 512, 64);
        }),
    ]);
}

/// Virtual PC before 2004 left the footer's last byte away.
// case 67
#[test]
fn a_footer_of_511_bytes_is_read() {
    check(&[
        ("dynamic", "ok", |b| b.truncate(b.len() - 1)),
        ("dynamic, without the copy", "ok", |b| {
            b.truncate(b.len() - 1);
            put(b, 0, &[0; 512]);
        }),
    ]);
    let file = MemoryFile::new("fixed.vhd");
    let mut disk = VhdWriter::create(Arc::new(file.clone()), &VhdOptions::fixed(MIB)).unwrap();
    disk.write_at(0, &pattern(1, MIB)).unwrap();
    disk.close().unwrap();
    file.set_len(MIB + 511).unwrap();
    assert!(content(&Disk::open(Arc::new(file)).unwrap()) == pattern(1, MIB));
}

// case 69
#[test]
fn the_size_is_the_geometry_for_old_programs_only() {
    // 100 cylinders of 4 heads and 17 sectors are less than 4 MiB.
    const SMALLER: [u8; 4] = [0, 100, 4, 17];
    const SATURATED: [u8; 4] = [0xff, 0xff, 16, 255];
    for (creator, geometry, capacity) in [
        (b"win ", SMALLER, 4 * MIB),
        (b"d2v\0", SMALLER, 4 * MIB),
        (b"tap\0", SMALLER, 4 * MIB),
        (b"CTXS", SMALLER, 4 * MIB),
        (b"qem2", SMALLER, 4 * MIB),
        (b"wa\0\0", SMALLER, 4 * MIB),
        (b"vpc ", SMALLER, 100 * 4 * 17 * 512),
        (b"qemu", SMALLER, 100 * 4 * 17 * 512),
        (b"vpc ", SATURATED, 4 * MIB),
        (b"qemu", SATURATED, 4 * MIB),
    ] {
        let mut bytes = sound();
        put_footers(&mut bytes, CREATOR, creator);
        put_footers(&mut bytes, GEOMETRY, &geometry);
        let disk = Disk::open(Arc::new(MemoryFile::with_bytes("x.vhd", &bytes))).unwrap();
        assert_eq!(disk.capacity(), capacity, "{creator:?} {geometry:?}");
    }
}

// case 70
#[test]
fn tables_that_lead_astray_are_refused() {
    check(&[
        ("entry 0", "VD-004", |b| set_entry(b, 3, 0)),
        ("entry in the table", "VD-004", |b| set_entry(b, 3, 3)),
        ("two blocks at one place", "VD-004", |b| {
            let first = entry(b, 0);
            set_entry(b, 3, first);
        }),
        ("blocks that overlap", "VD-004", |b| {
            let first = entry(b, 0);
            set_entry(b, 1, first + 1);
        }),
        ("the last block over another", "VD-004", |b| {
            let first = entry(b, 0);
            set_entry(b, 7, first);
        }),
        ("entry past the end", "VD-003", |b| set_entry(b, 3, 1 << 20)),
        ("entry over the footer", "VD-003", |b| {
            let end = last_footer(b) as u32 / 512;
            set_entry(b, 3, end);
        }),
        ("largest entry", "VD-003", |b| set_entry(b, 3, u32::MAX - 1)),
        ("too few entries", "VD-004", |b| put_header(b, ENTRIES, &7u32.to_be_bytes())),
        ("too many entries", "ok", |b| put_header(b, ENTRIES, &u32::MAX.to_be_bytes())),
        ("table past the end", "VD-003", |b| put_header(b, TABLE, &(1u64 << 40).to_be_bytes())),
        ("table at the end of all", "VD-003", |b| put_header(b, TABLE, &(u64::MAX - 3).to_be_bytes())),
        ("blocks of 0 bytes", "VD-004", |b| put_header(b, BLOCK, &[0; 4])),
        ("blocks of 3 MiB", "VD-004", |b| put_header(b, BLOCK, &(3u32 << 20).to_be_bytes())),
        ("blocks of 512 bytes", "VD-004", |b| put_header(b, BLOCK, &512u32.to_be_bytes())),
        ("blocks of 2 GiB", "VD-004", |b| put_header(b, BLOCK, &(1u32 << 31).to_be_bytes())),
    ]);
}

#[test]
fn headers_that_make_no_sense_are_refused() {
    check(&[
        ("size 0", "VD-004", |b| put_footers(b, SIZE, &[0; 8])),
        ("size of half a sector", "VD-004", |b| put_footers(b, SIZE, &256u64.to_be_bytes())),
        ("size beyond the format", "VD-004", |b| put_footers(b, SIZE, &(1u64 << 60).to_be_bytes())),
        ("more size than entries", "VD-004", |b| put_footers(b, SIZE, &(5 * MIB).to_be_bytes())),
        ("type 5", "VD-006", |b| put_footers(b, KIND, &5u32.to_be_bytes())),
        ("version 2", "VD-006", |b| put_footers(b, 12, &0x2_0000u32.to_be_bytes())),
        ("fixed, and too short", "VD-003", |b| put_footers(b, KIND, &2u32.to_be_bytes())),
        ("differencing without a parent", "VD-009", |b| put_footers(b, KIND, &4u32.to_be_bytes())),
        ("header past the end", "VD-003", |b| put_footers(b, 16, &(1u64 << 50).to_be_bytes())),
        ("no header", "VD-004", |b| put_footers(b, 16, &u64::MAX.to_be_bytes())),
        ("header over the footer's copy", "VD-004", |b| put_footers(b, 16, &0u64.to_be_bytes())),
        ("header cookie", "VD-004", |b| b[HEADER] ^= 1),
        ("header checksum", "VD-004", |b| b[HEADER + 36] ^= 1),
        ("header version 2", "VD-006", |b| put_header(b, 24, &0x2_0000u32.to_be_bytes())),
    ]);
}

/// A bitmap is read from the high end of each byte; a zero bit of a dynamic disk is a zero sector.
// case 70
#[test]
fn the_first_sector_of_a_block_is_the_highest_bit() {
    let mut bytes = sound();
    let bitmap = entry(&bytes, 0) as usize * 512;
    bytes[bitmap] = 0b0111_1110;
    let disk = Disk::open(Arc::new(MemoryFile::with_bytes("x.vhd", &bytes))).unwrap();

    let mut expected = pattern(1, MIB);
    expected[..512].fill(0);
    expected[7 * 512..8 * 512].fill(0);
    assert!(content(&disk)[..MIB as usize] == expected);
}

/// A guest can write anything into a fixed disk, the head of another format included.
// case 2
#[test]
fn a_fixed_disk_that_begins_as_another_format_is_not_taken_for_it() {
    let file = MemoryFile::new("guest.vhd");
    let mut disk = VhdWriter::create(Arc::new(file.clone()), &VhdOptions::fixed(4 * MIB)).unwrap();
    let inner = sound();
    disk.write_at(0, &inner).unwrap();
    disk.flush().unwrap();
    assert!(
        content(&Disk::open(Arc::new(file.clone())).unwrap()).starts_with(&inner),
        "the outer disk counts"
    );

    disk.write_at(0, b"vhdxfile").unwrap();
    disk.close().unwrap();
    let bytes = bytes_of(&file);
    let opened = |name: &str| Disk::open(Arc::new(MemoryFile::with_bytes(name, &bytes)));
    assert!(content(&opened("guest.VHD").unwrap()).starts_with(b"vhdxfile"), "its name decides");
    assert_eq!(opened("guest.img").unwrap_err().code(), "VD-019");
    assert_eq!(opened("guest.vhdx").unwrap_err().code(), "VD-004", "as a VHDX it is damaged");
}

/// The last bytes of a VHDX are the guest's as well, if its last block is written to its end.
// case 2
#[test]
fn a_vhdx_that_ends_as_a_fixed_disk_is_read_by_its_name() {
    // The file below has 5 MiB, and a footer tells the length of its own file.
    let (other, capacity) = (MemoryFile::new("other.vhd"), 5 * MIB - 512);
    VhdWriter::create(Arc::new(other.clone()), &VhdOptions::fixed(capacity)).unwrap().close().unwrap();
    let footer = bytes_of(&other)[capacity as usize..].to_vec();
    let (file, mut disk) = small_disk(4 * MIB);
    disk.write_at(MIB - 512, &footer).unwrap();
    disk.close().unwrap();

    let opened = |name: &str| Disk::open(Arc::new(MemoryFile::with_bytes(name, &bytes_of(&file))));

    let bytes = content(&opened("guest.avhdx").unwrap());
    assert!(bytes[MIB as usize - 512..MIB as usize] == footer);
    assert_eq!(opened("guest").unwrap_err().code(), "VD-019");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_read_or_fail_but_never_panic(
        changes in prop::collection::vec((0usize..BAT + 64, any::<u8>()), 1..6),
        is_sealed in any::<bool>(),
        end in prop::option::of(0usize..4096),
    ) {
        let mut bytes = sound();
        for (at, value) in changes {
            bytes[at] = value;
        }
        if is_sealed {
            seal(&mut bytes, 0, 512, 64);
            seal(&mut bytes, HEADER, 1024, 36);
            let at = last_footer(&bytes);
            put(&mut bytes, at, &[0; 512]);
        }
        bytes.truncate(end.unwrap_or(bytes.len()));
        prop_assert!(!outcome(&bytes).is_empty());
    }
}
