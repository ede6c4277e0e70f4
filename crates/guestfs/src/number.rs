//! Conversions between disk arithmetic (`u64`) and memory arithmetic (`usize`).
//!
//! Offsets and lengths are `u64` everywhere because they describe disks. They become `usize` only to index a
//! buffer, at which point they have already been bounded by that buffer's length.

const _: () =
    assert!(size_of::<usize>() == 8, "guestfs addresses disks beyond 4 GiB and needs 64-bit pointers");

/// A length or index for memory; lossless because pointers have 64 bits (asserted above).
#[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits, asserted at compile time")]
pub(crate) const fn index(value: u64) -> usize {
    value as usize
}

/// A length in memory as a length on disk.
pub(crate) const fn bytes(value: usize) -> u64 {
    value as u64
}
