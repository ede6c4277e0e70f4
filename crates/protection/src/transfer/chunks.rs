//! Which pieces of a disk are moved, in rising order and never two over the same bytes.
//!
//! The repository takes whole blocks, so every piece begins and ends on a block boundary (the
//! last one may end with the disk). Aligning outward is always safe: the extra bytes are read
//! from the same frozen disk.

use vdisk::{ByteRange, Disk, ExtentKind};

/// Largest piece read at once. 1 MiB reads already reach the speed of a plain copy, and a few
/// of them in flight stay far below any memory bound.
pub(super) const PIECE_BYTES_MAX: u64 = 1 << 20;

/// The allocated bytes of a disk as block-aligned pieces, found lazily, so that a disk of any
/// size costs no list in memory.
pub(super) fn allocated(disk: &Disk, block_bytes: u64) -> impl Iterator<Item = vdisk::Result<ByteRange>> {
    let capacity = disk.capacity();
    let whole = ByteRange { start: 0, end: capacity };
    let mut covered = 0;
    let data = disk.extents(whole).filter_map(|extent| match extent {
        Ok(extent) => matches!(extent.kind, ExtentKind::Data { .. }).then_some(Ok(extent.range)),
        Err(error) => Some(Err(error)),
    });
    data.flat_map(move |range| match range {
        Err(error) => Pieces::failed(error),
        Ok(range) => {
            let start = align_down(range.start, block_bytes).max(covered);
            let end = align_up(range.end, block_bytes).min(capacity);
            covered = covered.max(end);
            Pieces::over(start, end)
        }
    })
}

/// Some ranges of a disk as block-aligned pieces. The ranges are aligned already.
pub(super) fn of_ranges(
    ranges: &vdisk::ChangedRanges,
) -> impl Iterator<Item = vdisk::Result<ByteRange>> + '_ {
    ranges.iter().flat_map(|range| Pieces::over(range.start, range.end))
}

/// Whether a piece holds anything but zeros by the disk's own account.
pub(super) fn has_data(disk: &Disk, piece: ByteRange) -> vdisk::Result<bool> {
    for extent in disk.extents(piece) {
        if matches!(extent?.kind, ExtentKind::Data { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A range cut at multiples of [`PIECE_BYTES_MAX`], or one error.
struct Pieces {
    next: u64,
    end: u64,
    error: Option<vdisk::Error>,
}

impl Pieces {
    fn over(start: u64, end: u64) -> Self {
        Self { next: start, end, error: None }
    }

    fn failed(error: vdisk::Error) -> Self {
        Self { next: 0, end: 0, error: Some(error) }
    }
}

impl Iterator for Pieces {
    type Item = vdisk::Result<ByteRange>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        if self.next >= self.end {
            return None;
        }
        let start = self.next;
        let boundary = align_down(start, PIECE_BYTES_MAX) + PIECE_BYTES_MAX;
        self.next = boundary.min(self.end);
        Some(Ok(ByteRange { start, end: self.next }))
    }
}

fn align_down(value: u64, unit: u64) -> u64 {
    value / unit * unit
}

fn align_up(value: u64, unit: u64) -> u64 {
    value.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vdisk::{CreateOptions, MemoryFile, WritableDisk};

    use super::*;

    const MIB: u64 = 1 << 20;

    fn disk_with(capacity: u64, writes: &[(u64, &[u8])]) -> Disk {
        let file = MemoryFile::new("test");
        let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::dynamic(capacity) };
        let mut disk = WritableDisk::create(Arc::new(file.clone()), &options).unwrap();
        for (offset, data) in writes {
            disk.write_at(*offset, data).unwrap();
        }
        disk.close().unwrap();
        Disk::open(Arc::new(file)).unwrap()
    }

    fn pairs(pieces: impl Iterator<Item = vdisk::Result<ByteRange>>) -> Vec<(u64, u64)> {
        pieces.map(|piece| piece.map(|piece| (piece.start, piece.end)).unwrap()).collect()
    }

    #[test]
    fn an_empty_disk_has_no_pieces() {
        assert_eq!(pairs(allocated(&disk_with(64 * MIB, &[]), 65536)), []);
    }

    #[test]
    fn only_allocated_blocks_are_read_in_pieces_of_a_mebibyte() {
        let disk = disk_with(64 * MIB, &[(3 * MIB, b"a"), (4 * MIB, b"b"), (40 * MIB, b"c")]);
        let expected = [(3 * MIB, 4 * MIB), (4 * MIB, 5 * MIB), (40 * MIB, 41 * MIB)];
        assert_eq!(pairs(allocated(&disk, 65536)), expected);
    }

    #[test]
    fn a_disk_that_ends_inside_a_block_ends_its_last_piece() {
        let capacity = 2 * MIB + 512;
        let disk = disk_with(capacity, &[(2 * MIB, b"z")]);
        assert_eq!(pairs(allocated(&disk, 65536)), [(2 * MIB, capacity)]);
    }

    #[test]
    fn ranges_are_cut_on_the_same_boundaries() {
        let ranges = vdisk::ChangedRanges::from_ranges([ByteRange { start: 65536, end: 2 * MIB + 65536 }]);
        let expected = [(65536, MIB), (MIB, 2 * MIB), (2 * MIB, 2 * MIB + 65536)];
        assert_eq!(pairs(of_ranges(&ranges)), expected);
    }
}
