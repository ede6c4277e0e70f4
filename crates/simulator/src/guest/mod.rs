//! Inside the VMs: what their guests write, what their disks must therefore contain, and their file systems.

mod access;
mod expected;
mod file_tree;
mod filesystem;
mod image;
mod programs;
mod sparse;
mod write_log;

pub use access::Guest;
pub use expected::{Difference, ExpectedDisk};
pub use filesystem::{FileRecord, FilesChanged, GuestFiles, GuestFilesSpec};
pub use image::write_raw;
pub use write_log::Moment;

pub(crate) use expected::pieces;
pub(crate) use sparse::data_ranges;
pub(crate) use write_log::{Unflushed, WriteLog};
