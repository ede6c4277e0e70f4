//! libFuzzer's way into the body of the same name, which lives with the tests of guestfs.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz_bodies/mod.rs"]
mod fuzz_bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::ldm::body(bytes));
