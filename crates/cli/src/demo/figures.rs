//! The figures of a demonstration, for people and programs.

use std::time::Duration;

use serde::Serialize;

use crate::output::{View, units};

/// What was measured. It only exists if every comparison was right.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub verdict: &'static str,
    pub disk_capacity_bytes: u64,
    /// What the VHDX file took before the first backup.
    pub disk_file_bytes: u64,
    pub guest_written_bytes: u64,
    pub backups: Vec<BackupFigures>,
    /// Content of both restore points, holes left out.
    pub content_bytes: u64,
    /// All that the repository takes.
    pub repository_bytes: u64,
    /// Content per byte stored.
    pub dedup_ratio: f64,
    pub read_bytes_saved: u64,
    pub seconds: f64,
}

/// One backup.
#[derive(Debug, Serialize)]
pub(crate) struct BackupFigures {
    pub restore_point: String,
    pub changed_ranges_only: bool,
    pub reported_bytes: Option<u64>,
    pub read_bytes: u64,
    pub new_bytes: u64,
    pub stored_bytes: u64,
    pub seconds: f64,
}

/// The words that end a demonstration which went right.
pub(crate) const VERDICT: &str = "every restored byte matches";

impl Figures {
    /// Two lines above the verdict.
    pub(crate) fn summary(&self) -> String {
        format!(
            "\nBoth restore points hold {} of content and take {} in the repository: {:.1} times less.\nAll in {}.",
            units::bytes(self.content_bytes),
            units::bytes(self.repository_bytes),
            self.dedup_ratio,
            units::duration(Duration::from_secs_f64(self.seconds)),
        )
    }
}

impl View for Figures {
    fn text(&self) -> String {
        format!("demo: {}\n", self.verdict)
    }
}
