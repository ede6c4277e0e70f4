//! Which file systems can be read: one module and one line here for each.

use std::sync::Arc;

use crate::content::Content;
use crate::error::Result;
use crate::source::Source;
use crate::tree::Tree;

/// Opens a file system on a volume that it then owns.
pub(crate) type Opener = fn(Arc<dyn Source>) -> Result<Box<dyn Tree>>;

/// The readers there are.
const OPENERS: &[(Content, Opener)] = &[
    (Content::Ntfs, crate::ntfs::open),
    (Content::Ext, crate::ext::open),
    (Content::Xfs, crate::xfs::open),
    (Content::Fat, crate::fat::open),
    (Content::ExFat, crate::fat::open),
];

/// The reader of a kind of content; `None` while there is none.
pub(crate) fn opener(content: Content) -> Option<Opener> {
    OPENERS.iter().find(|(kind, _)| *kind == content).map(|(_, opener)| *opener)
}
