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
use crate::number::index;
use crate::range::ByteRange;

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
pub fn merge_into_parent(layers: Vec<Arc<dyn FileIo>>) -> Result<MergeReport> {
    let child = check_whole_chain(&layers)?;
    let mut parent = WritableDisk::open_session(layers[1..].to_vec(), Session::KEEPING_DATA_IDENTITY)?;
    drop(layers);
    if child.capacity() > parent.capacity() {
        // The chain shows the same meanwhile: zeros behind the parent's old end.
        parent.resize(child.capacity(), Shrinking::KeepData)?;
    }
    let mut report = MergeReport::default();
    let mut buf = vec![0; index(COPY_BYTES.min(child.capacity()))];
    for extent in Extents::new(&child, ByteRange::new(0, child.capacity())) {
        let Extent { range, kind } = extent?;
        match kind {
            ExtentKind::Data { .. } => {
                copy(&child, &mut parent, range, &mut buf)?;
                report.copied_bytes += range.len();
            }
            ExtentKind::Zero => {
                parent.write_zeroes(range)?;
                report.zeroed_bytes += range.len();
            }
            ExtentKind::Absent => {}
        }
    }
    parent.flush()?;
    // Of a larger parent the chain never showed more than the child has.
    parent.resize(child.capacity(), Shrinking::CutOff)?;
    parent.renew_guids(Some(Uuid::new_v4()))?;
    parent.close()?;
    Ok(report)
}

/// Opens all files once, which checks that they belong together, and returns the child on its own:
/// what it leaves to its parent is then absent.
fn check_whole_chain(layers: &[Arc<dyn FileIo>]) -> Result<Chain> {
    let mut chain = Chain::open_files(layers.to_vec())?;
    if chain.layers.len() < 2 {
        let why = "it has no parent to be merged into".into();
        return Err(Error::BadChain { file: chain.name().to_owned(), why });
    }
    chain.layers.truncate(1);
    Ok(chain)
}

fn copy(child: &Chain, parent: &mut WritableDisk, range: ByteRange, buf: &mut [u8]) -> Result<()> {
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
