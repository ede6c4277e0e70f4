//! One VHDX file, opened: every structure read and checked.
//!
//! Opening reads headers, region table, metadata and the whole block allocation table, and checks
//! them against each other (`placement`), so that reads afterwards only look up and copy. What the
//! log holds is laid over the file first, for everything but the headers may be in it. The same image
//! serves readers and the one writer; what the writer changes (table entries, bitmaps, header,
//! length) is behind atomics and locks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::bat::{Bat, BlockOutcome, block_outcome};
use super::bitmap::SectorBitmaps;
use super::format::{CREATOR_BYTES, FILE_SIGNATURE, HEADER_SECTION_BYTES};
use super::header::CurrentHeader;
use super::log::{Overlay, Replay};
use super::metadata::{Geometry, Metadata, Role};
use super::placement::{self, Placement};
use super::region::Regions;
use crate::detect::looks_like;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::id::DiskId;
use crate::parent::ParentLocator;

/// How a VHDX file keeps its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKind {
    /// All blocks have space in the file from the start.
    Fixed,
    /// Blocks get space when they are first written.
    Dynamic,
    /// Holds what differs from a parent file.
    Differencing,
}

/// A region or metadata item that this version does not know. It is kept, and reported so that
/// files from the field can tell what exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPart {
    /// "region" or "metadata item".
    pub what: &'static str,
    /// Its GUID.
    pub id: Uuid,
    /// Its length in bytes.
    pub length: u64,
}

/// Whether a file's log held changes that were not in place when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogState {
    /// The log was empty.
    #[default]
    Clean,
    /// The log's changes are laid over the file in memory; the file itself is as it was.
    ReplayedInMemory {
        /// Number of log entries replayed.
        entries: u64,
    },
}

/// Something in a file that breaks a rule and can be read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// So many blocks are marked as partially present, which needs a parent (MS-VHDX 2.5.1.1), in a
    /// file without one. They are read as present, as Windows does.
    PartialWithoutParent(u64),
    /// So many sector bitmap entries are not empty in a file without a parent; QEMU before 8.0 left
    /// them. They mean nothing.
    JunkBitmapEntries(u64),
    /// So many present blocks or sector bitmaps reach beyond the end of the file. Reading them is an
    /// error.
    BlocksBeyondEnd(u64),
}

/// An opened VHDX file.
#[derive(Debug)]
pub(crate) struct Image {
    pub(super) file: Arc<dyn FileIo>,
    pub(super) geometry: Geometry,
    pub(super) regions: Regions,
    pub(super) bat: Bat,
    pub(super) bitmaps: SectorBitmaps,
    header: Mutex<CurrentHeader>,
    length: AtomicU64,
    placement: Placement,
    disk_id: DiskId,
    creator: String,
    locator: Option<ParentLocator>,
    unknown: Vec<UnknownPart>,
    log: LogState,
}

impl Image {
    /// Opens and checks a file for reading only. Changes in its log are replayed in memory; the file
    /// is never written.
    pub(crate) fn open(file: Arc<dyn FileIo>) -> Result<Self> {
        let (creator, header) = read_start(&*file)?;
        if header.log_guid().is_nil() {
            return Self::open_replayed(file, creator, header, LogState::Clean);
        }
        let replay = Replay::read(&*file, &header.header)?;
        let log = LogState::ReplayedInMemory { entries: replay.entries() };
        let overlay = Overlay::new(Arc::clone(&file), replay)
            .map_err(|error| Error::io(file.name(), "read the length of", error))?;
        Self::open_replayed(Arc::new(overlay), creator, header, log)
    }

    /// As [`Image::open`], for a file of draft 0.95 of the specification.
    pub(crate) fn open_draft(file: Arc<dyn FileIo>) -> Result<Self> {
        let image = Self::open(file)?;
        image.bat.translate_draft();
        Ok(image)
    }

    /// Opens and checks a file that is to be written. Changes in its log must be in place.
    pub(crate) fn open_for_writing(file: Arc<dyn FileIo>) -> Result<Self> {
        let (creator, header) = read_start(&*file)?;
        if !header.log_guid().is_nil() {
            return Err(Error::LogNeedsReplay { file: file.name().to_owned() });
        }
        let image = Self::open_replayed(file, creator, header, LogState::Clean)?;
        image.check_inside()?;
        Ok(image)
    }

    /// Reads everything that a log may change.
    fn open_replayed(
        file: Arc<dyn FileIo>,
        creator: String,
        header: CurrentHeader,
        log_state: LogState,
    ) -> Result<Self> {
        let length = file.len().map_err(|error| Error::io(file.name(), "read the length of", error))?;
        let regions = Regions::read(&*file)?;
        let metadata = Metadata::read(&*file, regions.metadata)?;
        let bat = Bat::load(&*file, regions.bat, metadata.geometry.bat_entries())?;
        let unknown = unknown_parts(&regions, &metadata);
        let log = header.log_range();
        let mut image = Self {
            geometry: metadata.geometry,
            regions,
            bat,
            bitmaps: SectorBitmaps::default(),
            header: Mutex::new(header),
            length: AtomicU64::new(length),
            placement: Placement::default(),
            disk_id: metadata.disk_id,
            creator,
            locator: metadata.locator,
            unknown,
            log: log_state,
            file,
        };
        image.placement = placement::check(&image, log)?;
        Ok(image)
    }

    pub(crate) fn name(&self) -> &str {
        self.file.name()
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(crate) fn disk_id(&self) -> DiskId {
        self.disk_id
    }

    pub(crate) fn creator(&self) -> &str {
        &self.creator
    }

    pub(crate) fn locator(&self) -> Option<&ParentLocator> {
        self.locator.as_ref()
    }

    pub(crate) fn unknown(&self) -> &[UnknownPart] {
        &self.unknown
    }

    pub(crate) fn log(&self) -> LogState {
        self.log
    }

    pub(crate) fn file(&self) -> &Arc<dyn FileIo> {
        &self.file
    }

    pub(crate) fn kind(&self) -> DiskKind {
        match (self.geometry.has_parent, self.geometry.leave_blocks_allocated) {
            (true, _) => DiskKind::Differencing,
            (false, true) => DiskKind::Fixed,
            (false, false) => DiskKind::Dynamic,
        }
    }

    /// Identity of the content, which a child notes of its parent.
    pub(crate) fn data_write_guid(&self) -> Uuid {
        self.header().data_write_guid()
    }

    /// Identity of the bytes of the file.
    pub(crate) fn file_write_guid(&self) -> Uuid {
        self.header().file_write_guid()
    }

    /// Number of payload blocks that have data in this file.
    pub(crate) fn present_blocks(&self) -> u64 {
        let is_present = |(at, entry): &(u64, u64)| {
            matches!(self.geometry.role_of(*at), Some(Role::Payload(_)))
                && matches!(block_outcome(*entry, self.geometry.has_parent), BlockOutcome::Data { .. })
        };
        self.bat.used().filter(is_present).count() as u64
    }

    /// Length of the file as this process knows it.
    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    pub(super) fn set_length(&self, length: u64) {
        self.length.store(length, Ordering::Release);
    }

    /// One past the last byte in use when the file was opened.
    pub(super) fn used_end(&self) -> u64 {
        self.placement.used_end
    }

    /// What is odd about the file, though it can be read.
    pub(crate) fn oddities(&self) -> Vec<Oddity> {
        let found = &self.placement;
        let all = [
            (found.partial_without_parent, Oddity::PartialWithoutParent as fn(u64) -> Oddity),
            (found.junk_bitmap_entries, Oddity::JunkBitmapEntries),
            (found.beyond_end, Oddity::BlocksBeyondEnd),
        ];
        all.into_iter().filter(|(count, _)| *count > 0).map(|(count, oddity)| oddity(count)).collect()
    }

    pub(super) fn header(&self) -> MutexGuard<'_, CurrentHeader> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file holds all bytes of a block's part of the disk; its space may end earlier.
    pub(super) fn holds_block(&self, block: u64, file_offset: u64) -> bool {
        file_offset.saturating_add(self.geometry.block_range(block).len()) <= self.length()
    }

    /// Where a block's content comes from; an entry that may not be used is an error here.
    pub(super) fn outcome(&self, block: u64) -> Result<BlockOutcome> {
        let entry = self.bat.get(self.geometry.payload_entry(block));
        match block_outcome(entry, self.geometry.has_parent) {
            BlockOutcome::Reserved => Err(Error::BadBlock {
                file: self.name().to_owned(),
                block,
                entry,
                why: "a state or offset that the format does not allow",
            }),
            BlockOutcome::Data { file_offset, .. } if !self.holds_block(block, file_offset) => {
                Err(self.cut_short(block, file_offset))
            }
            outcome => Ok(outcome),
        }
    }

    fn cut_short(&self, block: u64, file_offset: u64) -> Error {
        let needed = file_offset.saturating_add(self.geometry.block_range(block).len());
        let (file, length) = (self.name().to_owned(), self.length());
        Error::Truncated { file, what: format!("block {block}"), needed, length }
    }

    /// A writer lets the file grow, under blocks that reach beyond its end or under its log.
    fn check_inside(&self) -> Result<()> {
        let (log, length) = (self.header().log_range(), self.length());
        if !log.is_empty() && log.end > length {
            let (file, what) = (self.name().to_owned(), "its log".to_owned());
            return Err(Error::Truncated { file, what, needed: log.end, length });
        }
        if self.placement.beyond_end == 0 {
            return Ok(());
        }
        for (at, _) in self.bat.used() {
            if let Some(Role::Payload(block)) = self.geometry.role_of(at)
                && let Err(error @ Error::Truncated { .. }) = self.outcome(block)
            {
                return Err(error);
            }
        }
        Err(Error::damaged(self.name(), "a sector bitmap lies beyond its end"))
    }
}

/// The parts that no log changes: the identifier with the Creator, and the current header.
fn read_start(file: &dyn FileIo) -> Result<(String, CurrentHeader)> {
    let length = file.len().map_err(|error| Error::io(file.name(), "read the length of", error))?;
    let creator = read_identifier(file, length)?;
    Ok((creator, CurrentHeader::read(file)?))
}

/// Whether the file begins as a VHDX.
pub(crate) fn has_signature(file: &dyn FileIo) -> std::io::Result<bool> {
    let mut signature = [0; FILE_SIGNATURE.len()];
    if file.len()? < signature.len() as u64 {
        return Ok(false);
    }
    file.read_at(0, &mut signature)?;
    Ok(signature == FILE_SIGNATURE)
}

/// Checks the signature and returns the Creator text (MS-VHDX 2.2.1).
fn read_identifier(file: &dyn FileIo, length: u64) -> Result<String> {
    let name = file.name();
    let unreadable = |error| Error::io(name, "read", error);
    let mut signature = [0; FILE_SIGNATURE.len()];
    let mut is_vhdx = false;
    if length >= signature.len() as u64 {
        file.read_at(0, &mut signature).map_err(unreadable)?;
        is_vhdx = signature == FILE_SIGNATURE;
    }
    if !is_vhdx {
        let looks_like = looks_like(file).map_err(unreadable)?;
        return Err(Error::NotVhdx { file: name.to_owned(), looks_like });
    }
    if length < HEADER_SECTION_BYTES {
        let what = "the header section".to_owned();
        return Err(Error::Truncated { file: name.to_owned(), what, needed: HEADER_SECTION_BYTES, length });
    }
    let mut creator = [0; CREATOR_BYTES];
    file.read_at(FILE_SIGNATURE.len() as u64, &mut creator).map_err(unreadable)?;
    Ok(creator_text(&creator))
}

/// The text up to its end mark; informative only, so anything unreadable is replaced.
fn creator_text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text = char::decode_utf16(units.take_while(|unit| *unit != 0));
    text.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).filter(|unit| !unit.is_control()).collect()
}

fn unknown_parts(regions: &Regions, metadata: &Metadata) -> Vec<UnknownPart> {
    let regions = regions.unknown.iter();
    let regions =
        regions.map(|region| UnknownPart { what: "region", id: region.id, length: region.range.len() });
    let items = metadata.unknown.iter();
    let items =
        items.map(|(id, length)| UnknownPart { what: "metadata item", id: *id, length: (*length).into() });
    regions.chain(items).collect()
}
