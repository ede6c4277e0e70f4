//! Making a file smaller without changing what the disk shows.
//!
//! Blocks of zeros give up their space, then blocks from the end of the file move into the gaps, and the
//! rest is cut off. A block is copied and made durable before the table names its new place, and the
//! space it leaves is used only after the log was emptied: an older entry could else bring back a page of
//! a sector bitmap into space that holds something else by then. The data write GUID stays (MS-VHDX
//! 2.2.2), so that children keep finding the file.

use super::bat::{BlockOutcome, bitmap_offset, block_outcome, entry, state};
use super::format::{BITMAP_BLOCK_BYTES, HEADER_SECTION_BYTES};
use super::metadata::Role;
use super::write::WritableDisk;
use crate::error::{Error, Result};
use crate::number::{MIB, align_up, index};
use crate::range::ByteRange;
use crate::zero::is_zero;

/// Bytes compared or copied at a time.
const STEP_BYTES: u64 = MIB;

/// What compacting a file did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactReport {
    /// Blocks that held only zeros and gave up their space.
    pub zero_blocks: u64,
    /// Blocks and sector bitmaps that were moved down.
    pub moved_blocks: u64,
    /// Length of the file before.
    pub bytes_before: u64,
    /// Length of the file after.
    pub bytes_after: u64,
}

/// A block or sector bitmap that can move: its place and length in MiB, and its entry in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    unit: u32,
    units: u32,
    entry: u32,
}

impl WritableDisk {
    /// Frees what the file does not need and cuts it off. What the disk shows stays the same, also when
    /// power is cut meanwhile. A fixed disk keeps its blocks. No view of this writer may be alive.
    pub fn compact(&mut self) -> Result<CompactReport> {
        if self.has_readers() {
            return Err(Error::HasReaders { file: self.image.name().to_owned() });
        }
        self.check_usable()?;
        self.begin_file_change()?;
        let mut report = CompactReport { bytes_before: self.image.length(), ..CompactReport::default() };
        if !self.image.geometry.leave_blocks_allocated {
            report.zero_blocks = self.give_up_zero_blocks()?;
            self.settle()?;
            loop {
                let moved = self.move_down()?;
                self.settle()?;
                report.moved_blocks += moved;
                if moved == 0 {
                    break;
                }
            }
        }
        self.settle()?;
        self.cut_tail()?;
        report.bytes_after = self.image.length();
        Ok(report)
    }

    /// Everything durable and in place, and nothing left in the log that a replay would bring back.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.flush()?;
        self.finish_log()
    }

    /// Blocks whose visible part is zero become ZERO, and reserved space ("soft anchors") is let go.
    fn give_up_zero_blocks(&mut self) -> Result<u64> {
        let geometry = self.image.geometry;
        let mut count = 0;
        let mut at = 0;
        while at < self.image.table().len() {
            let absent = self.image.table().absent_until(at);
            if absent > at {
                at = absent;
                continue;
            }
            let value = self.image.table().get(at);
            if let Some(Role::Payload(block)) = geometry.role_of(at) {
                let new = match block_outcome(value, geometry.has_parent) {
                    BlockOutcome::Data { file_offset, by_sector: false } => {
                        let length = geometry.block_range(block).len();
                        let is_zero = self.is_zero(ByteRange::at(file_offset, length))?;
                        count += u64::from(is_zero);
                        if is_zero { entry(state::ZERO, 0) } else { value }
                    }
                    BlockOutcome::Zero => entry(value & 7, 0),
                    _ => value,
                };
                if new != value {
                    self.set_entry(at, new);
                }
            }
            at += 1;
        }
        Ok(count)
    }

    /// Whether a range of the file is zero; holes are not read.
    fn is_zero(&self, range: ByteRange) -> Result<bool> {
        let file = &self.image.file;
        let failed = |error| Error::io(file.name(), "read", error);
        let mut buf = vec![0; index(STEP_BYTES.min(range.len()))];
        let mut at = range.start;
        while at < range.end {
            let run = file.run_at(at).map_err(failed)?;
            if run.is_hole && run.end > at {
                at = run.end;
                continue;
            }
            let part = &mut buf[..index(STEP_BYTES.min(range.end - at))];
            file.read_at(at, part).map_err(failed)?;
            if !is_zero(part) {
                return Ok(false);
            }
            at += part.len() as u64;
        }
        Ok(true)
    }

    /// Moves blocks from the end of the file into gaps that are durably free. Returns how many moved.
    fn move_down(&mut self) -> Result<u64> {
        // What a session noted as free is part of the gaps.
        self.changes.reusable.clear();
        let moves = {
            let parts = self.parts();
            let mut gaps = self.gaps(&parts);
            plan_moves(&parts, &mut gaps)
        };
        for (part, unit) in &moves {
            let (from, to) = (u64::from(part.unit) * MIB, u64::from(*unit) * MIB);
            self.copy_within(from, to, u64::from(part.units) * MIB)?;
        }
        self.flush_file()?;
        for (part, unit) in &moves {
            let at = u64::from(part.entry);
            let state = self.image.table().get(at) & 7;
            self.set_entry(at, entry(state, u64::from(*unit) * MIB));
        }
        Ok(moves.len() as u64)
    }

    /// All parts that can move, by their place.
    fn parts(&self) -> Vec<Part> {
        let geometry = &self.image.geometry;
        let small = |value: u64| u32::try_from(value).ok();
        let part = |(at, value): (u64, u64)| {
            let (offset, bytes) = match geometry.role_of(at)? {
                Role::Payload(_) => match block_outcome(value, geometry.has_parent) {
                    BlockOutcome::Data { file_offset, .. } => (file_offset, geometry.block()),
                    _ => return None,
                },
                Role::Bitmap(_) if geometry.has_parent => (bitmap_offset(value)?, BITMAP_BLOCK_BYTES),
                Role::Bitmap(_) => return None,
            };
            Some(Part { unit: small(offset / MIB)?, units: small(bytes / MIB)?, entry: small(at)? })
        };
        let mut parts: Vec<Part> = self.image.table().used().filter_map(part).collect();
        parts.sort_unstable();
        parts
    }

    /// Space between the parts, in MiB: start and length, ascending.
    fn gaps(&self, parts: &[Part]) -> Vec<(u32, u32)> {
        let mut fixed = vec![ByteRange::new(0, HEADER_SECTION_BYTES), self.image.header().log_region()];
        fixed.extend(self.image.regions.all().map(|(range, _)| range));
        let unit = |offset: u64| u32::try_from(offset / MIB).unwrap_or(u32::MAX);
        let mut taken: Vec<(u32, u32)> =
            fixed.iter().map(|range| (unit(range.start), unit(align_up(range.end, MIB)))).collect();
        taken.extend(parts.iter().map(|part| (part.unit, part.unit.saturating_add(part.units))));
        taken.sort_unstable();
        let mut gaps = Vec::new();
        let mut end = 0;
        for (start, next_end) in taken {
            if start > end {
                gaps.push((end, start - end));
            }
            end = end.max(next_end);
        }
        gaps
    }

    /// Copies within the file; the parts do not overlap. What lies beyond the end of the file is zero.
    fn copy_within(&mut self, from: u64, to: u64, length: u64) -> Result<()> {
        let mut buf = vec![0; index(STEP_BYTES)];
        for done in (0..length).step_by(index(STEP_BYTES)) {
            let held = self.image.length().saturating_sub(from + done).min(STEP_BYTES);
            let (read, rest) = buf.split_at_mut(index(held));
            let file = &self.image.file;
            let failed = |error| Error::io(file.name(), "read", error);
            file.read_at(from + done, read).map_err(failed)?;
            rest.fill(0);
            let run = file.run_at(to + done).map_err(failed)?;
            let stays_hole = run.is_hole && run.end >= to + done + STEP_BYTES && is_zero(&buf);
            if !stays_hole {
                self.write_file(to + done, &buf)?;
            }
        }
        Ok(())
    }

    /// Cuts the file off behind its last part. The log is empty.
    fn cut_tail(&mut self) -> Result<()> {
        let parts = self.parts();
        let blocks = parts.last().map_or(0, |part| u64::from(part.unit + part.units) * MIB);
        let regions = self.image.regions.all().map(|(range, _)| range.end).max().unwrap_or(0);
        let end = blocks.max(regions).max(self.image.header().log_region().end);
        let end = align_up(end.max(HEADER_SECTION_BYTES), MIB);
        self.changes.reusable.clear();
        self.next_free = end;
        self.tail_is_clean = true;
        if self.image.length() > end {
            let file = &self.image.file;
            file.set_len(end).map_err(|error| Error::io(file.name(), "shorten", error))?;
            self.image.set_length(end);
            self.flush_file()?;
        }
        Ok(())
    }
}

/// Which parts go where: the last ones into the first gaps that they fit into and that lie before them.
fn plan_moves(parts: &[Part], gaps: &mut [(u32, u32)]) -> Vec<(Part, u32)> {
    let mut moves = Vec::new();
    // Gaps only shrink, so those before the first fit for a length never fit that length again.
    let mut first_fit = std::collections::BTreeMap::new();
    for part in parts.iter().rev() {
        let first = first_fit.entry(part.units).or_insert(0usize);
        while gaps.get(*first).is_some_and(|(start, length)| *start < part.unit && *length < part.units) {
            *first += 1;
        }
        match gaps.get_mut(*first) {
            Some((start, length)) if *length >= part.units && *start < part.unit => {
                moves.push((*part, *start));
                *start += part.units;
                *length -= part.units;
            }
            _ => {}
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_parts_go_into_the_first_gaps_that_hold_them() {
        let part = |unit, units| Part { unit, units, entry: unit };
        let parts = [part(10, 1), part(20, 4), part(30, 4), part(40, 1), part(50, 4)];
        let mut gaps = vec![(5, 2), (12, 6), (34, 6)];
        let moves = plan_moves(&parts, &mut gaps);
        let moves: Vec<_> = moves.iter().map(|(part, to)| (part.unit, *to)).collect();
        assert_eq!(moves, [(50, 12), (40, 5), (10, 6)]);
    }
}
