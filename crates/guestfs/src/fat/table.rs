//! The table of clusters: chains, and what is free.
//!
//! A chain that is longer than the volume has clusters goes in a circle. A file's chain is followed only as far as
//! its size reaches.

use vdisk::{ByteRange, ChangedRanges};

use super::geometry::{Geometry, Kind};
use crate::block::Extents;
use crate::error::{Error, Result};
use crate::number::index;
use crate::source::Source;
use crate::tree::FileExtent;

/// What an entry of the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Free,
    Cluster(u32),
    End,
    Bad,
}

/// The entry of a cluster.
pub(super) fn next(source: &dyn Source, geometry: &Geometry, cluster: u32) -> Result<Next> {
    let raw = raw_entry(source, geometry, cluster)?;
    // Reserved values are the last of the kind's range: bad, then eight ends; exFAT has one end.
    let last = match geometry.kind {
        Kind::Fat12 => 0xFFF,
        Kind::Fat16 => 0xFFFF,
        Kind::Fat32 => 0x0FFF_FFFF,
        Kind::ExFat => u32::MAX,
    };
    Ok(match raw {
        0 => Next::Free,
        raw if raw >= last - 7 => Next::End,
        raw if raw == last - 8 => Next::Bad,
        raw => Next::Cluster(raw),
    })
}

/// The bits of an entry.
pub(super) fn raw_entry(source: &dyn Source, geometry: &Geometry, cluster: u32) -> Result<u32> {
    let mut raw = [0; 4];
    let length = if matches!(geometry.kind, Kind::Fat12 | Kind::Fat16) { 2 } else { 4 };
    source
        .read_at(geometry.table + geometry.entry_place(cluster), &mut raw[..length])
        .map_err(|e| Error::io(source.name(), "the table of clusters", e))?;
    let raw = u32::from_le_bytes(raw);
    Ok(match geometry.kind {
        Kind::Fat12 if cluster % 2 == 1 => raw >> 4,
        Kind::Fat12 => raw & 0xFFF,
        Kind::Fat32 => raw & 0x0FFF_FFFF,
        Kind::Fat16 | Kind::ExFat => raw,
    })
}

/// Clusters of a file or folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain {
    pub first: u32,
    /// The clusters follow each other, and the table does not tell them.
    pub contiguous: bool,
    /// Bytes that must be there; `None` for a folder that ends where its chain ends.
    pub bytes: Option<u64>,
}

/// The extents of a chain.
pub(super) fn extents(source: &dyn Source, geometry: &Geometry, chain: Chain) -> Result<Vec<FileExtent>> {
    let damaged =
        |what: &str| Error::damaged(source.name(), format!("the chain from cluster {} {what}", chain.first));
    let wanted = chain.bytes.map(|bytes| bytes.div_ceil(geometry.cluster_bytes));
    if wanted.is_some_and(|wanted| wanted > u64::from(geometry.clusters)) {
        return Err(damaged("is shorter than its file"));
    }
    let (mut found, mut count, mut cluster) = (Extents::default(), 0, chain.first);
    while wanted.is_none_or(|wanted| count < wanted) {
        let place = geometry.place(cluster).ok_or_else(|| damaged("leads outside the volume"))?;
        let length = geometry.cluster_bytes;
        let extent =
            FileExtent { file_offset: count * length, volume_offset: place, length, unwritten: false };
        count += 1;
        if count > u64::from(geometry.clusters) || !found.push(extent) {
            return Err(damaged("goes in a circle"));
        }
        if chain.contiguous {
            cluster = cluster.saturating_add(1);
            continue;
        }
        match next(source, geometry, cluster)? {
            Next::Cluster(following) => cluster = following,
            Next::End if wanted.is_none_or(|wanted| count == wanted) => break,
            Next::End => return Err(damaged("is shorter than its file")),
            Next::Free | Next::Bad if wanted == Some(count) => break,
            Next::Free | Next::Bad => return Err(damaged("leads to a cluster that is not in use")),
        }
    }
    Ok(found.into_list())
}

/// Bytes of the clusters that `is_used` says are not in use.
pub(super) fn free(
    geometry: &Geometry,
    mut is_used: impl FnMut(u32) -> Result<bool>,
) -> Result<ChangedRanges> {
    let mut free: Vec<ByteRange> = Vec::new();
    for cluster in 2..geometry.clusters.saturating_add(2) {
        let Some(place) = geometry.place(cluster) else { break };
        if is_used(cluster)? {
            continue;
        }
        match free.last_mut() {
            Some(last) if last.end == place => last.end += geometry.cluster_bytes,
            _ => free.push(ByteRange::at(place, geometry.cluster_bytes)),
        }
    }
    Ok(free.into_iter().collect())
}

/// Whether a bit of exFAT's bitmap is set; the first is cluster 2.
pub(super) fn bit(bitmap: &[u8], cluster: u32) -> bool {
    let place = u64::from(cluster - 2);
    bitmap.get(index(place / 8)).is_none_or(|byte| byte >> (place % 8) & 1 == 1)
}
