//! The bytes that tell where the volumes of a guest are: partition tables, descriptions of groups, first sectors.
//!
//! No volume should reach over them. One of a damaged or made-up table may, and what it calls free must not take
//! the table away. Rather than naming each structure a second time, the volumes are looked for once more, and
//! whatever is read for that is noted.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use vdisk::{ByteRange, ChangedRanges};

use crate::layout::Layout;
use crate::map::Disks;
use crate::number::bytes;
use crate::source::Source;

/// What is read of each disk to find the volumes.
pub(super) fn of(disks: &Disks) -> BTreeMap<usize, ChangedRanges> {
    let noted: Vec<_> = disks.iter().map(|disk| Arc::new(Noted::new(Arc::clone(disk)))).collect();
    let sources: Vec<_> = noted.iter().map(|disk| Arc::clone(disk) as Arc<dyn Source>).collect();
    // What was found is known; a disk that fails now has told nothing before either.
    let _ = Layout::read(&sources);
    noted.iter().map(|disk| disk.ranges()).enumerate().collect()
}

/// A disk that notes what is read of it.
struct Noted {
    disk: Arc<dyn Source>,
    reads: Mutex<Vec<ByteRange>>,
}

impl Noted {
    fn new(disk: Arc<dyn Source>) -> Self {
        Self { disk, reads: Mutex::default() }
    }

    fn ranges(&self) -> ChangedRanges {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

impl Source for Noted {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let range = ByteRange::at(offset, bytes(buf.len()));
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).push(range);
        self.disk.read_at(offset, buf)
    }

    fn logical_sector(&self) -> u32 {
        self.disk.logical_sector()
    }

    fn name(&self) -> &str {
        self.disk.name()
    }
}
