//! Comparing two virtual disks byte by byte, whatever files they are kept in.
//!
//! What is absent, declared zero or a hole in both is not read. Disks of different sizes are equal when
//! the larger one holds only zeros beyond the other, because formats round sizes differently.

use std::iter::Peekable;

use crate::content::DataWindows;
use crate::digest::Watch;
use crate::disk::Disk;
use crate::error::Result;
use crate::number::index;
use crate::range::ByteRange;

/// Bytes compared at a time; two buffers of it fit the second cache level.
const WINDOW_BYTES: u64 = 256 * 1024;
/// Unit in which neighbouring differences are told as one range.
const SECTOR_BYTES: usize = 512;

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Offset of the first byte that differs.
    pub first_difference: Option<u64>,
    /// Number of bytes that differ.
    pub different_bytes: u64,
    /// Number of ranges of neighbouring sectors (512 bytes) that differ.
    pub different_ranges: u64,
    /// End of the last sector that differs.
    last_end: u64,
}

impl Comparison {
    /// Whether both disks hold the same bytes.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.different_bytes == 0
    }

    /// Takes two stretches from the same offset, of the same length.
    fn take(&mut self, offset: u64, one: &[u8], other: &[u8]) {
        if one == other {
            return;
        }
        let sectors = one.chunks(SECTOR_BYTES).zip(other.chunks(SECTOR_BYTES));
        for (number, (one, other)) in sectors.enumerate().filter(|(_, (one, other))| one != other) {
            let start = offset + (number * SECTOR_BYTES) as u64;
            let differs = |at: &usize| one[*at] != other[*at];
            self.different_bytes += (0..one.len()).filter(differs).count() as u64;
            if self.first_difference.is_none() {
                self.first_difference = (0..one.len()).find(differs).map(|at| start + at as u64);
            }
            self.different_ranges += u64::from(self.last_end != start || self.different_ranges == 0);
            self.last_end = start + one.len() as u64;
        }
    }
}

/// Compares two disks; `watch` counts the bytes of the larger one.
pub fn compare(one: &Disk, other: &Disk, watch: &Watch<'_>) -> Result<Comparison> {
    let length = one.capacity().max(other.capacity());
    let mut result = Comparison::default();
    let mut buffers = (vec![0; index(WINDOW_BYTES)], vec![0; index(WINDOW_BYTES)]);
    let windows = |disk: &Disk| ByteRange::new(0, disk.capacity());
    let mut first = one.data_windows(windows(one), WINDOW_BYTES).peekable();
    let mut second = other.data_windows(windows(other), WINDOW_BYTES).peekable();
    let mut at = 0;
    while let Some(number) = next_window(&mut first, &mut second) {
        let range = ByteRange::at(number * WINDOW_BYTES, WINDOW_BYTES).intersect(ByteRange::new(0, length));
        let in_first = take_window(&mut first, number)?;
        let in_second = take_window(&mut second, number)?;
        let bytes = index(range.len());
        read_or_zero(one, range, in_first, &mut buffers.0[..bytes])?;
        read_or_zero(other, range, in_second, &mut buffers.1[..bytes])?;
        result.take(range.start, &buffers.0[..bytes], &buffers.1[..bytes]);
        one.report(range.end - at, watch)?;
        at = range.end;
    }
    one.report(length - at, watch)?;
    Ok(result)
}

type Windows<'a> = Peekable<DataWindows<'a>>;

/// Number of the next window in which either disk has data; an error counts as the next one.
fn next_window(first: &mut Windows<'_>, second: &mut Windows<'_>) -> Option<u64> {
    let number = |next: Option<&Result<ByteRange>>| {
        next.map(|window| window.as_ref().map_or(0, |window| window.start / WINDOW_BYTES))
    };
    let (first, second) = (number(first.peek()), number(second.peek()));
    [first, second].into_iter().flatten().min()
}

/// Whether the disk has data in that window; fails with the error that stands there.
fn take_window(windows: &mut Windows<'_>, number: u64) -> Result<bool> {
    let here =
        |next: &Result<ByteRange>| next.as_ref().map_or(true, |window| window.start / WINDOW_BYTES == number);
    windows.next_if(here).transpose().map(|window| window.is_some())
}

/// Fills `buf` with the disk's bytes, and with zeros beyond its end.
fn read_or_zero(disk: &Disk, range: ByteRange, has_data: bool, buf: &mut [u8]) -> Result<()> {
    let inside = index(disk.capacity().min(range.end).saturating_sub(range.start));
    let (inside, beyond) = buf.split_at_mut(inside);
    beyond.fill(0);
    if has_data {
        return disk.read_at(range.start, inside);
    }
    inside.fill(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use super::*;
    use crate::number::MIB;
    use crate::{FileIo, MemoryFile};

    fn disk(capacity: u64, writes: &[(u64, &[u8])]) -> Disk {
        let file = MemoryFile::new("disk.raw");
        file.set_len(capacity).unwrap();
        for (at, bytes) in writes {
            file.write_at(*at, bytes).unwrap();
        }
        Disk::open_raw(Arc::new(file)).unwrap()
    }

    fn compared(one: &Disk, other: &Disk) -> (Option<u64>, u64, u64) {
        let result = compare(one, other, &|_| ControlFlow::Continue(())).unwrap();
        (result.first_difference, result.different_bytes, result.different_ranges)
    }

    #[test]
    fn differences_are_counted_in_bytes_and_in_ranges_of_sectors() {
        let base = disk(4 * MIB, &[(0, b"same"), (MIB, &[5; 2000])]);
        let changed = disk(4 * MIB, &[(0, b"sane"), (MIB, &[5; 2000]), (3 * MIB - 1, &[1; 514])]);
        assert_eq!(compared(&base, &base), (None, 0, 0));
        assert_eq!(compared(&base, &changed), (Some(2), 1 + 514, 2));
        assert_eq!(compared(&changed, &base), (Some(2), 1 + 514, 2));
    }

    #[test]
    fn a_larger_disk_is_equal_only_if_the_rest_is_zero() {
        let small = disk(MIB + 512, &[(MIB, b"end")]);
        let padded = disk(3 * MIB, &[(MIB, b"end")]);
        let longer = disk(3 * MIB, &[(MIB, b"end"), (2 * MIB, b"x")]);
        assert_eq!(compared(&small, &padded), (None, 0, 0));
        assert_eq!(compared(&longer, &small), (Some(2 * MIB), 1, 1));
    }
}
