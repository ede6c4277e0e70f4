//! One VHDX file, opened.
//!
//! Opening reads headers, region table and metadata and checks them against each other, with the block
//! allocation table unless it is large (`bat`), so that reads afterwards only look up and copy. What the
//! log holds is laid over the file first, for everything but the headers may be in it. The same image
//! serves readers and the one writer; what the writer changes (table entries, bitmaps, header,
//! length) is behind atomics and locks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::bat::{Bat, BlockOutcome, block_outcome, from_draft};
use super::bitmap::SectorBitmaps;
use super::format::{CREATOR_BYTES, FILE_SIGNATURE, HEADER_SECTION_BYTES};
use super::header::CurrentHeader;
use super::log::{Overlay, Replay};
use super::metadata::{Geometry, Metadata, Role};
use super::placement::Placement;
use super::region::Regions;
use super::survey::Survey;
use super::whole_table::WholeTable;
use crate::detect::looks_like;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::id::DiskId;
use crate::parent::ParentLocator;
use crate::range::ByteRange;

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
    bat: Bat,
    pub(super) bitmaps: SectorBitmaps,
    header: Mutex<CurrentHeader>,
    length: AtomicU64,
    /// One past the last byte in use when the file was opened for writing.
    pub(super) used_end: u64,
    is_draft: bool,
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
        let start = Start::read(&*file)?;
        if start.header.log_guid().is_nil() {
            return Parts::read(file, start)?.into_image(LogState::Clean, Bat::open);
        }
        let replay = Replay::read(&*file, &start.header.header)?;
        let log = LogState::ReplayedInMemory { entries: replay.entries() };
        let overlay = Overlay::new(Arc::clone(&file), replay)
            .map_err(|error| Error::io(file.name(), "read the length of", error))?;
        Parts::read(Arc::new(overlay), start)?.into_image(log, Bat::open)
    }

    /// As [`Image::open`], for a file of draft 0.95 of the specification.
    pub(crate) fn open_draft(file: Arc<dyn FileIo>) -> Result<Self> {
        Ok(Self { is_draft: true, ..Self::open(file)? })
    }

    /// Opens and checks a file that is to be written. Changes in its log must be in place.
    pub(crate) fn open_for_writing(file: Arc<dyn FileIo>) -> Result<Self> {
        let start = Start::read(&*file)?;
        if !start.header.log_guid().is_nil() {
            return Err(Error::LogNeedsReplay { file: file.name().to_owned() });
        }
        let parts = Parts::read(file, start)?;
        let fixed_end = parts.placement.fixed_end();
        let mut image = parts.into_image(LogState::Clean, Bat::open_whole)?;
        let survey = image.survey()?;
        image.check_inside(&survey)?;
        image.used_end = survey.used_end.max(fixed_end);
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

    /// What the table says as a whole, which reads all of it.
    pub(crate) fn survey(&self) -> Result<Survey> {
        Survey::of(&self.bat, &self.geometry, self.length())
    }

    /// The table of a file that was opened for writing.
    pub(super) fn table(&self) -> &WholeTable {
        self.bat.whole()
    }

    /// Length of the file as this process knows it.
    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    pub(super) fn set_length(&self, length: u64) {
        self.length.store(length, Ordering::Release);
    }

    pub(super) fn header(&self) -> MutexGuard<'_, CurrentHeader> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file holds all bytes of a block's part of the disk; its space may end earlier.
    pub(super) fn holds_block(&self, block: u64, file_offset: u64) -> bool {
        file_offset.saturating_add(self.geometry.block_range(block).len()) <= self.length()
    }

    /// An entry of the table.
    pub(super) fn entry(&self, at: u64) -> Result<u64> {
        let entry = self.bat.get(at)?;
        Ok(if self.is_draft { from_draft(entry) } else { entry })
    }

    /// Where the entries that are surely 0 end, from one on; that one itself when it may not be.
    pub(super) fn absent_until(&self, at: u64) -> Result<u64> {
        self.bat.absent_until(at)
    }

    /// Where a block's content comes from; an entry that may not be used is an error here.
    pub(super) fn outcome(&self, block: u64) -> Result<BlockOutcome> {
        let entry = self.entry(self.geometry.payload_entry(block))?;
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
    fn check_inside(&self, survey: &Survey) -> Result<()> {
        let (log, length) = (self.header().log_range(), self.length());
        if !log.is_empty() && log.end > length {
            let (file, what) = (self.name().to_owned(), "its log".to_owned());
            return Err(Error::Truncated { file, what, needed: log.end, length });
        }
        if survey.beyond_end == 0 {
            return Ok(());
        }
        for (at, _) in self.table().used() {
            if let Some(Role::Payload(block)) = self.geometry.role_of(at)
                && let Err(error @ Error::Truncated { .. }) = self.outcome(block)
            {
                return Err(error);
            }
        }
        Err(Error::damaged(self.name(), "a sector bitmap lies beyond its end"))
    }
}

/// The parts of a file that no log changes: the Creator, and the current header.
struct Start {
    creator: String,
    header: CurrentHeader,
}

impl Start {
    fn read(file: &dyn FileIo) -> Result<Self> {
        let length = file.len().map_err(|error| Error::io(file.name(), "read the length of", error))?;
        let creator = read_identifier(file, length)?;
        Ok(Self { creator, header: CurrentHeader::read(file)? })
    }
}

/// All that is read of a file before its block table.
struct Parts {
    file: Arc<dyn FileIo>,
    start: Start,
    length: u64,
    regions: Regions,
    metadata: Metadata,
    placement: Placement,
}

/// A way to open the block table.
type OpenBat = fn(&Arc<dyn FileIo>, ByteRange, Placement) -> Result<Bat>;

impl Parts {
    /// Reads what a log may change, from the file as it is after the replay.
    fn read(file: Arc<dyn FileIo>, start: Start) -> Result<Self> {
        let length = file.len().map_err(|error| Error::io(file.name(), "read the length of", error))?;
        let regions = Regions::read(&*file)?;
        let metadata = Metadata::read(&*file, regions.metadata)?;
        let log = start.header.log_range();
        let placement = Placement::new(file.name(), length, metadata.geometry, &regions, log)?;
        Ok(Self { file, start, length, regions, metadata, placement })
    }

    fn into_image(self, log: LogState, open_bat: OpenBat) -> Result<Image> {
        let Self { file, start, length, regions, metadata, placement } = self;
        Ok(Image {
            geometry: metadata.geometry,
            unknown: unknown_parts(&regions, &metadata),
            bat: open_bat(&file, regions.bat, placement)?,
            regions,
            bitmaps: SectorBitmaps::default(),
            header: Mutex::new(start.header),
            length: AtomicU64::new(length),
            used_end: 0,
            is_draft: false,
            disk_id: metadata.disk_id,
            creator: start.creator,
            locator: metadata.locator,
            log,
            file,
        })
    }
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
