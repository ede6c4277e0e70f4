//! Deduplicating, encrypted store of restore points.
//!
//! Knows nothing of Hyper-V: it takes bytes of disks and gives them back, checked. The format is in
//! docs/formats/repository.md; this is the map of the code:
//!
//! | file | story |
//! |---|---|
//! | `repository` | located → unlocked → indexed, in the type |
//! | `session/` | writing: pieces → frames → packs → runs → the commit |
//! | `read/` | reading: planned fetches, maps as trees, disks as views, verification |
//! | `format/` | the bytes of every object, without I/O |
//! | `store/` | a local folder with durable writes, or any `object_store` |
//! | `core`, `index`, `cache` | what all handles share |
//! | `name`, `secret`, `seal`, `slots` | names, secrets, keys |
//!
//! What is absent: locks, clocks (times are only shown), overwriting, and deletion of anything that a
//! restore point could name.

mod cache;
mod core;
mod error;
mod format;
mod index;
mod name;
mod read;
mod repository;
mod seal;
mod secret;
mod session;
mod slots;
mod stats;
mod store;

pub use crate::core::{Gap, RestorePoints};
pub use error::{Error, Result, Retry};
pub use format::point::{AttachmentRecord, DiskRecord, RestorePoint, WriteSummary};
pub use format::slot::KdfStrength;
pub use name::{DiskKey, PointId, SourceId};
pub use read::{Damage, DiskView, VerifyReport};
pub use repository::{
    DEFAULT_BLOCK_BYTES, Indexed, InitOptions, Key, Located, Opened, PutOutcome, Repository, Unlocked,
};
pub use secret::Secret;
pub use session::{BaseDisk, DiskSpec, DiskWriter, PointSpec, WriteSession};
pub use stats::RepositoryStats;

/// Re-exported because [`Repository::at`] takes one.
pub use object_store::ObjectStore;
