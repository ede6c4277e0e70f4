//! The fuzz targets' bodies over their corpora, over bytes from a seeded generator, and over nothing at all, which
//! is the sound image: that must open.

mod fuzz_bodies;

use fuzz_bodies::replay;

#[test]
fn every_input_of_the_checked_in_corpora_holds() {
    replay::corpora();
}

#[test]
fn generated_inputs_hold_too() {
    replay::generated(60, 60);
}

#[test]
fn changed_inputs_of_the_corpora_hold_too() {
    replay::changed(60);
}
