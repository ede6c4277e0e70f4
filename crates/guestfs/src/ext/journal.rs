//! Replay of the journal of ext3 and ext4 in memory.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/journal`. From the start that the journal's super block
//! names, transactions follow each other by sequence number, each a run of descriptors, copies and revocations that
//! ends with a commit block. What has no commit block never happened. A revocation hides copies of its own and of
//! earlier transactions. Sums over the blocks are verified wherever the journal keeps them, and the scan never takes
//! more steps than the journal has blocks.

use std::collections::{BTreeMap, HashMap};

use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::checksum::{crc32_be, crc32c};
use super::extent;
use super::geometry::{Geometry, structure};
use super::inode::Inode;
use super::journal_format::{
    COMPAT_CHECKSUM, CommitTail, DEFAULT_FAST_COMMIT_BLOCKS, FAST_COMMIT_HEAD, Header, INCOMPAT_64BIT,
    INCOMPAT_CSUM_V2, INCOMPAT_CSUM_V3, INCOMPAT_FAST_COMMIT, INCOMPAT_KNOWN, JournalSuper, MAGIC,
    TYPE_COMMIT, TYPE_DESCRIPTOR, TYPE_REVOKE, TYPE_SUPER_V1, TYPE_SUPER_V2,
};
use super::journal_tags::{self, Copy};
use crate::block::{Patch, read_through};
use crate::error::{Error, Result};
use crate::number::index;
use crate::source::Source;
use crate::tree::FileExtent;

/// What the journal lays over the volume.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Blocks by number.
    pub blocks: BTreeMap<u64, Patch>,
    /// Why the result may still differ from what the guest would see.
    pub doubt: Option<String>,
}

/// Replays the journal of a file system that says it needs it.
pub(super) fn replay(source: &dyn Source, geometry: &Geometry) -> Result<Replay> {
    let volume = source.name();
    let number = geometry.sb.journal_inode.get();
    if number == 0 || geometry.sb.journal_device.get() != 0 {
        let what = "the journal of the ext file system has to be replayed and is on another device";
        return Err(Error::unsupported(volume, what));
    }
    let inode = Inode::read(source, geometry, number)?;
    let extents = extent::extents(source, geometry, &inode)?;
    let log = Log::open(source, geometry, extents, inode.size())?;
    if log.sup.start.get() == 0 {
        return Ok(Replay::default());
    }
    let mut scan =
        Scan { log: &log, pending: Pending::default(), committed: Vec::new(), revoked: HashMap::new() };
    let (sequence, mut doubt) = scan.run()?;
    if doubt.is_none() && log.has_fast_commits(sequence)? {
        doubt =
            Some("the last changes lie in the journal's area of fast commits, which is not replayed".into());
    }
    Ok(Replay { blocks: scan.blocks(), doubt })
}

/// The journal as a ring of blocks.
pub(super) struct Log<'a> {
    source: &'a dyn Source,
    extents: Vec<FileExtent>,
    size: u64,
    pub geometry: &'a Geometry,
    pub sup: JournalSuper,
    /// One past the last block of the ring.
    end: u32,
    /// What sums start from; `None` without sums of version 2 or 3.
    pub seed: Option<u32>,
}

impl<'a> Log<'a> {
    fn open(
        source: &'a dyn Source,
        geometry: &'a Geometry,
        extents: Vec<FileExtent>,
        size: u64,
    ) -> Result<Self> {
        let mut log =
            Self { source, extents, size, geometry, sup: JournalSuper::new_zeroed(), end: 0, seed: None };
        let block = log.read(0)?;
        log.sup = structure(source.name(), &block, "the journal's super block")?;
        let sup = &log.sup;
        if sup.magic.get() != MAGIC || ![TYPE_SUPER_V1, TYPE_SUPER_V2].contains(&sup.block_type.get()) {
            return Err(log.damaged("has no super block"));
        }
        let incompat = if sup.block_type.get() == TYPE_SUPER_V2 { sup.incompat.get() } else { 0 };
        if incompat & !INCOMPAT_KNOWN != 0 {
            let what = format!("the journal uses unknown features ({:#x})", incompat & !INCOMPAT_KNOWN);
            return Err(Error::unsupported(source.name(), what));
        }
        if incompat & (INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3) != 0 {
            let mut covered = sup.clone();
            covered.checksum.set(0);
            if crc32c(u32::MAX, covered.as_bytes()) != sup.checksum.get() {
                return Err(log.damaged("has a super block with a wrong checksum"));
            }
            log.seed = Some(crc32c(u32::MAX, &sup.uuid));
        }
        log.end = log.checked_end()?;
        Ok(log)
    }

    fn checked_end(&self) -> Result<u32> {
        let sup = &self.sup;
        let mut end = sup.length.get();
        if self.has(INCOMPAT_FAST_COMMIT) {
            let own = match sup.fast_commit_blocks.get() {
                0 => DEFAULT_FAST_COMMIT_BLOCKS,
                own => own,
            };
            end = end.saturating_sub(own);
        }
        let (first, start) = (sup.first.get(), sup.start.get());
        let fits = u64::from(sup.block_size.get()) == self.geometry.block_bytes
            && u64::from(sup.length.get()) * self.geometry.block_bytes <= self.size
            && first >= 1
            && (start == 0 || (first..end).contains(&start));
        if fits { Ok(end) } else { Err(self.damaged("has a super block with impossible numbers")) }
    }

    pub(super) fn has(&self, bit: u32) -> bool {
        self.sup.block_type.get() == TYPE_SUPER_V2 && self.sup.incompat.get() & bit != 0
    }

    fn has_sum_v1(&self) -> bool {
        self.sup.block_type.get() == TYPE_SUPER_V2 && self.sup.compat.get() & COMPAT_CHECKSUM != 0
    }

    pub(super) fn volume(&self) -> &str {
        self.source.name()
    }

    pub(super) fn damaged(&self, what: &str) -> Error {
        Error::damaged(self.source.name(), format!("the journal {what}"))
    }

    fn read(&self, block: u32) -> Result<Vec<u8>> {
        let mut data = vec![0; index(self.geometry.block_bytes)];
        let offset = u64::from(block) * self.geometry.block_bytes;
        let count = read_through(self.source, &self.extents, self.size, offset, &mut data)
            .map_err(|e| Error::io(self.source.name(), "the journal", e))?;
        if count == data.len() { Ok(data) } else { Err(self.damaged("ends early")) }
    }

    /// Where a block of the journal lies on the volume.
    fn place(&self, block: u32) -> Result<u64> {
        let offset = u64::from(block) * self.geometry.block_bytes;
        let after = self.extents.partition_point(|extent| extent.file_offset <= offset);
        let extent = after.checked_sub(1).map(|at| self.extents[at]);
        extent
            .filter(|extent| offset < extent.file_offset + extent.length && !extent.unwritten)
            .map(|extent| extent.volume_offset + (offset - extent.file_offset))
            .ok_or_else(|| self.damaged("has a hole"))
    }

    fn next(&self, block: u32) -> u32 {
        if block + 1 >= self.end { self.sup.first.get() } else { block + 1 }
    }

    /// Whether fast commits follow the transaction before `sequence`.
    fn has_fast_commits(&self, sequence: u32) -> Result<bool> {
        if !self.has(INCOMPAT_FAST_COMMIT) || self.end >= self.sup.length.get() {
            return Ok(false);
        }
        let block = self.read(self.end)?;
        let is_head = block.starts_with(&FAST_COMMIT_HEAD.to_le_bytes());
        Ok(is_head && block.get(8..12) == Some(&sequence.to_le_bytes()[..]))
    }
}

/// What a transaction holds until its commit block is found.
#[derive(Default)]
struct Pending {
    copies: Vec<(Copy, u64)>,
    revoked: Vec<u64>,
    /// A copy's sum is wrong.
    torn: bool,
    /// Sum of version 1 so far.
    sum: Option<u32>,
}

struct Scan<'a> {
    log: &'a Log<'a>,
    pending: Pending,
    /// Sequence, copy and its place on the volume, in the order of the journal.
    committed: Vec<(u32, Copy, u64)>,
    /// The latest transaction that revoked a block.
    revoked: HashMap<u64, u32>,
}

impl Scan<'_> {
    /// Goes through the transactions; returns the sequence that would come next, and a doubt.
    fn run(&mut self) -> Result<(u32, Option<String>)> {
        let log = self.log;
        let (mut at, mut sequence) = (log.sup.start.get(), log.sup.sequence.get());
        let mut left = log.end - log.sup.first.get();
        while left > 0 {
            let block = log.read(at)?;
            let header: Header = structure(log.volume(), &block, "a block of the journal")?;
            if header.magic.get() != MAGIC || header.sequence.get() != sequence {
                break;
            }
            (at, left) = (log.next(at), left - 1);
            match header.block_type.get() {
                TYPE_DESCRIPTOR if journal_tags::sum_fits(log, &block) => {
                    self.add_sum(&block);
                    for copy in journal_tags::copies(log, &block)? {
                        left = left.saturating_sub(1);
                        self.copy(copy, at, sequence)?;
                        at = log.next(at);
                    }
                }
                TYPE_REVOKE if journal_tags::sum_fits(log, &block) => {
                    self.pending.revoked.extend(journal_tags::revoked(log, &block)?);
                }
                TYPE_COMMIT if self.commit_fits(&block)? => {
                    if self.pending.torn {
                        let why = format!(
                            "copies in the journal's transaction {sequence} are damaged, so it and what followed are not replayed"
                        );
                        return Ok((sequence, Some(why)));
                    }
                    self.commit(sequence);
                    sequence = sequence.wrapping_add(1);
                }
                _ => break,
            }
        }
        Ok((sequence, None))
    }

    fn add_sum(&mut self, block: &[u8]) {
        if self.log.has_sum_v1() {
            self.pending.sum = Some(crc32_be(self.pending.sum.unwrap_or(u32::MAX), block));
        }
    }

    fn copy(&mut self, copy: Copy, at: u32, sequence: u32) -> Result<()> {
        if copy.block >= self.log.geometry.blocks {
            return Err(self.log.damaged("holds a block outside the file system"));
        }
        if self.log.seed.is_some() || self.log.has_sum_v1() {
            let data = self.log.read(at)?;
            self.add_sum(&data);
            self.pending.torn |= !copy.sum_fits(self.log, sequence, &data);
        }
        let place = self.log.place(at)?;
        self.pending.copies.push((copy, place));
        Ok(())
    }

    /// Whether the commit block is whole, and its transaction too where the sum of version 1 tells.
    fn commit_fits(&self, block: &[u8]) -> Result<bool> {
        let (_, after) = block.split_at(size_of::<Header>());
        let tail: CommitTail = structure(self.log.volume(), after, "a commit block")?;
        if let Some(seed) = self.log.seed {
            let mut covered = block.to_vec();
            let place = size_of::<Header>() + 4;
            covered[place..place + 4].fill(0);
            return Ok(crc32c(seed, &covered) == tail.checksum.get());
        }
        let none = (tail.checksum_type, tail.checksum_size, tail.checksum.get()) == (0, 0, 0);
        let right = self.pending.sum.unwrap_or(u32::MAX) == tail.checksum.get();
        Ok(!self.log.has_sum_v1() || none || (tail.checksum_type == 1 && tail.checksum_size == 4 && right))
    }

    fn commit(&mut self, sequence: u32) {
        let pending = std::mem::take(&mut self.pending);
        self.committed.extend(pending.copies.into_iter().map(|(copy, place)| (sequence, copy, place)));
        for block in pending.revoked {
            self.revoked.insert(block, sequence);
        }
    }

    /// The blocks that remain: the last copy of each that no later transaction revoked.
    fn blocks(self) -> BTreeMap<u64, Patch> {
        let mut blocks = BTreeMap::new();
        for (sequence, copy, offset) in self.committed {
            // Sequence numbers may wrap, so their distance decides.
            let hidden = self.revoked.get(&copy.block).is_some_and(|by| by.wrapping_sub(sequence) < 1 << 31);
            if !hidden {
                let first = copy.escaped.then(|| MAGIC.to_be_bytes());
                blocks.insert(copy.block, Patch::Copy { offset, first });
            }
        }
        blocks
    }
}

/// A big-endian number of a revocation.
pub(super) fn block_number(log: &Log<'_>, entry: &[u8]) -> Option<u64> {
    if log.has(INCOMPAT_64BIT) {
        zerocopy::big_endian::U64::read_from_bytes(entry).ok().map(zerocopy::U64::get)
    } else {
        zerocopy::big_endian::U32::read_from_bytes(entry).ok().map(|number| u64::from(number.get()))
    }
}

/// Length that `block_number` needs.
pub(super) fn block_number_bytes(log: &Log<'_>) -> usize {
    if log.has(INCOMPAT_64BIT) { 8 } else { 4 }
}
