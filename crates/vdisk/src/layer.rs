//! One file of a chain, whatever its format, and how the format is told.
//!
//! A VHDX is known by its first bytes. A VHD is known by its footer, which stands at the end and, in
//! sparse files, also at the start. The bytes of a raw disk belong to a guest, who may write anything
//! there, so a raw disk is never guessed. The first bytes of a fixed VHD and the last ones of a VHDX are a
//! guest's too: of a file that is both at once the extension of its name, which no guest chooses, is
//! believed, and without one it is refused.

use std::sync::Arc;

use uuid::Uuid;

use crate::disk::{BlockUsage, DiskFormat, LayerInfo};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::id::DiskId;
use crate::parent::ParentLocator;
use crate::range::ByteRange;
use crate::vhd::{self, VhdImage};
use crate::vhdset;
use crate::vhdx::{self, DiskKind, Image, LogState, Presence};

/// One file of a chain.
#[derive(Debug, Clone)]
pub(crate) enum Layer {
    /// A VHDX file.
    Vhdx(Arc<Image>),
    /// A VHD file.
    Vhd(Arc<VhdImage>),
    /// A file whose bytes are the disk.
    Raw { file: Arc<dyn FileIo>, capacity: u64 },
    /// The place of a parent that was not looked for. Reading it is an error.
    Missing { child: Arc<dyn FileIo>, locator: ParentLocator },
}

/// The format that a file's bytes tell, and its name where a guest could have written those bytes; `None` for a
/// file that is neither VHDX nor VHD.
pub(crate) fn format_of(file: &dyn FileIo) -> Result<Option<DiskFormat>> {
    let unreadable = |error| Error::io(file.name(), "read", error);
    let is_vhdx = vhdx::has_signature(file).map_err(unreadable)?;
    if is_vhdx && vhd::ends_as_fixed_disk(file).map_err(unreadable)? {
        let is_vhd =
            is_named_vhd(file.name()).ok_or_else(|| Error::BothFormats { file: file.name().to_owned() })?;
        return Ok(Some(if is_vhd { DiskFormat::Vhd } else { DiskFormat::Vhdx }));
    }
    if is_vhdx {
        return Ok(Some(DiskFormat::Vhdx));
    }
    Ok(vhd::has_footer_cookie(file).map_err(unreadable)?.then_some(DiskFormat::Vhd))
}

/// Whether a name says VHD (true) or VHDX (false), if it says either.
fn is_named_vhd(name: &str) -> Option<bool> {
    match vhdset::extension(name)?.to_ascii_lowercase().as_str() {
        "vhd" | "avhd" => Some(true),
        "vhdx" | "avhdx" => Some(false),
        _ => None,
    }
}

impl Layer {
    /// Opens a file of either format for reading.
    pub(crate) fn open(file: Arc<dyn FileIo>) -> Result<Self> {
        if vhdset::is_named_so(file.name()) {
            return Err(Error::VhdSet { file: file.name().to_owned() });
        }
        match format_of(&*file)? {
            Some(DiskFormat::Vhd) => Ok(Self::Vhd(Arc::new(VhdImage::open(file)?))),
            // A file of neither format is refused there, with what it looks like.
            _ => Ok(Self::Vhdx(Arc::new(Image::open(file)?))),
        }
    }

    pub(crate) fn file(&self) -> &Arc<dyn FileIo> {
        match self {
            Self::Vhdx(image) => image.file(),
            Self::Vhd(image) => image.file(),
            Self::Raw { file, .. } => file,
            Self::Missing { child, .. } => child,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.file().name()
    }

    pub(crate) fn capacity(&self) -> u64 {
        match self {
            Self::Vhdx(image) => image.geometry().capacity,
            Self::Vhd(image) => image.capacity(),
            Self::Raw { capacity, .. } => *capacity,
            Self::Missing { .. } => u64::MAX,
        }
    }

    pub(crate) fn logical_sector(&self) -> u32 {
        if let Self::Vhdx(image) = self { image.geometry().logical_sector } else { 512 }
    }

    pub(crate) fn physical_sector(&self) -> u32 {
        if let Self::Vhdx(image) = self { image.geometry().physical_sector } else { 512 }
    }

    /// Bytes of a block; 0 where the file has none.
    pub(crate) fn block_bytes(&self) -> u32 {
        match self {
            Self::Vhdx(image) => image.geometry().block_bytes,
            Self::Vhd(image) => image.block_bytes(),
            Self::Raw { .. } | Self::Missing { .. } => 0,
        }
    }

    /// Identity of the virtual disk, as far as this file tells it.
    pub(crate) fn disk_id(&self) -> DiskId {
        match self {
            Self::Vhdx(image) => image.disk_id(),
            Self::Vhd(image) => DiskId::new(image.unique_id()),
            Self::Raw { .. } | Self::Missing { .. } => DiskId::NIL,
        }
    }

    /// Identity as a parent: the data write GUID of a VHDX, the UUID of a VHD.
    pub(crate) fn identity(&self) -> Uuid {
        match self {
            Self::Vhdx(image) => image.data_write_guid(),
            Self::Vhd(image) => image.unique_id(),
            Self::Raw { .. } | Self::Missing { .. } => Uuid::nil(),
        }
    }

    /// Identity of the file's bytes; nil where the format has none.
    pub(crate) fn file_identity(&self) -> Uuid {
        if let Self::Vhdx(image) = self { image.file_write_guid() } else { Uuid::nil() }
    }

    /// What the file knows of its parent, if it has one.
    pub(crate) fn locator(&self) -> Option<&ParentLocator> {
        match self {
            Self::Vhdx(image) => image.locator(),
            Self::Vhd(image) => image.locator(),
            Self::Raw { .. } | Self::Missing { .. } => None,
        }
    }

    pub(crate) fn presence(&self, range: ByteRange) -> Result<(Presence, u64)> {
        match self {
            Self::Vhdx(image) => image.presence(range),
            Self::Vhd(image) => image.presence(range),
            Self::Raw { file, .. } => raw_presence(&**file, range),
            Self::Missing { child, locator } => Err(needs_parent(child.name(), locator)),
        }
    }

    /// What the file is, for people.
    pub(crate) fn info(&self) -> LayerInfo {
        let mut info = LayerInfo {
            name: self.name().to_owned(),
            format: DiskFormat::Raw,
            kind: DiskKind::Fixed,
            creator: String::new(),
            capacity: self.capacity(),
            logical_sector: self.logical_sector(),
            physical_sector: self.physical_sector(),
            block_bytes: self.block_bytes(),
            virtual_disk_id: self.disk_id(),
            data_write_guid: self.identity(),
            file_write_guid: self.file_identity(),
            parent: self.locator().cloned(),
            unknown: Vec::new(),
            log: LogState::Clean,
        };
        match self {
            Self::Vhdx(image) => {
                (info.format, info.kind) = (DiskFormat::Vhdx, image.kind());
                info.creator = image.creator().to_owned();
                info.unknown = image.unknown().to_vec();
                info.log = image.log();
            }
            Self::Vhd(image) => {
                (info.format, info.kind) = (DiskFormat::Vhd, image.kind());
                info.creator = image.creator().to_owned();
            }
            Self::Raw { .. } | Self::Missing { .. } => {}
        }
        info
    }

    /// What the block table says as a whole, which may read all of it.
    pub(crate) fn block_usage(&self) -> Result<BlockUsage> {
        match self {
            Self::Vhdx(image) => {
                let survey = image.survey()?;
                Ok(BlockUsage { allocated_blocks: survey.present_blocks, oddities: survey.oddities() })
            }
            Self::Vhd(image) => {
                Ok(BlockUsage { allocated_blocks: image.present_blocks(), ..BlockUsage::default() })
            }
            Self::Raw { .. } | Self::Missing { .. } => Ok(BlockUsage::default()),
        }
    }
}

/// The error for a child whose parent nobody gave.
pub(crate) fn needs_parent(child: &str, locator: &ParentLocator) -> Error {
    Error::NeedsParent { file: child.to_owned(), parent_path: locator.first_path().map(str::to_owned) }
}

/// Data where the file has data, and nothing in its holes.
fn raw_presence(file: &dyn FileIo, range: ByteRange) -> Result<(Presence, u64)> {
    let failed = |error| Error::io(file.name(), "look for holes in", error);
    let run = file.run_at(range.start).map_err(failed)?;
    if run.is_hole && run.end > range.start {
        return Ok((Presence::Below, run.end.min(range.end)));
    }
    // A file that was cut meanwhile has no run here; reading it tells so.
    let end = if run.end > range.start { run.end.min(range.end) } else { range.end };
    Ok((Presence::Data { file_offset: range.start }, end))
}
