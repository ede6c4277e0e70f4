//! What guests keep on their disks: partitions, volumes and file systems, read only.
//!
//! Disks go in, files come out. The way through:
//!
//! ```text
//!  Source (a disk) ──► Layout::read ──► Volume ──► Volume::open ──► Tree ──► list, metadata, read_at, extents
//!                      partitions,      is itself a Source,          one view of every file system,
//!                      LVM, LDM         knows its disk ranges        with the condition it was found in
//! ```
//!
//! Two rules hold everywhere. What is read from a disk is bounded before memory is taken and cannot make this crate
//! panic or run on without end. What cannot be read *rightly* is refused or reported with a plain sentence; a
//! tree is never stale without a word.

mod block;
mod content;
mod crc;
mod detect;
mod error;
mod exclude;
mod ext;
mod fat;
mod layout;
mod ldm;
mod lvm;
mod map;
mod name;
mod ntfs;
mod number;
mod open;
mod partition;
mod source;
mod tree;
mod volume;
mod xfs;

pub use content::Content;
pub use error::{Error, Result};
pub use exclude::{
    Excluded, Exclusion, ExclusionOptions, Exclusions, Kept, changed_with_exclusions, plan as plan_exclusions,
};
pub use layout::{Gap, Layout};
pub use map::VolumeMap;
pub use name::{CaseRule, Name};
pub use partition::{DiskTable, Partition, Role, TableKind};
pub use source::Source;
pub use tree::{
    Condition, Entry, FileExtent, Metadata, NodeId, NodeKind, Stream, Times, Tree, TreeFacts, UnixOwner,
};
pub use vdisk::Retry;
pub use volume::Volume;
