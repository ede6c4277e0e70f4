//! Enumerations under way: contexts that are used once and expire.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::cim::Instance;
use crate::wsman::{Fault, code};

/// Enumerations under way at most, for all users (`MaxConcurrentOperationsPerUser` of WinRM).
const ENUMERATIONS_MAX: usize = 1500;

/// What is left of an enumeration.
#[derive(Debug)]
pub(super) struct Remaining {
    pub(super) items: VecDeque<Instance>,
    /// Selected columns; empty for whole instances.
    pub(super) columns: Vec<String>,
    pub(super) namespace: String,
    /// Only who began an enumeration may go on with it.
    pub(super) user: String,
}

/// All enumerations of a server.
#[derive(Debug)]
pub(super) struct Enumerations {
    timeout: Duration,
    kept: Mutex<BTreeMap<String, (Remaining, Instant)>>,
}

impl Enumerations {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, kept: Mutex::default() }
    }

    /// Keeps the rest under a new context.
    pub(super) fn keep(&self, remaining: Remaining) -> Result<String, Fault> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (_, since)| since.elapsed() < self.timeout);
        if kept.len() >= ENUMERATIONS_MAX {
            return Err(Fault::new(code::OPERATION_QUOTA));
        }
        let context = format!("uuid:{}", Uuid::new_v4().to_string().to_uppercase());
        kept.insert(context.clone(), (remaining, Instant::now()));
        Ok(context)
    }

    /// Takes the rest; the context is worth nothing afterwards.
    pub(super) fn take(&self, context: &str, user: &str) -> Result<Remaining, Fault> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = || Fault::new(code::INVALID_ENUMERATION_CONTEXT);
        if kept.get(context).is_none_or(|(remaining, _)| remaining.user != user) {
            return Err(fault());
        }
        let (remaining, since) = kept.remove(context).ok_or_else(fault)?;
        if since.elapsed() < self.timeout { Ok(remaining) } else { Err(fault()) }
    }
}
