//! Bringing data back: disks and whole virtual machines from a restore point.

mod error;
pub mod vm;

pub use error::{Error, Result, Retry};
