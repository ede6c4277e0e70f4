//! The files of one virtual disk, child first: finding parents, checking them, looking through them.
//!
//! A child names its parent by an identity: the data write GUID of a VHDX, the UUID of a VHD. It
//! decides; paths are only hints that the caller resolves. Windows does not make chains of both
//! formats; one whose identities fit is read all the same. A chain never holds the same file twice,
//! which is recognised by its identities because names can differ (links), and its depth is bounded.

use std::sync::Arc;

use crate::disk::{Extent, ExtentKind};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::layer::{Layer, needs_parent};
use crate::number::index;
use crate::parent::ParentLocator;
use crate::range::ByteRange;
use crate::vhdx::{Image, Presence};

/// Most files in a chain. Hyper-V allows 50 checkpoints to a VM; this leaves room for odd tools.
pub const MAX_CHAIN_DEPTH: usize = 256;

/// Brings the file below a child, given the child's name and what it knows of its parent.
pub(crate) type FindParent<'a> = dyn FnMut(&str, &ParentLocator) -> Result<Arc<dyn FileIo>> + 'a;

/// All files of one virtual disk, child first.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) layers: Vec<Layer>,
}

impl Chain {
    /// A disk whose bytes are those of the file.
    pub(crate) fn open_raw(file: Arc<dyn FileIo>) -> Result<Self> {
        let capacity = file.len().map_err(|error| Error::io(file.name(), "read the length of", error))?;
        Ok(Self { layers: vec![Layer::Raw { file, capacity }] })
    }

    /// Opens the leaf, then each parent that `find_parent` brings, until one needs none.
    pub(crate) fn open_with(leaf: Arc<dyn FileIo>, find_parent: &mut FindParent<'_>) -> Result<Self> {
        Self::open_over(Layer::open(leaf)?, find_parent)
    }

    fn open_over(leaf: Layer, find_parent: &mut FindParent<'_>) -> Result<Self> {
        let mut layers = vec![leaf];
        while let Some(child) = layers.last()
            && let Some(locator) = child.locator()
        {
            let file = find_parent(child.name(), locator)?;
            let parent = Layer::open(file)?;
            check_parent(child, locator, &parent)?;
            check_new(&layers, &parent)?;
            layers.push(parent);
        }
        Ok(Self { layers })
    }

    /// Opens the leaf alone. What it leaves to its parent cannot be read.
    pub(crate) fn open_leaf(leaf: Arc<dyn FileIo>) -> Result<Self> {
        let leaf = Layer::open(leaf)?;
        let below = leaf.locator().cloned();
        let below = below.map(|locator| Layer::Missing { child: Arc::clone(leaf.file()), locator });
        Ok(Self { layers: std::iter::once(leaf).chain(below).collect() })
    }

    /// Opens files given child first; there must be exactly as many as the chain has.
    pub(crate) fn open_files(files: Vec<Arc<dyn FileIo>>) -> Result<Self> {
        Self::open_files_by(files, Layer::open)
    }

    /// As [`Chain::open_files`], with a leaf that is to be written; the others are only read.
    pub(crate) fn open_files_for_writing(files: Vec<Arc<dyn FileIo>>) -> Result<Self> {
        Self::open_files_by(files, |leaf| Ok(Layer::Vhdx(Arc::new(Image::open_for_writing(leaf)?))))
    }

    /// A VHDX file of draft 0.95 of the specification that needs no parent.
    pub(crate) fn open_draft(file: Arc<dyn FileIo>) -> Result<Self> {
        Self::open_files_by(vec![file], |leaf| Ok(Layer::Vhdx(Arc::new(Image::open_draft(leaf)?))))
    }

    fn open_files_by(
        files: Vec<Arc<dyn FileIo>>,
        open_leaf: impl FnOnce(Arc<dyn FileIo>) -> Result<Layer>,
    ) -> Result<Self> {
        let mut files = files.into_iter();
        let Some(leaf) = files.next() else {
            return Err(Error::BadChain { file: "the chain".into(), why: "it has no file".into() });
        };
        let chain = Self::open_over(open_leaf(leaf)?, &mut |child, locator| {
            files.next().ok_or_else(|| needs_parent(child, locator))
        })?;
        match files.next() {
            Some(extra) => Err(Error::BadChain {
                file: extra.name().to_owned(),
                why: "the file before it needs no parent".into(),
            }),
            None => Ok(chain),
        }
    }

    /// The layers that are files; a parent that was not looked for is none.
    pub(crate) fn files(&self) -> &[Layer] {
        match self.layers.as_slice() {
            [files @ .., Layer::Missing { .. }] => files,
            files => files,
        }
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.layers[0].capacity()
    }

    pub(crate) fn name(&self) -> &str {
        self.layers[0].name()
    }

    /// The content at the start of `range`, and how far it surely goes on that way.
    pub(crate) fn resolve(&self, range: ByteRange) -> Result<Extent> {
        let mut run = range;
        for (layer, file) in self.layers.iter().enumerate() {
            let held = ByteRange::new(0, file.capacity());
            if run.start >= held.end {
                // A parent that is smaller than its child ends here; beyond are zeros.
                return Ok(Extent { range: run, kind: ExtentKind::Zero });
            }
            let (presence, end) = file.presence(run.intersect(held))?;
            run.end = end;
            match presence {
                Presence::Data { file_offset } => {
                    return Ok(Extent { range: run, kind: ExtentKind::Data { layer, file_offset } });
                }
                Presence::Zero => return Ok(Extent { range: run, kind: ExtentKind::Zero }),
                Presence::Below => {}
            }
        }
        Ok(Extent { range: run, kind: ExtentKind::Absent })
    }

    /// Refuses an access beyond the end of the disk.
    pub(crate) fn check_range(&self, offset: u64, length: u64) -> Result<ByteRange> {
        let capacity = self.capacity();
        match offset.checked_add(length) {
            Some(end) if end <= capacity => Ok(ByteRange::new(offset, end)),
            _ => Err(Error::OutOfRange { file: self.name().to_owned(), offset, length, capacity }),
        }
    }

    /// Fills `buf` with the disk's bytes, one file read for each contiguous run.
    pub(crate) fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let range = self.check_range(offset, buf.len() as u64)?;
        for extent in crate::disk::Extents::new(self, range) {
            let Extent { range, kind } = extent?;
            let part = &mut buf[index(range.start - offset)..index(range.end - offset)];
            match kind {
                ExtentKind::Data { layer, file_offset } => {
                    let file = self.layers[layer].file();
                    file.read_at(file_offset, part).map_err(|error| Error::io(file.name(), "read", error))?;
                }
                ExtentKind::Zero | ExtentKind::Absent => part.fill(0),
            }
        }
        Ok(())
    }
}

fn check_parent(child: &Layer, locator: &ParentLocator, parent: &Layer) -> Result<()> {
    let found = parent.identity();
    if !locator.accepts(found) {
        return Err(Error::ParentMismatch {
            file: child.name().to_owned(),
            parent: parent.name().to_owned(),
            expected: locator.linkage,
            found,
        });
    }
    let (upper, lower) = (child.logical_sector(), parent.logical_sector());
    if upper != lower {
        let why = format!("its logical sectors have {lower} bytes, those of {} have {upper}", child.name());
        return Err(Error::BadChain { file: parent.name().to_owned(), why });
    }
    Ok(())
}

fn check_new(layers: &[Layer], parent: &Layer) -> Result<()> {
    let same = |layer: &Layer| {
        layer.file_identity() == parent.file_identity() && layer.identity() == parent.identity()
    };
    let bad = |why: String| Err(Error::BadChain { file: parent.name().to_owned(), why });
    if layers.iter().any(same) {
        return bad("it is its own ancestor".into());
    }
    if layers.len() >= MAX_CHAIN_DEPTH {
        return bad(format!("the chain has more than {MAX_CHAIN_DEPTH} files"));
    }
    Ok(())
}
