//! Turns the events of a run into one progress bar and notes on stderr.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use protection::{Event, Listener};

use crate::output::{Output, Progress};

/// Shows a run to a person at a terminal.
pub(crate) struct ProgressListener {
    output: Output,
    state: Mutex<State>,
}

struct State {
    bar: Option<Progress>,
    /// Bytes read so far of each disk, since events carry running totals.
    read: BTreeMap<(String, String), u64>,
}

impl ProgressListener {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, state: Mutex::new(State { bar: None, read: BTreeMap::new() }) }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = state.bar.take() {
            bar.finish();
        }
        state.read.clear();
    }

    fn with_bar(&self, what: &str, act: impl FnOnce(&Progress, &mut BTreeMap<(String, String), u64>)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { bar, read } = &mut *state;
        act(bar.get_or_insert_with(|| self.output.progress(0, what)), read);
    }

    fn disk_progress(&self, vm: &str, disk: &str, bytes_read: u64) {
        self.with_bar(vm, |bar, read| {
            let before = read.entry((vm.to_owned(), disk.to_owned())).or_default();
            bar.advance(bytes_read.saturating_sub(*before));
            *before = bytes_read;
        });
    }
}

impl Listener for ProgressListener {
    fn hear(&self, event: &Event) {
        match event {
            Event::RunStarted { vm, .. } => self.with_bar(vm, |bar, _| bar.message(vm)),
            Event::StepStarted { vm, description, .. } => {
                self.with_bar(vm, |bar, _| bar.message(&format!("{vm}: {description}")));
            }
            Event::DiskStarted { vm, disk, bytes_to_read } => self.with_bar(vm, |bar, _| {
                bar.message(&format!("{vm}: {disk}"));
                bar.add_total(*bytes_to_read);
            }),
            Event::DiskProgress { vm, disk, bytes_read } => self.disk_progress(vm, disk, *bytes_read),
            Event::LeftoverSettled { vm, what } => self.output.note(&format!("{vm}: {what}")),
            Event::WholeReadChosen { vm, disk, reason } => {
                self.output.warn(&format!("{vm}: {disk} is read whole, since {reason}"));
            }
            // Warnings are part of the result; the rest is for logs and histories.
            Event::JournalRecorded { .. }
            | Event::DiskFinished { .. }
            | Event::PointCommitted { .. }
            | Event::Warning { .. } => {}
        }
    }
}
