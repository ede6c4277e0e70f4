//! The run of data of a file that was found last.
//!
//! Finding where a run ends can cost a walk over every page of it (tmpfs does that), so a reader who
//! asks at every block must not ask the system each time. What became a hole since is read as data,
//! which gives the same zeros; holes are never remembered.

/// A run of data; empty when none is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DataRun {
    start: u64,
    end: u64,
}

impl DataRun {
    /// The end of the run, if the offset lies in it.
    pub(crate) fn end_of(&self, offset: u64) -> Option<u64> {
        (self.start <= offset && offset < self.end).then_some(self.end)
    }

    /// Takes a run of data that was just found; it may begin before the one known and end with it.
    pub(crate) fn found(&mut self, start: u64, end: u64) {
        let same = end == self.end;
        *self = Self { start: if same { start.min(self.start) } else { start }, end };
    }
}
