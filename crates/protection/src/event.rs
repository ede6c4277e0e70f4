//! Everything worth telling while a backup runs, as one typed list.
//!
//! Progress bars, logs and job history are listeners of these events; none of them is known
//! here. A listener is called in line: what it hears has already happened, and for
//! [`Event::JournalRecorded`] is already durable.

use serde::Serialize;

use crate::run::{Phase, RunId, StepName};

/// Hears what a run does.
pub trait Listener: Send + Sync {
    /// Called for every event, in order, on the thread that caused it.
    fn hear(&self, event: &Event);
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Work on one VM begins.
    RunStarted {
        /// The run.
        run: RunId,
        /// VM name.
        vm: String,
    },
    /// The journal holds one more durable record.
    JournalRecorded {
        /// The run.
        run: RunId,
        /// Position in the journal, rising over all runs.
        sequence: i64,
        /// The step the record is about.
        step: StepName,
        /// What the record says of it.
        phase: Phase,
    },
    /// A step is about to act.
    StepStarted {
        /// VM name.
        vm: String,
        /// The step.
        step: StepName,
        /// What it is going to do, in a sentence.
        description: String,
    },
    /// A disk that was planned from changed ranges is read whole after all.
    WholeReadChosen {
        /// VM name.
        vm: String,
        /// Disk name.
        disk: String,
        /// Why the changed ranges could not be used.
        reason: String,
    },
    /// Reading of a disk begins.
    DiskStarted {
        /// VM name, or the name given for a disk file.
        vm: String,
        /// Disk name.
        disk: String,
        /// Bytes that will be read from it at most.
        bytes_to_read: u64,
    },
    /// More of a disk was read and handed to the repository.
    DiskProgress {
        /// VM name, or the name given for a disk file.
        vm: String,
        /// Disk name.
        disk: String,
        /// Bytes read so far.
        bytes_read: u64,
    },
    /// All of a disk is in the repository.
    DiskFinished {
        /// VM name, or the name given for a disk file.
        vm: String,
        /// Disk name.
        disk: String,
        /// Bytes read from it.
        bytes_read: u64,
        /// Bytes added to the repository for it.
        bytes_stored: u64,
    },
    /// A restore point is visible from now on.
    PointCommitted {
        /// VM name, or the name given for a disk file.
        vm: String,
        /// The restore point's id.
        point: String,
    },
    /// Something an interrupted run left behind was removed or completed.
    LeftoverSettled {
        /// VM name.
        vm: String,
        /// What was done, in a sentence.
        what: String,
    },
    /// Something an operator should know, though the run goes on.
    Warning {
        /// VM name, or the name given for a disk file.
        vm: String,
        /// The matter, in a sentence.
        what: String,
    },
}
