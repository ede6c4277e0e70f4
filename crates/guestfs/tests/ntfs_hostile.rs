//! Damaged and hostile NTFS volumes end in errors: no panic, no endless work, little memory.
//!
//! A small valid volume is changed at random (seeded) places: any byte, bytes of the structures, whole
//! sectors zeroed or swapped. Everything that a reader can ask is then asked.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "only tests use it")]

mod ntfs_image;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use guestfs::{NodeKind, Source, Tree};
use ntfs_image::{Image, noise, open};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// Damaged volumes looked at; `NTFS_HOSTILE_CASES` asks for more.
const CASES: u64 = 500;
/// Reads of the volume that one look at it may take; a valid look takes about 100.
const READS_MAX: u64 = 20_000;
/// Nodes that a walk visits, since a damaged folder may name others many times.
const NODES_MAX: usize = 2000;
/// Growth of the process beyond the image that is allowed.
const MEMORY_MAX_KIB: u64 = 16 << 10;

/// A volume in memory that counts how often it is read.
struct Memory {
    bytes: Vec<u8>,
    reads: AtomicU64,
}

impl Source for Memory {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        assert!(reads < READS_MAX, "one look at the volume reads it without end");
        let held = usize::try_from(offset).ok().and_then(|start| self.bytes.get(start..start + buf.len()));
        buf.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn logical_sector(&self) -> u32 {
        512
    }

    fn name(&self) -> &str {
        "hostile"
    }
}

/// A volume of 2 MiB with one of everything.
fn valid() -> Vec<u8> {
    let image = Image::format(2, &["-c", "512"]);
    image.mounted(|root| {
        let set = |path: &str, name: &str, value: &[u8]| {
            rustix::fs::setxattr(root.join(path), name, value, rustix::fs::XattrFlags::empty()).unwrap();
        };
        fs::create_dir(root.join("packed")).unwrap();
        set("packed", "system.ntfs_attrib_be", &0x0830_u32.to_be_bytes());
        fs::write(root.join("packed/text"), "a text that repeats ".repeat(3000)).unwrap();
        fs::create_dir(root.join("many")).unwrap();
        for number in 0..120 {
            fs::write(root.join(format!("many/a file of number {number}")), noise(number, 40)).unwrap();
            fs::hard_link(
                root.join(format!("many/a file of number {number}")),
                root.join(format!("{number}")),
            )
            .unwrap();
        }
        fs::write(root.join("large"), noise(1, 100_000)).unwrap();
        fs::write(root.join("streams"), "main").unwrap();
        for number in 0..20 {
            set("streams", &format!("user.stream{number}"), &noise(number, 400));
        }
        fs::File::create(root.join("sparse")).unwrap().set_len(10 << 20).unwrap();
        fs::write(root.join("link"), "").unwrap();
        set(
            "link",
            "system.ntfs_reparse_data",
            b"\x0C\0\0\xA0\x10\0\0\0\0\0\x02\0\x02\0\x02\0\0\0\0\0a\0b\0",
        );
    });
    fs::read(image.path()).unwrap()
}

/// Asks a volume everything; returns how many answers were right in form.
fn look(bytes: Vec<u8>) -> usize {
    let source: Arc<dyn Source> = Arc::new(Memory { bytes, reads: AtomicU64::new(0) });
    let Ok(tree) = open(source) else { return 0 };
    let mut answers = usize::from(tree.free_space().is_ok());
    answers += usize::from(tree.find("MANY/a FILE of number 77").is_ok());
    let mut seen = HashSet::from([tree.root()]);
    let mut waiting = vec![(tree.root(), NodeKind::Folder)];
    while let Some((node, kind)) = waiting.pop() {
        answers += ask(&*tree, node);
        if kind != NodeKind::Folder {
            continue;
        }
        for entry in tree.list(node).unwrap_or_default() {
            if seen.len() < NODES_MAX && seen.insert(entry.node) {
                waiting.push((entry.node, entry.kind));
            }
        }
    }
    answers
}

/// Asks for everything of one node; reads a bounded part of each stream.
fn ask(tree: &dyn Tree, node: guestfs::NodeId) -> usize {
    let mut piece = vec![0; 150_000];
    let Ok(info) = tree.metadata(node) else { return 0 };
    let mut answers = 1 + usize::from(tree.extents(node, None).is_ok());
    answers += usize::from(tree.read_at(node, None, 0, &mut piece).is_ok());
    answers += usize::from(tree.read_at(node, None, info.size.saturating_sub(5), &mut piece).is_ok());
    for stream in info.streams.iter().take(30) {
        answers += usize::from(tree.read_at(node, Some(&stream.name.to_string()), 0, &mut piece).is_ok());
    }
    answers
}

/// Changes a volume at a few places, most of them where structures lie.
fn damage(bytes: &mut [u8], structures: &[usize], random: &mut TestRng) {
    for _ in 0..=random.next_u32() % 6 {
        let any = random.next_u64() as usize % bytes.len();
        let sector = structures[random.next_u64() as usize % structures.len()];
        let inside = sector + random.next_u64() as usize % 512;
        match random.next_u32() % 8 {
            0 => bytes[any] = random.next_u32() as u8,
            1 => bytes[sector..sector + 512].fill(0),
            2 => bytes.copy_within(any / 512 * 512..any / 512 * 512 + 512, sector),
            3 => bytes[inside] = [0, 1, 0x7F, 0x80, 0xFF][random.next_u32() as usize % 5],
            4 => bytes[inside] ^= 1 << (random.next_u32() % 8),
            _ => bytes[inside] = random.next_u32() as u8,
        }
    }
}

/// Sectors that begin with a structure, and the one after each.
fn structures(bytes: &[u8]) -> Vec<usize> {
    let starts = (0..bytes.len() - 512)
        .step_by(512)
        .filter(|at| *at == 0 || matches!(&bytes[*at..at + 4], b"FILE" | b"INDX") || at + 512 == bytes.len());
    starts.flat_map(|at| [at, at, at + 512]).collect()
}

/// Largest memory that the process has had, in KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn no_damage_leads_to_a_panic_endless_work_or_much_memory() {
    let valid = valid();
    let structures = structures(&valid);
    let whole = look(valid.clone());
    let cases = std::env::var("NTFS_HOSTILE_CASES").map_or(CASES, |text| text.parse().unwrap());
    let before = peak_memory();
    let mut fewer = 0;
    for case in 0..cases {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&case.to_le_bytes());
        let mut bytes = valid.clone();
        damage(&mut bytes, &structures, &mut TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        fewer += u64::from(look(bytes) < whole);
    }
    assert!(fewer > cases / 4, "only {fewer} of {cases} damaged volumes were noticed");
    let grown = peak_memory() - before;
    assert!(grown < MEMORY_MAX_KIB + 2048, "the process grew by {grown} KiB beyond the copy of the image");
}

#[test]
fn every_byte_of_the_boot_sector_and_the_first_records_can_be_wrong() {
    let valid = valid();
    let table = structures(&valid)[3];
    for at in (0..90).chain(table..table + 600).chain(table + 5 * 1024..table + 5 * 1024 + 600) {
        for value in [0, 0xFF] {
            let mut bytes = valid.clone();
            bytes[at] = value;
            look(bytes);
        }
    }
}
