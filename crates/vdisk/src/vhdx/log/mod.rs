//! The log: reading what it holds and showing a file as if it had been replayed (MS-VHDX 2.3).
//!
//! ```text
//! layout    structures        area      the ring of sectors        entry   one entry checked
//! sequence  the live entries  replay    what they change, merged   zeros   ranges they clear
//! overlay   a file seen through its replay; the file itself is never written
//! ```
//!
//! A copy of a running VM's disk normally has changes in its log that are not in place yet: on such
//! a file the block table in place is stale, and reading through it returns wrong data without any
//! error. [`Replay`] serves both ways out: [`Overlay`] shows the replayed file without touching it,
//! and a writer puts the same changes in place with [`Replay::for_each_change`].

mod area;
mod entry;
pub(super) mod layout;
mod overlay;
mod replay;
mod sequence;
mod zeros;

pub(super) use overlay::Overlay;
pub(super) use replay::{Change, Replay};
