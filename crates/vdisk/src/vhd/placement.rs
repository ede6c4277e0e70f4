//! Whether the parts of a sparse VHD lie apart from each other and inside the file.
//!
//! Two blocks that share space, or a block over the table, would return wrong data without any error,
//! so such a file is refused at open. A table entry of 0 points at the footer's copy and falls here.

use super::format::{DynamicHeader, FOOTER_BYTES, SECTOR};
use super::image::VhdImage;
use super::locator;
use crate::error::{Error, Result};
use crate::range::ByteRange;
use crate::vhdx::DiskKind;

/// Checks every block and structure against the others and against where the data ends.
pub(super) fn check(image: &VhdImage, header: ByteRange, raw: &DynamicHeader) -> Result<()> {
    let Some(sparse) = &image.sparse else { return Ok(()) };
    let data_end = image.data_end;
    let mut fixed = vec![
        (ByteRange::at(0, FOOTER_BYTES), "the copy of the footer"),
        (header, "the dynamic header"),
        (ByteRange::at(sparse.table_offset, sparse.bat.len() * 4), "the block allocation table"),
    ];
    // Other disks have no parent, and nothing reads what their header says there.
    if image.kind() == DiskKind::Differencing {
        fixed.extend(locator::ranges(raw).map(|range| (range, "a path of the parent")));
    }
    let mut blocks = Vec::new();
    let last = sparse.bat.len() - 1;
    for (block, sector) in sparse.bat.present() {
        let needed = sparse.bitmap_bytes + image.block_range(block).len();
        let range = ByteRange::at(u64::from(sector) * SECTOR, needed);
        if range.end > data_end {
            let (file, what) = (image.name().to_owned(), format!("block {block}"));
            return Err(Error::Truncated { file, what, needed: range.end, length: data_end });
        }
        if block == last {
            // The last block may end with the disk.
            fixed.push((range, "the last block"));
        } else {
            blocks.push(sector);
        }
    }
    fixed.sort_unstable();
    blocks.sort_unstable();
    check_apart(image, &fixed, &blocks, sparse.bitmap_bytes + u64::from(sparse.block_bytes))
}

fn check_apart(
    image: &VhdImage,
    fixed: &[(ByteRange, &'static str)],
    blocks: &[u32],
    bytes: u64,
) -> Result<()> {
    let shared = |one: &str, other: &str| {
        Err(Error::damaged(image.name(), format!("{one} and {other} share space in the file")))
    };
    for pair in fixed.windows(2) {
        if pair[0].0.end > pair[1].0.start {
            return shared(pair[0].1, pair[1].1);
        }
    }
    if blocks.windows(2).any(|pair| u64::from(pair[1] - pair[0]) * SECTOR < bytes) {
        return shared("one block", "another one");
    }
    for (range, name) in fixed {
        let after = blocks.partition_point(|sector| u64::from(*sector) * SECTOR < range.end);
        if after > 0 && u64::from(blocks[after - 1]) * SECTOR + bytes > range.start {
            return shared("a block", name);
        }
    }
    Ok(())
}
