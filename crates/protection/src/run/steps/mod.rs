//! The steps of a backup, one file each, in the order in which they run.
//!
//! The order is the safety of the whole. The restore point is committed before the checkpoint
//! becomes a reference point; the continuation record is durable before the older reference
//! point is released. A run cut anywhere leaves either the old way to go on or the new one.

mod checkpoint;
mod clear;
mod commit;
mod continuation;
mod convert;
mod merge;
mod release;
mod transfer;

use futures::future::BoxFuture;
use serde_json::Value;

use super::StepName;
use super::settle::Interrupted;
use super::state::VmRun;
use crate::error::{Error, Result};

/// One step of a backup.
///
/// `settle` may meet a step that was only intended, half done or done, and may be called again
/// after it has settled; it leaves the host and the repository clean in each case.
pub trait Step: Sync {
    /// Its name in the journal.
    fn name(&self) -> StepName;

    /// What it is going to do, in a sentence.
    fn describe(&self, run: &VmRun<'_>) -> String;

    /// What the journal must know before the step acts; `None` where there is nothing to do.
    fn intent<'a>(&'a self, run: &'a VmRun<'_>) -> BoxFuture<'a, Result<Option<Value>>>;

    /// Acts, and returns what the journal must know afterwards.
    fn apply<'a>(&'a self, run: &'a mut VmRun<'_>) -> BoxFuture<'a, Result<Value>>;

    /// Takes an interrupted step back, or sees it through where going back is impossible or
    /// worse. Says what was done, if anything was.
    fn settle<'a>(&'a self, interrupted: &'a Interrupted<'_>) -> BoxFuture<'a, Result<Option<String>>>;
}

/// Every step in order.
pub const STEPS: &[&dyn Step] = &[
    &clear::Clear,
    &checkpoint::TakeCheckpoint,
    &transfer::Transfer,
    &commit::Commit,
    &convert::Convert,
    &continuation::RecordContinuation,
    &release::Release,
    &merge::AwaitMerge,
];

/// Reads what a step left in the journal.
fn recalled<T: serde::de::DeserializeOwned>(step: StepName, detail: &Value) -> Result<T> {
    T::deserialize(detail).map_err(|source| Error::JournalDetail { step: step.as_str(), source })
}

/// What a step keeps in the journal.
fn noted<T: serde::Serialize>(step: StepName, detail: &T) -> Result<Value> {
    serde_json::to_value(detail).map_err(|source| Error::JournalDetail { step: step.as_str(), source })
}
