//! Merging a child into its parent: the parent then holds what the chain showed.
//!
//! The child is only read. What it holds itself hides the same places of the parent, so a chain over
//! a half-merged parent still reads right, and a merge that was cut can be run again. For that the
//! parent keeps its data write GUID, which the child checks, until everything is durable; only then
//! is it renewed, after which the child no longer fits and is to be deleted. The parent gets the size of
//! the child: it grows before the first block is copied, or is cut off after the last one.

use std::sync::Arc;

use uuid::Uuid;

use super::resize::Shrinking;
use super::session::Session;
use super::write::WritableDisk;
use crate::chain::Chain;
use crate::disk::{Extent, ExtentKind, Extents};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::layer::Layer;
use crate::number::index;
use crate::range::ByteRange;
use crate::vhd::VhdWriter;

/// Bytes copied at a time.
const COPY_BYTES: u64 = 4 << 20;

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MergeReport {
    /// Bytes copied from the child.
    pub copied_bytes: u64,
    /// Bytes that the child declared zero.
    pub zeroed_bytes: u64,
}

/// Writes what `layers[0]` holds itself into `layers[1]`; the rest are that file's own parents.
/// The parent must be writable and nobody else may write either file meanwhile.
///
/// A VHD has no identity that a merge could renew: its child still fits afterwards, and shows the same.
pub fn merge_into_parent(layers: Vec<Arc<dyn FileIo>>) -> Result<MergeReport> {
    let (child, parent_is_vhd) = check_whole_chain(&layers)?;
    let below = layers[1..].to_vec();
    drop(layers);
    if parent_is_vhd {
        return copy_all(&child, VhdWriter::open_chain(below)?);
    }
    copy_all(&child, WritableDisk::open_session(below, Session::KEEPING_DATA_IDENTITY)?)
}

/// A parent that takes what its child holds.
trait MergeTarget {
    /// Makes the disk at least as large as the child.
    fn prepare(&mut self, child: &Chain) -> Result<()>;
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()>;
    fn write_zeroes(&mut self, range: ByteRange) -> Result<()>;
    /// Makes everything durable, then the size that of the child, and renews the identity that it checks.
    fn finish(self, capacity: u64) -> Result<()>;
}

impl MergeTarget for WritableDisk {
    fn prepare(&mut self, child: &Chain) -> Result<()> {
        if child.capacity() > self.capacity() {
            // The chain shows the same meanwhile: zeros behind the parent's old end.
            self.resize(child.capacity(), Shrinking::KeepData)?;
        }
        Ok(())
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.write_at(offset, data)
    }
    fn write_zeroes(&mut self, range: ByteRange) -> Result<()> {
        self.write_zeroes(range)
    }
    fn finish(mut self, capacity: u64) -> Result<()> {
        self.flush()?;
        // Of a larger parent the chain never showed more than the child has.
        self.resize(capacity, Shrinking::CutOff)?;
        self.renew_guids(Some(Uuid::new_v4()))?;
        self.close()
    }
}

impl MergeTarget for VhdWriter {
    fn prepare(&mut self, child: &Chain) -> Result<()> {
        if child.capacity() == self.capacity() {
            return Ok(());
        }
        let why = "its size differs from its parent's, and a merge does not resize a VHD".into();
        Err(Error::BadChain { file: child.name().to_owned(), why })
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.write_at(offset, data)
    }
    fn write_zeroes(&mut self, range: ByteRange) -> Result<()> {
        self.write_zeroes(range)
    }
    fn finish(self, _capacity: u64) -> Result<()> {
        self.close()
    }
}

fn copy_all<T: MergeTarget>(child: &Chain, mut parent: T) -> Result<MergeReport> {
    parent.prepare(child)?;
    let mut report = MergeReport::default();
    let mut buf = vec![0; index(COPY_BYTES.min(child.capacity()))];
    for extent in Extents::new(child, ByteRange::new(0, child.capacity())) {
        let Extent { range, kind } = extent?;
        match kind {
            ExtentKind::Data { .. } => {
                copy(child, &mut parent, range, &mut buf)?;
                report.copied_bytes += range.len();
            }
            ExtentKind::Zero => {
                parent.write_zeroes(range)?;
                report.zeroed_bytes += range.len();
            }
            ExtentKind::Absent => {}
        }
    }
    parent.finish(child.capacity())?;
    Ok(report)
}

/// Opens all files once, which checks that they belong together. Returns the child on its own, where
/// what it leaves to its parent is absent, and whether the parent is a VHD.
fn check_whole_chain(layers: &[Arc<dyn FileIo>]) -> Result<(Chain, bool)> {
    let mut chain = Chain::open_files(layers.to_vec())?;
    let Some(parent) = chain.layers.get(1) else {
        let why = "it has no parent to be merged into".into();
        return Err(Error::BadChain { file: chain.name().to_owned(), why });
    };
    let parent_is_vhd = matches!(parent, Layer::Vhd(_));
    chain.layers.truncate(1);
    Ok((chain, parent_is_vhd))
}

fn copy<T: MergeTarget>(child: &Chain, parent: &mut T, range: ByteRange, buf: &mut [u8]) -> Result<()> {
    let mut at = range.start;
    while at < range.end {
        // Pieces end at multiples of their size, so that whole blocks are written whole.
        let end = range.end.min(at - at % COPY_BYTES + COPY_BYTES);
        let part = &mut buf[..index(end - at)];
        child.read_at(at, part)?;
        parent.write_at(at, part)?;
        at = end;
    }
    Ok(())
}
