//! A sparse disk of 8 MiB, put together sector by sector, over images that lie in it.

use std::collections::BTreeMap;
use std::io;

use guestfs::Source;

use super::input::Input;

pub const SECTOR: usize = 512;
pub const DISK_SECTORS: u64 = 16_384;
const PATCHES_MAX: usize = 24;

/// Sectors by their number, over images by their first byte.
#[derive(Clone, Default)]
pub struct Sectors {
    own: BTreeMap<u64, Vec<u8>>,
    images: Vec<(u64, &'static [u8])>,
}

impl Source for Sectors {
    fn len(&self) -> u64 {
        DISK_SECTORS * SECTOR as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.len());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.fill(0);
        for (at, bytes) in &self.images {
            copy_overlap(buf, offset, bytes, *at);
        }
        for (sector, bytes) in self.own.range(offset / 512..end.div_ceil(512)) {
            copy_overlap(buf, offset, bytes, sector * 512);
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

/// Copies what `bytes`, which lie at `at`, have of the range that `buf` stands for.
fn copy_overlap(buf: &mut [u8], offset: u64, bytes: &[u8], at: u64) {
    let (from, to) = (at.max(offset), (at + bytes.len() as u64).min(offset + buf.len() as u64));
    if from < to {
        buf[(from - offset) as usize..(to - offset) as usize]
            .copy_from_slice(&bytes[(from - at) as usize..(to - at) as usize]);
    }
}

impl Sectors {
    /// Lays an image into the disk.
    pub fn lay(&mut self, sector: u64, image: &'static [u8]) {
        self.images.push((sector * 512, image));
    }

    pub fn put(&mut self, at: u64, bytes: &[u8]) {
        for (number, byte) in bytes.iter().enumerate() {
            let at = at + number as u64;
            if !self.own.contains_key(&(at / 512)) {
                let held = self.get(at - at % 512, SECTOR);
                self.own.insert(at / 512, held);
            }
            if let Some(sector) = self.own.get_mut(&(at / 512)) {
                sector[(at % 512) as usize] = *byte;
            }
        }
    }

    pub fn get(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read_at(at, &mut bytes).unwrap();
        bytes
    }

    /// Patches within these areas: (start, length).
    pub fn patch(&mut self, input: &mut Input<'_>, areas: &[(u64, u64)]) {
        for _ in 0..PATCHES_MAX {
            if input.is_empty() {
                return;
            }
            let (start, length) = areas[usize::from(input.byte()) % areas.len()];
            let offset = input.below(length);
            let count = usize::from(input.byte()) % 16 + 1;
            self.put(start + offset, input.take(count));
        }
    }
}
