//! Reading and writing at the same time: one thread reads and finds zeros, the caller's writes.
//!
//! The two share a handful of buffers that go round in a circle, so memory stays the same however
//! large the disk is, and the reader is never more than those buffers ahead.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::{Sink, UNIT_BYTES};
use crate::digest::Watch;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::number::index;
use crate::range::ByteRange;
use crate::zero::data_runs;

/// Bytes read at a time: large enough for the storage, small enough to stay in cache until written.
const BATCH_BYTES: u64 = 1 << 20;
/// Buffers in the circle. One is read, one is written, the others even out their speeds.
const BUFFERS: usize = 6;

/// A stretch of the disk that holds data.
struct Batch {
    offset: u64,
    length: u64,
    bytes: Vec<u8>,
    /// Parts of `bytes` that are not zero.
    runs: Vec<Range<usize>>,
}

/// Feeds the whole disk to `sink`, and returns how many bytes of it were written.
pub(super) fn run(disk: &Disk, sink: &mut dyn Sink, watch: &Watch<'_>) -> Result<u64> {
    std::thread::scope(|scope| {
        let (full_sender, full) = sync_channel(BUFFERS);
        let (empty, empty_receiver) = channel();
        for _ in 0..BUFFERS {
            let _ = empty.send(vec![0; index(BATCH_BYTES)]);
        }
        scope.spawn(move || read_all(disk, &empty_receiver, &full_sender));
        // Dropping the receivers when this returns early ends the reader too.
        write_all(disk, sink, &full, &empty, watch)
    })
}

/// Reads until the disk ends, an error is sent, or the writer is gone.
fn read_all(disk: &Disk, empty: &Receiver<Vec<u8>>, full: &SyncSender<Result<Batch>>) {
    for window in disk.data_windows(ByteRange::new(0, disk.capacity()), BATCH_BYTES) {
        let Ok(bytes) = empty.recv() else { return };
        let batch = window.and_then(|window| read_batch(disk, window, bytes));
        let failed = batch.is_err();
        if full.send(batch).is_err() || failed {
            return;
        }
    }
}

fn read_batch(disk: &Disk, window: ByteRange, mut bytes: Vec<u8>) -> Result<Batch> {
    let part = &mut bytes[..index(window.len())];
    disk.read_at(window.start, part)?;
    let runs = data_runs(part, index(UNIT_BYTES));
    Ok(Batch { offset: window.start, length: window.len(), bytes, runs })
}

fn write_all(
    disk: &Disk,
    sink: &mut dyn Sink,
    full: &Receiver<Result<Batch>>,
    empty: &Sender<Vec<u8>>,
    watch: &Watch<'_>,
) -> Result<u64> {
    let (mut at, mut data_bytes) = (0, 0);
    let pass = |from: u64, to: u64| match watch(to - from) {
        std::ops::ControlFlow::Continue(()) => Ok(()),
        std::ops::ControlFlow::Break(()) => Err(Error::Stopped { file: disk.name().to_owned() }),
    };
    while let Ok(batch) = full.recv() {
        let batch = batch?;
        for run in &batch.runs {
            let data = &batch.bytes[run.clone()];
            sink.write(batch.offset + run.start as u64, data)?;
            data_bytes += data.len() as u64;
        }
        let end = batch.offset + batch.length;
        pass(at, end)?;
        at = end;
        // The reader may have read everything already and be gone.
        let _ = empty.send(batch.bytes);
    }
    pass(at, disk.capacity())?;
    Ok(data_bytes)
}
