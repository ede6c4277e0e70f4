//! The fuzz targets' bodies over their corpora, and over bytes from a seeded generator.
//!
//! Whatever the fuzzer once found interesting stays so: each input is run again by every test run, without a
//! fuzzer. `cargo xtask fuzz` looks for new ones.

mod fuzz_bodies;

use fuzz_bodies::replay;

// case 72
#[test]
fn every_input_of_the_checked_in_corpora_holds() {
    replay::corpora();
}

// case 72
#[test]
fn generated_inputs_hold_too() {
    replay::generated(300, 200);
}

// case 72
#[test]
fn changed_inputs_of_the_corpora_hold_too() {
    replay::changed(100);
}
