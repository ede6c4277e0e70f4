//! Free space: the trees of free extents of every group, by place.
//!
//! Source: *XFS Algorithms & Data Structures*, "AG Free Space B+trees". The head of a group also counts its free
//! blocks; a tree that does not agree is damage, and then nothing of the volume is called free.

use vdisk::{ByteRange, ChangedRanges};
use zerocopy::FromBytes;

use super::extent::TreeWalk;
use super::format::{AGF_MAGIC, FREE, GROUP_FREE_SUM, GroupFree};
use super::geometry::{Geometry, checksum_fits};
use crate::error::{Error, Result};
use crate::source::Source;

/// Bytes of the volume that no file and no structure uses.
pub(super) fn free_space(source: &dyn Source, geometry: &Geometry) -> Result<ChangedRanges> {
    let mut free = Vec::new();
    for group in 0..u64::from(geometry.sb.group_count.get()) {
        group_free(source, geometry, group, &mut free)?;
    }
    Ok(ChangedRanges::from_ranges(free))
}

fn group_free(source: &dyn Source, geometry: &Geometry, group: u64, free: &mut Vec<ByteRange>) -> Result<()> {
    let damaged =
        |what| Error::damaged(source.name(), format!("the head of free space of group {group} {what}"));
    let mut sector = vec![0; usize::from(geometry.sb.sector_bytes.get())];
    let place = geometry.place(group, 0, 1).ok_or_else(|| damaged("lies outside"))?;
    let sector_bytes = u64::from(geometry.sb.sector_bytes.get());
    source
        .read_at(place + sector_bytes, &mut sector)
        .map_err(|e| Error::io(source.name(), format!("the head of free space of group {group}"), e))?;
    let (head, _) = GroupFree::read_from_prefix(&sector).map_err(|_| damaged("is cut short"))?;
    let fits = head.magic.get() == AGF_MAGIC
        && u64::from(head.number.get()) == group
        && u64::from(head.length.get()) == geometry.blocks_of_group(group)
        && head.levels.get() > 0;
    if !fits || (geometry.v5 && !checksum_fits(&sector, GROUP_FREE_SUM)) {
        return Err(damaged("is none or has a wrong checksum"));
    }
    if head.free_blocks.get() == 0 {
        return Ok(());
    }
    let root = geometry.place(group, u64::from(head.root.get()), 1);
    let root = root.ok_or_else(|| damaged("leads outside the group"))?;
    let level = u16::try_from(head.levels.get() - 1).unwrap_or(u16::MAX);
    let (mut total, mut end) = (0, 0);
    let mut take = |record: &[u8]| {
        let Some((start, count)) = numbers(record) else { return false };
        let place = geometry.place(group, start, count);
        let in_order = start >= end && count > 0;
        (total, end) = (total + count, start + count);
        free.extend(place.map(|place| ByteRange::at(place, count * geometry.block_bytes)));
        in_order && place.is_some()
    };
    TreeWalk::new(source, geometry, &FREE, None).in_group(group).visit(root, level, &mut take)?;
    if total == u64::from(head.free_blocks.get()) {
        Ok(())
    } else {
        Err(damaged("counts other blocks than its tree"))
    }
}

fn numbers(record: &[u8]) -> Option<(u64, u64)> {
    let (start, rest) = record.split_first_chunk()?;
    let (count, _) = rest.split_first_chunk()?;
    Some((u64::from(u32::from_be_bytes(*start)), u64::from(u32::from_be_bytes(*count))))
}
