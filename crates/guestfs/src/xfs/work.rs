//! How much work a log asks for, counted while it is read.
//!
//! Replay looks through all cancelled buffers for every inode that the log makes, and keeps every operation in memory.
//! A made-up log of a few MiB could so keep it busy for days. All that `lamxfs` reads passes by here, in blocks of 512
//! bytes and record by record, so the operations are counted from the same bytes, and a log that asks for too
//! much is refused before the first of them is done.
//!
//! Layouts: the XFS Algorithms & Data Structures book, "Journaling Log"; integers of records are big-endian, those
//! of items little-endian.

use std::collections::BTreeMap;

use vdisk::ByteRange;

use crate::number::{bytes, index};

/// Bytes of a block of the log.
const BLOCK: usize = 512;
/// First word of a record's header.
const RECORD_MAGIC: u32 = 0xFEED_BABE;
/// Largest content of a record.
const RECORD_BYTES_MAX: u32 = 256 << 10;
/// Content of a record that one block of its header describes.
const HEADER_SERVES: u32 = 32 << 10;
/// Bytes before each operation.
const OPERATION_HEAD: usize = 12;
/// Bytes of an item that say what it is.
const ITEM_HEAD: usize = 28;
/// Flags of an operation.
const START: u8 = 0x01;
const COMMIT: u8 = 0x02;
const CONTINUES: u8 = 0x04;
const CONTINUED: u8 = 0x08;
/// Items: a buffer, inodes that are made.
const BUFFER: u16 = 0x123C;
const MADE_INODES: u16 = 0x123F;
/// Flag of a buffer that is cancelled.
const CANCELLED: u16 = 0x2;
/// Most inodes that one item makes: more than fit the largest buffer are refused by the replay.
const MADE_MAX: u64 = 4096;

/// Most operations. The 128 MiB of log that are replayed at most hold about two million, and may be read a few times.
const OPERATIONS_MAX: u64 = 8 << 20;
/// Most comparisons of made inodes with cancelled buffers: some seconds. Logs of busy systems stay below a tenth.
const COMPARISONS_MAX: u64 = 1 << 33;

/// What was counted so far.
#[derive(Debug)]
pub(super) struct Work {
    log: ByteRange,
    record: Option<Record>,
    /// The first bytes of operations that go on in the next record, by transaction.
    begun: BTreeMap<u32, Vec<u8>>,
    operations: u64,
    cancelled: u64,
    made: u64,
}

/// A record of which not all was seen yet.
#[derive(Debug)]
struct Record {
    /// Place of the block that comes next.
    next: u64,
    /// Blocks of its header still to come.
    header_blocks: u32,
    operations: u32,
    length: usize,
    /// The first four bytes of each block, which the log replaces by its cycle.
    words: Vec<u8>,
    body: Vec<u8>,
}

impl Work {
    /// Nothing yet, of the log at this place.
    pub(super) const fn of(log: ByteRange) -> Self {
        Self { log, record: None, begun: BTreeMap::new(), operations: 0, cancelled: 0, made: 0 }
    }

    /// Operations seen.
    pub(super) const fn operations(&self) -> u64 {
        self.operations
    }

    /// Whether the log asks for too much.
    pub(super) const fn is_too_much(&self) -> bool {
        self.operations > OPERATIONS_MAX || self.cancelled.saturating_mul(self.made) > COMPARISONS_MAX
    }

    /// Looks at a block that was read. Records are read from their header on, block after block.
    pub(super) fn see(&mut self, offset: u64, block: &[u8]) {
        if block.len() != BLOCK || offset < self.log.start || offset >= self.log.end {
            return;
        }
        let Some(mut record) = self.record.take().filter(|record| record.next == offset) else {
            self.record = Record::begin(block).map(|record| Record { next: self.after(offset), ..record });
            return;
        };
        record.next = self.after(offset);
        if record.header_blocks > 0 {
            record.header_blocks -= 1;
            record.words.extend_from_slice(&block[4..260]);
        } else {
            record.body.extend_from_slice(block);
        }
        if record.body.len() < record.length {
            self.record = Some(record);
        } else {
            self.count(record);
        }
    }

    /// The block that follows in the ring.
    fn after(&self, offset: u64) -> u64 {
        let next = offset + bytes(BLOCK);
        if next >= self.log.end { self.log.start } else { next }
    }

    fn count(&mut self, mut record: Record) {
        for (block, word) in record.body.chunks_exact_mut(BLOCK).zip(record.words.chunks_exact(4)) {
            block[..4].copy_from_slice(word);
        }
        record.body.truncate(record.length);
        let mut rest = &record.body[..];
        for _ in 0..record.operations {
            // What breaks off is refused by the replay.
            let Some((head, behind)) = rest.split_at_checked(OPERATION_HEAD) else { return };
            let (transaction, length) = (be32(head, 0), index(be32(head, 4).into()));
            let Some((content, behind)) = behind.split_at_checked(length) else { return };
            rest = behind;
            self.operations += 1;
            self.operation(transaction, head[9], content);
        }
    }

    /// Counts what an operation brings, once all of its first bytes are there.
    fn operation(&mut self, transaction: u32, flags: u8, content: &[u8]) {
        if flags & (START | COMMIT) != 0 {
            self.begun.remove(&transaction);
            return;
        }
        let mut item =
            if flags & CONTINUED != 0 { self.begun.remove(&transaction) } else { None }.unwrap_or_default();
        let missing = ITEM_HEAD.saturating_sub(item.len()).min(content.len());
        item.extend_from_slice(&content[..missing]);
        if flags & CONTINUES != 0 {
            self.begun.insert(transaction, item);
            return;
        }
        match le16(&item, 0) {
            BUFFER if le16(&item, 4) & CANCELLED != 0 => self.cancelled += 1,
            MADE_INODES => self.made += u64::from(be32(&item, 12)).min(MADE_MAX),
            _ => {}
        }
    }
}

impl Record {
    /// The record whose header this block begins.
    fn begin(block: &[u8]) -> Option<Self> {
        let (version, length, size) = (be32(block, 8), be32(block, 12), be32(block, 320));
        let is_one = be32(block, 0) == RECORD_MAGIC && (1..=RECORD_BYTES_MAX).contains(&length);
        if !is_one || size > RECORD_BYTES_MAX {
            return None;
        }
        let blocks = if version & 2 != 0 && size > HEADER_SERVES { size.div_ceil(HEADER_SERVES) } else { 1 };
        Some(Self {
            next: 0,
            header_blocks: blocks - 1,
            operations: be32(block, 40),
            length: index(length.into()),
            words: block[44..300].to_vec(),
            body: Vec::new(),
        })
    }
}

/// A number at this place, 0 beyond the end.
fn be32(raw: &[u8], at: usize) -> u32 {
    raw.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |raw| u32::from_be_bytes(*raw))
}

fn le16(raw: &[u8], at: usize) -> u16 {
    raw.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |raw| u16::from_le_bytes(*raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: ByteRange = ByteRange { start: 4096, end: 4096 + 64 * 512 };

    /// An operation of transaction 7 with these flags.
    fn operation(flags: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&7_u32.to_be_bytes()[..], &length, &[0x69, flags, 0, 0], content].concat()
    }

    fn cancelled() -> Vec<u8> {
        [0x3C, 0x12, 1, 0, 2, 0].into_iter().chain([0; 22]).collect()
    }

    fn made(count: u32) -> Vec<u8> {
        [&[0x3F, 0x12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &count.to_be_bytes(), &[0; 12]].concat()
    }

    /// The blocks of a record, with the first word of each content block moved to the header.
    fn record(operations: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut body = operations.concat();
        let mut header = vec![0; 512];
        header[..4].copy_from_slice(&RECORD_MAGIC.to_be_bytes());
        header[12..16].copy_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
        header[40..44].copy_from_slice(&u32::try_from(operations.len()).unwrap().to_be_bytes());
        body.resize(body.len().next_multiple_of(512), 0);
        let mut blocks: Vec<Vec<u8>> = body.chunks(512).map(<[u8]>::to_vec).collect();
        for (number, block) in blocks.iter_mut().enumerate() {
            header[44 + 4 * number..][..4].copy_from_slice(&block[..4]);
            block[..4].fill(9);
        }
        blocks.insert(0, header);
        blocks
    }

    fn see_all(work: &mut Work, first: u64, blocks: &[Vec<u8>]) {
        for (number, block) in blocks.iter().enumerate() {
            let place = (first + number as u64) % 64;
            work.see(LOG.start + place * 512, block);
        }
    }

    #[test]
    fn items_are_counted_across_blocks_records_and_the_end_of_the_ring() {
        let mut work = Work::of(LOG);
        let mut operations: Vec<_> = (0..40).map(|_| operation(0, &cancelled())).collect();
        operations.push(operation(CONTINUES, &made(300)[..5]));
        see_all(&mut work, 62, &record(&operations));
        see_all(&mut work, 4, &record(&[operation(CONTINUED, &made(300)[5..]), operation(0, b"other")]));

        assert_eq!((work.operations(), work.cancelled, work.made), (43, 40, 300));
        assert!(!work.is_too_much());
    }

    #[test]
    fn a_log_that_makes_and_cancels_without_end_is_too_much() {
        let mut work = Work::of(LOG);
        let operations: Vec<_> =
            (0..200).flat_map(|_| [operation(0, &cancelled()), operation(0, &made(9999))]).collect();
        let blocks = record(&operations);
        for _ in 0..15 {
            see_all(&mut work, 3, &blocks);
        }

        assert!(work.is_too_much(), "{} * {}", work.cancelled, work.made);
    }

    #[test]
    fn blocks_elsewhere_and_broken_records_count_nothing() {
        let mut work = Work::of(LOG);
        let blocks = record(&[operation(0, &cancelled())]);
        work.see(0, &blocks[0]);
        work.see(LOG.start, &blocks[0]);
        work.see(LOG.start + 1024, &blocks[1]);
        assert_eq!(work.operations(), 0);
    }
}
