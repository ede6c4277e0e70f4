//! Comparing a disk with a restore point, byte by byte.
//!
//! Whatever either side holds data for is read from both and compared; where neither does, both are
//! zeros by their own account. So the proof covers bytes that should be there and bytes that should
//! not.

use std::iter;
use std::ops::Range;
use std::path::Path;

use futures::{StreamExt, future, stream};
use repository::DiskView;
use serde::Serialize;
use vdisk::{ByteRange, ChangedRanges, Disk};

use crate::destination::TargetFormat;
use crate::disk::{OnProgress, Progress};
use crate::error::{Error, Result};
use crate::pieces::{PIECES_IN_FLIGHT, length, pieces, total};

/// The outcome of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Bytes read from both sides.
    pub compared_bytes: u64,
    /// First byte that differs; `None` when all are the same.
    pub first_difference: Option<u64>,
}

/// Opens a restored file.
pub fn open_restored(path: &Path, format: TargetFormat) -> Result<Disk> {
    let unreadable =
        |source| Error::Disk { path: path.display().to_string(), action: "read", source: Box::new(source) };
    match format {
        TargetFormat::Vhdx => Disk::open_local(path).map_err(unreadable),
        TargetFormat::Raw => {
            let file = vdisk::LocalFile::open_read(path).map_err(|error| Error::file(path, "open", error))?;
            Disk::open_raw(std::sync::Arc::new(file)).map_err(unreadable)
        }
    }
}

/// Restored file against restore point; a difference is an error that names its place.
pub async fn verify_restored(
    view: &DiskView,
    path: &Path,
    format: TargetFormat,
    on_progress: OnProgress<'_>,
) -> Result<Comparison> {
    let disk = open_restored(path, format)?;
    let comparison = compare(view, &disk, on_progress).await?;
    match comparison.first_difference {
        Some(offset) => Err(Error::Differs { path: path.display().to_string(), offset }),
        None => Ok(comparison),
    }
}

/// Compares a disk with a disk of a restore point. A disk that is larger must hold zeros beyond.
pub async fn compare(view: &DiskView, disk: &Disk, on_progress: OnProgress<'_>) -> Result<Comparison> {
    if disk.capacity() < view.capacity() {
        return Ok(Comparison { compared_bytes: 0, first_difference: Some(disk.capacity()) });
    }
    let name = disk.layers().next().map(|layer| layer.name).unwrap_or_default();
    let sides = &Sides { view, disk, name };
    let ranges = sides.held_by_either().await?;
    let total_bytes = total(&ranges);
    let mut compared_bytes = 0;
    let mut found = stream::iter(pieces(ranges))
        .map(|piece| async move { Ok::<_, Error>((sides.first_difference(&piece).await?, piece)) })
        .buffered(PIECES_IN_FLIGHT);
    while let Some(outcome) = found.next().await {
        let (first_difference, piece) = outcome?;
        compared_bytes += piece.end - piece.start;
        on_progress(Progress { done_bytes: compared_bytes, total_bytes });
        if first_difference.is_some() {
            return Ok(Comparison { compared_bytes, first_difference });
        }
    }
    Ok(Comparison { compared_bytes, first_difference: None })
}

/// What is compared.
struct Sides<'a> {
    view: &'a DiskView,
    disk: &'a Disk,
    name: String,
}

impl Sides<'_> {
    /// The ranges for which either side holds data.
    async fn held_by_either(&self) -> Result<Vec<Range<u64>>> {
        let stored = self.view.data_ranges().await.map_err(|error| self.unreadable(error))?;
        let stored = stored.into_iter().map(|range| ByteRange::new(range.start, range.end));
        let allocated = self.in_background(Disk::allocated).await?;
        let either = ChangedRanges::from_ranges(stored).union(&allocated);
        Ok(either.iter().map(|range| range.start..range.end).collect())
    }

    /// Place of the first byte of a piece that differs; beyond the restore point's disk, of the
    /// first that is not zero.
    async fn first_difference(&self, piece: &Range<u64>) -> Result<Option<u64>> {
        let (start, bytes, end) = (piece.start, length(piece), self.view.capacity());
        let held = start.min(end)..piece.end.min(end);
        let found = self.in_background(move |disk| {
            let mut found = vec![0; bytes];
            disk.read_at(start, &mut found).map(|()| found)
        });
        let (expected, found) = future::join(self.view.read_range(held.start, length(&held)), found).await;
        let (expected, found) = (expected.map_err(|error| self.unreadable(error))?, found?);
        let (inside, beyond) = found.split_at(expected.len());
        if *inside == *expected && beyond.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let expected = expected.iter().chain(iter::repeat(&0));
        let place = found.iter().zip(expected).position(|(found, expected)| found != expected);
        Ok(place.map(|place| start + place as u64))
    }

    async fn in_background<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> vdisk::Result<T> + Send + 'static,
    ) -> Result<T> {
        let disk = self.disk.clone();
        let outcome = tokio::task::spawn_blocking(move || work(&disk)).await;
        let outcome = outcome.map_err(|_| Error::Stopped { what: self.name.clone() })?;
        outcome.map_err(|source| Error::Disk {
            path: self.name.clone(),
            action: "read",
            source: Box::new(source),
        })
    }

    fn unreadable(&self, error: repository::Error) -> Error {
        Error::repository(format!("Disk {}", self.view.record().name), error)
    }
}
