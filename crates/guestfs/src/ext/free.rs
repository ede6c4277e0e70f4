//! Free space: what the block bitmaps leave.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/bitmaps`. A group whose bitmap was never written holds only
//! its copies of the super block and what other groups keep in it. Structures of every group are taken out in any
//! case: a bitmap that calls an inode table free is damaged, and such blocks are never left out of a backup.

use vdisk::{ByteRange, ChangedRanges};

use super::checksum::crc32c;
use super::geometry::Geometry;
use super::group::{Group, table_blocks};
use crate::error::{Error, Result};
use crate::number::index;
use crate::source::Source;

/// Bytes of the volume that no file and no structure uses.
pub(super) fn free_space(source: &dyn Source, geometry: &Geometry) -> Result<ChangedRanges> {
    if geometry.is_bigalloc() {
        let what =
            "the ext file system allocates clusters of blocks (bigalloc), whose free space cannot be told";
        return Err(Error::unsupported(source.name(), what));
    }
    let (mut free, mut structures) = (Vec::new(), Vec::new());
    for number in 0..geometry.groups {
        let group = Group::read(source, geometry, number)?;
        let start = geometry.group_start(number);
        structures.push(ByteRange::at(start, geometry.head_blocks(number)));
        structures.push(ByteRange::at(group.block_bitmap, 1));
        structures.push(ByteRange::at(group.inode_bitmap, 1));
        structures.push(ByteRange::at(group.inode_table, table_blocks(geometry)));
        if group.bitmap_uninit {
            free.push(ByteRange::new(start, geometry.group_end(number)));
        } else {
            free_blocks(source, geometry, number, &group, &mut free)?;
        }
    }
    let blocks = ChangedRanges::from_ranges(free).minus(&ChangedRanges::from_ranges(structures));
    let unit = geometry.block_bytes;
    Ok(blocks.iter().map(|range| ByteRange::new(range.start * unit, range.end * unit)).collect())
}

fn free_blocks(
    source: &dyn Source,
    geometry: &Geometry,
    number: u32,
    group: &Group,
    free: &mut Vec<ByteRange>,
) -> Result<()> {
    let mut bitmap = vec![0; index(geometry.block_bytes)];
    source
        .read_at(group.block_bitmap * geometry.block_bytes, &mut bitmap)
        .map_err(|e| Error::io(source.name(), format!("the block bitmap of group {number}"), e))?;
    if let Some(seed) = geometry.checksum_seed {
        let covered = index(u64::from(geometry.sb.blocks_per_group.get()) / 8);
        let right = crc32c(seed, &bitmap[..covered.min(bitmap.len())]);
        let mask = if geometry.descriptor_bytes >= 64 { u32::MAX } else { 0xFFFF };
        if right & mask != group.bitmap_checksum & mask {
            let what = format!("the checksum of the block bitmap of group {number} is wrong");
            return Err(Error::damaged(source.name(), what));
        }
    }
    let (start, end) = (geometry.group_start(number), geometry.group_end(number));
    let is_free = |place: u64| bitmap.get(index(place / 8)).is_some_and(|byte| byte >> (place % 8) & 1 == 0);
    let mut from = None;
    for place in 0..end - start {
        match (from, is_free(place)) {
            (None, true) => from = Some(place),
            (Some(first), false) => {
                free.push(ByteRange::new(start + first, start + place));
                from = None;
            }
            _ => {}
        }
    }
    free.extend(from.map(|first| ByteRange::new(start + first, end)));
    Ok(())
}
