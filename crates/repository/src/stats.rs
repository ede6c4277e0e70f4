//! Sizes and counts of a repository, from one listing and the index.

use std::collections::BTreeSet;

use crate::core::Core;
use crate::error::Result;
use crate::name;

/// What a repository holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepositoryStats {
    /// Restore points.
    pub points: u64,
    /// What they protect: distinct sources.
    pub sources: u64,
    /// Packs of all sessions.
    pub packs: u64,
    /// Bytes of all packs.
    pub pack_bytes: u64,
    /// Of these, packs and bytes of sessions that no restore point names: cut short, or still writing.
    pub unfinished_pack_bytes: u64,
    /// Bytes of all runs.
    pub index_bytes: u64,
    /// Bytes of all objects.
    pub stored_bytes: u64,
    /// Distinct chunks.
    pub chunks: u64,
    /// Plain bytes of the distinct chunks.
    pub plain_bytes: u64,
    /// Bytes that the disks of all restore points span.
    pub logical_bytes: u64,
}

pub(crate) async fn collect(core: &Core) -> Result<RepositoryStats> {
    let mut stats = RepositoryStats::default();
    let points = core.read_points().await?;
    stats.points = points.len() as u64;
    stats.sources = points.iter().map(|point| &point.source).collect::<BTreeSet<_>>().len() as u64;
    let disks = points.iter().flat_map(|point| &point.disks);
    stats.logical_bytes = disks.map(|disk| disk.capacity_bytes).sum();
    let index = core.index();
    stats.chunks = index.entries() as u64;
    stats.plain_bytes = index.plain_bytes();
    for folder in [name::PACKS, name::INDEX, name::POINTS, name::KEYS] {
        for object in core.store.list(folder).await? {
            stats.stored_bytes += object.bytes;
            match folder {
                name::PACKS => {
                    stats.packs += 1;
                    stats.pack_bytes += object.bytes;
                    let session = name::parse_session_object(&object.name).map(|(session, _)| session);
                    if !session.is_some_and(|session| index.has(session)) {
                        stats.unfinished_pack_bytes += object.bytes;
                    }
                }
                name::INDEX => stats.index_bytes += object.bytes,
                _ => {}
            }
        }
    }
    stats.stored_bytes += core.store.size(name::CONFIG).await?.unwrap_or(0);
    Ok(stats)
}
