//! The streams read last, kept open.
//!
//! Files are read in many small pieces by node. Keeping a few streams open means that each record is
//! parsed once and each compression unit decoded once, not once a piece.

use std::sync::{Arc, Mutex, PoisonError};

use super::stream::Stream;
use crate::tree::NodeId;

/// Streams kept open: readers work on a few files at a time.
const OPEN_MAX: usize = 8;

/// The streams read last, the latest at the end.
#[derive(Default)]
pub(super) struct OpenStreams(Mutex<Vec<Open>>);

struct Open {
    node: NodeId,
    name: Option<String>,
    stream: Arc<Stream>,
}

impl OpenStreams {
    /// A stream that is open.
    pub(super) fn get(&self, node: NodeId, name: Option<&str>) -> Option<Arc<Stream>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|held| held.node == node && held.name.as_deref() == name)?;
        open[at..].rotate_left(1);
        open.last().map(|held| Arc::clone(&held.stream))
    }

    /// Keeps a stream open, in the place of the one not read for longest.
    pub(super) fn keep(&self, node: NodeId, name: Option<&str>, stream: &Arc<Stream>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push(Open { node, name: name.map(str::to_owned), stream: Arc::clone(stream) });
    }
}
