//! `WritableDisk`: the one writer of the leaf of a chain.
//!
//! A block gets space at the end of the file when it is first written. Payload goes to the file at
//! once; the block table and the sector bitmaps stay in memory until [`WritableDisk::flush`], which
//! makes payload durable first. The log is not used yet: between two flushes a power cut loses what
//! was written since, and during a flush it can leave some of those blocks in the table and some
//! not. Blocks that were durable before keep their place, but overwritten bytes change in place.
//!
//! In a differencing file a block that is written in part becomes PARTIALLY_PRESENT with a sector
//! bitmap, and FULLY_PRESENT once every sector is there (MS-VHDX 2.5.1.1).

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::bat::{BlockOutcome, entry, state};
use super::create::{Blueprint, CreateOptions, DIFFERENCING_BLOCK_BYTES};
use super::header::NewGuids;
use super::image::Image;
use super::metadata::Geometry;
use super::space::ZEROS;
use crate::chain::Chain;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::layer::Layer;
use crate::number::{MIB, align_up, index};
use crate::parent::ParentLocator;
use crate::range::ByteRange;

/// Blocks that one step of a long write or clearing plans at once, which bounds its memory.
const BLOCKS_PER_STEP: u64 = 1024;

/// Exclusive writer of the leaf of a chain.
///
/// [`WritableDisk::flush`] and [`WritableDisk::close`] make what was written durable, payload before
/// the table that names it. The VHDX log is not used yet: between two flushes a power cut loses what
/// was written since and may keep a part of it. Nobody else may write the files meanwhile, and a file
/// that has children must not be written at all: they would refuse it.
#[derive(Debug)]
pub struct WritableDisk {
    pub(super) chain: Arc<Chain>,
    pub(super) image: Arc<Image>,
    pub(super) changes: Changes,
    session: Session,
    /// Where the next new space begins.
    pub(super) next_free: u64,
}

/// What the file does not hold durably yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Something was written since the last flush.
    pub payload: bool,
    /// Pages of the block table to write, by number.
    pub table_pages: BTreeSet<u64>,
    /// Space of blocks given up; usable again once the table says so durably.
    pub given_up: Vec<u64>,
    /// Space usable again, with old bytes in it.
    pub reusable: Vec<u64>,
}

/// Which GUIDs this writer has renewed (MS-VHDX 2.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// Nothing changed yet; the file is as it was opened.
    Untouched,
    /// As before, and the data identity must stay until a merge is complete.
    UntouchedMerge,
    /// The GUIDs are new.
    Changed,
}

/// What is to happen to one block in a write.
#[derive(Debug)]
struct Placed {
    block: u64,
    run: ByteRange,
    /// Where bytes must be written; `None` when the state alone says it.
    file_offset: Option<u64>,
    /// The block's new table entry, if it changes.
    entry: Option<u64>,
    /// Whether the run's sectors must be marked in the sector bitmap.
    by_sector: bool,
}

impl WritableDisk {
    /// Makes a new disk in an empty file.
    pub fn create(file: Arc<dyn FileIo>, options: &CreateOptions) -> Result<Self> {
        options.blueprint().write(&file)?;
        Self::over(Image::open_for_writing(file)?, Vec::new(), Session::Changed)
    }

    /// Makes a new differencing disk over `parent` in an empty file. The paths are the hints by
    /// which Windows finds the parent: relative to the child's folder, and absolute (`\\?\C:\…`).
    pub fn create_child(
        file: Arc<dyn FileIo>,
        parent: &Disk,
        relative_path: &str,
        absolute_path: Option<&str>,
    ) -> Result<Self> {
        let Some(image) = parent.leaf_image() else {
            let why = "only a VHDX file can be the parent of one".into();
            return Err(Error::BadChain { file: parent.chain().name().to_owned(), why });
        };
        let blueprint = Blueprint {
            geometry: Geometry {
                block_bytes: DIFFERENCING_BLOCK_BYTES,
                has_parent: true,
                leave_blocks_allocated: false,
                ..*image.geometry()
            },
            disk_id: image.disk_id(),
            locator: Some(ParentLocator {
                linkage: image.data_write_guid(),
                linkage2: None,
                relative_path: Some(relative_path.to_owned()),
                volume_path: None,
                absolute_path: absolute_path.map(str::to_owned),
            }),
        };
        blueprint.write(&file)?;
        Self::over(Image::open_for_writing(file)?, parent.chain().layers.clone(), Session::Changed)
    }

    /// Opens a disk that needs no parent.
    pub fn open(file: Arc<dyn FileIo>) -> Result<Self> {
        Self::open_chain(vec![file])
    }

    /// Opens a chain, child first; only the first file is written.
    pub fn open_chain(files: Vec<Arc<dyn FileIo>>) -> Result<Self> {
        Self::open_session(files, Session::Untouched)
    }

    pub(super) fn open_session(files: Vec<Arc<dyn FileIo>>, session: Session) -> Result<Self> {
        let mut layers = Chain::open_files_for_writing(files)?.layers;
        let parents = layers.split_off(1);
        match layers.pop() {
            Some(Layer::Vhdx(image)) => Self::with_image(image, parents, session),
            Some(layer) => {
                Err(Error::BadChain { file: layer.name().to_owned(), why: "it is no VHDX file".into() })
            }
            None => Err(Error::BadChain { file: "the chain".into(), why: "it has no file".into() }),
        }
    }

    fn over(image: Image, parents: Vec<Layer>, session: Session) -> Result<Self> {
        Self::with_image(Arc::new(image), parents, session)
    }

    fn with_image(image: Arc<Image>, parents: Vec<Layer>, session: Session) -> Result<Self> {
        let next_free = align_up(image.length().max(image.used_end()), MIB);
        let layers = std::iter::once(Layer::Vhdx(Arc::clone(&image))).chain(parents).collect();
        Ok(Self { chain: Arc::new(Chain { layers }), image, changes: Changes::default(), session, next_free })
    }

    /// Size of the virtual disk in bytes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.chain.capacity()
    }

    /// A view of the disk that also sees later writes of this writer.
    #[must_use]
    pub fn as_disk(&self) -> Disk {
        Disk::from_chain(Arc::clone(&self.chain))
    }

    /// Fills `buf` from `offset`, with everything written so far.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.chain.read_at(offset, buf)
    }

    /// Writes `data` at `offset`. Whole sectors are written directly; a sector written in part is
    /// read first.
    pub fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let range = self.chain.check_range(offset, data.len() as u64)?;
        let (head, tail) = self.sector_bounds(range);
        let part = |range: ByteRange| &data[index(range.start - offset)..index(range.end - offset)];
        self.write_part_of_sector(
            ByteRange::new(range.start, head),
            part(ByteRange::new(range.start, head)),
        )?;
        self.write_sectors(ByteRange::new(head, tail), Some(part(ByteRange::new(head, tail))))?;
        self.write_part_of_sector(ByteRange::new(tail, range.end), part(ByteRange::new(tail, range.end)))
    }

    /// Makes a range read as zeros, by the state of blocks where that is enough.
    pub fn write_zeroes(&mut self, range: ByteRange) -> Result<()> {
        let range = self.chain.check_range(range.start, range.len())?;
        let (head, tail) = self.sector_bounds(range);
        for edge in [ByteRange::new(range.start, head), ByteRange::new(tail, range.end)] {
            self.write_part_of_sector(edge, &ZEROS[..index(edge.len())])?;
        }
        self.write_sectors(ByteRange::new(head, tail), None)
    }

    /// End of the sector that the range begins inside of, and start of the one it ends inside of.
    fn sector_bounds(&self, range: ByteRange) -> (u64, u64) {
        let sector = u64::from(self.image.geometry.logical_sector);
        let head = align_up(range.start, sector).min(range.end);
        let tail = (range.end - range.end % sector).max(head);
        (head, tail)
    }

    fn write_part_of_sector(&mut self, range: ByteRange, data: &[u8]) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let sector = u64::from(self.image.geometry.logical_sector);
        let start = range.start - range.start % sector;
        let mut bytes = vec![0; index(sector)];
        self.read_at(start, &mut bytes)?;
        bytes[index(range.start - start)..index(range.end - start)].copy_from_slice(data);
        self.write_sectors(ByteRange::at(start, sector), Some(&bytes))
    }

    /// Writes whole sectors; `None` means zeros.
    fn write_sectors(&mut self, range: ByteRange, data: Option<&[u8]>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.begin_change()?;
        let step = BLOCKS_PER_STEP * self.image.geometry.block();
        let mut at = range.start;
        while at < range.end {
            let part = ByteRange::new(at, range.end.min(at - at % step + step));
            let bytes =
                data.map(|data| &data[index(part.start - range.start)..index(part.end - range.start)]);
            self.write_step(part, bytes)?;
            at = part.end;
        }
        if self.image.bitmaps.is_crowded() { self.flush() } else { Ok(()) }
    }

    /// Finds or makes room for each block, writes each contiguous run at once, then publishes.
    fn write_step(&mut self, range: ByteRange, data: Option<&[u8]>) -> Result<()> {
        let block_bytes = self.image.geometry.block();
        let mut placed = Vec::new();
        for block in range.start / block_bytes..range.end.div_ceil(block_bytes) {
            let run = range.intersect(self.image.geometry.block_range(block));
            placed.push(self.place(block, run, data.is_none())?);
        }
        self.grow_file()?;
        for (run, file_offset) in contiguous_runs(&placed) {
            match data {
                Some(data) => {
                    let part = &data[index(run.start - range.start)..index(run.end - range.start)];
                    self.write_file(file_offset, part)?;
                }
                None => self.clear_file(file_offset, run.len())?,
            }
        }
        placed.iter().try_for_each(|placed| self.publish(placed))
    }

    /// Decides what a write of `run` does to a block, and allocates what it needs.
    fn place(&mut self, block: u64, run: ByteRange, zeros: bool) -> Result<Placed> {
        let geometry = self.image.geometry;
        let block_range = geometry.block_range(block);
        let (whole, delta) = (run == block_range, run.start - block_range.start);
        let mut placed = Placed { block, run, file_offset: None, entry: None, by_sector: false };
        match self.image.outcome(block)? {
            BlockOutcome::Data { file_offset, .. } if zeros && whole && !geometry.leave_blocks_allocated => {
                self.changes.given_up.push(file_offset);
                placed.entry = Some(entry(state::ZERO, 0));
            }
            BlockOutcome::Data { file_offset, by_sector } => {
                placed.file_offset = Some(file_offset + delta);
                placed.entry = (by_sector && whole).then(|| entry(state::FULLY_PRESENT, file_offset));
                placed.by_sector = by_sector && !whole;
            }
            BlockOutcome::Parent if geometry.has_parent && zeros && whole => {
                placed.entry = Some(entry(state::ZERO, 0));
            }
            BlockOutcome::Parent if geometry.has_parent && !whole => {
                self.prepare_bitmap(block)?;
                let file_offset = self.allocate_block(false)?;
                placed.file_offset = (!zeros).then_some(file_offset + delta);
                placed.entry = Some(entry(state::PARTIALLY_PRESENT, file_offset));
                placed.by_sector = true;
            }
            _ if zeros => {}
            _ => {
                let file_offset = self.allocate_block(whole)?;
                placed.file_offset = Some(file_offset + delta);
                placed.entry = Some(entry(state::FULLY_PRESENT, file_offset));
            }
        }
        Ok(placed)
    }

    /// Makes the outcome of a write visible to readers.
    fn publish(&mut self, placed: &Placed) -> Result<()> {
        let payload_entry = self.image.geometry.payload_entry(placed.block);
        let mut new_entry = placed.entry;
        if placed.by_sector {
            let bits = self.image.bits(placed.block, placed.run)?;
            self.image.bitmaps.set(&*self.image.file, bits, true)?;
            if self.has_every_sector(placed.block)? {
                let current = new_entry.unwrap_or_else(|| self.image.bat.get(payload_entry));
                new_entry = Some(current & !(MIB - 1) | state::FULLY_PRESENT);
            }
            self.changes.payload = true;
        }
        if let Some(value) = new_entry {
            self.set_entry(payload_entry, value);
        }
        Ok(())
    }

    fn has_every_sector(&self, block: u64) -> Result<bool> {
        let mut bits = self.image.bits(block, self.image.geometry.block_range(block))?;
        while bits.bits.start < bits.bits.end {
            let (here, count) = self.image.bitmaps.run(&*self.image.file, &bits)?;
            if !here {
                return Ok(false);
            }
            bits.bits.start += count;
        }
        Ok(true)
    }

    /// Renews the file's write GUIDs before its first change since it was opened.
    fn begin_change(&mut self) -> Result<()> {
        let data_write = match self.session {
            Session::Changed => return Ok(()),
            Session::Untouched => Some(Uuid::new_v4()),
            Session::UntouchedMerge => None,
        };
        self.renew_guids(data_write)?;
        self.session = Session::Changed;
        Ok(())
    }

    pub(super) fn renew_guids(&self, data_write: Option<Uuid>) -> Result<()> {
        let guids = NewGuids { file_write: Uuid::new_v4(), data_write };
        self.image.header().replace_guids(&*self.image.file, guids)
    }
}

/// The bytes to write as runs that are contiguous both in the disk and in the file.
fn contiguous_runs(placed: &[Placed]) -> Vec<(ByteRange, u64)> {
    let mut runs: Vec<(ByteRange, u64)> = Vec::new();
    for placed in placed {
        let Some(file_offset) = placed.file_offset else { continue };
        match runs.last_mut() {
            Some((run, at)) if run.end == placed.run.start && *at + run.len() == file_offset => {
                run.end = placed.run.end;
            }
            _ => runs.push((placed.run, file_offset)),
        }
    }
    runs
}
