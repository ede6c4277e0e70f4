//! Restoring one disk: its data ranges, in the order of the disk, into a destination.
//!
//! Reading (asynchronous, from the repository) and writing (blocking, to a file) run side by side,
//! joined by a short queue. A few pieces are read at once and at most a few wait to be written, so
//! memory is bounded whatever the disk's size: (4 in flight + 2 queued + 1 written) × 4 MiB. Either
//! side failing ends the other, and the partial file is removed.

use std::path::PathBuf;

use bytes::Bytes;
use futures::{StreamExt, stream};
use repository::DiskView;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::destination::{Destination, DiskTarget, TargetFormat};
use crate::error::{Error, Result};
use crate::pieces::{PIECES_IN_FLIGHT, length, pieces, total};

/// Pieces that may wait to be written.
const PIECES_QUEUED: usize = 2;

/// How far a restore or comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes to do in all.
    pub total_bytes: u64,
}

/// Is told how far the work is; called from the task that does it, so it should be quick.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// A disk that was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskRestored {
    /// The file.
    pub path: PathBuf,
    /// Its form.
    pub format: TargetFormat,
    /// Size of the disk.
    pub capacity_bytes: u64,
    /// Bytes read from the repository and written; the rest of the disk is zeros.
    pub data_bytes: u64,
    /// Space that the file takes.
    pub stored_bytes: u64,
}

/// What goes to the writing side.
enum Message {
    Write(u64, Bytes),
    Complete,
}

/// Restores a disk to a file. The target appears under its name only when it is complete.
pub async fn restore_disk(
    view: &DiskView,
    target: &DiskTarget,
    on_progress: OnProgress<'_>,
) -> Result<DiskRestored> {
    let unreadable = |error| Error::repository(format!("Disk {}", view.record().name), error);
    let (target_of_writer, record) = (target.clone(), view.record().clone());
    let what = target.path.display().to_string();
    let prepared = tokio::task::spawn_blocking(move || Destination::prepare(&target_of_writer, &record));
    let destination = prepared.await.map_err(|_| Error::Stopped { what: what.clone() })??;
    let ranges = view.data_ranges().await.map_err(unreadable)?;
    let total_bytes = total(&ranges);

    let (sender, receiver) = mpsc::channel(PIECES_QUEUED);
    let writer = tokio::task::spawn_blocking(move || write_all(destination, receiver));
    let reading = read_all(view, ranges, &sender, |done_bytes| {
        on_progress(Progress { done_bytes, total_bytes });
    });
    let outcome = reading.await;
    if outcome.is_ok() {
        let _ = sender.send(Message::Complete).await;
    }
    drop(sender);
    let written = writer.await.map_err(|_| Error::Stopped { what })?;
    outcome.map_err(unreadable)?;
    Ok(DiskRestored {
        path: target.path.clone(),
        format: target.format,
        capacity_bytes: view.capacity(),
        data_bytes: total_bytes,
        stored_bytes: written?,
    })
}

/// Sends every piece in order. Ends early without an error when the writing side has ended, which
/// then tells why.
async fn read_all(
    view: &DiskView,
    ranges: Vec<std::ops::Range<u64>>,
    sender: &mpsc::Sender<Message>,
    mut on_done: impl FnMut(u64),
) -> repository::Result<()> {
    let mut done = 0;
    let mut reads = stream::iter(pieces(ranges))
        .map(|piece| async move { Ok((piece.start, view.read_range(piece.start, length(&piece)).await?)) })
        .buffered(PIECES_IN_FLIGHT);
    on_done(done);
    while let Some(read) = reads.next().await {
        let (offset, bytes) = read?;
        let count = bytes.len() as u64;
        if sender.send(Message::Write(offset, bytes)).await.is_err() {
            return Ok(());
        }
        done += count;
        on_done(done);
    }
    Ok(())
}

/// The writing side. Without [`Message::Complete`] the restore failed or was given up, and the
/// destination removes what it wrote.
fn write_all(mut destination: Destination, mut receiver: mpsc::Receiver<Message>) -> Result<u64> {
    while let Some(message) = receiver.blocking_recv() {
        match message {
            Message::Write(offset, bytes) => destination.write(offset, &bytes)?,
            Message::Complete => return destination.finish(),
        }
    }
    Err(Error::Stopped { what: destination.target().display().to_string() })
}
