//! Making a VHD file smaller without changing what the disk shows.
//!
//! Blocks of zeros of a dynamic disk give up their space, then blocks from the end of the file move into
//! the gaps, and the rest is cut off. There is no log, so the order alone protects the disk: a block is
//! copied and made durable before the table names its new place, and the space that it leaves is used
//! only once the table is durable. The footer stands at the new end before the file is cut there.
//!
//! VHD has no state for zeros. In a differencing disk an absent block shows the parent, so there blocks of
//! zeros keep their space.

use super::footer::header_offset;
use super::format::{ABSENT, FOOTER_BYTES, HEADER_BYTES, SECTOR};
use super::image::read_header;
use super::locator;
use super::write::{ENTRIES_PER_PAGE, VhdWriter};
use crate::error::{Error, Result};
use crate::number::{MIB, align_up, index};
use crate::range::ByteRange;
use crate::vhdx::{CompactReport, DiskKind};
use crate::zero::is_zero;

/// Bytes compared or copied at a time.
const STEP_BYTES: u64 = MIB;

/// A block that has space in the file: where it begins, and its number.
type Part = (u64, u64);

impl VhdWriter {
    /// Frees what the file does not need and cuts it off. What the disk shows stays the same, also when
    /// power is cut meanwhile. A fixed disk keeps its size. No view of this writer may be alive.
    pub fn compact(&mut self) -> Result<CompactReport> {
        self.check_no_readers()?;
        self.flush()?;
        let mut report = CompactReport { bytes_before: self.file_length()?, ..CompactReport::default() };
        if self.image.sparse.is_some() {
            self.prepare()?;
            if self.image.kind() == DiskKind::Dynamic {
                report.zero_blocks = self.give_up_zero_blocks()?;
                self.flush()?;
            }
            loop {
                let moved = self.move_down()?;
                report.moved_blocks += moved;
                if moved == 0 {
                    break;
                }
            }
            self.cut_tail()?;
        }
        report.bytes_after = self.file_length()?;
        Ok(report)
    }

    fn file_length(&self) -> Result<u64> {
        let file = &self.image.file;
        file.len().map_err(|error| Error::io(file.name(), "read the length of", error))
    }

    /// Bytes of a block with its bitmap.
    fn part_bytes(&self) -> u64 {
        let sparse = self.image.sparse.as_ref();
        sparse.map_or(0, |sparse| sparse.bitmap_bytes + u64::from(sparse.block_bytes))
    }

    /// All blocks that have space, by their place.
    fn parts(&self) -> Vec<Part> {
        let Some(sparse) = &self.image.sparse else { return Vec::new() };
        let parts = sparse.bat.present().map(|(block, sector)| (u64::from(sector) * SECTOR, block));
        let mut parts: Vec<Part> = parts.collect();
        parts.sort_unstable();
        parts
    }

    fn set_place(&mut self, block: u64, sector: u32) {
        if let Some(sparse) = &self.image.sparse {
            sparse.bat.set(block, sector);
            self.table_pages.insert(block / ENTRIES_PER_PAGE);
        }
    }

    fn give_up_zero_blocks(&mut self) -> Result<u64> {
        let mut count = 0;
        let bitmap_bytes = self.part_bytes() - u64::from(self.image.block_bytes());
        for (offset, block) in self.parts() {
            let length = self.image.block_range(block).len();
            if self.is_zero(ByteRange::at(offset + bitmap_bytes, length))? {
                self.set_place(block, ABSENT);
                count += 1;
            }
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
        let (parts, bytes) = (self.parts(), self.part_bytes());
        let gaps = gaps(&self.fixed_parts()?, &parts, bytes);
        let moves = plan_moves(&parts, &gaps, bytes);
        for ((from, _), to) in &moves {
            self.copy_within(*from, *to, bytes)?;
        }
        for ((_, block), to) in &moves {
            // A place before one that the table could name.
            self.set_place(*block, u32::try_from(to / SECTOR).unwrap_or(ABSENT));
        }
        self.flush()?;
        if let Some(sparse) = &self.image.sparse {
            // They are known by their place in the file.
            sparse.bitmaps.forget_clean();
        }
        Ok(moves.len() as u64)
    }

    /// The parts of the file that are no blocks and stay where they are.
    pub(super) fn fixed_parts(&self) -> Result<Vec<ByteRange>> {
        let (file, footer) = (&self.image.file, &self.image.footer);
        let Some(sparse) = &self.image.sparse else { return Ok(Vec::new()) };
        let (_, header) = read_header(&**file, footer, self.file_length()?)?;
        let place = header_offset(footer).unwrap_or(0);
        let table = align_up(sparse.bat.len() * 4, SECTOR);
        let mut fixed = vec![
            ByteRange::at(0, FOOTER_BYTES),
            ByteRange::at(place, HEADER_BYTES),
            ByteRange::at(sparse.table_offset, table),
        ];
        fixed.extend(locator::reserved(&header));
        Ok(fixed)
    }

    /// Copies within the file; the parts do not overlap. What lies beyond the data of the file is zero.
    fn copy_within(&mut self, from: u64, to: u64, length: u64) -> Result<()> {
        let mut buf = vec![0; index(STEP_BYTES.min(length))];
        let mut done = 0;
        while done < length {
            let part = &mut buf[..index(STEP_BYTES.min(length - done))];
            let held = self.next_free.saturating_sub(from + done).min(part.len() as u64);
            let (read, rest) = part.split_at_mut(index(held));
            let file = &self.image.file;
            file.read_at(from + done, read).map_err(|error| Error::io(file.name(), "read", error))?;
            rest.fill(0);
            self.write_file(to + done, part)?;
            done += part.len() as u64;
        }
        Ok(())
    }

    /// Puts the footer behind the last part and cuts the file off behind it. Everything is durable.
    fn cut_tail(&mut self) -> Result<()> {
        let blocks = self.parts().last().map_or(0, |(offset, _)| offset + self.part_bytes());
        let fixed = self.fixed_parts()?.iter().map(|range| range.end).max().unwrap_or(0);
        let end = align_up(blocks.max(fixed), SECTOR);
        if end >= self.next_free {
            return Ok(());
        }
        let footer = self.image.footer;
        self.write_footer(end, &footer)?;
        self.flush()?;
        let file = &self.image.file;
        file.set_len(end + FOOTER_BYTES).map_err(|error| Error::io(file.name(), "shorten", error))?;
        self.next_free = end;
        self.payload = true;
        self.flush()
    }
}

/// Space between the parts that holds a block at least, ascending.
fn gaps(fixed: &[ByteRange], parts: &[Part], bytes: u64) -> Vec<ByteRange> {
    let mut taken: Vec<ByteRange> = fixed.to_vec();
    taken.extend(parts.iter().map(|(offset, _)| ByteRange::at(*offset, bytes)));
    taken.sort_unstable();
    let mut gaps = Vec::new();
    let mut end = 0;
    for range in taken {
        let start = align_up(end, SECTOR);
        if start.saturating_add(bytes) <= range.start {
            gaps.push(ByteRange::new(start, range.start));
        }
        end = end.max(range.end);
    }
    gaps
}

/// Which parts go where: the last ones into the first gaps that lie before them.
fn plan_moves(parts: &[Part], gaps: &[ByteRange], bytes: u64) -> Vec<(Part, u64)> {
    let places = gaps.iter().flat_map(|gap| (0..gap.len() / bytes).map(|number| gap.start + number * bytes));
    let moves = parts.iter().rev().copied().zip(places);
    moves.take_while(|((offset, _), place)| place < offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_blocks_go_into_the_first_gaps() {
        let fixed = [ByteRange::new(0, 512), ByteRange::new(512, 3000)];
        let parts = [(5120, 0), (8192, 1), (9216, 2), (12_800, 3)];
        let gaps = gaps(&fixed, &parts, 1024);
        assert_eq!(gaps, [(3072, 5120), (6144, 8192), (10_240, 12_800)].map(|(a, b)| ByteRange::new(a, b)));
        let moves = plan_moves(&parts, &gaps, 1024);
        assert_eq!(moves, [((12_800, 3), 3072), ((9216, 2), 4096), ((8192, 1), 6144)]);
    }
}
