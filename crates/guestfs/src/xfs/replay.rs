//! The log of XFS, replayed in memory by the `lamxfs` crate.
//!
//! `lamxfs` replays a log rightly, but shows the result only as paths and bytes of files: no times, no extents, no free
//! space. The blocks that its replay changed are therefore taken out of it. While it opens the volume, every place
//! outside the log that it reads is noted: a block is read before it is changed, so these are all blocks that can
//! differ. Then each is read back through the replayed view: an inode is offered to the crate, at a place inside the
//! log, that maps one block of the volume as a file's content, and that file is read. What comes back is kept in an
//! [`Overlay`](crate::block::Overlay), and the crate is let go.
//!
//! The crate is young. It is pinned to one version, a panic in it becomes a typed error, and what it reads is bounded, as
//! is the work that the log asks for ([`Work`]).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use lamxfs::{BlockRead, Inode, SuperblockReason, Xfs};
use vdisk::{ByteRange, ChangedRanges};
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes, little_endian};

use super::format::{FORMAT_EXTENTS, INODE_MAGIC, RawInode};
use super::geometry::Geometry;
use super::work::Work;
use crate::block::Patch;
use crate::error::{Error, Result};
use crate::number::index;
use crate::source::Source;

/// Most reads while opening: a log of 2 GiB read block by block four times over.
const MAX_READS: u64 = 16 << 20;
/// Most bytes of reads while opening. A log of 128 MiB full of inodes, each in a buffer of 16 KiB, takes half of it.
const MAX_READ_BYTES: u64 = 16 << 30;
/// Reads before the log is looked at: the super block, once or twice.
const READS_BEFORE_LOG: u64 = 64;

/// Lets the crate check the features and replay the log; returns the blocks that may differ from the volume.
pub(super) fn replay(source: &dyn Source) -> Result<BTreeMap<u64, Patch>> {
    catch_unwind(AssertUnwindSafe(|| guarded(source)))
        .unwrap_or_else(|_| Err(Error::damaged(source.name(), "its log or super block cannot be understood")))
}

fn guarded(source: &dyn Source) -> Result<BTreeMap<u64, Patch>> {
    let geometry = Geometry::read(source).and_then(|geometry| Ok((log_range(source, &geometry)?, geometry)));
    let work = geometry.as_ref().ok().map(|(log, _)| Work::of(*log));
    let state = Rc::new(State { work: RefCell::new(work), ..State::default() });
    let window = Window { source, state: Rc::clone(&state) };
    let opened = Xfs::open(window, source.len());
    // What the crate says of a super block is more exact; without a geometry it gets no further than that.
    let (mut xfs, (log, geometry)) = match (opened, geometry) {
        (Ok(xfs), Ok(geometry)) => (xfs, geometry),
        (Err(error), Ok(_)) => return Err(refusal(source, &state, &error)),
        (Err(error), Err(_)) if !state.refused.get() => return Err(refusal(source, &state, &error)),
        (_, Err(error)) => return Err(error),
    };
    let touched = touched(&state, &geometry, log);
    let inode = Inode { ino: inode_inside(&geometry) };
    let mut blocks = BTreeMap::new();
    for range in &touched {
        for block in range.start..range.end {
            let content = read_block(&mut xfs, &state, &geometry, inode, block)
                .map_err(|error| refusal(source, &state, &error))?;
            let mut before = vec![0; content.len()];
            source
                .read_at(block * geometry.block_bytes, &mut before)
                .map_err(|e| Error::io(source.name(), "a block that the log changes", e))?;
            if content != before {
                blocks.insert(block, Patch::Bytes(content.into()));
            }
        }
    }
    if !blocks.is_empty() && state.work.borrow().as_ref().is_none_or(|work| work.operations() == 0) {
        return Err(Error::damaged(source.name(), "its log was replayed in a way that could not be watched"));
    }
    Ok(blocks)
}

/// The blocks outside the log that were read while opening.
fn touched(state: &State, geometry: &Geometry, log: ByteRange) -> ChangedRanges {
    let unit = geometry.block_bytes;
    let reads: ChangedRanges = state.reads.take().into_iter().collect();
    let outside = reads.minus(&ChangedRanges::from_ranges([log])).align_outward(unit, geometry.size());
    outside.iter().map(|range| ByteRange::new(range.start / unit, range.end.div_ceil(unit))).collect()
}

fn log_range(source: &dyn Source, geometry: &Geometry) -> Result<ByteRange> {
    let (start, count) = (geometry.sb.log_start.get(), u64::from(geometry.sb.log_blocks.get()));
    let place = geometry.place_of_block(start, count);
    let place = place.ok_or_else(|| Error::damaged(source.name(), "its log lies outside the file system"))?;
    Ok(ByteRange::at(place, count * geometry.block_bytes))
}

/// The number of the inode whose place is the first of the log.
fn inode_inside(geometry: &Geometry) -> u64 {
    geometry.sb.log_start.get() << geometry.sb.inodes_per_block_log
}

/// Reads one block through the crate's replayed view.
fn read_block(
    xfs: &mut Xfs<Window<'_>>,
    state: &State,
    geometry: &Geometry,
    inode: Inode,
    block: u64,
) -> Result<Vec<u8>, lamxfs::Error> {
    let per_group = u64::from(geometry.sb.group_blocks.get());
    let number = ((block / per_group) << geometry.sb.group_blocks_log) | (block % per_group);
    let place = geometry.place_of_inode(inode.ino).unwrap_or(u64::MAX);
    state.offered.replace(Some((place, offered_inode(geometry, inode.ino, number))));
    let mut content = vec![0; index(geometry.block_bytes)];
    let read = xfs.read_file_at(&inode, 0, &mut content);
    state.offered.replace(None);
    read.map(|_| content)
}

/// An inode of version 3 whose content is one block.
fn offered_inode(geometry: &Geometry, number: u64, block: u64) -> Vec<u8> {
    let mut raw = RawInode::new_zeroed();
    raw.magic = U16::new(INODE_MAGIC);
    raw.mode = U16::new(0o100_600);
    raw.version = 3;
    raw.format = FORMAT_EXTENTS;
    raw.links = U32::new(1);
    raw.size = U64::new(geometry.block_bytes);
    raw.extents = U32::new(1);
    raw.number = U64::new(number);
    raw.uuid = geometry.sb.uuid;
    let mut inode = raw.as_bytes().to_vec();
    // One extent of one block: its number in bits 21 to 72 of 128.
    inode.extend_from_slice(&((u128::from(block) << 21) | 1).to_be_bytes());
    inode.resize(usize::from(geometry.sb.inode_bytes.get()), 0);
    let sum = little_endian::U32::new(crc32c::crc32c(&inode));
    inode[super::format::SMALL_INODE_BYTES..][..4].copy_from_slice(sum.as_bytes());
    inode
}

/// What the crate says, in plain words.
fn refusal(source: &dyn Source, state: &State, error: &lamxfs::Error) -> Error {
    let volume = source.name();
    if state.refused.get() {
        return Error::unsupported(
            volume,
            "the log of the XFS file system asks for more work than any real one (it is damaged or made up); without \
             it files would be shown as they no longer are",
        );
    }
    if let Some(error) = state.failed.take() {
        return Error::io(volume, "the log or the super block", error);
    }
    match error {
        lamxfs::Error::UnsupportedFeature("feat_ascii_ci") => Error::unsupported(
            volume,
            "the XFS file system compares names without case (ascii-ci), which cannot be read",
        ),
        lamxfs::Error::UnsupportedFeature(_) => {
            Error::unsupported(volume, "the XFS file system uses a feature newer than this version knows")
        }
        lamxfs::Error::BadSuperblock(reason) => match reason {
            SuperblockReason::DirtyLog => Error::unsupported(
                volume,
                "the log of the XFS file system holds changes that cannot be replayed here (a file system of version 4, \
                 one that needs repair, or a change cut in half); files would be shown as they no longer are",
            ),
            SuperblockReason::ExternalLog => {
                Error::unsupported(volume, "the log of the XFS file system is on another device")
            }
            SuperblockReason::RealtimeDevice => Error::unsupported(
                volume,
                "the XFS file system keeps files on a realtime device, which cannot be read",
            ),
            SuperblockReason::UnsupportedVersion => {
                Error::unsupported(volume, "the XFS file system is of a version before 4")
            }
            reason => Error::damaged(volume, format!("its super block or log breaks a rule ({reason:?})")),
        },
        error => Error::damaged(volume, format!("its log or super block breaks a rule ({error:?})")),
    }
}

/// What the crate read, and what it is offered instead.
#[derive(Default)]
struct State {
    reads: RefCell<Vec<ByteRange>>,
    count: Cell<u64>,
    bytes: Cell<u64>,
    /// What the log asks for; `None` while nobody knows where it is.
    work: RefCell<Option<Work>>,
    /// Whether a bound was reached.
    refused: Cell<bool>,
    failed: Cell<Option<io::Error>>,
    offered: RefCell<Option<(u64, Vec<u8>)>>,
}

/// The volume as the crate sees it.
struct Window<'a> {
    source: &'a dyn Source,
    state: Rc<State>,
}

impl BlockRead for Window<'_> {
    type Error = ();

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ()> {
        if let Some((place, inode)) = &*self.state.offered.borrow()
            && *place == offset
            && inode.len() == buf.len()
        {
            buf.copy_from_slice(inode);
            return Ok(());
        }
        if !self.is_bounded(buf.len() as u64) {
            self.state.refused.set(true);
            return Err(());
        }
        let is_opening = self.state.offered.borrow().is_none();
        if is_opening {
            self.note(offset, buf.len() as u64);
        }
        self.source.read_at(offset, buf).map_err(|error| self.state.failed.set(Some(error)))?;
        if is_opening && let Some(work) = &mut *self.state.work.borrow_mut() {
            work.see(offset, buf);
        }
        Ok(())
    }
}

impl Window<'_> {
    /// Counts a read; false when there were too many, or when the log asks for too much.
    fn is_bounded(&self, length: u64) -> bool {
        let state = &self.state;
        state.count.set(state.count.get() + 1);
        state.bytes.set(state.bytes.get().saturating_add(length));
        let work = state.work.borrow();
        let reads_max = if work.is_some() { MAX_READS } else { READS_BEFORE_LOG };
        state.count.get() <= reads_max
            && state.bytes.get() <= MAX_READ_BYTES
            && work.as_ref().is_none_or(|work| !work.is_too_much())
    }

    fn note(&self, offset: u64, length: u64) {
        let mut reads = self.state.reads.borrow_mut();
        match reads.last_mut() {
            Some(last) if last.end == offset => last.end = offset.saturating_add(length),
            _ => reads.push(ByteRange::at(offset, length)),
        }
    }
}
