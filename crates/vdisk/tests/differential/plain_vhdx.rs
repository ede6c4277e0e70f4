//! Random VHDX layers put together by hand, and one that shows all of a model.

use uuid::Uuid;
use vdisk::{FileIo, MemoryFile};

use crate::chain::Made;
use crate::dirty;
use crate::model::{Chance, Model, some_bytes, takes_sector};
use crate::plain::{MIB, Plain, locator_of};

/// Blocks that a layer of a large disk touches.
pub(crate) const BLOCKS_TOUCHED_MAX: u64 = 8;

impl Made {
    /// A layer put together by hand; a dirty one has some of its sectors in its log.
    pub(crate) fn plain_vhdx(
        &mut self,
        chance: &mut Chance,
        name: &str,
        sector: u32,
        is_dirty: bool,
        id: u64,
    ) -> MemoryFile {
        let mut plain = Plain::new(self.model.capacity, chance.pick(&[1, 1, 2, 4]) * MIB);
        plain.logical_sector = sector;
        plain.file_guid = u128::from(id) << 64 | 1;
        plain.data_guid = u128::from(id) << 64 | 2;
        plain.log_guid = if is_dirty { u128::from(id) << 64 | 3 } else { 0 };
        if let Some(parent) = self.files.first() {
            let guid = self.open().layers().next().unwrap().data_write_guid;
            plain.locator = Some(locator_of(guid.as_u128(), &format!(".\\{}", parent.name())));
        }
        let blocks = chosen_blocks(chance, &plain);
        // Space is given out in another order than that of the blocks, sometimes with gaps.
        let space = chance.shuffled(blocks.len() as u64);
        let gap = if chance.one_in(3) { MIB } else { 0 };
        let mut bitmaps = plain.payload_start() + space.len() as u64 * (plain.block_bytes + gap);
        for (block, space) in blocks.into_iter().zip(space) {
            let place = plain.payload_start() + space * (plain.block_bytes + gap) + gap;
            self.plain_block(chance, &mut plain, block, place, &mut bitmaps);
        }
        plain.length = bitmaps + gap + chance.below(2) * 777;
        let file = plain.file(name);
        if is_dirty {
            self.qemu_differs |= dirty::move_into_log(chance, &plain, &file);
        }
        file
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
                let data = some_bytes(chance, length);
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
            let disk_at = start + at * sector;
            if !takes_sector(pattern, number, at, sectors) || disk_at >= plain.capacity {
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
}

/// All blocks of a small disk in part; of a large one those at its borders and some others.
fn chosen_blocks(chance: &mut Chance, plain: &Plain) -> Vec<u64> {
    let count = plain.blocks();
    if count <= BLOCKS_TOUCHED_MAX {
        return (0..count).filter(|_| !chance.one_in(3)).collect();
    }
    let ratio = plain.chunk_ratio();
    let near = [0, ratio - 1, ratio, 2 * ratio - 1, 2 * ratio, count - 1, count / 2, chance.below(count)];
    let mut blocks: Vec<u64> = near.into_iter().filter(|block| *block < count && !chance.one_in(3)).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// A disk without parents that shows all of a model, under a given identity.
pub(crate) fn whole_vhdx(model: &Model, identity: Uuid, name: &str) -> MemoryFile {
    let mut plain = Plain::new(model.capacity, MIB);
    plain.data_guid = identity.as_u128();
    let mut place = plain.payload_start();
    for (block, bytes) in model.blocks(MIB) {
        plain.table.push((plain.payload_entry(block), place | 6));
        plain.parts.push((place, bytes));
        place += MIB;
    }
    plain.length = place;
    plain.file(name)
}
