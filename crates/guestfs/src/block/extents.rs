//! The extents of one file, in order, and reading through them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::number::{bytes, index};
use crate::source::Source;
use crate::tree::{FileExtent, NodeId};

/// Extents being collected in the order of the file; neighbours that touch become one.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    list: Vec<FileExtent>,
}

impl Extents {
    /// Adds an extent that starts at or behind the end of the last one; `false` when it does not, or when its end
    /// is beyond all numbers.
    #[must_use]
    pub(crate) fn push(&mut self, extent: FileExtent) -> bool {
        let ends = extent
            .file_offset
            .checked_add(extent.length)
            .zip(extent.volume_offset.checked_add(extent.length));
        if ends.is_none() {
            return false;
        }
        let Some(last) = self.list.last_mut() else {
            self.list.push(extent);
            return true;
        };
        let (file_end, volume_end) = (last.file_offset + last.length, last.volume_offset + last.length);
        if extent.file_offset < file_end {
            return false;
        }
        let touches = extent.file_offset == file_end && extent.volume_offset == volume_end;
        if touches && extent.unwritten == last.unwritten {
            last.length += extent.length;
        } else {
            self.list.push(extent);
        }
        true
    }

    /// The extents.
    pub(crate) fn into_list(self) -> Vec<FileExtent> {
        self.list
    }
}

/// Reads a file of `size` bytes at `offset` through its extents: holes and unwritten extents read as zeros. Returns
/// the number of bytes, which is short only at the end of the file.
pub(crate) fn read_through(
    source: &dyn Source,
    extents: &[FileExtent],
    size: u64,
    offset: u64,
    buf: &mut [u8],
) -> io::Result<usize> {
    let length = bytes(buf.len()).min(size.saturating_sub(offset));
    let (buf, end) = (&mut buf[..index(length)], offset + length);
    buf.fill(0);
    let first = extents.partition_point(|extent| extent.file_offset + extent.length <= offset);
    for extent in extents[first..].iter().take_while(|extent| extent.file_offset < end) {
        let from = extent.file_offset.max(offset);
        let to = (extent.file_offset + extent.length).min(end);
        if !extent.unwritten && from < to {
            let part = &mut buf[index(from - offset)..index(to - offset)];
            source.read_at(extent.volume_offset + (from - extent.file_offset), part)?;
        }
    }
    Ok(buf.len())
}

/// What was last worked out for a node. A file is read in many pieces, and its extents are looked up once.
#[derive(Debug)]
pub(crate) struct Last<T>(Mutex<Option<(NodeId, Arc<T>)>>);

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Last<T> {
    /// What is kept for `node`, or what `make` makes, which is then kept.
    pub(crate) fn get<E>(&self, node: NodeId, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((held, value)) = lock().as_ref()
            && *held == node
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make()?);
        *lock() = Some((node, Arc::clone(&value)));
        Ok(value)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A volume in memory.
    pub(crate) struct Bytes(pub(crate) Vec<u8>);

    impl Bytes {
        /// A volume whose bytes count up from 0.
        pub(crate) fn counting(length: usize) -> Self {
            Self((0..=u8::MAX).cycle().take(length).collect())
        }
    }

    impl Source for Bytes {
        fn len(&self) -> u64 {
            bytes(self.0.len())
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            let start = usize::try_from(offset).ok();
            let end = start.and_then(|start| start.checked_add(buf.len()));
            let part = start.zip(end).and_then(|(start, end)| self.0.get(start..end));
            buf.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }

        fn logical_sector(&self) -> u32 {
            512
        }

        fn name(&self) -> &str {
            "memory"
        }
    }

    fn extent(file_offset: u64, volume_offset: u64, length: u64, unwritten: bool) -> FileExtent {
        FileExtent { file_offset, volume_offset, length, unwritten }
    }

    #[test]
    fn touching_extents_become_one_and_disorder_is_refused() {
        let mut extents = Extents::default();
        assert!(extents.push(extent(0, 100, 10, false)) && extents.push(extent(10, 110, 10, false)));
        assert!(extents.push(extent(20, 120, 10, true)) && extents.push(extent(40, 0, 10, false)));
        assert!(!extents.push(extent(45, 0, 10, false)) && !extents.push(extent(60, u64::MAX, 2, false)));
        let expected = [extent(0, 100, 20, false), extent(20, 120, 10, true), extent(40, 0, 10, false)];
        assert_eq!(extents.into_list(), expected);
    }

    #[test]
    fn holes_and_unwritten_extents_read_as_zeros_and_the_end_is_short() {
        let volume = Bytes::counting(256);
        let list = [extent(0, 100, 4, false), extent(6, 200, 2, false), extent(8, 50, 2, true)];
        let mut buf = [7; 20];
        assert_eq!(read_through(&volume, &list, 12, 1, &mut buf).unwrap(), 11);
        assert_eq!(buf[..11], [101, 102, 103, 0, 0, 200, 201, 0, 0, 0, 0]);
        assert_eq!(read_through(&volume, &list, 12, 12, &mut buf).unwrap(), 0);
        assert_eq!(read_through(&volume, &list, 12, u64::MAX, &mut buf).unwrap(), 0);
    }
}
