//! Replaying fuzz bodies without a fuzzer: over the corpora that are checked in, over bytes from a seeded
//! generator, and over nothing at all. Both crates with fuzz targets include this file by its path.

use std::path::Path;

use super::{BODIES, Body};

/// Runs one input, naming it when it fails.
fn run(target: &str, input: &str, body: Body, bytes: &[u8]) {
    let outcome = std::panic::catch_unwind(|| body(bytes));
    assert!(outcome.is_ok(), "{target} fails on {input}");
}

/// Every checked-in input of every target.
pub fn corpora() {
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

/// `count` inputs of less than `length_max` bytes for every target, and none at all; the fuzzer runs millions.
pub fn generated(count: u64, length_max: u64) {
    for (target, body) in BODIES {
        run(target, "no bytes", *body, &[]);
        for seed in 0..count {
            run(target, &format!("seed {seed}"), *body, &bytes(seed, length_max));
        }
    }
}

/// Bytes of which many are small, since small ones mean something more often.
fn bytes(seed: u64, length_max: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        // xorshift64 (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let length = next() % length_max;
    (0..length)
        .map(|_| {
            let [value, kind, ..] = next().to_le_bytes();
            if kind < 100 { value % 16 } else { value }
        })
        .collect()
}
