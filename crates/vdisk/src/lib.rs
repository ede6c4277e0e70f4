//! Virtual hard disks of Hyper-V: VHDX and VHD files, differencing chains, changed ranges and extents.
//!
//! This crate stands alone in layer 0: bytes that Microsoft specified ([MS-VHDX], and the VHD format
//! before it) go in, a [`Disk`] comes out. The ways through it:
//!
//! ```text
//!  FileIo ──┬── Disk::open / open_chain / open_with ──► read_at, extents, allocated
//!           │        (read only; headers, regions and metadata checked at open, the BAT there or, when it
//!           │        is large, page by page as it is used; changes that are still in the log are
//!           │        replayed in memory, the file stays as it is)
//!           ├── WritableDisk::create / create_child / open ──► write_at, write_zeroes, flush, close
//!           │        (payload → flush → bitmaps and BAT through the log → flush: what was flushed survives
//!           │        a power cut, and the file opens after a cut at any moment)
//!           │        compact (a smaller file), resize (a larger or smaller disk)
//!           ├── VhdWriter: the same for VHD, which has no log (payload → flush → bitmaps and BAT → flush);
//!           │        compact, and resize to a larger disk
//!           ├── DiskWriter: whichever of the two the file needs
//!           └── merge_into_parent ──► the child's own content written into its parent
//!
//!  Disk ────┬── contents / data_windows ──► what must be read; holes of the files are zeros
//!           ├── convert / write_image ──► a whole new raw, VHDX, VHD or qcow2 file in one pass
//!           ├── measure ──► how much that would write, without writing it
//!           ├── compare, Disk::blake3 ──► whether bytes are the same
//!  FileIo ──┴── check::check ──► every rule of its format that a file violates, by name
//! ```
//!
//! A parent is found by the caller ([`Disk::open_with`]), in the child's folder, or where a
//! [`ParentMap`] says ([`Disk::open_local_with`]); what an image says of other places is never
//! followed. A VHD Set (`.vhds`) is recognised and refused: its format is not public.
//!
//! Two rules hold everywhere. Sizes read from a file are compared with the file's length before
//! memory is taken, so a hostile file costs little. A file that this crate cannot read *rightly*
//! is refused with a typed [`Error`]; it never returns stale or guessed data. Of a block table too large to
//! be read at open, two blocks that claim one place are refused once both were asked for; whoever reads
//! a part and must be sure of it asks [`Disk::block_usage`] first, which looks at all of the table.
//!
//! [MS-VHDX]: https://learn.microsoft.com/openspecs/windows_protocols/ms-vhdx/

mod chain;
pub mod check;
mod compare;
mod content;
mod convert;
mod data_run;
mod detect;
mod digest;
mod disk;
mod error;
mod file_io;
mod id;
mod layer;
mod number;
mod parent;
mod range;
mod vhd;
mod vhdset;
mod vhdx;
mod writer;
mod zero;

pub use chain::MAX_CHAIN_DEPTH;
pub use compare::{Comparison, compare};
pub use content::{Contents, DataWindows};
pub use convert::{Existing, Target, Written, convert, measure, write_image};
pub use digest::Watch;
pub use disk::{BlockUsage, Disk, DiskFormat, Extent, ExtentKind, Extents, LayerInfo};
pub use error::{Error, Result, Retry};
pub use file_io::{FileIo, FileRun, LocalFile, MemoryFile};
pub use id::DiskId;
pub use parent::{ParentLocator, ParentMap};
pub use range::{ByteRange, ChangedRanges};
pub use vhd::{VhdOptions, VhdWriter};
pub use vhdx::{
    BlockOutcome, CompactReport, CreateKind, CreateOptions, DiskKind, LogState, MergeReport, Oddity,
    Shrinking, UnknownPart, WritableDisk, block_outcome, merge_into_parent, relink_to_parent,
};
pub use writer::DiskWriter;
pub use zero::{data_runs, is_zero};
