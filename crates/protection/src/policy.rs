//! What people want of a backup: the part of the input that the host does not decide.

use serde::{Deserialize, Serialize};

/// How much consistency is asked for, and what may be done without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whether a VM whose guest cannot be quiesced may be backed up crash-consistently.
    ///
    /// `true` keeps a restore point coming every day and says so in its label; `false` skips
    /// the VM with the reason.
    pub crash_consistent_allowed: bool,
    /// Reads every disk whole even where changed ranges are known: the insurance against a
    /// tracker that forgot something.
    pub read_everything: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { crash_consistent_allowed: true, read_everything: false }
    }
}
