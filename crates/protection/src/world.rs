//! The seams through which a run touches the world outside: the present moment and the people
//! who listen. They are built by the command line and handed down.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::event::{Event, Listener};

/// Where the present moment comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since 1970-01-01 UTC.
    fn now_unix_ms(&self) -> u64;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Time and listeners, shared by everything in one run.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Clock>,
    listeners: Arc<[Arc<dyn Listener>]>,
}

impl World {
    /// A world with this clock and these listeners.
    pub fn new(clock: Arc<dyn Clock>, listeners: Vec<Arc<dyn Listener>>) -> Self {
        Self { clock, listeners: listeners.into() }
    }

    /// The machine's clock and nobody listening.
    pub fn quiet() -> Self {
        Self::new(Arc::new(SystemClock), Vec::new())
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn now_unix_ms(&self) -> u64 {
        self.clock.now_unix_ms()
    }

    /// Tells every listener, in order, before returning.
    pub fn tell(&self, event: &Event) {
        for listener in self.listeners.iter() {
            listener.hear(event);
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("listeners", &self.listeners.len()).finish_non_exhaustive()
    }
}
