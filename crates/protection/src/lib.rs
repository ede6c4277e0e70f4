//! Deciding and running backups.
//!
//! A backup is a straight line: look at the host, read the history, make a [`plan`], have it
//! checked by a second route, then run its steps with a journal, so that an interrupted run can
//! be settled by the next one.
//!
//! ```text
//! hyperv::HostInventory ─┐
//! history::VmHistory ────┼─► plan::make ─► plan::check ─► run::backup ─► report
//! policy::Policy ────────┘      (pure)        (pure)       (steps, journal)
//! ```
//!
//! What decides is pure and lives in `plan` and `methods`; what acts lives in `run`; what moves
//! bytes lives in `transfer`. The order of the steps carries the safety of the whole: a restore
//! point is durable before the host is asked to forget anything (see `run::steps`).

pub mod continuation;
pub mod error;
pub mod event;
pub mod file_backup;
pub mod history;
pub mod methods;
pub mod plan;
pub mod policy;
mod prepare;
pub mod run;
pub mod transfer;
pub mod world;

pub use error::{Error, Result, Retry};
pub use event::{Event, Listener};
pub use policy::Policy;
pub use prepare::prepare;
pub use world::World;
