//! The validator on VHD files: each rule is found in a file damaged just so, and nowhere in sound ones.
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
use vdisk::check::{Report, check, rules};
use vdisk::{CreateKind, Disk, FileIo, MemoryFile, VhdOptions, VhdWriter};

const TABLE: usize = 1536;

/// 8 MiB in blocks of 1 MiB, of which 0 and 3 hold data.
fn written(kind: CreateKind) -> Vec<u8> {
    let file = MemoryFile::new("disk.vhd");
    // A size that a geometry can tell, so that no rule of sizes is touched.
    let options = VhdOptions { block_bytes: 1 << 20, kind, ..VhdOptions::dynamic(512 * 17 * 4 * 240) };
    let mut disk = VhdWriter::create(Arc::new(file.clone()), &options).unwrap();
    for at in [0, 3 * MIB] {
        disk.write_at(at, &pattern(at, 512)).unwrap();
    }
    disk.close().unwrap();
    bytes_of(&file)
}

fn report(bytes: &[u8]) -> Report {
    let file: Arc<dyn FileIo> = Arc::new(MemoryFile::with_bytes("disk.vhd", bytes));
    check(&[file]).unwrap()
}

fn put(bytes: &mut [u8], at: usize, data: &[u8]) {
    bytes[at..at + data.len()].copy_from_slice(data);
}

fn seal(bytes: &mut [u8], at: usize, length: usize, field: usize) {
    put(bytes, at + field, &[0; 4]);
    let sum = bytes[at..at + length].iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
    put(bytes, at + field, &(!sum).to_be_bytes());
}

/// Changes the footer and its copy in the same way.
fn footers(bytes: &mut [u8], field: usize, data: &[u8]) {
    for at in [0, bytes.len() - 512] {
        put(bytes, at + field, data);
        seal(bytes, at, 512, 64);
    }
}

fn header(bytes: &mut [u8], field: usize, data: &[u8]) {
    put(bytes, 512 + field, data);
    seal(bytes, 512, 1024, 36);
}

fn entry(bytes: &mut [u8], number: usize, sector: u32) {
    put(bytes, TABLE + number * 4, &sector.to_be_bytes());
}

type Damage = fn(&mut Vec<u8>);

const DAMAGES: &[(&str, Damage)] = &[
    ("VHD-footer-no-valid-footer", |b| {
        let end = b.len() - 512;
        b[100] ^= 1;
        b[end + 100] ^= 1;
    }),
    ("VHD-footer-missing-at-end", |b| b.truncate(b.len() - 512)),
    ("VHD-footer-checksum", |b| b[100] ^= 1),
    ("VHD-footer-copy-differs", |b| {
        b[100] ^= 1;
        seal(b, 0, 512, 64);
    }),
    ("VHD-footer-two-disks", |b| {
        b[68] ^= 1;
        seal(b, 0, 512, 64);
    }),
    ("VHD-footer-version", |b| footers(b, 12, &[0, 2, 0, 0])),
    ("VHD-footer-disk-type", |b| footers(b, 60, &[0, 0, 0, 9])),
    ("VHD-footer-features", |b| footers(b, 8, &[0, 0, 0, 0])),
    ("VHD-footer-saved-state", |b| footers(b, 84, &[1])),
    ("VHD-footer-old-length", |b| {
        let length = b.len();
        b[length - 1] = 0;
        b.truncate(length - 1);
    }),
    ("VHD-footer-disk-size", |b| footers(b, 48, &513u64.to_be_bytes())),
    ("VHD-footer-size-by-geometry", |b| footers(b, 48, &(8 * MIB).to_be_bytes())),
    ("VHD-header-place", |b| footers(b, 16, &(900 * MIB).to_be_bytes())),
    ("VHD-header-checksum", |b| b[512 + 900] ^= 1),
    ("VHD-header-version", |b| header(b, 24, &[0, 2, 0, 0])),
    ("VHD-header-block-size", |b| header(b, 32, &[0, 3, 0, 0])),
    ("VHD-header-table-length", |b| header(b, 28, &[0, 0, 0, 1])),
    ("VHD-header-table-bounds", |b| header(b, 16, &(900 * MIB).to_be_bytes())),
    ("VHD-header-parent-locator", |b| {
        footers(b, 60, &[0, 0, 0, 4]);
        header(b, 576, b"W2ru\0\0\x10\0\0\0\0\x10\0\0\0\0\0\0\0\x7f\0\0\0\0");
    }),
    ("VHD-table-block-bounds", |b| entry(b, 1, 0x00ff_0000)),
    ("VHD-table-overlap", |b| entry(b, 1, 0)),
    ("VHD-table-unused-space", |b| {
        let at = b.len() - 512;
        b.splice(at..at, vec![0; 2 << 20]);
    }),
];

fn found_rules(report: &Report) -> BTreeSet<&'static str> {
    report.findings.iter().map(|finding| finding.rule.id).collect()
}

#[test]
fn every_rule_is_found_in_a_file_damaged_just_so() {
    let mut seen = BTreeSet::from(["VHD-footer-fixed-length"]);
    for (rule, damage) in DAMAGES {
        let mut bytes = written(CreateKind::Dynamic);
        damage(&mut bytes);
        let report = report(&bytes);
        assert!(found_rules(&report).contains(rule), "{rule} is not in {:?}", found_rules(&report));
        // The reader and the validator agree on what is an error.
        let refused = Disk::open_leaf(Arc::new(MemoryFile::with_bytes("disk.vhd", &bytes))).err();
        assert!(refused.is_none() || !report.is_sound(), "{rule}: {refused:?}, {:?}", found_rules(&report));
        seen.insert(rule);
    }
    let all = rules().map(|rule| rule.id).filter(|id| id.starts_with("VHD-"));
    assert_eq!(all.filter(|id| !seen.contains(id)).collect::<Vec<_>>(), Vec::<&str>::new(), "without a test");
}

#[test]
fn a_fixed_disk_that_is_cut_is_told() {
    let bytes = written(CreateKind::Fixed);
    let cut = [&bytes[..1 << 20], &bytes[bytes.len() - 512..]].concat();
    assert_eq!(found_rules(&report(&cut)), BTreeSet::from(["VHD-footer-fixed-length"]));
}

#[test]
fn sound_files_have_no_finding() {
    for kind in [CreateKind::Dynamic, CreateKind::Fixed] {
        assert_eq!(report(&written(kind)).findings, [], "{kind:?}");
    }
}

/// A guest can write the head of a VHDX into its fixed disk; reader and validator take the file for the same format.
#[test]
fn a_fixed_disk_that_begins_as_a_vhdx_is_checked_as_what_it_is_read_as() {
    let mut bytes = written(CreateKind::Fixed);
    bytes[..8].copy_from_slice(b"vhdxfile");
    assert_eq!(report(&bytes).findings, []);
    let unnamed: Arc<dyn FileIo> = Arc::new(MemoryFile::with_bytes("disk", &bytes));
    assert_eq!(check(&[unnamed]).unwrap_err().code(), "VD-019");
}

#[test]
fn files_that_are_no_chain_are_told() {
    let file = |name: &str| -> Arc<dyn FileIo> {
        Arc::new(MemoryFile::with_bytes(name, &written(CreateKind::Dynamic)))
    };
    let report = check(&[file("one.vhd"), file("two.vhd")]).unwrap();
    assert_eq!(found_rules(&report), BTreeSet::from(["CHAIN-2.6.2.6-not-a-chain"]));
    assert_eq!((report.findings[0].object.as_str(), report.is_sound()), ("two.vhd", false));
}
