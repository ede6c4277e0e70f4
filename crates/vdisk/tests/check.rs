//! The validator: each rule is found in a file damaged just so, and nowhere in sound ones.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{MIB, bytes_of, pattern};
use vdisk::check::{Report, Severity, check, rules};
use vdisk::{CreateOptions, Disk, FileIo, MemoryFile, WritableDisk};

const M: usize = MIB as usize;
const METADATA: usize = 2 * M;
const ITEMS: usize = METADATA + 0x1_0000;
const BAT: usize = 3 * M;
const REGIONS: [usize; 2] = [0x3_0000, 0x4_0000];

fn dynamic() -> Vec<u8> {
    written(&CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(8 * MIB + 512) })
}

fn fixed() -> Vec<u8> {
    written(&CreateOptions { block_bytes: 1 << 20, ..CreateOptions::fixed(4 * MIB) })
}

/// Blocks 0, 3 and the last one hold data.
fn written(options: &CreateOptions) -> Vec<u8> {
    let file = MemoryFile::new("disk.vhdx");
    let mut disk = WritableDisk::create(Arc::new(file.clone()), options).unwrap();
    for at in [0, 3 * MIB, options.capacity - 512] {
        disk.write_at(at, &pattern(at, 512)).unwrap();
    }
    disk.close().unwrap();
    bytes_of(&file)
}

fn parent_and_child() -> (Vec<u8>, Vec<u8>) {
    let parent = MemoryFile::with_bytes("parent.vhdx", &dynamic());
    let child = MemoryFile::new("child.avhdx");
    let below = Disk::open(Arc::new(parent.clone())).unwrap();
    let child_file: Arc<dyn FileIo> = Arc::new(child.clone());
    let mut disk = WritableDisk::create_child(child_file, &below, r".\parent.vhdx", None).unwrap();
    disk.write_at(MIB, &pattern(1, 4096)).unwrap();
    disk.close().unwrap();
    (bytes_of(&parent), bytes_of(&child))
}

fn report(files: &[&[u8]]) -> Report {
    let files =
        files.iter().map(|bytes| Arc::new(MemoryFile::with_bytes("disk.vhdx", bytes)) as Arc<dyn FileIo>);
    check(&files.collect::<Vec<_>>()).unwrap()
}

fn put(bytes: &mut [u8], at: usize, data: &[u8]) {
    bytes[at..at + data.len()].copy_from_slice(data);
}

fn seal(bytes: &mut [u8], at: usize, length: usize) {
    put(bytes, at + 4, &[0; 4]);
    let crc = crc32c::crc32c(&bytes[at..at + length]);
    put(bytes, at + 4, &crc.to_le_bytes());
}

/// Changes both headers in the same way.
fn headers(bytes: &mut [u8], field: usize, data: &[u8]) {
    for at in [0x1_0000, 0x2_0000] {
        put(bytes, at + field, data);
        seal(bytes, at, 4096);
    }
}

/// Changes both region tables in the same way.
fn regions(bytes: &mut [u8], field: usize, data: &[u8]) {
    for at in REGIONS {
        put(bytes, at + field, data);
        seal(bytes, at, 0x1_0000);
    }
}

fn entry(bytes: &mut [u8], number: usize, value: u64) {
    put(bytes, BAT + number * 8, &value.to_le_bytes());
}

fn read_entry(bytes: &[u8], number: usize) -> u64 {
    u64::from_le_bytes(*bytes[BAT + number * 8..].first_chunk().unwrap())
}

/// Adds a metadata table entry, and counts it.
fn add_item(bytes: &mut [u8], id: u8, place: (u32, u32), flags: u32) {
    let count = u16::from_le_bytes([bytes[METADATA + 10], bytes[METADATA + 11]]);
    let at = METADATA + 32 + usize::from(count) * 32;
    put(bytes, at, &[id; 16]);
    put(bytes, at + 16, &place.0.to_le_bytes());
    put(bytes, at + 20, &place.1.to_le_bytes());
    put(bytes, at + 24, &flags.to_le_bytes());
    put(bytes, METADATA + 10, &(count + 1).to_le_bytes());
}

/// Adds a third region to both tables.
fn add_region(bytes: &mut [u8], id: &[u8; 16], flags: u32) {
    regions(bytes, 8, &3u32.to_le_bytes());
    regions(bytes, 16 + 64, id);
    regions(bytes, 16 + 64 + 16, &(64 * MIB).to_le_bytes());
    regions(bytes, 16 + 64 + 24, &(M as u32).to_le_bytes());
    regions(bytes, 16 + 64 + 28, &flags.to_le_bytes());
    bytes[64 * M..].fill(0);
}

type Damage = fn(&mut Vec<u8>);

const OF_HEADERS: &[(&str, Damage)] = &[
    ("VHDX-2.1-header-section", |b| b.truncate(5000)),
    ("VHDX-2.1-trailing-bytes", |b| b.extend([7; 100])),
    ("VHDX-2.2.1-creator", |b| put(b, 8, &[0, 0xd8, 0x41, 0])),
    ("VHDX-2.2.2-header-signature", |b| b[0x1_0000] = b'H'),
    ("VHDX-2.2.2-header-checksum", |b| b[0x2_0000 + 100] ^= 1),
    ("VHDX-2.2.2-no-valid-header", |b| {
        b[0x1_0000] = 0;
        b[0x2_0000] = 0;
    }),
    ("VHDX-2.2.2-header-twins", |b| {
        headers(b, 8, &5u64.to_le_bytes());
        put(b, 0x2_0000 + 16, &[3; 16]);
        seal(b, 0x2_0000, 4096);
    }),
    ("VHDX-2.2.2-header-identical", |b| b.copy_within(0x1_0000..0x1_1000, 0x2_0000)),
    ("VHDX-2.2.2-version", |b| headers(b, 66, &[2, 0])),
    ("VHDX-2.2.2-header-reserved", |b| headers(b, 200, &[1])),
    ("VHDX-2.2.2-sequence-number-end", |b| {
        put(b, 0x1_0000 + 8, &(u64::MAX - 1).to_le_bytes());
        seal(b, 0x1_0000, 4096);
    }),
    ("VHDX-2.2.2-log-version", |b| {
        headers(b, 48, &[9; 16]);
        headers(b, 64, &[1, 0]);
    }),
    ("VHDX-2.2.2-log-place", |b| headers(b, 72, &[1])),
    ("VHDX-2.2.2-log-bounds", |b| headers(b, 72, &(500 * MIB).to_le_bytes())),
    ("VHDX-2.3.2-log-replay", |b| headers(b, 48, &[9; 16])),
];

const OF_REGIONS: &[(&str, Damage)] = &[
    ("VHDX-2.2.3-region-signature", |b| b[0x3_0000] = b'R'),
    ("VHDX-2.2.3-region-checksum", |b| b[0x4_0000 + 100] ^= 1),
    ("VHDX-2.2.3-no-valid-region-table", |b| {
        b[0x3_0000] = 0;
        b[0x4_0000] = 0;
    }),
    ("VHDX-2.2.3-region-tables-differ", |b| {
        put(b, 0x4_0000 + 12, &[1]);
        seal(b, 0x4_0000, 0x1_0000);
    }),
    ("VHDX-2.2.3-region-count", |b| regions(b, 8, &2048u32.to_le_bytes())),
    ("VHDX-2.2.3-region-duplicate", |b| {
        let id = *b[0x3_0000 + 16..].first_chunk().unwrap();
        b.resize(65 * M, 0);
        add_region(b, &id, 1);
    }),
    ("VHDX-2.2.3-region-missing", |b| regions(b, 8, &1u32.to_le_bytes())),
    ("VHDX-2.2.3-region-place", |b| regions(b, 16 + 16, &[1])),
    ("VHDX-2.2.3-region-bounds", |b| regions(b, 16 + 16, &(900 * MIB).to_le_bytes())),
    ("VHDX-2.2.3-region-required-flag", |b| regions(b, 16 + 28, &[0])),
    ("VHDX-2.2.3-region-unknown-required", |b| {
        b.resize(65 * M, 0);
        add_region(b, &[7; 16], 1);
    }),
    ("VHDX-2.2.3-region-unknown", |b| {
        b.resize(65 * M, 0);
        add_region(b, &[7; 16], 0);
    }),
    ("VHDX-2.1-overlap", |b| regions(b, 16 + 16, &(2 * MIB).to_le_bytes())),
];

const OF_METADATA: &[(&str, Damage)] = &[
    ("VHDX-2.6.1-metadata-signature", |b| b[METADATA] = b'M'),
    ("VHDX-2.6.1-metadata-count", |b| put(b, METADATA + 10, &[0, 8])),
    ("VHDX-2.6.1-item-place", |b| put(b, METADATA + 32 + 16, &[0xff; 4])),
    ("VHDX-2.6.1-item-overlap", |b| put(b, METADATA + 64 + 16, &0x1_0000u32.to_le_bytes())),
    ("VHDX-2.6.1-item-duplicate", |b| b.copy_within(METADATA + 64..METADATA + 96, METADATA + 96)),
    ("VHDX-2.6.1-item-user-required", |b| add_item(b, 9, (0x1_8000, 10), 5)),
    ("VHDX-2.6.1-item-flags", |b| put(b, METADATA + 32 + 24, &[0])),
    ("VHDX-2.6.2-item-missing", |b| put(b, METADATA + 32, &[9; 16])),
    ("VHDX-2.6.2-item-length", |b| put(b, METADATA + 64 + 20, &[9])),
    ("VHDX-2.6.1-item-unknown-required", |b| add_item(b, 9, (0x1_8000, 10), 4)),
    ("VHDX-2.6.1-item-unknown", |b| add_item(b, 9, (0x1_8000, 10), 0)),
    ("VHDX-2.6.2-incomplete-mark", |b| {
        add_item(b, 9, (0, 0), 4);
        let mark = uuid::uuid!("71CC85F0-1B69-4E28-9558-C3BF83AE75D3").to_bytes_le();
        put(b, METADATA + 32 + 5 * 32, &mark);
    }),
    ("VHDX-2.6.2.1-block-size", |b| put(b, ITEMS, &3_145_728u32.to_le_bytes())),
    ("VHDX-2.6.2.1-parameter-flags", |b| b[ITEMS + 4] = 8),
    ("VHDX-2.6.2.2-disk-size", |b| put(b, ITEMS + 8, &513u64.to_le_bytes())),
    ("VHDX-2.6.2.4-logical-sector", |b| put(b, ITEMS + 16, &1024u32.to_le_bytes())),
    ("VHDX-2.6.2.5-physical-sector", |b| put(b, ITEMS + 20, &1024u32.to_le_bytes())),
];

const OF_BLOCKS: &[(&str, Damage)] = &[
    ("VHDX-2.5-table-length", |b| put(b, ITEMS + 8, &(1u64 << 40).to_le_bytes())),
    ("VHDX-2.5.1.1-block-state", |b| entry(b, 1, 4)),
    ("VHDX-2.5.1.1-block-entry", |b| entry(b, 0, (5 << 20) | 8 | 6)),
    ("VHDX-2.5.1.1-block-bounds", |b| entry(b, 1, (900 << 20) | 6)),
    ("VHDX-2.5.1.1-last-block-short", |b| b.truncate(b.len() - M + 512)),
    ("VHDX-2.5.1.1-partial-without-parent", |b| {
        let old = read_entry(b, 0);
        entry(b, 0, old | 7);
    }),
    ("VHDX-2.5.1.1-block-keeps-space", |b| entry(b, 1, (50 << 20) | 3)),
    ("VHDX-2.1-overlap", |b| {
        let other = read_entry(b, 3);
        entry(b, 1, other);
    }),
    ("VHDX-2.1-overlap", |b| entry(b, 1, (2 << 20) | 6)),
];

/// Entry of the sector bitmap in the child, whose blocks have 2 MiB.
const BITMAP: usize = 2048;

const OF_CHILDREN: &[(&str, Damage)] = &[
    ("VHDX-2.5.1.2-bitmap-missing", |b| entry(b, BITMAP, 0)),
    ("VHDX-2.5.1.2-bitmap-entry", |b| entry(b, BITMAP, 7)),
    ("VHDX-2.5.1.2-bitmap-bounds", |b| entry(b, BITMAP, (900 << 20) | 6)),
    ("VHDX-2.6.2.6-parent-locator", |b| b[ITEMS + 40] ^= 1),
    ("VHDX-2.6.2.6-parent-path", |b| {
        let key: Vec<u8> = "relative_path".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let at = b.windows(key.len()).position(|window| window == key).unwrap();
        b[at] = b'R';
    }),
    ("VHDX-2.6.2.6-parent-linkage2", |b| {
        let key: Vec<u8> = "relative_path".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let at = b.windows(key.len()).position(|window| window == key).unwrap();
        let linkage: Vec<u8> = "parent_linkage2".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let value: Vec<u8> =
            format!("{{{}}}", uuid::Uuid::nil()).encode_utf16().flat_map(u16::to_le_bytes).collect();
        // Over the place of the path's key and value: both strings anew behind the item's other bytes.
        put(b, at, &linkage);
        put(b, at + linkage.len(), &value);
        let (item, second) = (ITEMS + 40, ITEMS + 40 + 20 + 12);
        put(b, second, &((at - item) as u32).to_le_bytes());
        put(b, second + 4, &((at - item + linkage.len()) as u32).to_le_bytes());
        put(b, second + 8, &(linkage.len() as u16).to_le_bytes());
        put(b, second + 10, &(value.len() as u16).to_le_bytes());
        put(b, METADATA + 32 + 5 * 32 + 20, &2000u32.to_le_bytes());
    }),
    ("VHDX-2.6.2.6-locator-without-parent", |b| b[ITEMS + 4] = 0),
    ("CHAIN-2.6.2.6-parent-not-given", |_| {}),
];

fn found_rules(report: &Report) -> BTreeSet<&'static str> {
    report.findings.iter().map(|finding| finding.rule.id).collect()
}

fn assert_found(base: &[u8], damages: &[(&'static str, Damage)], seen: &mut BTreeSet<&'static str>) {
    for (rule, damage) in damages {
        let mut bytes = base.to_vec();
        damage(&mut bytes);
        let report = report(&[&bytes]);
        let ids = found_rules(&report);
        assert!(ids.contains(rule), "{rule} is not in {ids:?}");
        // The reader and the validator agree on what is an error.
        let file = Arc::new(MemoryFile::with_bytes("disk.vhdx", &bytes));
        let opened = Disk::open_with(file, &mut |_| Err(vdisk::Error::Stopped { file: "parent".into() }));
        let refused = opened.err().filter(|error| !matches!(error, vdisk::Error::Stopped { .. }));
        assert!(refused.is_none() || !report.is_sound(), "{rule}: {refused:?} but {:#?}", report.findings);
        seen.insert(rule);
    }
}

#[test]
fn every_rule_is_found_in_a_file_damaged_just_so() {
    let mut seen = BTreeSet::new();
    for damages in [OF_HEADERS, OF_REGIONS, OF_METADATA, OF_BLOCKS] {
        assert_found(&dynamic(), damages, &mut seen);
    }
    assert_found(&parent_and_child().1, OF_CHILDREN, &mut seen);
    assert_found(&fixed(), &[("VHDX-2.6.2.1-fixed-block-absent", |b| entry(b, 1, 0))], &mut seen);
    let elsewhere = [
        "VHDX-2.3-log-not-empty",
        "VHDX-2.3.2-log-flushed-length",
        "VHDX-2.5.1.2-bitmap-without-parent",
        "CHAIN-2.6.2.6-parent-identity",
        "CHAIN-2.6.2.4-sector-size",
        "CHAIN-2.6.2.6-not-a-chain",
        "CHAIN-1-change-tracking-file",
    ];
    seen.extend(elsewhere);
    // The rules of VHD have a file of their own.
    let all = rules().map(|rule| rule.id).filter(|id| !id.starts_with("VHD-"));
    let all: BTreeSet<&str> = all.collect();
    assert_eq!(all.difference(&seen).collect::<Vec<_>>(), Vec::<&&str>::new(), "rules without a test");
}

#[test]
fn sound_files_have_no_finding() {
    let (parent, child) = parent_and_child();
    for files in [vec![&dynamic()[..]], vec![&fixed()], vec![&child, &parent]] {
        assert_eq!(report(&files).findings, []);
    }
}

fn unpacked(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    let mut bytes = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
    bytes
}

#[test]
fn disks_made_by_hyper_v_have_no_error_and_a_log_in_use_is_noted() {
    assert_eq!(report(&[&unpacked("swap.vhdx.gz")]).findings, []);
    let dirty = unpacked("vhdx-log-replay.vhdx.gz");
    let findings = report(&[&dirty]);
    assert_eq!(found_rules(&findings), BTreeSet::from(["VHDX-2.3-log-not-empty"]));
    let cut = report(&[&dirty[..dirty.len() - M]]);
    assert!(found_rules(&cut).contains("VHDX-2.3.2-log-flushed-length"), "{cut:#?}");
}

#[test]
fn junk_in_bitmap_entries_of_a_disk_without_parent_is_a_note() {
    let mut bytes = written(&CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(5 << 30) });
    entry(&mut bytes, 4096, 0x1234_5678);
    let report = report(&[&bytes]);
    assert_eq!(found_rules(&report), BTreeSet::from(["VHDX-2.5.1.2-bitmap-without-parent"]));
    assert_eq!(report.count(Severity::Note), 1);
    assert!(report.is_sound());
}

#[test]
fn a_parent_that_does_not_fit_is_named() {
    let (mut parent, child) = parent_and_child();
    headers(&mut parent, 32, &[5; 16]);
    assert!(found_rules(&report(&[&child, &parent])).contains("CHAIN-2.6.2.6-parent-identity"));
    let (mut parent, child) = parent_and_child();
    put(&mut parent, ITEMS + 16, &4096u32.to_le_bytes());
    put(&mut parent, ITEMS + 8, &(8 * MIB).to_le_bytes());
    assert!(found_rules(&report(&[&child, &parent])).contains("CHAIN-2.6.2.4-sector-size"));
}

#[test]
fn change_tracking_files_beside_a_disk_are_noted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhdx");
    std::fs::write(&path, dynamic()).unwrap();
    std::fs::write(folder.path().join("disk.vhdx.rct"), "").unwrap();
    let found = check(&[Arc::new(vdisk::LocalFile::open_read(&path).unwrap())]).unwrap();
    assert_eq!(found_rules(&found), BTreeSet::from(["CHAIN-1-change-tracking-file"]));
}

#[test]
fn a_thousand_findings_of_one_rule_are_told_by_the_first_and_a_number() {
    let mut bytes = written(&CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(2 << 30) });
    (100..1100).for_each(|number| entry(&mut bytes, number, 5));
    let report = report(&[&bytes]);
    assert_eq!((report.findings.len(), report.omitted[0].count), (16, 984));
    assert_eq!(report.count(Severity::Error), 1000);
}

/// The validator must never be milder than the reader, whatever the file holds, nor stop at it.
#[test]
fn what_the_reader_refuses_has_an_error_for_any_changed_bytes() {
    let good = dynamic();
    let places = [0x1_0000, 0x3_0000, METADATA, METADATA + 32, ITEMS, BAT];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (file, mut refused) = (MemoryFile::with_bytes("disk.vhdx", &good), 0);
    for _ in 0..3000 {
        let at = places[random() as usize % places.len()] + random() as usize % 200;
        let sector = at / 4096 * 4096;
        file.write_at(at as u64, &random().to_le_bytes()[..1 + random() as usize % 8]).unwrap();
        let mut tables = bytes_at(&file, 0x1_0000, 0x5_0000);
        [0, 0x1_0000].into_iter().for_each(|header| seal(&mut tables, header, 4096));
        [0x2_0000, 0x3_0000].into_iter().for_each(|table| seal(&mut tables, table, 0x1_0000));
        file.write_at(0x1_0000, &tables).unwrap();
        let error = Disk::open(Arc::new(file.clone())).err();
        let report = check(&[Arc::new(file.clone())]).unwrap();
        assert!(error.is_none() || !report.is_sound(), "{at:#x}: {error:?} {:#?}", report.findings);
        refused += u32::from(error.is_some());
        file.write_at(0x1_0000, &good[0x1_0000..0x6_0000]).unwrap();
        file.write_at(sector as u64, &good[sector..sector + 8192]).unwrap();
    }
    assert!(refused > 900, "{refused}");
}

fn bytes_at(file: &MemoryFile, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    file.read_at(at, &mut bytes).unwrap();
    bytes
}
