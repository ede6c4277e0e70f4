//! Opening for writing, and the identities that a session renews (MS-VHDX 2.2.2).
//!
//! The file write GUID is new before the first change of any kind, the data write GUID before the first
//! change of what the guest sees: children compare it with the one they noted. Opening alone changes
//! nothing, unless the log of the file must be replayed first.

use std::sync::Arc;

use uuid::Uuid;

use super::create::{Blueprint, CreateOptions, DIFFERENCING_BLOCK_BYTES};
use super::header::NewGuids;
use super::image::Image;
use super::metadata::Geometry;
use super::replay::replay_in_place;
use super::write::{Changes, WritableDisk};
use crate::chain::Chain;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::layer::Layer;
use crate::number::{MIB, align_up};
use crate::parent::ParentLocator;

/// Which GUIDs of the file are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    /// The file write GUID.
    pub file: bool,
    /// The data write GUID, or it must stay until a merge is complete.
    pub data: bool,
}

impl Session {
    /// Nothing changed yet; the file is as it was opened.
    pub(super) const UNTOUCHED: Self = Self { file: false, data: false };
    /// As before, and the data identity must stay.
    pub(super) const KEEPING_DATA_IDENTITY: Self = Self { file: false, data: true };
    /// Both are new.
    const NEW: Self = Self { file: true, data: true };
}

impl WritableDisk {
    /// Makes a new disk in an empty file.
    pub fn create(file: Arc<dyn FileIo>, options: &CreateOptions) -> Result<Self> {
        options.blueprint().write(&file)?;
        Ok(Self::over(Arc::new(Image::open_for_writing(file)?), Vec::new(), Session::NEW))
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
        let image = Arc::new(Image::open_for_writing(file)?);
        Ok(Self::over(image, parent.chain().layers.clone(), Session::NEW))
    }

    /// Opens a disk that needs no parent. A log that was not replayed is replayed first.
    pub fn open(file: Arc<dyn FileIo>) -> Result<Self> {
        Self::open_chain(vec![file])
    }

    /// Opens a chain, child first; only the first file is written.
    pub fn open_chain(files: Vec<Arc<dyn FileIo>>) -> Result<Self> {
        Self::open_session(files, Session::UNTOUCHED)
    }

    pub(super) fn open_session(files: Vec<Arc<dyn FileIo>>, session: Session) -> Result<Self> {
        let mut layers = match Chain::open_files_for_writing(files.clone()) {
            Err(Error::LogNeedsReplay { .. }) => {
                // As it will be after the replay, the chain is checked before the file is written at all.
                drop(Chain::open_files(files.clone())?);
                files.first().map_or(Ok(()), replay_in_place)?;
                Chain::open_files_for_writing(files)?.layers
            }
            other => other?.layers,
        };
        let parents = layers.split_off(1);
        match layers.pop() {
            Some(Layer::Vhdx(image)) => Ok(Self::over(image, parents, session)),
            Some(layer) => {
                Err(Error::BadChain { file: layer.name().to_owned(), why: "it is no VHDX file".into() })
            }
            None => Err(Error::BadChain { file: "the chain".into(), why: "it has no file".into() }),
        }
    }

    fn over(image: Arc<Image>, parents: Vec<Layer>, session: Session) -> Self {
        let durable_length = image.length();
        let next_free = align_up(durable_length.max(image.used_end), MIB);
        let layers = std::iter::once(Layer::Vhdx(Arc::clone(&image))).chain(parents).collect();
        Self {
            chain: Arc::new(Chain { layers }),
            image,
            changes: Changes::default(),
            session,
            log: None,
            next_free,
            tail_is_clean: false,
            durable_length,
            failed: false,
        }
    }

    /// Before the first change of what the guest sees.
    pub(super) fn begin_change(&mut self) -> Result<()> {
        self.check_usable()?;
        if self.session.data {
            return self.begin_file_change();
        }
        self.renew_guids(Some(Uuid::new_v4()))
    }

    /// Before the first change that leaves what the guest sees as it is.
    pub(super) fn begin_file_change(&mut self) -> Result<()> {
        if self.session.file { Ok(()) } else { self.renew_guids(None) }
    }

    pub(super) fn renew_guids(&mut self, data_write: Option<Uuid>) -> Result<()> {
        let guids = NewGuids { file_write: Uuid::new_v4(), data_write };
        self.image.header().replace_guids(&*self.image.file, guids)?;
        self.session.file = true;
        self.session.data |= data_write.is_some();
        Ok(())
    }
}
