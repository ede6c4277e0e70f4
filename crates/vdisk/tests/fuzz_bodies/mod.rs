//! What the fuzz targets of vdisk do with their bytes.
//!
//! They live here once: `fuzz/fuzz_targets` includes this folder by its path and lets libFuzzer choose the bytes,
//! and `tests/fuzz_replay.rs` runs the same bodies over the corpora that are checked in. A body builds a file
//! from its bytes, with every checksum made right so that the parser behind it is reached, and asserts what
//! must hold of any file: no panic is only the least of it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a body stops at the first surprise, which is what the fuzzer looks for"
)]

pub mod chain;
pub mod changed_ranges;
pub mod check_file;
pub mod input;
pub mod oracle;
pub mod parent_locator;
pub mod plain;
pub mod replay;
pub mod vhd_open;
pub mod vhdx_log;
pub mod vhdx_open;

/// Runs one input; panics when something does not hold.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`.
pub const BODIES: &[(&str, Body)] = &[
    ("chain", chain::body),
    ("changed_ranges", changed_ranges::body),
    ("check_file", check_file::body),
    ("check_vhd", check_file::vhd),
    ("parent_locator", parent_locator::body),
    ("vhd_open", vhd_open::body),
    ("vhdx_log", vhdx_log::body),
    ("vhdx_open", vhdx_open::body),
];
