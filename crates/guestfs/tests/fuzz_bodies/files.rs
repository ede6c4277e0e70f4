//! Targets `ext`, `ntfs`, `xfs`, `fat`, `exfat`: small sound file systems with bytes changed in their metadata.
//!
//! Input: patches, each of a place (2 bytes choose one of the sectors that hold something), an offset in it (2),
//! a count and the bytes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, LazyLock};

use guestfs::Source;

use super::input::Input;
use super::oracle::check_disks;

const PATCHES_MAX: usize = 24;
const SECTOR: usize = 512;

/// A file system, and which of its sectors say something.
pub struct Base {
    pub bytes: Vec<u8>,
    pub telling: Vec<usize>,
}

impl Base {
    pub fn unpack(packed: &[u8]) -> Self {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        let says_something = |sector: &[u8]| sector.iter().any(|byte| *byte != sector[0]);
        let telling = bytes.chunks(SECTOR).enumerate().filter(|(_, sector)| says_something(sector));
        let telling = telling.map(|(number, _)| number).collect();
        Self { bytes, telling }
    }
}

static EXT: LazyLock<Base> = LazyLock::new(|| Base::unpack(include_bytes!("bases/ext4.img.gz")));
static EXT_DIRTY: LazyLock<Base> = LazyLock::new(|| Base::unpack(include_bytes!("bases/ext4-dirty.img.gz")));
static NTFS: LazyLock<Base> = LazyLock::new(|| Base::unpack(include_bytes!("bases/ntfs.img.gz")));
static XFS: LazyLock<Base> = LazyLock::new(|| Base::unpack(include_bytes!("bases/xfs4.img.gz")));
static FAT12: LazyLock<Base> = LazyLock::new(|| Base::unpack(include_bytes!("bases/fat12.img.gz")));
static FAT32: LazyLock<Base> = LazyLock::new(|| Base::unpack(include_bytes!("bases/fat32.img.gz")));
static EXFAT: LazyLock<Base> = LazyLock::new(|| Base::unpack(include_bytes!("bases/exfat.img.gz")));

/// The first bit chooses between a clean journal and one to be replayed.
pub fn ext(bytes: &[u8]) {
    let (choice, rest) = bytes.split_first().unwrap_or((&0, &[]));
    body(if choice & 1 == 0 { &EXT } else { &EXT_DIRTY }, rest);
}

pub fn ntfs(bytes: &[u8]) {
    body(&NTFS, bytes);
}

pub fn xfs(bytes: &[u8]) {
    body(&XFS, bytes);
}

/// The first bit chooses between FAT12 and FAT32.
pub fn fat(bytes: &[u8]) {
    let (choice, rest) = bytes.split_first().unwrap_or((&0, &[]));
    body(if choice & 1 == 0 { &FAT12 } else { &FAT32 }, rest);
}

pub fn exfat(bytes: &[u8]) {
    body(&EXFAT, bytes);
}

fn body(base: &'static Base, bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut disk = Patched { base, sectors: BTreeMap::new() };
    for _ in 0..PATCHES_MAX {
        if input.is_empty() {
            break;
        }
        let sector = base.telling[input.below(base.telling.len() as u64) as usize];
        let offset = input.below(SECTOR as u64) as usize;
        let count = usize::from(input.byte()) % 16 + 1;
        let patch = input.take(count);
        let held = &base.bytes[sector * SECTOR..(sector + 1) * SECTOR];
        let changed = disk.sectors.entry(sector).or_insert_with(|| held.to_vec());
        let end = (offset + patch.len()).min(SECTOR);
        changed[offset..end].copy_from_slice(&patch[..end - offset]);
    }
    check_disks(&[Arc::new(disk)]);
}

/// The base with some sectors changed.
struct Patched {
    base: &'static Base,
    sectors: BTreeMap<usize, Vec<u8>>,
}

impl Source for Patched {
    fn len(&self) -> u64 {
        self.base.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(self.base.bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        for (sector, bytes) in self.sectors.range(start / SECTOR..end.div_ceil(SECTOR)) {
            let at = sector * SECTOR;
            let (from, to) = (at.max(start), (at + SECTOR).min(end));
            if from < to {
                buf[from - start..to - start].copy_from_slice(&bytes[from - at..to - at]);
            }
        }
        Ok(())
    }

    fn logical_sector(&self) -> u32 {
        512
    }

    fn name(&self) -> &str {
        "x.raw"
    }
}
