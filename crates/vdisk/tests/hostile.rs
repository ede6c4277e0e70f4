//! Damaged and hostile files: each case changes one thing in a sound file, and tells what must come
//! of it. "ok" means that the disk opens and all of it can be read.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::sync::Arc;

use common::{MIB, bytes_of, content, pattern, small_disk};
use proptest::prelude::*;
use uuid::{Uuid, uuid};
use vdisk::{Disk, Error, MemoryFile, WritableDisk};

const HEADERS: [usize; 2] = [0x1_0000, 0x2_0000];
const REGIONS: [usize; 2] = [0x3_0000, 0x4_0000];
const METADATA: usize = 2 << 20;
const ITEMS: usize = METADATA + 0x1_0000;
const BAT: usize = 3 << 20;

type Change = fn(&mut Vec<u8>);

/// 8 MiB in 1 MiB blocks, of which 0, 1 and 7 have data at 4, 5 and 6 MiB.
fn sound() -> Vec<u8> {
    let (file, mut disk) = small_disk(8 * MIB - 512);
    disk.write_at(0, &pattern(1, 2 * MIB)).unwrap();
    disk.write_at(7 * MIB, &pattern(2, 512)).unwrap();
    disk.close().unwrap();
    bytes_of(&file)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn set_entry(bytes: &mut [u8], entry: usize, value: u64) {
    put(bytes, BAT + entry * 8, &value.to_le_bytes());
}

/// Makes the checksum of one header or region table right again.
fn seal(bytes: &mut [u8], at: usize, length: usize) {
    put(bytes, at + 4, &[0; 4]);
    let sum = crc32c::crc32c(&bytes[at..at + length]);
    put(bytes, at + 4, &sum.to_le_bytes());
}

fn seal_all(bytes: &mut [u8]) {
    for at in HEADERS {
        seal(bytes, at, 4096);
    }
    for at in REGIONS {
        seal(bytes, at, 0x1_0000);
    }
}

/// Changes both headers alike.
fn put_headers(bytes: &mut [u8], offset: usize, value: &[u8]) {
    for at in HEADERS {
        put(bytes, at + offset, value);
        seal(bytes, at, 4096);
    }
}

/// Changes both region tables alike.
fn put_regions(bytes: &mut [u8], offset: usize, value: &[u8]) {
    for at in REGIONS {
        put(bytes, at + offset, value);
        seal(bytes, at, 0x1_0000);
    }
}

fn open(bytes: &[u8]) -> Result<Disk, Error> {
    Disk::open(Arc::new(MemoryFile::with_bytes("x.vhdx", bytes)))
}

/// "ok" or the code of the error of opening and reading everything.
fn outcome(bytes: &[u8]) -> &'static str {
    let read = |disk: Disk| {
        let mut buf = vec![0; disk.capacity() as usize];
        disk.read_at(0, &mut buf).map(|()| buf)
    };
    match open(bytes).and_then(read) {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

fn check(cases: &[(&str, &str, Change)]) {
    let sound = sound();
    for (name, expected, change) in cases {
        let mut bytes = sound.clone();
        change(&mut bytes);
        assert_eq!(outcome(&bytes), *expected, "{name}");
    }
}

#[test]
fn files_that_are_no_vhdx_or_cut_short_say_so() {
    check(&[
        ("sound", "ok", |_| {}),
        ("empty", "VD-002", Vec::clear),
        ("eight bytes", "VD-003", |b| b.truncate(8)),
        ("half a header section", "VD-003", |b| b.truncate(0x8_0000)),
        ("zeros", "VD-002", |b| b.fill(0)),
        ("wrong signature", "VD-002", |b| put(b, 0, b"vhdxfilf")),
        ("without metadata", "VD-003", |b| b.truncate(2 << 20)),
        ("without its last block", "VD-003", |b| b.truncate(6 << 20)),
        ("inside its last block's data", "VD-003", |b| b.truncate((6 << 20) + 512)),
        ("beyond the disk in its last block", "ok", |b| b.truncate((7 << 20) - 512)),
        ("with something after its end", "ok", |b| b.extend(pattern(9, 5000))),
        ("creator is not text", "ok", |b| put(b, 8, &[0xff, 0xdb, 0xff, 0xdb, 0x41])),
    ]);
}

#[test]
fn the_valid_header_with_the_greater_number_counts() {
    check(&[
        ("first damaged", "ok", |b| b[HEADERS[0] + 100] ^= 1),
        ("second damaged", "ok", |b| b[HEADERS[1] + 4000] ^= 1),
        ("both damaged", "VD-004", |b| HEADERS.iter().for_each(|at| b[at + 100] ^= 1)),
        ("identical twins, as Disk2vhd writes", "ok", |b| b.copy_within(0x1_0000..0x1_1000, 0x2_0000)),
        ("same number, other content", "VD-004", |b| {
            b.copy_within(0x1_0000..0x1_1000, 0x2_0000);
            b[HEADERS[1] + 20] ^= 1;
            seal(b, HEADERS[1], 4096);
        }),
        ("older one has a log", "ok", |b| {
            put(b, HEADERS[0] + 48, &[1; 16]);
            seal(b, HEADERS[0], 4096);
        }),
        ("newer one has a log without any entry", "VD-004", |b| {
            put(b, HEADERS[1] + 48, &[1; 16]);
            seal(b, HEADERS[1], 4096);
        }),
        ("version 2", "VD-006", |b| put_headers(b, 66, &[2, 0])),
        ("log version without a log", "ok", |b| put_headers(b, 64, &[1, 0])),
        ("reserved bytes", "ok", |b| put_headers(b, 90, &[7; 100])),
        ("log inside the header section", "VD-004", |b| put_headers(b, 72, &[0; 8])),
        ("log over the metadata", "VD-004", |b| put_headers(b, 72, &(2u64 << 20).to_le_bytes())),
        ("log length not in MiB", "VD-004", |b| put_headers(b, 68, &[1, 0, 0, 0])),
        ("no log at all", "ok", |b| put_headers(b, 68, &[0; 12])),
    ]);
}

#[test]
fn regions_must_be_known_apart_and_inside_the_file() {
    check(&[
        ("first table damaged", "ok", |b| b[REGIONS[0] + 50_000] ^= 1),
        ("both damaged", "VD-004", |b| REGIONS.iter().for_each(|at| b[at + 16] ^= 1)),
        ("no entries", "VD-004", |b| put_regions(b, 8, &[0; 4])),
        ("too many entries", "VD-004", |b| put_regions(b, 8, &2048u32.to_le_bytes())),
        ("most entries", "VD-004", |b| put_regions(b, 8, &u32::MAX.to_le_bytes())),
        ("table named twice", "VD-004", |b| {
            let bat = b[REGIONS[0] + 16..REGIONS[0] + 32].to_vec();
            put_regions(b, 48, &bat);
        }),
        ("unknown and required", "VD-006", |b| {
            let (offset, length) = ((6u64 << 20).to_le_bytes(), (1u32 << 20).to_le_bytes());
            put_regions(b, 80, &[&[9; 16], &offset[..], &length, &[1, 0, 0, 0]].concat());
            put_regions(b, 8, &[3]);
        }),
        ("unknown, optional, over a block", "VD-004", |b| {
            let (offset, length) = ((6u64 << 20).to_le_bytes(), (1u32 << 20).to_le_bytes());
            put_regions(b, 80, &[&[9; 16], &offset[..], &length, &[0; 4]].concat());
            put_regions(b, 8, &[3]);
        }),
        ("known but not required, as old QEMU wrote", "ok", |b| put_regions(b, 44, &[0; 4])),
        ("beyond the file", "VD-003", |b| put_regions(b, 32, &(1u64 << 40).to_le_bytes())),
        ("offset overflows", "VD-004", |b| put_regions(b, 32, &(u64::MAX << 20).to_le_bytes())),
        ("offset not in MiB", "VD-004", |b| put_regions(b, 32, &0x30_0200u64.to_le_bytes())),
        ("length 0", "VD-004", |b| put_regions(b, 40, &[0; 4])),
        ("in the header section", "VD-004", |b| put_regions(b, 32, &[0; 8])),
        ("table over the metadata", "VD-004", |b| put_regions(b, 32, &(2u64 << 20).to_le_bytes())),
    ]);
}

#[test]
fn an_unknown_optional_region_is_reported_and_never_allocated_over() {
    let mut bytes = sound();
    bytes.resize(20 << 20, 0);
    let (offset, length) = ((9u64 << 20).to_le_bytes(), (2u32 << 20).to_le_bytes());
    put_regions(&mut bytes, 80, &[&[9; 16], &offset[..], &length, &[0; 4]].concat());
    put_regions(&mut bytes, 8, &[3]);
    let file = Arc::new(MemoryFile::with_bytes("x.vhdx", &bytes));

    let mut disk = WritableDisk::open(file.clone()).unwrap();
    disk.write_at(3 * MIB, &pattern(3, 3 * MIB)).unwrap();
    disk.close().unwrap();

    let layer = Disk::open(file.clone()).unwrap().layers().next().unwrap();
    assert_eq!((layer.unknown[0].what, layer.unknown[0].length), ("region", 2 * MIB));
    assert!(bytes_of(&*file)[9 << 20..11 << 20].iter().all(|byte| *byte == 0));
}

#[test]
fn metadata_must_be_complete_apart_and_possible() {
    check(&[
        ("wrong signature", "VD-004", |b| b[METADATA] = b'M'),
        ("too many entries", "VD-004", |b| put(b, METADATA + 10, &2048u16.to_le_bytes())),
        ("one item missing", "VD-004", |b| put(b, METADATA + 10, &[4, 0])),
        ("items out of order", "ok", |b| {
            let (first, second) = (METADATA + 32, METADATA + 64);
            let entry = b[first..first + 32].to_vec();
            b.copy_within(second..second + 32, first);
            put(b, second, &entry);
        }),
        ("items share bytes", "VD-004", |b| put(b, METADATA + 64 + 16, &0x1_0004u32.to_le_bytes())),
        ("item in the table", "VD-004", |b| put(b, METADATA + 64 + 16, &0x100u32.to_le_bytes())),
        ("item beyond the region", "VD-004", |b| put(b, METADATA + 64 + 16, &0xf_fffcu32.to_le_bytes())),
        ("item of 4 GiB", "VD-004", |b| put(b, METADATA + 64 + 20, &u32::MAX.to_le_bytes())),
        ("item too short", "VD-004", |b| put(b, METADATA + 64 + 20, &4u32.to_le_bytes())),
        ("item named twice", "VD-004", |b| b.copy_within(METADATA + 32..METADATA + 48, METADATA + 64)),
        ("user item that is required", "VD-004", |b| b[METADATA + 32 + 24] = 5),
        ("unknown and required", "VD-006", |b| add_item(b, Uuid::max(), 4)),
        ("unknown and optional", "ok", |b| add_item(b, Uuid::max(), 0)),
        ("CHS, known but not specified", "ok", |b| add_item(b, CHS, 4)),
        ("persistent memory labels", "ok", |b| add_item(b, PMEM, 4)),
        ("Incomplete mark", "VD-007", |b| add_item(b, INCOMPLETE, 4)),
        ("block size 0", "VD-004", |b| put(b, ITEMS, &0u32.to_le_bytes())),
        ("block size 3 MiB", "VD-004", |b| put(b, ITEMS, &(3u32 << 20).to_le_bytes())),
        ("block size 512 KiB", "VD-004", |b| put(b, ITEMS, &(1u32 << 19).to_le_bytes())),
        ("block size 512 MiB", "VD-004", |b| put(b, ITEMS, &(1u32 << 29).to_le_bytes())),
        ("disk size 0", "VD-004", |b| put(b, ITEMS + 8, &0u64.to_le_bytes())),
        ("disk size not in sectors", "VD-004", |b| put(b, ITEMS + 8, &1000u64.to_le_bytes())),
        ("disk size over 64 TiB", "VD-004", |b| put(b, ITEMS + 8, &((64u64 << 40) + 512).to_le_bytes())),
        ("disk needs a larger table", "VD-004", |b| put(b, ITEMS + 8, &(64u64 << 40).to_le_bytes())),
        ("sectors of 1024", "VD-004", |b| put(b, ITEMS + 16, &1024u32.to_le_bytes())),
        ("physical sectors of 512", "ok", |b| put(b, ITEMS + 20, &512u32.to_le_bytes())),
        ("child without a locator", "VD-004", |b| b[ITEMS + 4] = 2),
    ]);
}

const CHS: Uuid = uuid!("DA02D7BC-3D3A-423C-AC88-2A36AB21479B");
const INCOMPLETE: Uuid = uuid!("71CC85F0-1B69-4E28-9558-C3BF83AE75D3");
const PMEM: Uuid = uuid!("10E1AE8A-4B7E-4169-A40F-CD70DE928393");

/// Adds a metadata item of eight bytes.
fn add_item(bytes: &mut [u8], id: Uuid, flags: u8) {
    let place = METADATA + 32 + 5 * 32;
    put(bytes, METADATA + 10, &[6, 0]);
    put(bytes, place, &id.to_bytes_le());
    put(bytes, place + 16, &0x1_0100u32.to_le_bytes());
    put(bytes, place + 20, &8u32.to_le_bytes());
    put(bytes, place + 24, &[flags, 0, 0, 0]);
}

#[test]
fn table_entries_are_used_only_when_they_can_be_right() {
    check(&[
        ("state 4", "VD-008", |b| set_entry(b, 2, 4)),
        ("state 5", "VD-008", |b| set_entry(b, 2, 5)),
        ("present at 0", "VD-008", |b| set_entry(b, 2, 6)),
        ("reserved bits", "VD-008", |b| set_entry(b, 0, (4 << 20) | 0x100 | 6)),
        ("beyond the file", "VD-003", |b| set_entry(b, 2, (7 << 20) | 6)),
        ("largest offset", "VD-003", |b| set_entry(b, 2, u64::MAX << 20 | 6)),
        ("over another block", "VD-004", |b| set_entry(b, 2, (5 << 20) | 6)),
        ("over the table", "VD-004", |b| set_entry(b, 2, (3 << 20) | 6)),
        ("over the log", "VD-004", |b| set_entry(b, 2, (1 << 20) | 6)),
        ("unmapped, over another block", "ok", |b| set_entry(b, 2, (5 << 20) | 3)),
        ("undefined, beyond the file", "ok", |b| set_entry(b, 2, (9 << 40) | 1)),
        ("partially present without a parent", "ok", |b| set_entry(b, 0, (4 << 20) | 7)),
        ("junk after the last entry", "ok", |b| put(b, BAT + 8 * 8, &[0xff; 4096])),
    ]);
}

#[test]
fn states_that_hide_data_read_as_zeros() {
    for state in 0..4u64 {
        let mut bytes = sound();
        set_entry(&mut bytes, 1, (5 << 20) | state);
        let read = content(&open(&bytes).unwrap());
        assert!(read[..MIB as usize] == pattern(1, 2 * MIB)[..MIB as usize]);
        assert!(read[MIB as usize..2 * MIB as usize].iter().all(|byte| *byte == 0), "state {state}");
    }
}

/// Every byte that describes the file, changed at random with the checksums made right again.
fn any_damage() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let place = prop_oneof![
        HEADERS[0]..HEADERS[0] + 96,
        HEADERS[1]..HEADERS[1] + 96,
        REGIONS[0]..REGIONS[0] + 96,
        METADATA..METADATA + 32 * 7,
        ITEMS..ITEMS + 400,
        BAT..BAT + 8 * 10,
        (4 << 20)..(4 << 20) + 64usize,
    ];
    prop::collection::vec((place, prop_oneof![Just(0), Just(0xff), 0u8..9, any::<u8>()]), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_leads_to_a_panic_or_to_other_lengths(damage in any_damage(), as_child in any::<bool>()) {
        let mut bytes = if as_child { CHILD.clone() } else { SOUND.clone() };
        for (at, value) in damage {
            bytes[at] = value;
        }
        seal_all(&mut bytes);
        let child = Arc::new(MemoryFile::with_bytes("x.vhdx", &bytes));
        let parent = Arc::new(MemoryFile::with_bytes("p.vhdx", &SOUND));
        let disk = if as_child { Disk::open_chain(vec![child, parent]) } else { Disk::open(child) };
        if let Ok(disk) = disk {
            let end = disk.capacity().min(16 * MIB);
            let mut at = 0;
            for extent in disk.extents(vdisk::ByteRange::new(0, end)) {
                let Ok(extent) = extent else { return Ok(()) };
                prop_assert_eq!(extent.range.start, at);
                at = extent.range.end;
            }
            prop_assert_eq!(at, end);
            let _ = disk.read_at(0, &mut vec![0; end as usize]);
        }
    }
}

static SOUND: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(sound);
static CHILD: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    let parent = open(&SOUND).unwrap();
    let file = MemoryFile::new("child.avhdx");
    let mut disk = WritableDisk::create_child(Arc::new(file.clone()), &parent, "p.vhdx", None).unwrap();
    disk.write_at(MIB, &pattern(4, 4096)).unwrap();
    disk.close().unwrap();
    bytes_of(&file)
});
