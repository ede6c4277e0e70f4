//! Cutting ranges of a disk into the pieces that are read, written and compared at a time.

use std::ops::Range;

/// Bytes of one piece: large enough that reads are sequential, small enough that a few in flight
/// stay far below the memory bound of 64 MiB.
pub(crate) const PIECE_BYTES: u64 = 4 << 20;

/// Pieces read at once, in the order of the disk.
pub(crate) const PIECES_IN_FLIGHT: usize = 4;

/// The ranges cut at multiples of [`PIECE_BYTES`], so that whole blocks stay whole.
pub(crate) fn pieces(ranges: Vec<Range<u64>>) -> impl Iterator<Item = Range<u64>> {
    ranges.into_iter().flat_map(|range| {
        let mut next = range.start;
        std::iter::from_fn(move || {
            (next < range.end).then(|| {
                let start = next;
                next = range.end.min(start - start % PIECE_BYTES + PIECE_BYTES);
                start..next
            })
        })
    })
}

/// Number of bytes in the ranges.
pub(crate) fn total(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// Bytes of a piece as a length in memory; at most [`PIECE_BYTES`].
pub(crate) fn length(piece: &Range<u64>) -> usize {
    usize::try_from(piece.end - piece.start).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_multiples_and_nothing_is_lost() {
        let ranges = vec![10..20, PIECE_BYTES - 5..2 * PIECE_BYTES + 1, 5 * PIECE_BYTES..6 * PIECE_BYTES];
        let cut: Vec<_> = pieces(ranges.clone()).collect();
        assert_eq!(
            cut,
            [
                10..20,
                PIECE_BYTES - 5..PIECE_BYTES,
                PIECE_BYTES..2 * PIECE_BYTES,
                2 * PIECE_BYTES..2 * PIECE_BYTES + 1,
                5 * PIECE_BYTES..6 * PIECE_BYTES,
            ]
        );
        assert_eq!(total(&cut), total(&ranges));
    }
}
