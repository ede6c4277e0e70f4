//! The VHDX format, one file per structure of MS-VHDX, then reading and writing on top.
//!
//! ```text
//! format    layouts, GUIDs and places        header   current header of two, update
//! region    region table of two              metadata items        locator   parent locator item
//! bat       what entries of the table mean    bitmap   sector bitmaps of differencing files
//! whole_table  a table in memory               paged_table  one read as it is needed, over page_cache
//! placement parts apart from each other       survey   the table summed up
//! image     one file opened: all of the above checked    presence  what one file says of a range
//! create    new files    one_shot  a whole file in one pass
//! session   opening for writing, identities       write  allocation and writing    space  room in the file
//! flush     durable order    log_writer  pages through the log    replay  the log put in place
//! merge     child into parent    relink  a child onto another parent file
//! compact   a smaller file       resize  a larger or smaller disk
//! ```

mod bat;
mod bitmap;
pub(crate) mod check;
mod compact;
mod create;
mod flush;
mod format;
mod header;
mod image;
mod locator;
mod log;
mod log_writer;
mod merge;
mod metadata;
mod one_shot;
mod page_cache;
mod paged_table;
mod placement;
mod presence;
mod region;
mod relink;
mod replay;
mod resize;
mod session;
mod space;
mod survey;
mod whole_table;
mod write;

pub use bat::{BlockOutcome, block_outcome};
pub use compact::CompactReport;
pub use create::{CreateKind, CreateOptions};
pub use image::{DiskKind, LogState, Oddity, UnknownPart};
pub use merge::{MergeReport, merge_into_parent};
pub use relink::relink_to_parent;
pub use resize::Shrinking;
pub use write::WritableDisk;

pub(crate) use image::{Image, has_signature};
pub(crate) use one_shot::OneShot;
pub(crate) use presence::Presence;
