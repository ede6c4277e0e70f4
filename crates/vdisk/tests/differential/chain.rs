//! Makes random chains beside their model.

use std::sync::Arc;

use vdisk::{ByteRange, CreateKind, CreateOptions, Disk, FileIo, MemoryFile, WritableDisk};

use crate::model::{Chance, Model};
use crate::plain::{MIB, Plain, locator_of};

const GIB: u64 = 1 << 30;
/// Blocks that a layer of a large disk touches.
const BLOCKS_TOUCHED_MAX: u64 = 8;

/// A chain and what it must show.
pub(crate) struct Made {
    /// Leaf first; each file is named `layerN.vhdx`, N counting from the root.
    pub(crate) files: Vec<MemoryFile>,
    pub(crate) model: Model,
    /// Some block has an entry that wxtla takes for another or refuses.
    pub(crate) wxtla_differs: bool,
}

/// Everything about the chain of this seed.
pub(crate) fn make(seed: u64) -> Made {
    let mut chance = Chance::new(seed);
    let sector = if chance.one_in(4) { 4096 } else { 512 };
    let capacity = capacity(&mut chance, u64::from(sector));
    let mut made = Made { files: Vec::new(), model: Model::new(capacity), wxtla_differs: false };
    let layers = chance.pick(&[1, 1, 1, 2, 2, 3, 4]);
    for layer in 0..layers {
        if chance.one_in(2) {
            made.add_ours(&mut chance, sector);
        } else {
            made.add_plain(&mut chance, sector, seed << 8 | layer);
        }
    }
    made
}

/// Mostly a few blocks with a last one in part; some around the borders of chunks.
fn capacity(chance: &mut Chance, sector: u64) -> u64 {
    let chunk = (1 << 23) * sector;
    let bytes = match chance.below(12) {
        0 => sector * (1 + chance.below(20)),
        1 => chunk + sector * chance.below(8),
        2 => chunk + chance.below(GIB),
        3 => 2 * chunk + sector,
        4 => MIB * (1 + chance.below(6)),
        _ => 1 + chance.below(5 * MIB),
    };
    bytes.next_multiple_of(sector)
}

impl Made {
    fn name(&self) -> String {
        format!("layer{}.vhdx", self.files.len())
    }

    /// The files so far, leaf first.
    pub(crate) fn shared(&self) -> Vec<Arc<dyn FileIo>> {
        self.files.iter().map(|file| Arc::new(file.clone()) as Arc<dyn FileIo>).collect()
    }

    fn open(&self) -> Disk {
        Disk::open_chain(self.shared()).unwrap()
    }

    /// A layer of our writer: writes and clearings, with closing and opening between.
    fn add_ours(&mut self, chance: &mut Chance, sector: u32) {
        let file = MemoryFile::new(&self.name());
        let shared: Arc<dyn FileIo> = Arc::new(file.clone());
        let mut disk = if self.files.is_empty() {
            let small = self.model.capacity <= 8 * MIB;
            let kind = if small && chance.one_in(4) { CreateKind::Fixed } else { CreateKind::Dynamic };
            let options = CreateOptions {
                capacity: self.model.capacity,
                block_bytes: chance.pick(&[1, 1, 2, 4]) << 20,
                logical_sector: sector,
                physical_sector: 4096,
                disk_id: None,
                kind,
            };
            WritableDisk::create(shared, &options).unwrap()
        } else {
            let parent = format!(".\\{}", self.files[0].name());
            WritableDisk::create_child(shared, &self.open(), &parent, None).unwrap()
        };
        self.files.insert(0, file);
        for _ in 0..chance.below(12) {
            self.change(chance, &mut disk);
            if chance.one_in(8) {
                disk.close().unwrap();
                disk = WritableDisk::open_chain(self.shared()).unwrap();
            }
        }
        disk.close().unwrap();
    }

    fn change(&mut self, chance: &mut Chance, disk: &mut WritableDisk) {
        let capacity = self.model.capacity;
        let length = match chance.below(6) {
            0 => 512,
            1 => 4096,
            2 => 1 + chance.below(3000),
            3 => MIB,
            4 => 2 * MIB,
            _ => 512 * (1 + chance.below(300)),
        };
        let length = length.min(capacity);
        let place = match chance.below(4) {
            0 => chance.below(capacity),
            1 => chance.below(capacity / 512 + 1) * 512,
            2 => chance.below(capacity.div_ceil(MIB)) * MIB,
            // Around the border of a chunk, or the end.
            _ => (4 * GIB).min(capacity).saturating_sub(length / 2),
        };
        let offset = place.min(capacity - length);
        if chance.one_in(4) {
            self.model.zero(offset, length);
            disk.write_zeroes(ByteRange::at(offset, length)).unwrap();
        } else {
            let data = chance.bytes(length);
            self.model.write(offset, &data);
            disk.write_at(offset, &data).unwrap();
        }
    }

    /// A layer put together by hand.
    fn add_plain(&mut self, chance: &mut Chance, sector: u32, id: u64) {
        let mut plain = Plain::new(self.model.capacity, chance.pick(&[1, 1, 2, 4]) * MIB);
        plain.logical_sector = sector;
        plain.file_guid = u128::from(id) << 64 | 1;
        plain.data_guid = u128::from(id) << 64 | 2;
        if let Some(parent) = self.files.first() {
            let guid = self.open().layers().next().unwrap().data_write_guid;
            plain.locator = Some(locator_of(guid.as_u128(), &format!(".\\{}", parent.name())));
        }
        let blocks = chosen_blocks(chance, &plain);
        // Space is given out in another order than that of the blocks, sometimes with gaps.
        let mut space: Vec<u64> = (0..blocks.len() as u64).collect();
        for at in (1..space.len()).rev() {
            space.swap(at, chance.below(at as u64 + 1) as usize);
        }
        let gap = if chance.one_in(3) { MIB } else { 0 };
        let mut bitmaps = plain.payload_start() + space.len() as u64 * (plain.block_bytes + gap);
        for (block, space) in blocks.into_iter().zip(space) {
            let place = plain.payload_start() + space * (plain.block_bytes + gap) + gap;
            self.plain_block(chance, &mut plain, block, place, &mut bitmaps);
        }
        plain.length = bitmaps + gap + chance.below(2) * 777;
        let file = plain.file(&self.name());
        self.files.insert(0, file);
    }

    fn plain_block(
        &mut self,
        chance: &mut Chance,
        plain: &mut Plain,
        block: u64,
        place: u64,
        bitmaps: &mut u64,
    ) {
        let start = block * plain.block_bytes;
        let length = plain.block_bytes.min(plain.capacity - start);
        let has_parent = plain.locator.is_some();
        let state = match chance.below(16) {
            0 => 0,
            1 if chance.one_in(2) => chance.pick(&[1, 3]),
            1..4 => 2,
            4..11 if has_parent => 7,
            _ => 6,
        };
        let entry = plain.payload_entry(block);
        match state {
            0 => {}
            6 => {
                let data = self.some_bytes(chance, length);
                self.model.zero(start, length);
                for (at, bytes) in data {
                    self.model.write(start + at, &bytes);
                    plain.parts.push((place + at, bytes));
                }
                plain.table.push((entry, place | 6));
            }
            7 => self.plain_partial(chance, plain, block, place, bitmaps),
            hidden => {
                self.model.zero(start, length);
                // A place may be kept, or mean nothing; it must not be looked at.
                let anchor = chance.pick(&[0, 0, 0, 0, 0, 0, place, 1 << 40]);
                self.wxtla_differs |= (has_parent && hidden != 2) || anchor != 0;
                plain.table.push((entry, anchor | hidden));
            }
        }
    }

    /// A block of which the bitmap takes some sectors, and the rest shows the parent.
    fn plain_partial(
        &mut self,
        chance: &mut Chance,
        plain: &mut Plain,
        block: u64,
        place: u64,
        bitmaps: &mut u64,
    ) {
        let ratio = plain.chunk_ratio();
        let bitmap_entry = plain.bitmap_entry(block / ratio);
        let held = plain.table.iter().find(|(entry, _)| *entry == bitmap_entry).map(|(_, value)| value & !7);
        let bitmap = held.unwrap_or_else(|| {
            let at = *bitmaps;
            *bitmaps += MIB;
            plain.table.push((bitmap_entry, at | 6));
            at
        });
        let sector = u64::from(plain.logical_sector);
        let sectors = plain.block_bytes / sector;
        let start = block * plain.block_bytes;
        let (pattern, number) = (chance.below(6), chance.next());
        let mut bits = vec![0_u8; (sectors / 8) as usize];
        let mut payload = vec![0x5A; plain.block_bytes as usize];
        for at in 0..sectors {
            let here = match pattern {
                0 => at % 2 == 0,
                1 => true,
                2 => at % 64 < number % 64,
                3 => at == number % sectors,
                4 => at >= number % sectors,
                _ => (at / 8).wrapping_mul(number | 1) >> 60 & 1 == 1,
            };
            let disk_at = start + at * sector;
            if !here || disk_at >= plain.capacity {
                continue;
            }
            bits[(at / 8) as usize] |= 1 << (at % 8);
            let bytes = [(number >> (at % 50)) as u8; 4096];
            let bytes = &bytes[..sector as usize];
            payload[(at * sector) as usize..((at + 1) * sector) as usize].copy_from_slice(bytes);
            self.model.write(disk_at, bytes);
        }
        plain.parts.push((place, payload));
        plain.parts.push((bitmap + block % ratio * (sectors / 8), bits));
        plain.table.push((plain.payload_entry(block), place | 7));
    }

    /// A few stretches of data in a block, at sectors.
    fn some_bytes(&self, chance: &mut Chance, length: u64) -> Vec<(u64, Vec<u8>)> {
        let count = 1 + chance.below(3);
        let mut parts = Vec::new();
        let mut at = 0;
        for _ in 0..count {
            let start = at + chance.below((length - at) / 512 + 1) * 512;
            let bytes = (512 * (1 + chance.below(64))).min(length.saturating_sub(start));
            if bytes == 0 {
                break;
            }
            parts.push((start, chance.bytes(bytes)));
            at = start + bytes;
        }
        parts
    }
}

/// All blocks of a small disk in part; of a large one those at its borders and some others.
fn chosen_blocks(chance: &mut Chance, plain: &Plain) -> Vec<u64> {
    let count = plain.blocks();
    let mut blocks: Vec<u64> = if count <= BLOCKS_TOUCHED_MAX {
        (0..count).filter(|_| !chance.one_in(3)).collect()
    } else {
        let ratio = plain.chunk_ratio();
        let near = [0, ratio - 1, ratio, 2 * ratio - 1, 2 * ratio, count - 1, count / 2, chance.below(count)];
        near.into_iter().filter(|block| *block < count && !chance.one_in(3)).collect()
    };
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}
