//! Telling zeros from data, at the speed of memory.
//!
//! Bytes are compared with a page of zeros that stays in the first cache level. The comparison is
//! the C library's, which uses the widest vectors of the machine it runs on, also in builds for a
//! baseline processor and in debug builds; a loop over words does neither.

use std::ops::Range;

/// Zeros to compare with and to hash; large enough that a call costs nothing against its work.
pub(crate) static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Bytes compared at a time, so that data is told by its first page.
const STEP_BYTES: usize = 4096;

/// Whether every byte is zero.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(STEP_BYTES).all(|chunk| *chunk == ZEROS[..chunk.len()])
}

/// The runs of `bytes` that are not zero, in whole units counted from its start; neighbours joined.
#[must_use]
pub fn data_runs(bytes: &[u8], unit: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (number, chunk) in bytes.chunks(unit).enumerate() {
        if is_zero(chunk) {
            continue;
        }
        let start = number * unit;
        match runs.last_mut() {
            Some(last) if last.end == start => last.end += chunk.len(),
            _ => runs.push(start..start + chunk.len()),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_bit_anywhere_makes_it_data() {
        let mut bytes = vec![0; 3 * STEP_BYTES + 17];
        assert!(is_zero(&bytes) && is_zero(&[]));
        for at in [0, 1, STEP_BYTES - 1, STEP_BYTES, 2 * STEP_BYTES + 9, bytes.len() - 1] {
            bytes[at] = 0x10;
            assert!(!is_zero(&bytes), "at {at}");
            bytes[at] = 0;
        }
    }

    #[test]
    fn runs_are_whole_units_joined_with_a_short_last_one() {
        let mut bytes = vec![0; 45];
        for at in [10, 25, 44] {
            bytes[at] = 1;
        }
        assert_eq!(data_runs(&bytes, 10), [10..30, 40..45]);
        assert_eq!(data_runs(&[0; 30], 10), []);
    }
}
