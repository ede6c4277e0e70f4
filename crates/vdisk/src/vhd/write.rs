//! `VhdWriter`: the one writer of a VHD at the head of a chain.
//!
//! VHD has no log, so the order of writes is all that keeps a file readable: the file grows and its
//! footer moves to the new end, then payload and the bitmaps of new blocks, then a flush, then bitmaps
//! of old blocks and the table, then a flush again. A table entry or a bit never becomes durable before
//! the bytes it stands for. While the footer moves, a cut can leave the end of the file without one;
//! the copy at the start then counts, which is made right before the first change.
//!
//! A VHD keeps its UUID whatever is written, and children check nothing else. Writing to a file that
//! has children therefore spoils them unnoticed, and must not be done; merging is the exception.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;
use zerocopy::IntoBytes;

use super::create::{Blueprint, DEFAULT_BLOCK_BYTES, NewParent, VhdOptions};
use super::format::{FOOTER_BYTES, Footer, SECTOR};
use super::image::VhdImage;
use crate::chain::Chain;
use crate::disk::{Disk, ExtentKind, Extents};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::layer::Layer;
use crate::number::{align_up, index};
use crate::range::ByteRange;
use crate::vhdx::DiskKind;

/// Blocks that one step of a long write plans at once, which bounds its memory.
const BLOCKS_PER_STEP: u64 = 256;
/// Entries of the table written together: a sector of them, so that a torn write spoils no others.
pub(super) const ENTRIES_PER_PAGE: u64 = SECTOR / 4;
/// Zeros written at a time where a range must be cleared in the file.
const ZEROS: &[u8] = &[0; 1 << 20];
/// Bitmap of a block whose sectors are all there, in pieces.
const ONES: &[u8] = &[0xff; 4096];

/// Exclusive writer of the VHD that is the leaf of a chain.
///
/// What was written is durable after [`VhdWriter::flush`] or [`VhdWriter::close`]; a power cut between
/// leaves the disk as it was at the last flush, but for any of the sectors written since. Nobody else
/// may write the files meanwhile.
#[derive(Debug)]
pub struct VhdWriter {
    pub(super) chain: Arc<Chain>,
    pub(super) image: Arc<VhdImage>,
    /// Where the next block goes, and the footer after it.
    pub(super) next_free: u64,
    /// Something was written since the last flush.
    pub(super) payload: bool,
    /// Pages of the table to write, by number.
    pub(super) table_pages: BTreeSet<u64>,
    /// Both footers are as they must be before a change.
    prepared: bool,
    /// A change of the size failed, so that nobody knows which one the file has.
    pub(super) failed: bool,
}

/// What is to happen to one block in a write.
#[derive(Debug)]
struct Placed {
    block: u64,
    run: ByteRange,
    /// Place of the block's bitmap.
    bitmap_offset: u64,
    is_new: bool,
}

impl VhdWriter {
    /// Makes a new disk in an empty file.
    pub fn create(file: Arc<dyn FileIo>, options: &VhdOptions) -> Result<Self> {
        options.blueprint().write(&*file)?;
        Self::open(file)
    }

    /// Makes a new differencing disk over `parent`, whose leaf is a VHD, in an empty file. The paths are
    /// the hints by which Windows finds the parent: relative to the child's folder, and absolute.
    pub fn create_child(
        file: Arc<dyn FileIo>,
        parent: &Disk,
        relative_path: &str,
        absolute_path: Option<&str>,
    ) -> Result<Self> {
        let Layer::Vhd(image) = &parent.chain().layers[0] else {
            let why = "only a VHD file can be the parent of one".into();
            return Err(Error::BadChain { file: parent.name().to_owned(), why });
        };
        let timestamp = image.footer.timestamp.get();
        let blueprint = Blueprint {
            capacity: image.capacity(),
            block_bytes: Some(DEFAULT_BLOCK_BYTES),
            unique_id: Uuid::new_v4(),
            timestamp,
            parent: Some(NewParent {
                unique_id: image.unique_id(),
                timestamp,
                relative_path: relative_path.to_owned(),
                absolute_path: absolute_path.map(str::to_owned),
            }),
        };
        blueprint.write(&*file)?;
        Self::over(VhdImage::open(file)?.into(), parent.chain().layers.clone())
    }

    /// Opens a disk that needs no parent.
    pub fn open(file: Arc<dyn FileIo>) -> Result<Self> {
        Self::open_chain(vec![file])
    }

    /// Opens a chain, child first; only the first file is written.
    pub fn open_chain(files: Vec<Arc<dyn FileIo>>) -> Result<Self> {
        let mut layers = Chain::open_files(files)?.layers;
        let parents = layers.split_off(1);
        match layers.pop() {
            Some(Layer::Vhd(image)) => Self::over(image, parents),
            leaf => {
                let file = leaf.as_ref().map_or("the chain", Layer::name).to_owned();
                Err(Error::BadChain { file, why: "it is no VHD file".into() })
            }
        }
    }

    fn over(image: Arc<VhdImage>, parents: Vec<Layer>) -> Result<Self> {
        let next_free = align_up(image.data_end, SECTOR);
        let layers = std::iter::once(Layer::Vhd(Arc::clone(&image))).chain(parents).collect();
        let chain = Arc::new(Chain { layers });
        Ok(Self {
            chain,
            image,
            next_free,
            payload: false,
            table_pages: BTreeSet::new(),
            prepared: false,
            failed: false,
        })
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

    /// Writes `data` at `offset`. A sector written in part is read first.
    pub fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let range = self.chain.check_range(offset, data.len() as u64)?;
        let [first, whole, last] = range.split_at_units(SECTOR);
        let part = |range: ByteRange| &data[index(range.start - offset)..index(range.end - offset)];
        self.write_part_of_sector(first, part(first))?;
        self.write_sectors(whole, Some(part(whole)))?;
        self.write_part_of_sector(last, part(last))
    }

    /// Makes a range read as zeros. VHD has no mark for that, so blocks that have space, and blocks that
    /// would show a parent's data, are written.
    pub fn write_zeroes(&mut self, range: ByteRange) -> Result<()> {
        let range = self.chain.check_range(range.start, range.len())?;
        let [first, whole, last] = range.split_at_units(SECTOR);
        for edge in [first, last] {
            self.write_part_of_sector(edge, &ZEROS[..index(edge.len())])?;
        }
        self.write_sectors(whole, None)
    }

    /// Returns once everything written so far is durable and the file is complete.
    pub fn flush(&mut self) -> Result<()> {
        self.check_usable()?;
        let file = &self.image.file;
        let failed = |error| Error::io(file.name(), "make durable", error);
        if self.payload {
            file.flush().map_err(failed)?;
            self.payload = false;
        }
        let Some(sparse) = &self.image.sparse else { return Ok(()) };
        if sparse.bitmaps.has_changes() || !self.table_pages.is_empty() {
            sparse.bitmaps.write_changes(&**file)?;
            for page in &self.table_pages {
                let entries = page * ENTRIES_PER_PAGE..((page + 1) * ENTRIES_PER_PAGE).min(sparse.bat.len());
                file.write_at(sparse.table_offset + entries.start * 4, &sparse.bat.to_bytes(entries))
                    .map_err(|error| Error::io(file.name(), "write the block allocation table of", error))?;
            }
            file.flush().map_err(failed)?;
            self.table_pages.clear();
        }
        Ok(())
    }

    /// Flushes and gives the file back. Dropping a writer flushes too, but cannot tell of errors.
    pub fn close(mut self) -> Result<()> {
        self.flush()
    }

    fn write_part_of_sector(&mut self, range: ByteRange, data: &[u8]) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let start = range.start - range.start % SECTOR;
        let mut bytes = [0; index(SECTOR)];
        self.read_at(start, &mut bytes)?;
        bytes[index(range.start - start)..index(range.end - start)].copy_from_slice(data);
        self.write_sectors(ByteRange::at(start, SECTOR), Some(&bytes))
    }

    /// Writes whole sectors; `None` means zeros.
    fn write_sectors(&mut self, range: ByteRange, data: Option<&[u8]>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.check_usable()?;
        let Some(block_bytes) = self.image.sparse.as_ref().map(|sparse| u64::from(sparse.block_bytes)) else {
            return self.write_payload(range.start, range.len(), data);
        };
        self.prepare()?;
        let step = BLOCKS_PER_STEP * block_bytes;
        let mut at = range.start;
        while at < range.end {
            let part = ByteRange::new(at, range.end.min(at - at % step + step));
            let data = data.map(|data| &data[index(part.start - range.start)..index(part.end - range.start)]);
            self.write_step(part, block_bytes, data)?;
            at = part.end;
        }
        let is_crowded = self.image.sparse.as_ref().is_some_and(|sparse| sparse.bitmaps.is_crowded());
        if is_crowded { self.flush() } else { Ok(()) }
    }

    /// Finds or makes room for each block, writes, then publishes.
    fn write_step(&mut self, range: ByteRange, block_bytes: u64, data: Option<&[u8]>) -> Result<()> {
        let mut placed = Vec::new();
        for block in range.start / block_bytes..range.end.div_ceil(block_bytes) {
            let run = range.intersect(self.image.block_range(block));
            placed.extend(self.place(block, run, data.is_none())?);
        }
        if placed.iter().any(|placed| placed.is_new) {
            self.grow_file()?;
        }
        for placed in &placed {
            let run = placed.run;
            let data = data.map(|data| &data[index(run.start - range.start)..index(run.end - range.start)]);
            self.write_block(placed, data)?;
        }
        Ok(())
    }

    /// Where a write to a block goes; nowhere when the disk reads that way already.
    fn place(&mut self, block: u64, run: ByteRange, zeros: bool) -> Result<Option<Placed>> {
        let Some(sparse) = &self.image.sparse else { return Ok(None) };
        if let Some(bitmap_offset) = sparse.bat.offset(block) {
            return Ok(Some(Placed { block, run, bitmap_offset, is_new: false }));
        }
        if zeros && self.reads_as_zeros(run)? {
            return Ok(None);
        }
        let bytes = sparse.bitmap_bytes + u64::from(sparse.block_bytes);
        let bitmap_offset = self.next_free;
        if u32::try_from(bitmap_offset / SECTOR).is_err() {
            let what = "a file of more than 2 TiB, which VHD cannot address";
            return Err(Error::unsupported(self.image.name(), what));
        }
        self.next_free += bytes;
        Ok(Some(Placed { block, run, bitmap_offset, is_new: true }))
    }

    /// Whether a run shows no file's data. A parent's data must be hidden by zeros of our own.
    fn reads_as_zeros(&self, run: ByteRange) -> Result<bool> {
        for extent in Extents::new(&self.chain, run) {
            if matches!(extent?.kind, ExtentKind::Data { .. }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn write_block(&mut self, placed: &Placed, data: Option<&[u8]>) -> Result<()> {
        let image = Arc::clone(&self.image);
        let Some(sparse) = &image.sparse else { return Ok(()) };
        let Placed { block, run, bitmap_offset, is_new } = *placed;
        let in_block = run.start - image.block_range(block).start;
        if is_new {
            self.write_new_bitmap(bitmap_offset, sparse.bitmap_bytes)?;
        }
        if !(is_new && data.is_none()) {
            self.write_payload(bitmap_offset + sparse.bitmap_bytes + in_block, run.len(), data)?;
        }
        let is_born_whole = is_new && image.kind() == DiskKind::Dynamic;
        if !is_born_whole && !sparse.bitmaps.is_whole(block) {
            sparse.bitmaps.set(&*image.file, image.bits(block, bitmap_offset, run))?;
            self.payload = true;
        }
        if is_born_whole || run == image.block_range(block) {
            sparse.bitmaps.set_whole(block);
        }
        if is_new {
            let sector = u32::try_from(bitmap_offset / SECTOR).unwrap_or(u32::MAX);
            sparse.bat.set(block, sector);
            self.table_pages.insert(block / ENTRIES_PER_PAGE);
        }
        Ok(())
    }

    /// The bitmap of a new block. The old footer may stand there, so it is always written. A dynamic
    /// disk's block is zeros where nothing was written, so all its sectors count as present.
    fn write_new_bitmap(&mut self, offset: u64, length: u64) -> Result<()> {
        let pattern = if self.image.kind() == DiskKind::Dynamic { ONES } else { &ZEROS[..ONES.len()] };
        let mut done = 0;
        while done < length {
            let part = &pattern[..index((length - done).min(pattern.len() as u64))];
            self.write_file(offset + done, part)?;
            done += part.len() as u64;
        }
        Ok(())
    }

    /// Makes both footers right before the first change since the file was opened: the copy is what
    /// counts when a cut leaves the end without one.
    pub(super) fn prepare(&mut self) -> Result<()> {
        if self.prepared {
            return Ok(());
        }
        let file = &self.image.file;
        let mut copy = [0; index(FOOTER_BYTES)];
        let failed = |error| Error::io(file.name(), "write the footer of", error);
        file.read_at(0, &mut copy).map_err(failed)?;
        if copy != self.image.footer.as_bytes() {
            file.write_at(0, self.image.footer.as_bytes()).and_then(|()| file.flush()).map_err(failed)?;
        }
        self.prepared = true;
        if self.image.has_end_footer { Ok(()) } else { self.grow_file() }
    }

    /// Makes the file long enough for the space taken, which reads as zeros, and moves the footer.
    pub(super) fn grow_file(&mut self) -> Result<()> {
        let file = &self.image.file;
        let end = self.next_free + FOOTER_BYTES;
        file.set_len(end).map_err(|error| Error::io(file.name(), "enlarge", error))?;
        let footer = self.image.footer;
        self.write_footer(self.next_free, &footer)
    }

    pub(super) fn write_footer(&mut self, place: u64, footer: &Footer) -> Result<()> {
        self.write_file(place, footer.as_bytes())
    }

    /// Refuses what must not happen under a view made from this writer.
    pub(super) fn check_no_readers(&self) -> Result<()> {
        let has_readers = Arc::strong_count(&self.chain) > 1 || Arc::strong_count(&self.image) > 2;
        if has_readers { Err(Error::HasReaders { file: self.image.name().to_owned() }) } else { Ok(()) }
    }

    fn check_usable(&self) -> Result<()> {
        if !self.failed {
            return Ok(());
        }
        let why = std::io::Error::other("the storage failed before; open the disk again");
        Err(Error::io(self.image.name(), "go on writing", why))
    }

    pub(super) fn write_payload(&mut self, offset: u64, length: u64, data: Option<&[u8]>) -> Result<()> {
        if let Some(data) = data {
            return self.write_file(offset, data);
        }
        let mut done = 0;
        while done < length {
            let part = (length - done).min(ZEROS.len() as u64);
            self.write_file(offset + done, &ZEROS[..index(part)])?;
            done += part;
        }
        Ok(())
    }

    pub(super) fn write_file(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.payload = true;
        let file = &self.image.file;
        file.write_at(offset, data).map_err(|error| Error::io(file.name(), "write", error))
    }
}

impl Drop for VhdWriter {
    fn drop(&mut self) {
        // Nobody is left to be told; `close` is the way to learn of a failure.
        let _ = self.flush();
    }
}
