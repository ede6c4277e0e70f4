//! A folder of files as a small server has them, the same for the same seed.
//!
//! Compressible text, incompressible binaries, a database of checksummed pages, a sparse file, many small files,
//! deep folders and names outside ASCII: each kind stresses another part of a backup.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::seed::Chance;

/// Size of one page of the database file: two blocks of the file system.
pub(crate) const PAGE_BYTES: usize = 8192;
/// Path of the database inside the file system.
pub(crate) const DATABASE: &str = "/database/ledger.db";

const WORDS: &[&str] = &[
    "ledger", "invoice", "delivery", "harbour", "window", "protocol", "summer", "account", "review",
    "engine", "garden", "minutes", "budget", "quarter", "machine", "signal", "letter", "archive", "river",
    "station",
];

const UNUSUAL_NAMES: &[&str] = &[
    "documents/Übersicht 2026.txt",
    "documents/日本語/報告書.txt",
    "documents/naïve café – Entwurf.md",
    "documents/🚢 harbour.txt",
    "documents/name with  two spaces.txt",
];

/// How much of each kind the tree holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFilesSpec {
    /// Decides all contents.
    pub seed: u64,
    /// Size of the disk, a multiple of 1 MiB; at least twice what the files need.
    pub capacity: u64,
    /// Number of text documents.
    pub documents: u32,
    /// Number of incompressible files.
    pub binaries: u32,
    /// Size of each of them.
    pub binary_bytes: usize,
    /// Pages of 8 KiB in the database file.
    pub database_pages: u32,
}

impl Default for GuestFilesSpec {
    fn default() -> GuestFilesSpec {
        GuestFilesSpec {
            seed: 1,
            capacity: 128 << 20,
            documents: 120,
            binaries: 8,
            binary_bytes: 1 << 20,
            database_pages: 1024,
        }
    }
}

/// Writes the tree into an empty folder.
pub(crate) fn write_tree(folder: &Path, spec: &GuestFilesSpec) -> io::Result<()> {
    let chance = Chance::from_seed(spec.seed);
    let mut text = chance.split("documents");
    for number in 0..spec.documents {
        let name = format!("documents/{:02}/report-{number:04}.txt", number % 12);
        put(folder, &name, document(&mut text, number).as_bytes())?;
    }
    for (number, name) in (0_u32..).zip(UNUSUAL_NAMES) {
        put(folder, name, document(&mut text, number).as_bytes())?;
    }
    let mut binary = chance.split("binaries");
    for number in 0..spec.binaries {
        put(
            folder,
            &format!("pictures/picture-{number:03}.bin"),
            &incompressible(&mut binary, spec.binary_bytes),
        )?;
    }
    put(folder, &DATABASE[1..], &database(&mut chance.split("database"), spec.database_pages))?;
    for number in 0..200_u32 {
        put(
            folder,
            &format!("index/{:x}/{number}.idx", number % 16),
            format!("entry {number}\n").as_bytes(),
        )?;
    }
    put(folder, "deep/a/b/c/d/e/f/g/h/leaf.txt", b"at the end of a deep path\n")?;
    put(folder, "empty.txt", b"")?;
    sparse_file(&folder.join("images/sparse.img"), &mut chance.split("sparse"))
}

/// A text of some pages that compresses well.
pub(crate) fn document(chance: &mut Chance, number: u32) -> String {
    let mut text = format!("Report {number}\n\n");
    let lines = 20 + chance.below(400);
    for _ in 0..lines {
        for _ in 0..8 {
            let word = usize::try_from(chance.below(WORDS.len() as u64)).unwrap_or_default();
            text.push_str(WORDS[word]);
            text.push(' ');
        }
        text.push('\n');
    }
    text
}

/// Bytes that do not compress.
pub(crate) fn incompressible(chance: &mut Chance, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    chance.fill(&mut bytes);
    bytes
}

/// One page: its number, how often it was written, a checksum, and rows that compress by about half.
pub(crate) fn database_page(chance: &mut Chance, number: u32, version: u32) -> Vec<u8> {
    let mut page = vec![0; PAGE_BYTES];
    chance.fill(&mut page[32..PAGE_BYTES / 2]);
    // No block of a page is all zero: mke2fs would leave it out of the file's blocks.
    let row = format!("row of page {number}, version {version}; ");
    for (byte, text) in page[PAGE_BYTES / 2..].iter_mut().zip(row.bytes().cycle()) {
        *byte = text;
    }
    page[..4].copy_from_slice(b"PAGE");
    page[4..8].copy_from_slice(&number.to_le_bytes());
    page[8..12].copy_from_slice(&version.to_le_bytes());
    let sum = blake3::hash(&page[32..]);
    page[16..32].copy_from_slice(&sum.as_bytes()[..16]);
    page
}

/// Whether a page of a database is whole: a torn page betrays a restore that mixes two moments.
pub(crate) fn page_is_whole(page: &[u8], number: u32) -> bool {
    page.len() == PAGE_BYTES
        && &page[..4] == b"PAGE"
        && page[4..8] == number.to_le_bytes()
        && page[16..32] == blake3::hash(&page[32..]).as_bytes()[..16]
}

fn database(chance: &mut Chance, pages: u32) -> Vec<u8> {
    (0..pages).flat_map(|number| database_page(chance, number, 1)).collect()
}

fn sparse_file(path: &Path, chance: &mut Chance) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = fs::File::create(path)?;
    file.set_len(48 << 20)?;
    for at in [0, 17 << 20, (48 << 20) - 4096] {
        file.write_all_at(&incompressible(chance, 4096), at)?;
    }
    Ok(())
}

fn put(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_was_written_in_part_is_noticed() {
        let mut page = database_page(&mut Chance::from_seed(1), 5, 2);
        assert!(page_is_whole(&page, 5));
        assert!(!page_is_whole(&page, 6));
        page[4096..].fill(7);
        assert!(!page_is_whole(&page, 5));
    }
}
