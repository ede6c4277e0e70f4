//! What of a volume need not be kept in a backup.
//!
//! Page files, saved memories, swap and free space hold nothing that a restored guest reads. Leaving them
//! out is only right when their place is certain: each file system answers for its own, anything in doubt is
//! kept, and the reason is given. What is left out reads as zeros on a restored disk.

mod interval;
mod linux;
mod plan;
mod telling;

use std::sync::Arc;

use vdisk::ChangedRanges;

use crate::content::Content;
use crate::error::Result;
use crate::source::Source;
use crate::volume::Volume;

pub use interval::changed_with_exclusions;
pub use plan::{Excluded, ExclusionOptions, Exclusions, Kept, plan};

/// Something that a backup may leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// The file's path, or `free space`.
    pub what: String,
    /// The bytes of the volume that need not be kept, or why all of it is kept, as a clause.
    pub outcome: Result<ChangedRanges, String>,
}

/// The answer of one kind of content.
type Excluder = fn(Arc<dyn Source>) -> Result<Vec<Exclusion>>;

/// The kinds of content that know what need not be kept.
const EXCLUDERS: &[(Content, Excluder)] = &[
    (Content::Ntfs, crate::ntfs::exclusions),
    (Content::Ext, linux::ext),
    (Content::Xfs, linux::xfs),
    (Content::LinuxSwap, linux::swap_area),
];

impl Volume {
    /// What a backup may leave out of this volume; nothing where its content cannot tell.
    pub fn exclusions(&self) -> Result<Vec<Exclusion>> {
        match EXCLUDERS.iter().find(|(kind, _)| *kind == self.content) {
            Some((_, exclude)) => exclude(Arc::new(self.clone())),
            None => Ok(Vec::new()),
        }
    }
}
