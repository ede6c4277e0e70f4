//! Damaged and hostile files: each case changes one thing in a sound file, and tells what must come
//! of it. "ok" means that the disk opens and all of it can be read.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::sync::Arc;

use common::damage::{
    BAT, HEADERS, ITEMS, METADATA, REGIONS, check, open, put, put_headers, put_regions, seal, seal_all, sound,
};
use common::{MIB, bytes_of, pattern};
use proptest::prelude::*;
use uuid::{Uuid, uuid};
use vdisk::{Disk, FileIo, MemoryFile, WritableDisk};

#[test]
fn files_that_are_no_vhdx_or_cut_short_say_so() {
    check(&[
        ("sound", "ok", |_| {}),
        // case 1
        ("empty", "VD-002", Vec::clear),
        ("eight bytes", "VD-003", |b| b.truncate(8)),
        ("half a header section", "VD-003", |b| b.truncate(0x8_0000)),
        ("zeros", "VD-002", |b| b.fill(0)),
        // case 2
        ("wrong signature", "VD-002", |b| put(b, 0, b"vhdxfilf")),
        ("without metadata", "VD-003", |b| b.truncate(2 << 20)),
        ("without its last block", "VD-003", |b| b.truncate(6 << 20)),
        // case 35
        ("with something after its end", "ok", |b| b.extend(pattern(9, 5000))),
        // case 9
        ("creator without an end", "ok", |b| b[8..520].fill(0x41)),
        ("creator is not text", "ok", |b| put(b, 8, &[0xff, 0xdb, 0xff, 0xdb, 0x41])),
    ]);
}

#[test]
fn the_valid_header_with_the_greater_number_counts() {
    check(&[
        // case 3
        ("first damaged", "ok", |b| b[HEADERS[0] + 100] ^= 1),
        ("second damaged", "ok", |b| b[HEADERS[1] + 4000] ^= 1),
        ("first half of a sector torn", "ok", |b| b[HEADERS[1]..HEADERS[1] + 512].fill(0)),
        ("second half of a sector torn", "ok", |b| b[HEADERS[0] + 512..HEADERS[0] + 1024].fill(7)),
        // case 4
        ("both damaged", "VD-004", |b| HEADERS.iter().for_each(|at| b[at + 100] ^= 1)),
        // case 5
        ("identical twins, as Disk2vhd writes", "ok", |b| b.copy_within(0x1_0000..0x1_1000, 0x2_0000)),
        ("same number, other content", "VD-004", |b| {
            b.copy_within(0x1_0000..0x1_1000, 0x2_0000);
            b[HEADERS[1] + 20] ^= 1;
            seal(b, HEADERS[1], 4096);
        }),
        // case 6
        ("older one has a log", "ok", |b| {
            put(b, HEADERS[0] + 48, &[1; 16]);
            seal(b, HEADERS[0], 4096);
        }),
        ("newer one has a log without any entry", "VD-004", |b| {
            put(b, HEADERS[1] + 48, &[1; 16]);
            seal(b, HEADERS[1], 4096);
        }),
        // case 7
        ("version 2", "VD-006", |b| put_headers(b, 66, &[2, 0])),
        ("log version without a log", "ok", |b| put_headers(b, 64, &[1, 0])),
        // case 9
        ("reserved bytes", "ok", |b| put_headers(b, 90, &[7; 100])),
        // case 12
        ("log inside the header section", "VD-004", |b| put_headers(b, 72, &[0; 8])),
        ("log over the metadata", "VD-004", |b| put_headers(b, 72, &(2u64 << 20).to_le_bytes())),
        ("log length not in MiB", "VD-004", |b| put_headers(b, 68, &[1, 0, 0, 0])),
        ("no log at all", "ok", |b| put_headers(b, 68, &[0; 12])),
    ]);
}

#[test]
fn regions_must_be_known_apart_and_inside_the_file() {
    check(&[
        // case 10
        ("first table damaged", "ok", |b| b[REGIONS[0] + 50_000] ^= 1),
        ("different contents: the first counts", "ok", |b| {
            put(b, REGIONS[1] + 16, &[7; 16]);
            seal(b, REGIONS[1], 0x1_0000);
        }),
        ("both damaged", "VD-004", |b| REGIONS.iter().for_each(|at| b[at + 16] ^= 1)),
        // case 11
        ("no entries", "VD-004", |b| put_regions(b, 8, &[0; 4])),
        ("too many entries", "VD-004", |b| put_regions(b, 8, &2048u32.to_le_bytes())),
        ("most entries", "VD-004", |b| put_regions(b, 8, &u32::MAX.to_le_bytes())),
        // case 13
        ("without metadata", "VD-004", |b| put_regions(b, 8, &1u32.to_le_bytes())),
        ("without a table", "VD-004", |b| {
            put_regions(b, 16, &[9; 16]);
            put_regions(b, 44, &[0; 4]);
        }),
        ("table named twice", "VD-004", |b| {
            let bat = b[REGIONS[0] + 16..REGIONS[0] + 32].to_vec();
            put_regions(b, 48, &bat);
        }),
        // case 14
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
        // case 15
        ("known but not required, as old QEMU wrote", "ok", |b| put_regions(b, 44, &[0; 4])),
        // case 16
        ("beyond the file", "VD-003", |b| put_regions(b, 32, &(1u64 << 40).to_le_bytes())),
        ("offset overflows", "VD-004", |b| put_regions(b, 32, &(u64::MAX << 20).to_le_bytes())),
        ("offset not in MiB", "VD-004", |b| put_regions(b, 32, &0x30_0200u64.to_le_bytes())),
        ("length 0", "VD-004", |b| put_regions(b, 40, &[0; 4])),
        ("in the header section", "VD-004", |b| put_regions(b, 32, &[0; 8])),
        // case 12
        ("table over the metadata", "VD-004", |b| put_regions(b, 32, &(2u64 << 20).to_le_bytes())),
    ]);
}

// case 11
#[test]
fn a_region_table_may_be_full() {
    let mut bytes = sound();
    for number in 2..2047u32 {
        let offset = (u64::from(number) + 10) << 20;
        let id = number.to_le_bytes().repeat(4);
        let entry = [&id[..], &offset.to_le_bytes(), &(1u32 << 20).to_le_bytes(), &[0; 4]].concat();
        put(&mut bytes, REGIONS[0] + 16 + number as usize * 32, &entry);
    }
    put(&mut bytes, REGIONS[0] + 8, &2047u32.to_le_bytes());
    seal(&mut bytes, REGIONS[0], 0x1_0000);
    let file = MemoryFile::with_bytes("x.vhdx", &bytes);
    file.set_len(2060 << 20).unwrap();
    assert_eq!(Disk::open(Arc::new(file)).unwrap().layers().next().unwrap().unknown.len(), 2045);
}

// case 14
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
        // case 17
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
        ("item without bytes", "ok", |b| add_item_at(b, Uuid::max(), 0, [0, 0])),
        ("item without bytes that has a place", "VD-004", |b| add_item_at(b, Uuid::max(), 0, [0x1_0100, 0])),
        ("item at an odd place", "ok", |b| add_item_at(b, Uuid::max(), 0, [0x1_0101, 3])),
        ("item too short", "VD-004", |b| put(b, METADATA + 64 + 20, &4u32.to_le_bytes())),
        // case 18
        ("item named twice", "VD-004", |b| b.copy_within(METADATA + 32..METADATA + 48, METADATA + 64)),
        ("the same name for a user's item", "ok", |b| add_item(b, SIZE, 1)),
        ("user item that is required", "VD-004", |b| b[METADATA + 32 + 24] = 5),
        // case 19
        ("unknown and required", "VD-006", |b| add_item(b, Uuid::max(), 4)),
        ("unknown and optional", "ok", |b| add_item(b, Uuid::max(), 0)),
        ("CHS, known but not specified", "ok", |b| add_item(b, CHS, 4)),
        ("persistent memory labels", "ok", |b| add_item(b, PMEM, 4)),
        ("Incomplete mark", "VD-007", |b| add_item(b, INCOMPLETE, 4)),
        // case 20
        ("block size 0", "VD-004", |b| put(b, ITEMS, &0u32.to_le_bytes())),
        ("block size 3 MiB", "VD-004", |b| put(b, ITEMS, &(3u32 << 20).to_le_bytes())),
        ("block size 512 KiB", "VD-004", |b| put(b, ITEMS, &(1u32 << 19).to_le_bytes())),
        ("block size 512 MiB", "VD-004", |b| put(b, ITEMS, &(1u32 << 29).to_le_bytes())),
        ("disk size 0", "VD-004", |b| put(b, ITEMS + 8, &0u64.to_le_bytes())),
        ("disk size not in sectors", "VD-004", |b| put(b, ITEMS + 8, &1000u64.to_le_bytes())),
        ("disk size over 64 TiB", "VD-004", |b| put(b, ITEMS + 8, &((64u64 << 40) + 512).to_le_bytes())),
        ("disk needs a larger table", "VD-004", |b| put(b, ITEMS + 8, &(64u64 << 40).to_le_bytes())),
        ("sectors of 1024", "VD-004", |b| put(b, ITEMS + 16, &1024u32.to_le_bytes())),
        // case 21
        ("physical sectors of 512", "ok", |b| put(b, ITEMS + 20, &512u32.to_le_bytes())),
        ("child without a locator", "VD-004", |b| b[ITEMS + 4] = 2),
    ]);
}

const SIZE: Uuid = uuid!("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
const CHS: Uuid = uuid!("DA02D7BC-3D3A-423C-AC88-2A36AB21479B");
const INCOMPLETE: Uuid = uuid!("71CC85F0-1B69-4E28-9558-C3BF83AE75D3");
const PMEM: Uuid = uuid!("10E1AE8A-4B7E-4169-A40F-CD70DE928393");

/// Adds a metadata item of eight bytes.
fn add_item(bytes: &mut [u8], id: Uuid, flags: u8) {
    add_item_at(bytes, id, flags, [0x1_0100, 8]);
}

/// Adds a metadata item with its place and length.
fn add_item_at(bytes: &mut [u8], id: Uuid, flags: u8, place: [u32; 2]) {
    let entry = METADATA + 32 + 5 * 32;
    put(bytes, METADATA + 10, &[6, 0]);
    put(bytes, entry, &id.to_bytes_le());
    put(bytes, entry + 16, &place[0].to_le_bytes());
    put(bytes, entry + 20, &place[1].to_le_bytes());
    put(bytes, entry + 24, &[flags, 0, 0, 0]);
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
