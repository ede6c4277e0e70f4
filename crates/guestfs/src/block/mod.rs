//! What the readers of ext, XFS and FAT share: a small cache of blocks, an overlay of replayed blocks, and reading
//! a file through its extents.
//!
//! A journal is replayed into an [`Overlay`], and everything above reads through it. So a file's bytes, its extents
//! and the free space of a volume always come from one and the same state.

mod cache;
mod extents;
mod overlay;

pub(crate) use cache::Cached;
pub(crate) use extents::{Extents, Last, read_through};
pub(crate) use overlay::{Overlay, Patch};

#[cfg(test)]
pub(crate) use extents::tests::Bytes;
