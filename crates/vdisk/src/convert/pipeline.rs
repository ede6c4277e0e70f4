//! Several workers, each taking one window of the disk after the other from the read to the write.
//!
//! Reading from a warm cache and finding zeros cost what it costs to move the bytes, and one core moves
//! half of what two do. So every worker reads a window into a buffer of its own, small enough to be in
//! its core's cache still when it is written. Only *where* data goes is decided in ascending order, by
//! one worker at a time: the new file has the same bytes whatever the timing, and its tables can be
//! written behind the data. Memory is one buffer for each worker, however large the disk.

use std::num::NonZero;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{Placed, UNIT_BYTES};
use crate::content::DataWindows;
use crate::digest::Watch;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::number::index;
use crate::range::ByteRange;
use crate::zero::data_runs;

/// Bytes of a window. Larger ones fall out of the second cache level between read and write, smaller
/// ones cost calls.
const WINDOW_BYTES: u64 = 256 * 1024;
/// Fewest workers: while one waits for storage, another works.
const WORKERS_MIN: usize = 2;
/// Most workers: what one file takes is reached before, since a file system writes it one call at a time.
const WORKERS_MAX: usize = 8;

/// Decides where data of the disk goes; called in ascending order.
pub(super) type Place<'a> = dyn FnMut(ByteRange) -> Result<Vec<Placed>> + Send + 'a;
/// Writes bytes at their place in the new file; called by several workers at once, in any order.
pub(super) type Write<'a> = dyn Fn(u64, &[u8]) -> Result<()> + Sync + 'a;

/// Takes the whole disk through `place` and `write`, and returns how many bytes of it are data.
pub(super) fn run(disk: &Disk, place: &mut Place<'_>, write: &Write<'_>, watch: &Watch<'_>) -> Result<u64> {
    let windows = disk.data_windows(ByteRange::new(0, disk.capacity()), WINDOW_BYTES);
    let work = Work {
        disk,
        write,
        watch,
        reading: Mutex::new(Reading { windows: Some(windows), taken: 0, end: 0 }),
        placing: Mutex::new(Placing { place, turn: 0, data_bytes: 0, failure: None, is_over: false }),
        turned: Condvar::new(),
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 1..cores.clamp(WORKERS_MIN, WORKERS_MAX) {
            scope.spawn(|| work.take_windows());
        }
        work.take_windows();
    });
    work.end()
}

/// What the workers share.
struct Work<'a> {
    disk: &'a Disk,
    write: &'a Write<'a>,
    watch: &'a Watch<'a>,
    reading: Mutex<Reading<'a>>,
    placing: Mutex<Placing<'a>>,
    /// Told when the turn goes to the next window, and when the work is over before its end.
    turned: Condvar,
}

/// The windows that nobody has taken yet.
struct Reading<'a> {
    /// None once the work is over.
    windows: Option<DataWindows<'a>>,
    taken: u64,
    /// Where the window taken last ended.
    end: u64,
}

/// Whose turn it is to get places, and what came of the work so far.
struct Placing<'a> {
    place: &'a mut Place<'a>,
    /// Number of the window whose turn it is.
    turn: u64,
    data_bytes: u64,
    failure: Option<Error>,
    is_over: bool,
}

/// A stretch of the disk that holds data.
struct Window {
    number: u64,
    range: ByteRange,
    /// Bytes from the end of the window before to the end of this one.
    progress: u64,
}

impl Work<'_> {
    /// Takes windows until none is left or a worker failed.
    fn take_windows(&self) {
        // Others wait for the turn of a window that this thread took, so they must learn of its panic.
        let _told = TellsPanic(self);
        let mut buf = vec![0; index(WINDOW_BYTES.min(self.disk.capacity()))];
        while let Some(window) = self.next_window() {
            if let Err(error) = window.and_then(|window| self.pass_on(&window, &mut buf)) {
                return self.give_up(Some(error));
            }
        }
    }

    fn next_window(&self) -> Option<Result<Window>> {
        let reading = &mut *lock(&self.reading);
        let range = match reading.windows.as_mut()?.next()? {
            Ok(range) => range,
            Err(error) => return Some(Err(error)),
        };
        let window = Window { number: reading.taken, range, progress: range.end - reading.end };
        reading.taken += 1;
        reading.end = range.end;
        Some(Ok(window))
    }

    /// Reads a window, and writes what is data in it.
    fn pass_on(&self, window: &Window, buf: &mut [u8]) -> Result<()> {
        let bytes = &mut buf[..index(window.range.len())];
        self.disk.read_at(window.range.start, bytes)?;
        let runs = data_runs(bytes, index(UNIT_BYTES));
        let Some(places) = self.places(window, &runs)? else { return Ok(()) };
        for Placed { data, file_offset } in places {
            let from = index(data.start - window.range.start);
            (self.write)(file_offset, &bytes[from..from + index(data.len())])?;
        }
        self.disk.report(window.progress, self.watch)
    }

    /// Waits until all windows before have their places, then gets those of this one. There are none
    /// once the work is over.
    fn places(&self, window: &Window, runs: &[Range<usize>]) -> Result<Option<Vec<Placed>>> {
        let is_early = |placing: &mut Placing<'_>| placing.turn != window.number && !placing.is_over;
        let placing = self.turned.wait_while(lock(&self.placing), is_early);
        let placing = &mut *placing.unwrap_or_else(PoisonError::into_inner);
        if placing.is_over {
            return Ok(None);
        }
        let mut places = Vec::new();
        for run in runs {
            let data = ByteRange::at(window.range.start + run.start as u64, run.len() as u64);
            places.extend((placing.place)(data)?);
            placing.data_bytes += data.len();
        }
        placing.turn += 1;
        self.turned.notify_all();
        Ok(Some(places))
    }

    /// Ends the work of all; the first error is told.
    fn give_up(&self, failure: Option<Error>) {
        lock(&self.reading).windows = None;
        let placing = &mut *lock(&self.placing);
        placing.is_over = true;
        placing.failure = placing.failure.take().or(failure);
        self.turned.notify_all();
    }

    fn end(self) -> Result<u64> {
        let Placing { failure, data_bytes, .. } = &mut *lock(&self.placing);
        if let Some(error) = failure.take() {
            return Err(error);
        }
        self.disk.report(self.disk.capacity() - lock(&self.reading).end, self.watch)?;
        Ok(*data_bytes)
    }
}

/// Ends the work when its thread panics.
struct TellsPanic<'w, 'a>(&'w Work<'a>);

impl Drop for TellsPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.give_up(None);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
