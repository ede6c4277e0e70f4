//! Moving bytes: from a disk that stands still into a repository session, with bounded memory.

mod chunks;
mod copy;

pub use copy::{Copied, Selection, copy};
