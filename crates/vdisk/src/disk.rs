//! `Disk`: a read-only view of one virtual disk over any chain of files.
//!
//! Besides plain reads it tells *where* the content lies ([`Disk::extents`]), so that a transfer can
//! read payload in large parallel runs and skip what is not there. Clones share the opened files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::chain::Chain;
use crate::error::{Error, Result};
use crate::file_io::{FileIo, LocalFile};
use crate::id::DiskId;
use crate::layer::Layer;
use crate::parent::{ParentLocator, ParentMap};
use crate::range::{ByteRange, ChangedRanges};
use crate::vhdx::{DiskKind, Image, LogState, Oddity, UnknownPart};

/// A read-only view of one virtual disk. Cheap to clone; may be used from several threads.
#[derive(Debug, Clone)]
pub struct Disk {
    chain: Arc<Chain>,
}

/// A run of a virtual disk whose content comes from one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The bytes of the virtual disk.
    pub range: ByteRange,
    /// Where they come from.
    pub kind: ExtentKind,
}

/// Where the content of an extent comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentKind {
    /// Bytes of a file.
    Data {
        /// Which file of the chain, 0 being the leaf.
        layer: usize,
        /// Place of the extent's first byte in that file.
        file_offset: u64,
    },
    /// Zeros by declaration; content like any other.
    Zero,
    /// Never written in any file; reads as zeros.
    Absent,
}

/// Format of one file of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    /// VHDX or AVHDX.
    Vhdx,
    /// VHD or AVHD.
    Vhd,
    /// The file's bytes are the disk.
    Raw,
}

/// What one file of a chain is.
#[derive(Debug, Clone)]
pub struct LayerInfo {
    /// Name of the file.
    pub name: String,
    /// Its format.
    pub format: DiskFormat,
    /// How it keeps its blocks.
    pub kind: DiskKind,
    /// Program that made it, as noted in the file; informative.
    pub creator: String,
    /// Size of the virtual disk in this file.
    pub capacity: u64,
    /// Smallest unit that the guest reads and writes.
    pub logical_sector: u32,
    /// Unit that the guest should prefer.
    pub physical_sector: u32,
    /// Bytes of a block; 0 for raw files and fixed VHD.
    pub block_bytes: u32,
    /// Identity of the virtual disk; in a VHD that of the file, since VHD knows no other.
    pub virtual_disk_id: DiskId,
    /// Identity of the content as a parent; in a VHD its UUID, which no write changes.
    pub data_write_guid: Uuid,
    /// Identity of the file's bytes; nil for VHD, which has none.
    pub file_write_guid: Uuid,
    /// What a differencing file knows of its parent.
    pub parent: Option<ParentLocator>,
    /// Parts of the file that this version does not know.
    pub unknown: Vec<UnknownPart>,
    /// Whether changes of its log were replayed in memory.
    pub log: LogState,
}

/// What the block table of one file of a chain says as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockUsage {
    /// Blocks that have data in this file; 0 for raw files and fixed VHD.
    pub allocated_blocks: u64,
    /// What is odd about the table, though it can be read.
    pub oddities: Vec<Oddity>,
}

impl Disk {
    /// Opens a VHDX or VHD file that needs no parent. The format is told by what stands in the file.
    ///
    /// All structures are checked, except that a block table of more than 4 MiB is read and checked page
    /// by page as its blocks are used.
    pub fn open(file: Arc<dyn FileIo>) -> Result<Self> {
        Self::open_chain(vec![file])
    }

    /// Opens a file whose bytes are the disk.
    pub fn open_raw(file: Arc<dyn FileIo>) -> Result<Self> {
        Ok(Self::from_chain(Arc::new(Chain::open_raw(file)?)))
    }

    /// Opens a VHDX file of draft 0.95 of the specification that needs no parent. There, blocks of state
    /// 5 are unmapped and read as zeros; [`Disk::open`] refuses them, since no later file may have them.
    pub fn open_draft_0_95(file: Arc<dyn FileIo>) -> Result<Self> {
        Ok(Self::from_chain(Arc::new(Chain::open_draft(file)?)))
    }

    /// Opens a chain of files, child first, root last.
    pub fn open_chain(files: Vec<Arc<dyn FileIo>>) -> Result<Self> {
        Ok(Self::from_chain(Arc::new(Chain::open_files(files)?)))
    }

    /// Opens one file without its parents, to look at it: layers and sizes are there, and whatever the
    /// file holds itself. Reading what it leaves to its parent is [`Error::NeedsParent`].
    pub fn open_leaf(file: Arc<dyn FileIo>) -> Result<Self> {
        Ok(Self::from_chain(Arc::new(Chain::open_leaf(file)?)))
    }

    /// Opens a leaf and asks `find_parent` for each file below it.
    pub fn open_with(
        leaf: Arc<dyn FileIo>,
        find_parent: &mut dyn FnMut(&ParentLocator) -> Result<Arc<dyn FileIo>>,
    ) -> Result<Self> {
        let chain = Chain::open_with(leaf, &mut |_, locator| find_parent(locator))?;
        Ok(Self::from_chain(Arc::new(chain)))
    }

    /// Opens a file of this machine and its parents, which are looked for in the child's folder and
    /// below it. Other paths in an image are not followed; see [`Disk::open_local_with`].
    pub fn open_local(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_local_with(path, &ParentMap::new())
    }

    /// As [`Disk::open_local`]; a parent that the map names is taken from there, whatever its path.
    pub fn open_local_with(path: impl AsRef<Path>, parents: &ParentMap) -> Result<Self> {
        let leaf = open_file(path.as_ref()).map_err(|(name, error)| Error::io(&name, "open", error))?;
        let mut folder = folder_of(path.as_ref());
        let chain = Chain::open_with(leaf, &mut |child, locator| {
            let path = parents.locate(child, &folder, locator)?;
            let file = open_file(&path).map_err(|(path, error)| Error::ParentNotFound {
                file: child.to_owned(),
                path,
                source: Some(error),
            })?;
            folder = folder_of(&path);
            Ok(file)
        })?;
        Ok(Self::from_chain(Arc::new(chain)))
    }

    pub(crate) const fn from_chain(chain: Arc<Chain>) -> Self {
        Self { chain }
    }

    pub(crate) const fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// The leaf, when it is a VHDX.
    pub(crate) fn leaf_image(&self) -> Option<&Image> {
        match &self.chain.layers[0] {
            Layer::Vhdx(image) => Some(image),
            _ => None,
        }
    }

    /// Name of the leaf file.
    #[must_use]
    pub fn name(&self) -> &str {
        self.chain.name()
    }

    /// Size of the virtual disk in bytes.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.chain.capacity()
    }

    /// Smallest unit that the guest reads and writes.
    #[must_use]
    pub fn logical_sector(&self) -> u32 {
        self.chain.layers[0].logical_sector()
    }

    /// Unit that the guest should prefer.
    #[must_use]
    pub fn physical_sector(&self) -> u32 {
        self.chain.layers[0].physical_sector()
    }

    /// Bytes of a block of the leaf; 0 for a raw disk and a fixed VHD.
    #[must_use]
    pub fn block_bytes(&self) -> u32 {
        self.chain.layers[0].block_bytes()
    }

    /// Identity of the virtual disk, the same for every file of the chain; nil for a raw disk. Files of
    /// VHD have only identities of their own, so that of the last parent stands for the disk.
    #[must_use]
    pub fn virtual_disk_id(&self) -> DiskId {
        match self.chain.layers.as_slice() {
            [Layer::Vhdx(image), ..] => image.disk_id(),
            layers => layers.last().map_or(DiskId::NIL, Layer::disk_id),
        }
    }

    /// Fills `buf` from `offset`: zeros where nothing is, one file read for each contiguous run.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.chain.read_at(offset, buf)
    }

    /// The extents of a range in order, without gaps, neighbours joined where they continue each
    /// other. The part of the range beyond the disk is left out.
    #[must_use]
    pub fn extents(&self, range: ByteRange) -> Extents<'_> {
        Extents::new(&self.chain, range)
    }

    /// Everything that some file of the chain holds data for.
    pub fn allocated(&self) -> Result<ChangedRanges> {
        let mut data = Vec::new();
        for extent in self.extents(ByteRange::new(0, self.capacity())) {
            let Extent { range, kind } = extent?;
            if matches!(kind, ExtentKind::Data { .. }) {
                data.push(range);
            }
        }
        Ok(ChangedRanges::from_ranges(data))
    }

    /// What the block tables of the files say as a whole, leaf first. A large table is read and checked to
    /// its end for this, so that an error tells what opening did not find.
    pub fn block_usage(&self) -> Result<Vec<BlockUsage>> {
        self.chain.files().iter().map(Layer::block_usage).collect()
    }

    /// The files of the chain, leaf first.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = LayerInfo> + '_ {
        self.chain.files().iter().map(Layer::info)
    }
}

/// Iterator over the extents of a range. Ends after the first error.
#[derive(Debug)]
pub struct Extents<'a> {
    chain: &'a Chain,
    rest: ByteRange,
    pending: Option<Extent>,
}

impl<'a> Extents<'a> {
    pub(crate) fn new(chain: &'a Chain, range: ByteRange) -> Self {
        let rest = range.intersect(ByteRange::new(0, chain.capacity()));
        Self { chain, rest, pending: None }
    }
}

impl Iterator for Extents<'_> {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let next = match self.chain.resolve(self.rest) {
                Ok(next) => next,
                Err(error) => {
                    self.rest.end = self.rest.start;
                    self.pending = None;
                    return Some(Err(error));
                }
            };
            self.rest.start = next.range.end;
            match &mut self.pending {
                Some(pending) if pending.continues_into(&next) => pending.range.end = next.range.end,
                pending => {
                    if let Some(complete) = pending.replace(next) {
                        return Some(Ok(complete));
                    }
                }
            }
        }
        self.pending.take().map(Ok)
    }
}

impl Extent {
    fn continues_into(&self, next: &Self) -> bool {
        match (self.kind, next.kind) {
            (ExtentKind::Data { layer, file_offset }, ExtentKind::Data { layer: other, file_offset: at }) => {
                layer == other && file_offset + self.range.len() == at
            }
            (one, other) => one == other,
        }
    }
}

/// The file, or its name and why it cannot be opened.
fn open_file(path: &Path) -> std::result::Result<Arc<dyn FileIo>, (String, std::io::Error)> {
    match LocalFile::open_read(path) {
        Ok(file) => Ok(Arc::new(file)),
        Err(error) => Err((path.display().to_string(), error)),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}
