//! Where the bytes of a restored disk go: a dynamic VHDX or a sparse raw file.
//!
//! Bytes go into a file beside the target, `NAME.refpoint-partial`, which gets the target's name only
//! when it is complete and durable: whoever finds the target finds all of it. The partial file is
//! locked while it is written, so a leftover of a killed restore is told from one under way and is
//! simply replaced. Restore needs no VHDX log for the same reason: before the rename nobody reads it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use repository::DiskRecord;
use vdisk::{CreateOptions, DiskId, FileIo, LocalFile, WritableDisk};

use crate::error::{Error, Result};

/// Ending of a file that is not complete yet.
const PARTIAL_ENDING: &str = ".refpoint-partial";

/// The form of a restored disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetFormat {
    /// A dynamic VHDX, as Hyper-V uses it.
    Vhdx,
    /// The bytes of the disk, with holes where the disk is empty.
    Raw,
}

/// The file that a disk is restored to.
#[derive(Debug, Clone)]
pub struct DiskTarget {
    /// The file. Its folder must exist.
    pub path: PathBuf,
    /// Its form.
    pub format: TargetFormat,
    /// Whether the VHDX keeps the virtual disk id of the original. Two disks with one id are hard to
    /// tell apart, so a copy beside its original should not keep it.
    pub keep_identity: bool,
    /// Whether a file that is there already is replaced, once the new one is complete.
    pub replace: bool,
}

impl DiskTarget {
    /// A new file with an identity of its own.
    pub fn new(path: impl Into<PathBuf>, format: TargetFormat) -> Self {
        Self { path: path.into(), format, keep_identity: false, replace: false }
    }
}

/// A target being written. Dropped before [`Destination::finish`], it removes what it wrote.
#[derive(Debug)]
pub struct Destination {
    target: PathBuf,
    replace: bool,
    sink: Option<Sink>,
}

#[derive(Debug)]
enum Sink {
    Vhdx(Box<WritableDisk>),
    Raw(LocalFile),
}

impl Destination {
    /// Makes the partial file. Nothing is left behind when it fails.
    pub fn prepare(target: &DiskTarget, record: &DiskRecord) -> Result<Self> {
        let mut destination = Self { target: target.path.clone(), replace: target.replace, sink: None };
        destination.check_free()?;
        let file = create_partial(&destination.target, &destination.partial())?;
        let made = match target.format {
            TargetFormat::Raw => {
                set_length(&destination.target, &file, record.capacity_bytes).map(|()| Sink::Raw(file))
            }
            TargetFormat::Vhdx => WritableDisk::create(Arc::new(file), &options(target, record))
                .map(|disk| Sink::Vhdx(Box::new(disk)))
                .map_err(|source| destination.not_written(source)),
        };
        match made {
            Ok(sink) => {
                destination.sink = Some(sink);
                Ok(destination)
            }
            Err(error) => {
                destination.remove_partial();
                Err(error)
            }
        }
    }

    /// The file that will appear.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes bytes of the disk. Ranges may come in any order; what is never written reads as zeros.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        match &mut self.sink {
            Some(Sink::Vhdx(disk)) => {
                disk.write_at(offset, data).map_err(|source| not_written(&self.target, source))
            }
            Some(Sink::Raw(file)) => {
                file.write_at(offset, data).map_err(|error| Error::file(&self.target, "write", error))
            }
            None => Err(Error::Stopped { what: self.target.display().to_string() }),
        }
    }

    /// Makes everything durable and gives the file its name. Returns the space the file takes.
    pub fn finish(mut self) -> Result<u64> {
        let outcome = match self.sink.take() {
            Some(Sink::Vhdx(disk)) => disk.close().map_err(|source| self.not_written(source)),
            Some(Sink::Raw(file)) => {
                file.flush().map_err(|error| Error::file(&self.target, "make durable", error))
            }
            None => Err(Error::Stopped { what: self.target.display().to_string() }),
        };
        let outcome = outcome.and_then(|()| self.check_free()).and_then(|()| self.publish());
        if outcome.is_err() {
            self.remove_partial();
        }
        outcome
    }

    fn publish(&self) -> Result<u64> {
        let failed = |action| move |error| Error::file(&self.target, action, error);
        let partial = self.partial();
        let stored = stored_bytes(&partial).map_err(failed("read the size of"))?;
        fs::rename(&partial, &self.target).map_err(failed("give the restored disk the name"))?;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        // A folder's entry is durable only when the folder is flushed.
        let folder = fs::File::open(folder.unwrap_or(Path::new(".")));
        folder.and_then(|folder| folder.sync_all()).map_err(failed("make durable the name of"))?;
        Ok(stored)
    }

    fn check_free(&self) -> Result<()> {
        if !self.replace && self.target.symlink_metadata().is_ok() {
            return Err(Error::TargetExists { path: self.target.display().to_string() });
        }
        Ok(())
    }

    fn partial(&self) -> PathBuf {
        let mut name = self.target.clone().into_os_string();
        name.push(PARTIAL_ENDING);
        name.into()
    }

    fn not_written(&self, source: vdisk::Error) -> Error {
        not_written(&self.target, source)
    }

    fn remove_partial(&self) {
        if let Err(error) = fs::remove_file(self.partial()) {
            tracing::warn!(file = %self.partial().display(), %error, "a partial file stayed behind");
        }
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if self.sink.take().is_some() {
            self.remove_partial();
        }
    }
}

fn not_written(target: &Path, source: vdisk::Error) -> Error {
    Error::Disk { path: target.display().to_string(), action: "written", source: Box::new(source) }
}

/// Creates the partial file, replacing one that nobody is writing any more.
fn create_partial(target: &Path, partial: &Path) -> Result<LocalFile> {
    let failed = |action| move |error| Error::file(target, action, error);
    match LocalFile::create_new(partial) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other.map_err(failed("create")),
    }
    match LocalFile::open_read_write(partial) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            return Err(Error::TargetBusy { path: target.display().to_string() });
        }
        Err(error) => return Err(failed("replace an incomplete restore of")(error)),
    }
    fs::remove_file(partial).map_err(failed("remove an incomplete restore of"))?;
    LocalFile::create_new(partial).map_err(failed("create"))
}

fn set_length(target: &Path, file: &LocalFile, capacity: u64) -> Result<()> {
    file.set_len(capacity).map_err(|error| Error::file(target, "enlarge", error))
}

/// A VHDX of the original's size and sectors. A size that is no multiple of the sector (a raw disk
/// can have one) is rounded up with zeros, since VHDX knows whole sectors only.
fn options(target: &DiskTarget, record: &DiskRecord) -> CreateOptions {
    let sector = u64::from(record.logical_sector.max(1));
    let identity = record.identity.as_deref().and_then(|text| text.parse::<DiskId>().ok());
    CreateOptions {
        logical_sector: record.logical_sector,
        physical_sector: record.physical_sector,
        disk_id: identity.filter(|id| target.keep_identity && !id.is_nil()),
        ..CreateOptions::dynamic(record.capacity_bytes.next_multiple_of(sector))
    }
}

/// Space that a file takes; less than its length when it has holes.
fn stored_bytes(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(path)?.blocks() * 512)
}
