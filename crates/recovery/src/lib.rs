//! Bringing data back: disks and whole virtual machines from a restore point.
//!
//! All kinds of restore are one straight line: open the disk of a restore point (`DiskView`), write
//! its data into a [`Destination`], register what needs registering, verify. They differ only in where
//! the bytes go.
//!
//! ```text
//! destination  a VHDX or raw file that appears under its name only when complete
//! disk         one disk into a destination        verify   file against restore point, byte by byte
//! vm/          plan (pure) → disks → registration with the host; undone when any of it fails
//! ```

mod destination;
mod disk;
mod error;
mod pieces;
mod verify;
pub mod vm;

pub use destination::{Destination, DiskTarget, TargetFormat};
pub use disk::{DiskRestored, OnProgress, Progress, restore_disk};
pub use error::{Error, Result, Retry};
pub use verify::{Comparison, compare, open_restored, verify_restored};
