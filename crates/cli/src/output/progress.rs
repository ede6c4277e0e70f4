//! Progress of long work: one bar on stderr, only where a person is watching.
//!
//! Without a terminal, with `--quiet` or `--output json` nothing is drawn at all; logs and pipes stay clean.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that counts bytes, or a silent stand-in.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `total` bytes; hidden unless `visible`.
    pub(crate) fn bytes(visible: bool, total: u64, what: &str) -> Self {
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        bar.set_style(style());
        bar.set_message(what.to_owned());
        if visible {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar }
    }

    /// What is being worked on now.
    pub(crate) fn message(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// More bytes to come than known before.
    pub(crate) fn add_total(&self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    /// Bytes that are done.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Removes the bar, so that the result stands alone.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes, speed and remaining time; the template is checked by a test, so the fallback is never seen.
fn style() -> ProgressStyle {
    ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar())
}

const TEMPLATE: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_understood() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn a_hidden_bar_still_counts() {
        let progress = Progress::bytes(false, 10, "disk");
        progress.add_total(5);
        progress.advance(7);
        assert_eq!((progress.bar.length(), progress.bar.position()), (Some(15), 7));
    }
}
