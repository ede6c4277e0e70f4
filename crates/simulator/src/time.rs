//! The clock of the simulated host.
//!
//! It counts on tokio's clock from a fixed beginning, so that a test that pauses time moves the host's time as well,
//! and the wall clock is looked at once only. Durations of jobs are data and short by default: tests wait for states.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How long the host's jobs take.
///
/// Real hosts need seconds for these; the defaults are only long enough that a client really sees a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the request to the finished recovery checkpoint.
    pub checkpoint: Duration,
    /// The conversion job, without the merge that follows it.
    pub conversion: Duration,
    /// From the start of the background merge to the switch back to the parent.
    pub merge: Duration,
    /// Every other job.
    pub other: Duration,
    /// Pause between two tries of a merge that found the parent file open.
    pub merge_retry: Duration,
    /// How long a finished job can still be read; five minutes on real hosts (`TimeBeforeRemoval`).
    pub job_life: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            checkpoint: Duration::from_millis(30),
            conversion: Duration::from_millis(20),
            merge: Duration::from_millis(50),
            other: Duration::from_millis(5),
            merge_retry: Duration::from_millis(50),
            job_life: Duration::from_secs(300),
        }
    }
}

/// Tells the host's time.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    epoch_unix_ms: u64,
    started: Instant,
}

impl Clock {
    /// A clock that starts at the given Unix time in milliseconds, or now.
    pub(crate) fn starting_at(unix_ms: Option<u64>) -> Clock {
        let epoch_unix_ms = unix_ms.unwrap_or_else(wall_clock_unix_ms);
        Clock { epoch_unix_ms, started: Instant::now() }
    }

    /// The host's Unix time in milliseconds.
    pub(crate) fn unix_ms(&self) -> u64 {
        self.epoch_unix_ms.saturating_add(millis(self.started.elapsed()))
    }
}

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn wall_clock_unix_ms() -> u64 {
    // A wall clock before 1970 counts as 1970: the host's time only labels things.
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
