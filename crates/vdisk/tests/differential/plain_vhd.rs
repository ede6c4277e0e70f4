//! Random VHD layers put together by hand, and one that shows all of a model.

use uuid::Uuid;
use vdisk::{FileIo, MemoryFile};

use crate::chain::{Made, SMALL};
use crate::model::{Chance, Model, some_bytes, takes_sector};
use crate::plain::MIB;
use crate::vhd_format::{Hint, PlainVhd, SECTOR};

/// Blocks that a layer of a large disk touches.
const BLOCKS_TOUCHED_MAX: u64 = 8;

impl Made {
    /// A layer put together by hand.
    pub(crate) fn plain_vhd(&mut self, chance: &mut Chance, name: &str, id: u64) -> MemoryFile {
        let capacity = self.model.capacity;
        let block_bytes = chance.pick(&[64 << 10, 512 << 10, MIB, 2 * MIB, 2 * MIB]);
        let mut plain = PlainVhd::new(capacity, block_bytes, Uuid::from_u128(u128::from(id) << 64 | 7));
        plain.header_at = chance.pick(&[512, 512, 4096]);
        plain.table_at = plain.header_at + 1024 + 512 * chance.below(5);
        if let Some(parent) = self.files.first() {
            let guid = self.open().layers().next().unwrap().data_write_guid;
            let hint = chance.pick(&[Hint::Relative, Hint::Relative, Hint::Both, Hint::Absolute, Hint::Name]);
            plain.parent = Some((guid, parent.name().to_owned(), hint));
        } else {
            self.choose_size(chance, &mut plain);
            if capacity <= SMALL && chance.one_in(5) {
                return self.plain_fixed(chance, plain, name);
            }
        }
        let blocks = chosen_blocks(chance, capacity.div_ceil(block_bytes));
        let gap = if chance.one_in(3) { SECTOR * chance.below(20) } else { 0 };
        let length = PlainVhd::bitmap_bytes(block_bytes) + block_bytes + gap;
        let space = chance.shuffled(blocks.len() as u64);
        plain.end = plain.payload_start() + length * space.len() as u64;
        for (block, space) in blocks.into_iter().zip(space) {
            let place = plain.payload_start() + length * space + gap;
            self.plain_vhd_block(chance, &mut plain, block, place);
        }
        let file = plain.file(name);
        if chance.one_in(16) {
            // A cut while the file grew; the copy of the footer at the start counts.
            file.write_at(file.len().unwrap() - 512, &[0; 512]).unwrap();
            self.wxtla_differs = true;
        }
        file
    }

    /// Programs disagree on which of two sizes counts; the model has the one that this program means.
    fn choose_size(&mut self, chance: &mut Chance, plain: &mut PlainVhd) {
        plain.creator = chance.pick(&[*b"win ", *b"win ", *b"qem2", *b"d2v\0", *b"tap\0", *b"CTXS"]);
        let sectors = self.model.capacity / SECTOR;
        let fits = |(heads, per_track): &(u64, u64)| {
            sectors.is_multiple_of(heads * per_track) && sectors / (heads * per_track) < 65_536
        };
        let geometries = [(16, 63), (4, 17), (2, 5), (1, 8), (1, 2), (1, 1)];
        let Some((heads, per_track)) = geometries.into_iter().find(fits).filter(|_| chance.one_in(2)) else {
            return;
        };
        plain.geometry = ((sectors / heads / per_track) as u16, heads as u8, per_track as u8);
        if chance.one_in(2) {
            plain.creator = chance.pick(&[*b"vpc ", *b"qemu"]);
            plain.current_size += SECTOR * chance.below(heads * per_track);
            self.size_by_geometry = plain.current_size != self.model.capacity;
        }
    }

    fn plain_fixed(&mut self, chance: &mut Chance, mut plain: PlainVhd, name: &str) -> MemoryFile {
        plain.block_bytes = None;
        for (at, bytes) in some_bytes(chance, self.model.capacity) {
            self.model.write(at, &bytes);
            plain.parts.push((at, bytes));
        }
        plain.file(name)
    }

    fn plain_vhd_block(&mut self, chance: &mut Chance, plain: &mut PlainVhd, block: u64, place: u64) {
        let block_bytes = plain.block_bytes.unwrap();
        let start = block * block_bytes;
        let length = block_bytes.min(self.model.capacity - start);
        let bitmap_bytes = PlainVhd::bitmap_bytes(block_bytes);
        plain.table.push((block, place));
        if chance.one_in(3) {
            self.model.zero(start, length);
            plain.parts.push((place, vec![0xFF; bitmap_bytes as usize]));
            for (at, bytes) in some_bytes(chance, length) {
                self.model.write(start + at, &bytes);
                plain.parts.push((place + bitmap_bytes + at, bytes));
            }
            return;
        }
        // QEMU takes every sector of a block for present, and reads no differencing file at all.
        self.qemu_differs = true;
        let (pattern, number) = (chance.below(6), chance.next());
        let mut bits = vec![0_u8; bitmap_bytes as usize];
        let mut payload = vec![0x5A; block_bytes as usize];
        let sectors = block_bytes / SECTOR;
        for at in (0..sectors).filter(|at| takes_sector(pattern, number, *at, sectors)) {
            bits[(at / 8) as usize] |= 0x80 >> (at % 8);
            let bytes = [(number >> (at % 50)) as u8; SECTOR as usize];
            payload[(at * SECTOR) as usize..((at + 1) * SECTOR) as usize].copy_from_slice(&bytes);
            if at * SECTOR < length {
                self.model.write(start + at * SECTOR, &bytes);
            }
        }
        plain.parts.push((place, bits));
        plain.parts.push((place + bitmap_bytes, payload));
    }
}

fn chosen_blocks(chance: &mut Chance, count: u64) -> Vec<u64> {
    if count <= BLOCKS_TOUCHED_MAX {
        return (0..count).filter(|_| !chance.one_in(3)).collect();
    }
    let mut blocks: Vec<u64> =
        (0..4).map(|_| chance.below(count)).chain([0, 127, count / 2, count - 1]).collect();
    blocks.retain(|block| *block < count && !chance.one_in(3));
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// A disk without parents that shows all of a model, under a given identity.
pub(crate) fn whole_vhd(model: &Model, identity: Uuid, name: &str) -> MemoryFile {
    let mut plain = PlainVhd::new(model.capacity, 2 * MIB, identity);
    let bitmap_bytes = PlainVhd::bitmap_bytes(2 * MIB);
    let mut place = plain.payload_start();
    for (block, bytes) in model.blocks(2 * MIB) {
        plain.table.push((block, place));
        plain.parts.push((place, vec![0xFF; bitmap_bytes as usize]));
        plain.parts.push((place + bitmap_bytes, bytes));
        place += bitmap_bytes + 2 * MIB;
    }
    plain.end = place;
    plain.file(name)
}
