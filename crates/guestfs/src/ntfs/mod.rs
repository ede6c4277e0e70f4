//! NTFS, read only: from the boot sector to the bytes of a file.
//!
//! ```text
//!  boot ─► medium ─► mft ─► record ─► attribute ─► file ─┬─► stream ─► runs, lznt1
//!                             └ fixup     └ attribute_list├─► index ─► name
//!                                                         └─► reparse, standard
//!  volume_info + logfile ─► the condition     tree: all of it as a `Tree`     exclude, bitmap: what need not be kept
//! ```
//!
//! Why our own reader, and what it follows: `docs/decisions/0007-own-ntfs-reader.md`. Two rules hold
//! in every file: a structure is used only when each of its checks passes, and whatever was found
//! to be in doubt is told, never shown as if it were certain.

mod attribute;
mod attribute_list;
mod bitmap;
mod boot;
mod exclude;
mod fault;
mod file;
mod fixup;
mod index;
mod logfile;
mod lznt1;
mod medium;
mod mft;
mod name;
mod open_streams;
mod record;
mod reparse;
mod runs;
mod standard;
mod stream;
mod tree;
mod volume_info;

pub(crate) use exclude::exclusions;
pub(crate) use tree::open;
