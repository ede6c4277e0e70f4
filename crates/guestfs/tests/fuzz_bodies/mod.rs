//! What the fuzz targets of guestfs do with their bytes. As in vdisk, `fuzz/fuzz_targets` and
//! `tests/fuzz_replay.rs` both include this folder by its path.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a body stops at the first surprise, which is what the fuzzer looks for"
)]

pub mod exclusions;
pub mod files;
#[path = "../../../vdisk/tests/fuzz_bodies/input.rs"]
pub mod input;
pub mod ldm;
pub mod oracle;
#[path = "../../../vdisk/tests/fuzz_bodies/replay.rs"]
pub mod replay;
pub mod sectors;
pub mod tables;

/// Runs one input; panics when something does not hold.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`.
pub const BODIES: &[(&str, Body)] = &[
    ("exclusions", exclusions::body),
    ("exfat", files::exfat),
    ("ext", files::ext),
    ("fat", files::fat),
    ("ldm", ldm::body),
    ("lvm", tables::lvm),
    ("ntfs", files::ntfs),
    ("partitions", tables::partitions),
    ("xfs", files::xfs),
];
