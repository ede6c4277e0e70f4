//! The files of one virtual disk, child first: finding parents, checking them, looking through them.
//!
//! A child names its parent by the parent's data write GUID. The GUID decides; paths are only hints
//! that the caller resolves. A chain never holds the same file twice, which is recognised by its
//! write GUIDs because names can differ (links), and it has a depth bound besides.

use std::sync::Arc;

use crate::disk::{Extent, ExtentKind};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;
use crate::range::ByteRange;
use crate::vhdx::{Image, ParentLocator, Presence};

/// Most files in a chain. Hyper-V allows 50 checkpoints to a VM; this leaves room for odd tools.
pub const MAX_CHAIN_DEPTH: usize = 256;

/// Brings the file below a child, given the child's name and what it knows of its parent.
pub(crate) type FindParent<'a> = dyn FnMut(&str, &ParentLocator) -> Result<Arc<dyn FileIo>> + 'a;

/// One file of a chain.
#[derive(Debug, Clone)]
pub(crate) enum Layer {
    /// A VHDX file.
    Vhdx(Arc<Image>),
    /// A file whose bytes are the disk.
    Raw { file: Arc<dyn FileIo>, capacity: u64 },
}

impl Layer {
    pub(crate) fn file(&self) -> &Arc<dyn FileIo> {
        match self {
            Self::Vhdx(image) => image.file(),
            Self::Raw { file, .. } => file,
        }
    }

    pub(crate) fn capacity(&self) -> u64 {
        match self {
            Self::Vhdx(image) => image.geometry().capacity,
            Self::Raw { capacity, .. } => *capacity,
        }
    }

    fn presence(&self, range: ByteRange) -> Result<(Presence, u64)> {
        match self {
            Self::Vhdx(image) => image.presence(range),
            Self::Raw { file, .. } => {
                let failed = |error| Error::io(file.name(), "look for holes in", error);
                let run = file.run_at(range.start).map_err(failed)?;
                if run.is_hole && run.end > range.start {
                    return Ok((Presence::Below, run.end.min(range.end)));
                }
                // A file that was cut meanwhile has no run here; reading it tells so.
                let end = if run.end > range.start { run.end.min(range.end) } else { range.end };
                Ok((Presence::Data { file_offset: range.start }, end))
            }
        }
    }
}

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
        Self::open_over(Image::open(leaf)?, find_parent)
    }

    fn open_over(leaf: Image, find_parent: &mut FindParent<'_>) -> Result<Self> {
        let mut images = vec![leaf];
        while let Some(child) = images.last()
            && let Some(locator) = child.locator()
        {
            let file = find_parent(child.name(), locator)?;
            let parent = Image::open(file)?;
            check_parent(child, locator, &parent)?;
            check_new(&images, &parent)?;
            images.push(parent);
        }
        Ok(Self { layers: images.into_iter().map(|image| Layer::Vhdx(Arc::new(image))).collect() })
    }

    /// Opens files given child first; there must be exactly as many as the chain has.
    pub(crate) fn open_files(files: Vec<Arc<dyn FileIo>>) -> Result<Self> {
        Self::open_files_by(files, Image::open)
    }

    /// As [`Chain::open_files`], with a leaf that is to be written; the others are only read.
    pub(crate) fn open_files_for_writing(files: Vec<Arc<dyn FileIo>>) -> Result<Self> {
        Self::open_files_by(files, Image::open_for_writing)
    }

    fn open_files_by(
        files: Vec<Arc<dyn FileIo>>,
        open_leaf: impl FnOnce(Arc<dyn FileIo>) -> Result<Image>,
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

    pub(crate) fn capacity(&self) -> u64 {
        self.layers[0].capacity()
    }

    pub(crate) fn name(&self) -> &str {
        self.layers[0].file().name()
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

/// The error for a child whose parent nobody gave.
pub(crate) fn needs_parent(child: &str, locator: &ParentLocator) -> Error {
    Error::NeedsParent { file: child.to_owned(), parent_path: locator.first_path().map(str::to_owned) }
}

fn check_parent(child: &Image, locator: &ParentLocator, parent: &Image) -> Result<()> {
    let found = parent.data_write_guid();
    if !locator.accepts(found) {
        return Err(Error::ParentMismatch {
            file: child.name().to_owned(),
            parent: parent.name().to_owned(),
            expected: locator.linkage,
            found,
        });
    }
    let (upper, lower) = (child.geometry().logical_sector, parent.geometry().logical_sector);
    if upper != lower {
        let why = format!("its logical sectors have {lower} bytes, those of {} have {upper}", child.name());
        return Err(Error::BadChain { file: parent.name().to_owned(), why });
    }
    Ok(())
}

fn check_new(images: &[Image], parent: &Image) -> Result<()> {
    let same = |image: &Image| {
        image.file_write_guid() == parent.file_write_guid()
            && image.data_write_guid() == parent.data_write_guid()
    };
    let bad = |why: String| Err(Error::BadChain { file: parent.name().to_owned(), why });
    if images.iter().any(same) {
        return bad("it is its own ancestor".into());
    }
    if images.len() >= MAX_CHAIN_DEPTH {
        return bad(format!("the chain has more than {MAX_CHAIN_DEPTH} files"));
    }
    Ok(())
}
