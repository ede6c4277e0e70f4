//! What must hold of every disk that opens, whatever its file was made of.

use std::io;
use std::sync::Arc;

use vdisk::{ByteRange, Disk, Error, Extent, ExtentKind, FileIo, FileRun, MemoryFile};

/// Extents looked at; more only repeat the same code.
const EXTENTS_MAX: usize = 60;
/// Bytes read at each end of an extent.
const PROBE_BYTES: u64 = 1024;
/// Largest disk that is compared byte by byte.
pub const WHOLE_BYTES_MAX: u64 = 4 << 20;

/// A file whose reader must not write it.
#[derive(Debug)]
pub struct Sealed(pub MemoryFile);

impl FileIo for Sealed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, _data: &[u8]) -> io::Result<()> {
        panic!("a reader wrote its source at {offset}")
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        panic!("a reader set the length of its source to {len}")
    }
    fn run_at(&self, offset: u64) -> io::Result<FileRun> {
        self.0.run_at(offset)
    }
    fn name(&self) -> &str {
        self.0.name()
    }
}

/// A file that may only be read.
pub fn sealed(file: &MemoryFile) -> Arc<dyn FileIo> {
    Arc::new(Sealed(file.clone()))
}

/// An error has a code, a text, and a next step.
pub fn check_error(error: &Error) {
    assert!(!error.code().is_empty() && !error.next_step().is_empty() && !error.to_string().is_empty());
}

/// Facts are possible, extents cover the disk in order, and reads agree with them and with themselves.
pub fn check_disk(disk: &Disk) {
    let capacity = disk.capacity();
    assert!(capacity > 0 && capacity <= 64 << 40, "capacity {capacity}");
    assert_eq!(capacity % u64::from(disk.logical_sector()), 0);
    assert!(disk.layers().len() > 0);
    let mut at = 0;
    for extent in disk.extents(ByteRange::new(0, u64::MAX)).take(EXTENTS_MAX) {
        let Extent { range, kind } = match extent {
            Ok(extent) => extent,
            Err(error) => {
                check_error(&error);
                at = capacity;
                break;
            }
        };
        assert!(range.start == at && range.end > at && range.end <= capacity, "{range:?} after {at}");
        at = range.end;
        check_extent(disk, range, kind);
    }
    let looked_at_all = disk.extents(ByteRange::new(0, u64::MAX)).take(EXTENTS_MAX).count() < EXTENTS_MAX;
    assert!(at == capacity || !looked_at_all, "extents end at {at} of {capacity}");
    assert!(disk.read_at(capacity, &mut [0]).is_err() && disk.read_at(u64::MAX, &mut [0; 2]).is_err());
    assert!(disk.read_at(capacity, &mut []).is_ok());
}

fn check_extent(disk: &Disk, range: ByteRange, kind: ExtentKind) {
    if let ExtentKind::Data { layer, .. } = kind {
        assert!(layer < disk.layers().len());
    }
    let ends = [range.start, range.end - range.len().min(PROBE_BYTES)];
    for start in ends {
        let mut bytes = vec![0xEE; range.len().min(PROBE_BYTES) as usize];
        let read = disk.read_at(start, &mut bytes);
        if let Err(error) = read {
            panic!("an extent was told at {start}, but reading it says {error}");
        }
        let mut again = vec![0x11; bytes.len()];
        let middle = bytes.len() / 3;
        disk.read_at(start, &mut again[..middle]).unwrap();
        disk.read_at(start + middle as u64, &mut again[middle..]).unwrap();
        assert!(bytes == again, "two reads at {start} differ");
        if !matches!(kind, ExtentKind::Data { .. }) {
            assert!(vdisk::is_zero(&bytes), "{kind:?} at {start} has data");
        }
    }
}

/// All bytes of a disk that is small and can be read.
pub fn whole(disk: &Disk) -> Option<Vec<u8>> {
    if disk.capacity() > WHOLE_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0xEE; disk.capacity() as usize];
    disk.read_at(0, &mut bytes).ok().map(|()| bytes)
}

/// Both are refused, or both show the same disk.
pub fn check_same(one: &Result<Disk, Error>, other: &Result<Disk, Error>) {
    match (one, other) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one.capacity(), other.capacity());
            assert!(whole(one) == whole(other), "the two ways show different bytes");
        }
        (Err(_), Err(_)) => {}
        (Ok(_), Err(error)) => panic!("one way opens, the other says {error}"),
        (Err(error), Ok(_)) => panic!("one way says {error}, the other opens"),
    }
}
