//! What the repository remembers of a VM: the planner's view of the past.

use repository::{DiskKey, Indexed, PointId, Repository, RestorePoint, SourceId};

use crate::continuation::{COMPANION, Continuation};
use crate::error::Result;

/// How many restore points are looked at for a continuation record, newest first. A host keeps
/// one or two of our reference points, so an older record has nothing left to stand on.
pub const POINTS_LOOKED_AT: usize = 16;

/// The restore points of one VM, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VmHistory {
    /// Newest first; at most [`POINTS_LOOKED_AT`].
    pub points: Vec<PastPoint>,
}

/// One restore point as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastPoint {
    /// The restore point.
    pub id: PointId,
    /// When it was made, milliseconds since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// Keys of the disks it holds, with their capacity in bytes.
    pub disks: Vec<(DiskKey, u64)>,
    /// How a later backup can go on from it.
    pub continuation: Option<Continuation>,
}

impl PastPoint {
    /// Whether the point holds a disk of this key and size.
    pub fn holds(&self, key: &DiskKey, capacity_bytes: u64) -> bool {
        self.disks.iter().any(|(held, capacity)| held == key && *capacity == capacity_bytes)
    }
}

/// Reads the history of one source.
///
/// # Errors
/// When the repository cannot be read. A damaged or missing continuation record is no error.
pub async fn read(repository: &Repository<Indexed>, source: &SourceId) -> Result<VmHistory> {
    let mut points: Vec<RestorePoint> = repository.points().await?.points;
    points.retain(|point| point.source == *source);
    points.sort_by_key(|point| std::cmp::Reverse((point.created_unix_ms, point.id)));
    points.truncate(POINTS_LOOKED_AT);
    let mut history = VmHistory::default();
    for point in points {
        let continuation = repository.companion(&point.id, COMPANION).await?;
        history.points.push(PastPoint {
            id: point.id,
            created_unix_ms: point.created_unix_ms,
            disks: point.disks.iter().map(|disk| (disk.key.clone(), disk.capacity_bytes)).collect(),
            continuation: continuation.and_then(|bytes| Continuation::decode(&bytes)),
        });
    }
    Ok(history)
}
