//! Jobs: how a host tells that it is still working, and what it says when it fails.
//!
//! Source: `Msvm_ConcreteJob`, `Msvm_Error` class references. HRESULTs appear only in parentheses at the end of
//! localized texts, so the number is looked for by its shape and the text is kept for people.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use winremote::cim::{Instance, Reference};

use crate::call::bad_answer;
use crate::error::{Attempt, Error, Result};
use crate::host::Host;

/// First pause between two looks at something the host is working on. Short, because checkpoints of idle VMs take
/// tens of milliseconds and the fixed cost of a small backup is made of such waits.
const PAUSE_FIRST: Duration = Duration::from_millis(20);

/// Longest pause; finished jobs are kept for five minutes, so none is missed.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Longest error text kept of one job; enough for a dozen of Hyper-V's sentences.
const FAILURE_TEXT_CHARS_MAX: usize = 2_000;

/// What a host says about a failed job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFailure {
    /// `JobState` (8 terminated, 9 killed, 10 exception).
    pub state: u16,
    /// `ErrorCode`, of the same families as return codes.
    pub error_code: u32,
    /// The first HRESULT found in the texts.
    pub hresult: Option<u32>,
    /// The host's texts, in its language, cut to a readable length.
    pub text: String,
}

impl JobFailure {
    /// Collects what a failed job says; the first non-empty, distinct texts are kept in order.
    pub(crate) fn new(state: u16, error_code: u32, texts: impl IntoIterator<Item = String>) -> Self {
        let mut kept: Vec<String> = Vec::new();
        for text in texts {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !text.is_empty() && !kept.iter().any(|have| have.contains(&text)) {
                kept.push(text);
            }
        }
        let text: String = kept.join(" ").chars().take(FAILURE_TEXT_CHARS_MAX).collect();
        Self { state, error_code, hresult: find_hresult(&text), text }
    }

    /// What the operator does next, decided by the HRESULT first.
    pub(crate) fn next_step(&self, host: &str) -> String {
        match self.hresult {
            Some(0x8004_23F0..=0x8004_23F4 | 0x8004_23FB) => {
                "Look at the VSS writers inside the guest (`vssadmin list writers`), or allow crash-consistent \
                 backups for this VM."
                    .to_owned()
            }
            Some(0x8007_0020) => {
                format!("Find who holds the disk open (antivirus, another backup; `Get-SmbOpenFile` on {host}).")
            }
            Some(0x8007_0005) => {
                format!("Check the permissions of the VM's folder for the VM's own account on {host}.")
            }
            Some(0x8007_0070 | 0x8007_0027) => format!("Free space on the volume of the VM on {host}."),
            _ => format!("See the event log Microsoft-Windows-Hyper-V-VMMS/Admin on {host}."),
        }
    }
}

impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            8 => "was terminated",
            9 => "was killed",
            _ => "failed",
        };
        write!(f, "the host's job {state} with code {}", self.error_code)?;
        match (self.hresult, self.text.is_empty()) {
            (_, true) => f.write_str(", without a text"),
            (Some(hresult), false) => write!(f, " and HRESULT 0x{hresult:08X}; it says: {}", self.text),
            (None, false) => write!(f, "; it says: {}", self.text),
        }
    }
}

/// How a job ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// Completed, perhaps with warnings.
    Completed,
    /// No longer there; the world tells whether it was done.
    Vanished,
}

impl Host {
    /// Waits for a job's end. A failed one becomes an error with everything the host says about it.
    pub(crate) async fn await_job(&self, at: &Attempt, job: &Reference, within: Duration) -> Result<JobEnd> {
        let mut watch = Watch::new(within);
        loop {
            let Some(seen) = self.get(at, job).await? else {
                return Ok(JobEnd::Vanished);
            };
            match seen.get_u16("JobState").map_err(|error| bad_answer(at, &error))? {
                7 => return Ok(JobEnd::Completed),
                32768 => {
                    let text = texts(&seen).join(" ");
                    tracing::warn!(host = self.name(), deed = %at.deed, %text, "completed with warnings");
                    return Ok(JobEnd::Completed);
                }
                8..=10 => return Err(self.job_failed(at, job, &seen).await),
                _ if watch.pause().await => {}
                _ => return Err(Error::JobUnfinished { at: Box::new(at.clone()), waited: watch.waited() }),
            }
        }
    }

    /// Asks the job for its errors; when that fails too, what the job itself says must do.
    async fn job_failed(&self, at: &Attempt, job: &Reference, seen: &Instance) -> Error {
        let errors = match self.ask(job, "GetErrorEx", &[]).await {
            Ok(output) => output.values.get_array::<Instance>("Errors").unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let messages = errors.iter().filter_map(|error| error.get_str("Message").ok().map(str::to_owned));
        let (state, code) = (seen.get_u16("JobState"), seen.get_u32("ErrorCode"));
        let failure = JobFailure::new(
            state.unwrap_or(0),
            code.unwrap_or(0),
            messages.chain(texts(seen)).collect::<Vec<_>>(),
        );
        Error::JobFailed { at: Box::new(at.clone()), failure: Box::new(failure) }
    }
}

/// What a job itself says about its end.
fn texts(job: &Instance) -> Vec<String> {
    ["ErrorDescription", "ErrorSummaryDescription"]
        .into_iter()
        .filter_map(|name| job.get_str(name).ok().map(str::to_owned))
        .collect()
}

/// Looks at something again and again, with growing pauses, until a deadline.
pub(crate) struct Watch {
    started: Instant,
    within: Duration,
    next: Duration,
}

impl Watch {
    pub(crate) fn new(within: Duration) -> Self {
        Self { started: Instant::now(), within, next: PAUSE_FIRST }
    }

    /// Sleeps a little longer than last time; `false`, without sleeping, when the time is up.
    pub(crate) async fn pause(&mut self) -> bool {
        let left = self.within.saturating_sub(self.waited());
        if left.is_zero() {
            return false;
        }
        sleep(self.next.min(left)).await;
        self.next = (self.next * 3 / 2).min(PAUSE_MAX);
        true
    }

    pub(crate) fn waited(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The first `(0x########)` in a text. The shape is the same in every language of Windows.
pub(crate) fn find_hresult(text: &str) -> Option<u32> {
    text.match_indices("(0x").find_map(|(at, opening)| {
        let digits = text.get(at + opening.len()..at + opening.len() + 8)?;
        let closed = text.get(at + opening.len() + 8..)?.starts_with(')');
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        (closed && hexadecimal).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hresult_is_found_in_any_language_and_only_in_its_full_shape() {
        assert_eq!(find_hresult("Der Prozess kann nicht zugreifen. (0x80070020)."), Some(0x8007_0020));
        assert_eq!(find_hresult("x (0x8007) y (0x800423F4)"), Some(0x8004_23F4));
        for text in ["", "0x80070020", "(0x80070020", "(0x8007002G)", "(0x", "(0x8007é020)", "(0x+8007002)"]
        {
            assert_eq!(find_hresult(text), None, "{text}");
        }
    }

    #[test]
    fn a_failure_keeps_each_text_once_and_shows_the_number() {
        let texts = ["", "Checkpoint  failed.", "Checkpoint failed.", "In use (0x80070020)."];
        let failure = JobFailure::new(10, 32768, texts.map(str::to_owned));
        assert_eq!(
            failure.to_string(),
            "the host's job failed with code 32768 and HRESULT 0x80070020; it says: Checkpoint failed. In use \
             (0x80070020)."
        );
        assert!(failure.next_step("HV1").contains("Get-SmbOpenFile"));
    }
}
