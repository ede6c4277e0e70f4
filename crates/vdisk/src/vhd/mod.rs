//! The VHD format, the older one of Hyper-V and Virtual PC, one file per structure.
//!
//! ```text
//! format     layouts and checksums           footer    which footer counts, size by creator
//! chs        the geometry and its algorithm  locator   what a child knows of its parent
//! bat        block allocation table          bitmap    sector bitmaps, high bit first
//! image      one file opened, all checked    placement no two parts share space
//! create     new files                       write     allocation and the order of writes
//! compact    a smaller file                  resize    a larger disk
//! one_shot   a whole file in one pass        check     the validator's walk
//! ```

mod bat;
mod bitmap;
pub(crate) mod check;
mod chs;
mod compact;
mod create;
mod footer;
mod format;
mod image;
mod locator;
mod one_shot;
mod placement;
mod resize;
mod write;

pub use create::VhdOptions;
pub use write::VhdWriter;

pub(crate) use footer::{ends_as_fixed_disk, has_footer_cookie};
pub(crate) use image::VhdImage;
pub(crate) use one_shot::OneShot;
