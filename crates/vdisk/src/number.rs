//! Conversions between file arithmetic (`u64`) and memory arithmetic (`usize`).
//!
//! Offsets and lengths are `u64` everywhere because they describe files. They become `usize` only
//! to index a buffer, at which point they have already been bounded by that buffer's length. One
//! place states the platform assumption instead of a cast at every use.

const _: () =
    assert!(size_of::<usize>() == 8, "vdisk addresses disks beyond 4 GiB and needs 64-bit pointers");

/// A length or index for memory; lossless because pointers have 64 bits (asserted above).
#[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits, asserted at compile time")]
pub(crate) const fn index(value: u64) -> usize {
    value as usize
}

/// The smallest multiple of `unit` (a power of two) that is not below `value`.
pub(crate) const fn align_up(value: u64, unit: u64) -> u64 {
    value.saturating_add(unit - 1) & !(unit - 1)
}

/// One mebibyte, the alignment of everything in a VHDX file.
pub(crate) const MIB: u64 = 1 << 20;
