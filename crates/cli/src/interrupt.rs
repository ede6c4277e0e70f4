//! Being asked to stop: Ctrl-C, or the signal that service managers send.
//!
//! Once this waits, the signals no longer end the process by themselves, so it is only used where somebody listens
//! until the end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// Hears both signals from the moment it is made.
pub(crate) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self, Error> {
        let hear = |kind| {
            let failed = |error: std::io::Error| Error::Internal {
                what: "Waiting for signals",
                problem: error.to_string(),
            };
            signal(kind).map_err(failed)
        };
        Ok(Self { interrupt: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())? })
    }

    /// The next time somebody asks.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
