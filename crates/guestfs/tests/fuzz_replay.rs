//! The fuzz targets' bodies over their corpora, over bytes from a seeded generator, and over nothing at all, which
//! is the sound image: that must open.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod fuzz_bodies;

use std::path::Path;

use fuzz_bodies::{BODIES, Body};

/// Generated inputs for each target; the fuzzer runs millions.
const GENERATED: u64 = 60;

fn run(target: &str, input: &str, body: Body, bytes: &[u8]) {
    let outcome = std::panic::catch_unwind(|| body(bytes));
    assert!(outcome.is_ok(), "{target} fails on {input}");
}

#[test]
fn every_input_of_the_checked_in_corpora_holds() {
    for (target, body) in BODIES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{target} has no corpus");
        for path in paths {
            run(target, &path.display().to_string(), *body, &std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn generated_inputs_hold_too() {
    for (target, body) in BODIES {
        run(target, "no bytes", *body, &[]);
        for seed in 0..GENERATED {
            run(target, &format!("seed {seed}"), *body, &generated(seed));
        }
    }
}

/// Up to 60 bytes, many of them small, since small ones mean something more often.
fn generated(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        // xorshift64 (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let length = next() % 60;
    (0..length)
        .map(|_| {
            let [value, kind, ..] = next().to_le_bytes();
            if kind < 100 { value % 16 } else { value }
        })
        .collect()
}
