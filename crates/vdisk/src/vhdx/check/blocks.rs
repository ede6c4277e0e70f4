//! Rules of the block allocation table, and of the space that blocks and structures take (MS-VHDX 2.5).
//!
//! The table passes by in pieces of 1 MiB and is never in memory as a whole. Only the places of
//! present blocks are kept, eight bytes each, to find those that share space.

use super::{Part, length_of};
use crate::check::{Findings, vhdx_rules as rules};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::{MIB, index};
use crate::range::ByteRange;
use crate::vhdx::bat::{BlockOutcome, bitmap_offset, block_outcome, state};
use crate::vhdx::format::BITMAP_BLOCK_BYTES;
use crate::vhdx::metadata::Geometry;
use crate::zero::is_zero;

/// Bytes of the table read at a time; a multiple of an entry's eight.
const READ_BYTES: u64 = MIB;

/// What passing the table gathers.
struct Walk<'a> {
    geometry: Geometry,
    length: u64,
    findings: &'a mut Findings,
    parts: Vec<Part>,
    /// Place in MiB (upper half) and number (lower half) of each present block.
    blocks: Vec<u64>,
    /// A partially present block of the chunk that is passing.
    partial: Option<u64>,
    absent: u64,
}

/// Checks the table as far as it and the disk's shape could be read, then who shares space.
pub(super) fn check(
    file: &dyn FileIo,
    table: Option<(ByteRange, Geometry)>,
    parts: Vec<Part>,
    findings: &mut Findings,
) -> Result<()> {
    let length = length_of(file)?;
    let (mut parts, mut blocks, mut block_bytes) = (parts, Vec::new(), MIB);
    if let Some((region, geometry)) = table {
        let needed = geometry.bat_entries() * 8;
        let found = format!("{} bytes for {} entries", region.len(), geometry.bat_entries());
        findings.expect(needed <= region.len(), &rules::BAT_LENGTH, "block allocation table", found);
        let mut walk = Walk { geometry, length, findings, parts, blocks, partial: None, absent: 0 };
        walk.pass(file, region.intersect(ByteRange::at(region.start, needed)))?;
        (parts, blocks, block_bytes) = (walk.parts, walk.blocks, geometry.block());
    }
    check_overlap(&mut parts, &mut blocks, block_bytes, findings);
    let end = parts.iter().map(|part| part.range.end).max().unwrap_or(0);
    let end = end.max(blocks.last().map_or(0, |block| (block >> 32) * MIB + block_bytes));
    if table.is_some() && length > end {
        findings.add(&rules::TRAILING, "file", format!("{} bytes behind {end}", length - end));
    }
    Ok(())
}

impl Walk<'_> {
    fn pass(&mut self, file: &dyn FileIo, table: ByteRange) -> Result<()> {
        let mut buf = vec![0; index(READ_BYTES.min(table.len()))];
        let mut at = table.start;
        while at < table.end {
            let part = &mut buf[..index(READ_BYTES.min(table.end - at))];
            file.read_at(at, part)
                .map_err(|error| Error::io(file.name(), "read the block allocation table of", error))?;
            let first = (at - table.start) / 8;
            at += part.len() as u64;
            // Nothing to say of absent blocks, but that a fixed disk should have none.
            if is_zero(part) && !self.geometry.leave_blocks_allocated && self.partial.is_none() {
                continue;
            }
            let (words, _) = part.as_chunks::<8>();
            for (number, word) in (first..).zip(words) {
                self.entry(number, u64::from_le_bytes(*word));
            }
        }
        let fixed = self.geometry.leave_blocks_allocated;
        let absent = self.absent;
        self.findings.expect(
            !fixed || absent == 0,
            &rules::FIXED_ABSENT,
            "blocks",
            format!("{absent} have none"),
        );
        Ok(())
    }

    /// One entry of the table, payload or bitmap by its place.
    fn entry(&mut self, number: u64, entry: u64) {
        let group = self.geometry.chunk_ratio() + 1;
        let (chunk, within) = (number / group, number % group);
        if within + 1 == group {
            self.bitmap(chunk, entry);
        } else {
            let block = chunk * (group - 1) + within;
            // A table of a differencing disk has room for whole chunks.
            if block < self.geometry.payload_blocks() {
                self.payload(block, entry);
            }
        }
    }

    fn payload(&mut self, block: u64, entry: u64) {
        let (object, kind) = (Block(block), entry & 7);
        match block_outcome(entry, self.geometry.has_parent) {
            BlockOutcome::Data { file_offset, by_sector } => {
                let partial = kind == state::PARTIALLY_PRESENT && !by_sector;
                self.findings.expect(!partial, &rules::BLOCK_PARTIAL, object, format!("{entry:#018x}"));
                if by_sector {
                    self.partial = Some(block);
                }
                self.present(block, file_offset);
            }
            BlockOutcome::Reserved if kind == state::FULLY_PRESENT || kind == state::PARTIALLY_PRESENT => {
                self.findings.add(&rules::BLOCK_ENTRY, object, format!("{entry:#018x}"));
            }
            BlockOutcome::Reserved => {
                self.findings.add(&rules::BLOCK_STATE, object, format!("{kind} in {entry:#018x}"));
            }
            BlockOutcome::Zero | BlockOutcome::Parent => {
                self.absent += 1;
                let anchor = entry >> 20 != 0;
                self.findings.expect(!anchor, &rules::BLOCK_ANCHOR, object, format!("{entry:#018x}"));
            }
        }
    }

    fn present(&mut self, block: u64, offset: u64) {
        let (whole, needed) = (self.geometry.block(), self.geometry.block_range(block).len());
        let end = offset.saturating_add(whole);
        if offset.saturating_add(needed) > self.length {
            let found = format!("it ends at {end} of {} bytes", self.length);
            self.findings.add(&rules::BLOCK_BOUNDS, Block(block), found);
            return;
        }
        let found = format!("the file ends {} bytes before it", end.saturating_sub(self.length));
        self.findings.expect(end <= self.length, &rules::BLOCK_TAIL, Block(block), found);
        self.blocks.push((offset / MIB) << 32 | block);
    }

    /// The bitmap of a chunk stands behind the chunk's blocks, which have all passed.
    fn bitmap(&mut self, chunk: u64, entry: u64) {
        let object = format!("sector bitmap {chunk}");
        if !self.geometry.has_parent {
            self.findings.expect(entry == 0, &rules::BITMAP_JUNK, object, format!("{entry:#018x}"));
            return;
        }
        let offset = bitmap_offset(entry);
        if let Some(block) = self.partial.take()
            && offset.is_none()
        {
            self.findings.add(&rules::BITMAP_MISSING, Block(block), "its chunk has none");
        }
        match offset {
            Some(offset) => {
                let range = ByteRange::at(offset, BITMAP_BLOCK_BYTES);
                if range.end > self.length {
                    let found = format!("it ends at {} of {} bytes", range.end, self.length);
                    self.findings.add(&rules::BITMAP_BOUNDS, object, found);
                } else {
                    self.parts.push(Part { range, name: object });
                }
            }
            None if entry & 7 == state::NOT_PRESENT => {}
            None => self.findings.add(&rules::BITMAP_STATE, object, format!("{entry:#018x}")),
        }
    }
}

/// The name of a payload block, made only when it is needed.
#[derive(Clone, Copy)]
struct Block(u64);

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "block {}", self.0)
    }
}

fn check_overlap(parts: &mut [Part], blocks: &mut [u64], block_bytes: u64, findings: &mut Findings) {
    parts.sort_unstable_by_key(|part| part.range);
    blocks.sort_unstable();
    for pair in parts.windows(2).filter(|pair| pair[0].range.end > pair[1].range.start) {
        findings.add(&rules::OVERLAP, &pair[0].name, format!("it reaches into {}", pair[1].name));
    }
    let units = block_bytes / MIB;
    let number = |block: u64| Block(block & u64::from(u32::MAX));
    for pair in blocks.windows(2).filter(|pair| (pair[1] >> 32) - (pair[0] >> 32) < units) {
        findings.add(&rules::OVERLAP, number(pair[0]), format!("it shares space with {}", number(pair[1])));
    }
    for part in parts {
        let after = blocks.partition_point(|block| (block >> 32) * MIB < part.range.end);
        if let Some(block) = after.checked_sub(1).map(|last| blocks[last])
            && ((block >> 32) + units) * MIB > part.range.start
        {
            findings.add(&rules::OVERLAP, number(block), format!("it shares space with the {}", part.name));
        }
    }
}
