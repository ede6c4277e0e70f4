//! Long work on a disk: off the runtime's threads, with a progress bar, and ended by Ctrl-C.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vdisk::Watch;

use crate::context::Context;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::report::Outcome;

/// Runs `work` over `total` bytes to its end. When somebody asks to stop, the work hears of it at its next step,
/// removes what it began and fails as stopped.
pub(super) async fn watched<T: Send + 'static>(
    context: &Context,
    total: u64,
    what: &str,
    work: impl FnOnce(&Watch<'_>) -> vdisk::Result<T> + Send + 'static,
) -> Outcome<T> {
    Ok(watched_by(context, total, what, work).await??)
}

/// As [`watched`], for work with any result.
pub(super) async fn watched_by<T: Send + 'static>(
    context: &Context,
    total: u64,
    what: &str,
    work: impl FnOnce(&Watch<'_>) -> T + Send + 'static,
) -> Outcome<T> {
    let progress = context.output.progress(total, what);
    let asked = Arc::new(AtomicBool::new(false));
    let mut interrupt = Interrupt::listen()?;
    let (bar, stop) = (progress.clone(), Arc::clone(&asked));
    let mut task = tokio::task::spawn_blocking(move || {
        work(&|bytes| {
            bar.advance(bytes);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    let joined = loop {
        tokio::select! {
            joined = &mut task => break joined,
            () = interrupt.asked() => asked.store(true, Ordering::Relaxed),
        }
    };
    progress.finish();
    let ended = |error: tokio::task::JoinError| Error::Internal {
        what: "The work on the disk",
        problem: error.to_string(),
    };
    Ok(joined.map_err(ended)?)
}
