//! Whether the parts of a file lie apart from each other and inside it.
//!
//! A table that lets two blocks share space, or a block lie over the table itself, would return
//! wrong data without any error, so such a file is refused at open. One sorted list of four-byte
//! block numbers is enough: half the memory of the table it checks.

use super::bat::{BlockOutcome, bitmap_offset, block_outcome};
use super::format::{BITMAP_BLOCK_BYTES, HEADER_SECTION_BYTES};
use super::image::Image;
use crate::error::{Error, Result};
use crate::number::MIB;
use crate::range::ByteRange;

/// What the check learns besides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement {
    /// One past the last byte that any part takes.
    pub used_end: u64,
}

/// Checks every block, bitmap and region of a file against the others and the file's length.
pub(super) fn check(image: &Image, log: ByteRange) -> Result<Placement> {
    let mut fixed = vec![(ByteRange::new(0, HEADER_SECTION_BYTES), "header section"), (log, "log")];
    fixed.extend(image.regions.all());
    fixed.retain(|(range, _)| !range.is_empty());
    let mut blocks = payload_units(image)?;
    bitmaps(image, &mut fixed)?;
    fixed.sort_unstable();
    blocks.sort_unstable();

    for pair in fixed.windows(2) {
        if pair[0].0.end > pair[1].0.start {
            return Err(shared(image, pair[0].1, pair[1].1));
        }
    }
    let units = image.geometry.block() / MIB;
    if blocks.windows(2).any(|pair| u64::from(pair[1] - pair[0]) < units) {
        return Err(shared(image, "one payload block", "another one"));
    }
    for (range, name) in &fixed {
        let after = blocks.partition_point(|block| u64::from(*block) * MIB < range.end);
        if after > 0 && (u64::from(blocks[after - 1]) + units) * MIB > range.start {
            return Err(shared(image, "a payload block", name));
        }
    }
    let last_block = blocks.last().map_or(0, |block| (u64::from(*block) + units) * MIB);
    let last_fixed = fixed.last().map_or(0, |(range, _)| range.end);
    Ok(Placement { used_end: last_block.max(last_fixed) })
}

/// Place of each present block in MiB. Entries that no reader may use are left for the read.
fn payload_units(image: &Image) -> Result<Vec<u32>> {
    let geometry = &image.geometry;
    let length = image.length();
    let mut units = Vec::new();
    for block in 0..geometry.payload_blocks() {
        let entry = image.bat.get(geometry.payload_entry(block));
        let BlockOutcome::Data { file_offset, .. } = block_outcome(entry, geometry.has_parent) else {
            continue;
        };
        let needed = file_offset.saturating_add(geometry.block_range(block).len());
        if needed > length {
            let what = format!("block {block}");
            return Err(Error::Truncated { file: image.name().to_owned(), what, needed, length });
        }
        let Ok(unit) = u32::try_from(file_offset / MIB) else {
            return Err(Error::unsupported(image.name(), "a block beyond 4 PiB"));
        };
        units.push(unit);
    }
    Ok(units)
}

/// Adds the bitmap blocks of a differencing file. Files without a parent may hold junk in these
/// entries (QEMU before 8.0 did), so they are not looked at.
fn bitmaps(image: &Image, fixed: &mut Vec<(ByteRange, &'static str)>) -> Result<()> {
    let geometry = &image.geometry;
    if !geometry.has_parent {
        return Ok(());
    }
    for chunk in 0..geometry.payload_blocks().div_ceil(geometry.chunk_ratio()) {
        let Some(offset) = bitmap_offset(image.bat.get(geometry.bitmap_entry(chunk))) else { continue };
        let range = ByteRange::at(offset, BITMAP_BLOCK_BYTES);
        if range.end > image.length() {
            let what = format!("sector bitmap {chunk}");
            let (file, length) = (image.name().to_owned(), image.length());
            return Err(Error::Truncated { file, what, needed: range.end, length });
        }
        fixed.push((range, "sector bitmap"));
    }
    Ok(())
}

fn shared(image: &Image, one: &str, other: &str) -> Error {
    Error::damaged(image.name(), format!("{one} and {other} share space"))
}
