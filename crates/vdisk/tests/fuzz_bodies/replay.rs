//! Replaying fuzz bodies without a fuzzer: over the corpora that are checked in, over changed inputs of these, over
//! bytes from a seeded generator, and over nothing at all. Both crates with fuzz targets include this file by its path.
//!
//! `FUZZ_REPLAY_FACTOR` multiplies how many inputs are made, and `FUZZ_REPLAY_TARGET` chooses one target.

use std::path::Path;

use super::{BODIES, Body};

/// Runs one input, naming it when it fails.
fn run(target: &str, input: &str, body: Body, bytes: &[u8]) {
    let outcome = std::panic::catch_unwind(|| body(bytes));
    assert!(outcome.is_ok(), "{target} fails on {input}");
}

/// The targets that are replayed.
fn targets() -> impl Iterator<Item = (&'static str, Body)> {
    let only = std::env::var("FUZZ_REPLAY_TARGET").ok();
    BODIES.iter().copied().filter(move |(target, _)| only.as_ref().is_none_or(|only| only == target))
}

/// `count` by the factor that the environment sets.
fn scaled(count: u64) -> u64 {
    count * std::env::var("FUZZ_REPLAY_FACTOR").map_or(1, |text| text.parse().unwrap())
}

/// The checked-in inputs of a target, with their paths.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no corpus");
    paths.iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
}

/// Every checked-in input of every target.
pub fn corpora() {
    for (target, body) in targets() {
        for (path, bytes) in corpus(target) {
            run(target, &path, body, &bytes);
        }
    }
}

/// `count` inputs of less than `length_max` bytes for every target, and none at all; the fuzzer runs millions.
pub fn generated(count: u64, length_max: u64) {
    for (target, body) in targets() {
        run(target, "no bytes", body, &[]);
        for seed in 0..scaled(count) {
            run(target, &format!("seed {seed}"), body, &bytes(seed, length_max));
        }
    }
}

/// `count` checked-in inputs of every target with a few bytes changed, moved, put in or taken out.
pub fn changed(count: u64) {
    for (target, body) in targets() {
        let corpus = corpus(target);
        for seed in 0..scaled(count) {
            let (path, bytes) = &corpus[seed as usize % corpus.len()];
            let other = &corpus[(seed / 7) as usize % corpus.len()].1;
            run(target, &format!("{path} changed by seed {seed}"), body, &change(bytes, other, seed));
        }
    }
}

/// An input with one to four changes, some of which bring in a part of another input.
fn change(input: &[u8], other: &[u8], seed: u64) -> Vec<u8> {
    let mut changed = input.to_vec();
    let random = bytes_of_length(seed, 4 * 8);
    for choice in random.chunks(8).take(1 + seed as usize % 4) {
        let at = usize::from(u16::from_le_bytes([choice[0], choice[1]])) % (changed.len() + 1);
        let count = usize::from(choice[2] % 12).min(changed.len() - at);
        let (from, value) = (usize::from(choice[3]) % (other.len() + 1), choice[4]);
        match choice[5] % 5 {
            0 => changed[at..at + count.min(1)].fill(value),
            1 => changed.insert(at, value),
            2 => drop(changed.drain(at..at + count)),
            3 => drop(changed.splice(at..at + count, other[from..].iter().take(12).copied())),
            _ => changed[at..at + count.min(1)].iter_mut().for_each(|byte| *byte ^= 1 << (value % 8)),
        }
    }
    changed
}

/// Bytes of which many are small, since small ones mean something more often.
fn bytes(seed: u64, length_max: u64) -> Vec<u8> {
    let length =
        u64::from_le_bytes(*bytes_of_length(seed ^ 0x5DEE_CE66, 8).first_chunk().unwrap()) % length_max;
    let mut bytes = bytes_of_length(seed, 2 * length as usize);
    for place in 0..length as usize {
        let (value, kind) = (bytes[2 * place], bytes[2 * place + 1]);
        bytes[place] = if kind < 100 { value % 16 } else { value };
    }
    bytes.truncate(length as usize);
    bytes
}

/// Bytes of a seeded generator.
fn bytes_of_length(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        // xorshift64 (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(|| next().to_le_bytes()).flatten().take(length).collect()
}
