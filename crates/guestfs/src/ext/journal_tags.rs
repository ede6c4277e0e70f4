//! Descriptor and revocation blocks of the journal.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/journal`. Tags come in five lengths, by three features.

use zerocopy::FromBytes;
use zerocopy::big_endian::U32;

use super::checksum::crc32c;
use super::journal::{Log, block_number, block_number_bytes};
use super::journal_format::{
    Header, INCOMPAT_64BIT, INCOMPAT_CSUM_V2, INCOMPAT_CSUM_V3, TAG_ESCAPED, TAG_LAST, TAG_SAME_UUID, Tag,
    Tag3,
};
use crate::error::Result;

/// Bytes of the sum at the end of a block.
const SUM_BYTES: usize = 4;
/// Bytes of a UUID behind a tag.
const UUID_BYTES: usize = 16;

/// A block that the journal holds a copy of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    /// Its number.
    pub block: u64,
    /// Whether its first four bytes were taken away.
    pub escaped: bool,
    /// Sum of the copy: 32 bits in version 3, 16 in version 2.
    sum: u32,
}

impl Copy {
    /// Whether the copy's sum is right; true where the journal keeps none.
    pub(super) fn sum_fits(&self, log: &Log<'_>, sequence: u32, data: &[u8]) -> bool {
        let Some(seed) = log.seed else { return true };
        let right = crc32c(crc32c(seed, &sequence.to_be_bytes()), data);
        if log.has(INCOMPAT_CSUM_V3) { right == self.sum } else { right & 0xFFFF == self.sum }
    }
}

/// Whether the sum at the end of a descriptor or revocation is right; true where the journal keeps none.
pub(super) fn sum_fits(log: &Log<'_>, block: &[u8]) -> bool {
    let Some(seed) = log.seed else { return true };
    let (covered, stored) = block.split_at(block.len() - SUM_BYTES);
    crc32c(crc32c(seed, covered), &[0; SUM_BYTES]).to_be_bytes() == stored
}

/// The copies that a descriptor announces, in the order in which they follow it.
pub(super) fn copies(log: &Log<'_>, block: &[u8]) -> Result<Vec<Copy>> {
    let sum = if log.seed.is_some() { SUM_BYTES } else { 0 };
    let mut rest = &block[size_of::<Header>()..block.len() - sum];
    let mut copies = Vec::new();
    loop {
        // The kernel ends a descriptor without a last tag where no further tag has room.
        let Some((copy, flags, length)) = tag(log, rest) else { return Ok(copies) };
        copies.push(copy);
        let uuid = if flags & TAG_SAME_UUID == 0 { UUID_BYTES } else { 0 };
        rest = rest.get(length + uuid..).unwrap_or_default();
        if flags & TAG_LAST != 0 {
            return Ok(copies);
        }
    }
}

/// A tag, its flags and its length.
fn tag(log: &Log<'_>, rest: &[u8]) -> Option<(Copy, u32, usize)> {
    let wide = log.has(INCOMPAT_64BIT);
    let number = |low: u32, high: u32| u64::from(low) | if wide { u64::from(high) << 32 } else { 0 };
    if log.has(INCOMPAT_CSUM_V3) {
        let (tag, _) = Tag3::read_from_prefix(rest).ok()?;
        let block = number(tag.block_lo.get(), tag.block_hi.get());
        let flags = tag.flags.get();
        let copy = Copy { block, escaped: flags & TAG_ESCAPED != 0, sum: tag.checksum.get() };
        return Some((copy, flags, size_of::<Tag3>()));
    }
    let (tag, after) = Tag::read_from_prefix(rest).ok()?;
    let high = if wide { U32::read_from_prefix(after).ok()?.0.get() } else { 0 };
    let length = size_of::<Tag>() + if wide { 4 } else { 0 } + if log.has(INCOMPAT_CSUM_V2) { 2 } else { 0 };
    let flags = u32::from(tag.flags.get());
    let block = number(tag.block_lo.get(), high);
    let copy = Copy { block, escaped: flags & TAG_ESCAPED != 0, sum: u32::from(tag.checksum.get()) };
    (rest.len() >= length).then_some((copy, flags, length))
}

/// The blocks that a revocation block names.
pub(super) fn revoked(log: &Log<'_>, block: &[u8]) -> Result<Vec<u64>> {
    let sum = if log.seed.is_some() { SUM_BYTES } else { 0 };
    let head = size_of::<Header>() + size_of::<U32>();
    let used = block.get(size_of::<Header>()..).and_then(|after| U32::read_from_prefix(after).ok());
    let used = used.and_then(|(used, _)| usize::try_from(used.get()).ok()).unwrap_or(0);
    if used < head || used > block.len() - sum {
        return Err(log.damaged("has a revocation of an impossible length"));
    }
    let entries = block[head..used].chunks_exact(block_number_bytes(log));
    Ok(entries.filter_map(|entry| block_number(log, entry)).collect())
}
