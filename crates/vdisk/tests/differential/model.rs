//! What a disk must hold: a sparse array of bytes; and the seeded choices that fill it.

use std::collections::BTreeMap;

use vdisk::{FileIo, MemoryFile};

const PAGE: u64 = 4096;

/// Seeded choices: xorshift64 (Marsaglia, 2003).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..4 {
            let _ = chance.next();
        }
        chance
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound.max(1)
    }

    /// True in one of `n` cases.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// The numbers below `count` in any order.
    pub(crate) fn shuffled(&mut self, count: u64) -> Vec<u64> {
        let mut numbers: Vec<u64> = (0..count).collect();
        for at in (1..numbers.len()).rev() {
            numbers.swap(at, self.below(at as u64 + 1) as usize);
        }
        numbers
    }

    /// Bytes that repeat nowhere, seldom zeros.
    pub(crate) fn bytes(&mut self, length: u64) -> Vec<u8> {
        if self.one_in(12) {
            return vec![0; length as usize];
        }
        let mut bytes = Vec::with_capacity(length as usize + 8);
        while bytes.len() < length as usize {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(length as usize);
        bytes
    }
}

/// A few stretches of data in a block, at sectors.
pub(crate) fn some_bytes(chance: &mut Chance, length: u64) -> Vec<(u64, Vec<u8>)> {
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

/// Whether a block takes this sector, by one of six patterns and a number that varies them.
pub(crate) const fn takes_sector(pattern: u64, number: u64, at: u64, sectors: u64) -> bool {
    match pattern {
        0 => at.is_multiple_of(2),
        1 => true,
        2 => at % 64 < number % 64,
        3 => at == number % sectors,
        4 => at >= number % sectors,
        _ => (at / 8).wrapping_mul(number | 1) >> 60 & 1 == 1,
    }
}

/// The bytes of a disk.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) capacity: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Model {
    pub(crate) const fn new(capacity: u64) -> Self {
        Self { capacity, pages: BTreeMap::new() }
    }

    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        assert!(offset + data.len() as u64 <= self.capacity);
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let in_page = (at % PAGE) as usize;
            let part = (PAGE as usize - in_page).min(data.len() - done);
            let page = self.pages.entry(at / PAGE).or_insert_with(|| vec![0; PAGE as usize]);
            page[in_page..in_page + part].copy_from_slice(&data[done..done + part]);
            done += part;
        }
    }

    pub(crate) fn zero(&mut self, offset: u64, length: u64) {
        self.write(offset, &vec![0; length as usize]);
    }

    pub(crate) fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        let first = offset / PAGE;
        for (page, held) in self.pages.range(first..(offset + length).div_ceil(PAGE)) {
            let start = page * PAGE;
            let (from, to) = (start.max(offset), (start + PAGE).min(offset + length));
            bytes[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&held[(from - start) as usize..(to - start) as usize]);
        }
        bytes
    }

    /// Stretches that were ever written, and a little around them.
    pub(crate) fn touched(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for page in self.pages.keys() {
            let (start, end) = ((page * PAGE).saturating_sub(PAGE), ((page + 2) * PAGE).min(self.capacity));
            match runs.last_mut() {
                Some(last) if last.1 >= start => last.1 = end,
                _ => runs.push((start, end)),
            }
        }
        runs
    }

    /// Blocks of this size that were ever written, the last one filled up with zeros: (number, bytes).
    pub(crate) fn blocks(&self, block_bytes: u64) -> Vec<(u64, Vec<u8>)> {
        let mut numbers: Vec<u64> = self.pages.keys().map(|page| page * PAGE / block_bytes).collect();
        numbers.dedup();
        let whole = |block: u64| {
            let start = block * block_bytes;
            let mut bytes = self.read(start, block_bytes.min(self.capacity - start));
            bytes.resize(block_bytes as usize, 0);
            (block, bytes)
        };
        numbers.into_iter().map(whole).collect()
    }

    /// The same bytes with zeros behind them.
    pub(crate) fn grown(&self, capacity: u64) -> Self {
        assert!(capacity >= self.capacity);
        Self { capacity, pages: self.pages.clone() }
    }

    /// The disk as a raw file, sparse.
    pub(crate) fn raw(&self) -> MemoryFile {
        let file = MemoryFile::new("disk.raw");
        for (page, bytes) in &self.pages {
            let length = PAGE.min(self.capacity - page * PAGE) as usize;
            file.write_at(page * PAGE, &bytes[..length]).unwrap();
        }
        file.set_len(self.capacity).unwrap();
        file
    }
}
