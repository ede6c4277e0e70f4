//! Backing up a virtual disk file that no host is asked about: a file on a shelf, or one that a
//! person knows to be at rest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use repository::{DiskKey, DiskSpec, Indexed, PointId, PointSpec, Repository, RestorePoint, SourceId};
use vdisk::{Disk, DiskId, LocalFile};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::run::report::DiskReport;
use crate::transfer::{Selection, copy};
use crate::world::World;

/// What came of it.
#[derive(Debug)]
pub struct FileBackup {
    /// The restore point.
    pub point: RestorePoint,
    /// What was read and stored.
    pub disk: DiskReport,
    /// Things an operator should know.
    pub warnings: Vec<String>,
}

/// Backs up one VHDX file under `name`.
///
/// All that is allocated is read; what an earlier restore point holds is stored once.
///
/// # Errors
/// When the file is no disk that can be read, or the repository cannot take it. No restore
/// point is then visible.
pub async fn backup_file(
    file: &Path,
    name: &str,
    repository: &Repository<Indexed>,
    world: &World,
) -> Result<FileBackup> {
    let source = SourceId::new(name)?;
    let before = Stamp::of(file)?;
    let disk = Disk::open(Arc::new(open(file)?))?;
    let file_name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    let identity = disk.virtual_disk_id();
    let key = key_of(&identity)?;
    let session = repository.begin_session().await?;
    let writer = session
        .begin_disk(DiskSpec {
            key: key.clone(),
            name: file_name.clone(),
            capacity_bytes: disk.capacity(),
            logical_sector: disk.logical_sector(),
            physical_sector: disk.physical_sector(),
            identity: Some(identity.to_string()),
            base: None,
        })
        .await?;
    let bytes_to_read = Selection::Allocated.bytes_at_most(&disk)?;
    world.tell(&Event::DiskStarted { vm: name.into(), disk: file_name.clone(), bytes_to_read });
    let copied = copy(&disk, &Selection::Allocated, &writer, &|bytes_read| {
        world.tell(&Event::DiskProgress { vm: name.into(), disk: file_name.clone(), bytes_read });
    })
    .await?;
    let stored = writer.finish().await?;
    world.tell(&Event::DiskFinished {
        vm: name.into(),
        disk: file_name.clone(),
        bytes_read: copied.read_bytes,
        bytes_stored: stored.stored_bytes,
    });
    let unchanged = Stamp::of(file)? == before;
    let now = world.now_unix_ms();
    let point = session
        .commit(PointSpec {
            id: PointId::generate(now)?,
            source,
            source_name: name.into(),
            created_unix_ms: now,
            labels: labels(unchanged),
            attachments: BTreeMap::new(),
        })
        .await?;
    world.tell(&Event::PointCommitted { vm: name.into(), point: point.id.to_string() });
    let disk = DiskReport {
        key: key.to_string(),
        name: file_name.clone(),
        capacity_bytes: disk.capacity(),
        changed_only: false,
        whole_because: Some("a disk file has no host that tracks its changes".into()),
        reported_bytes: None,
        read_bytes: copied.read_bytes,
        new_bytes: stored.new_bytes,
        stored_bytes: stored.stored_bytes,
    };
    Ok(FileBackup { point, disk, warnings: warnings(unchanged, &file_name, name, world) })
}

/// Length and time of change: enough to notice that somebody writes to the file.
#[derive(PartialEq, Eq)]
struct Stamp {
    length: u64,
    changed: Option<std::time::SystemTime>,
}

impl Stamp {
    fn of(file: &Path) -> Result<Self> {
        let facts = fs::metadata(file).map_err(|source| unreadable(file, source))?;
        Ok(Self { length: facts.len(), changed: facts.modified().ok() })
    }
}

fn open(file: &Path) -> Result<LocalFile> {
    LocalFile::open_read(file).map_err(|source| unreadable(file, source))
}

fn unreadable(file: &Path, source: std::io::Error) -> Error {
    Error::DiskFile { path: file.to_owned(), source }
}

fn key_of(identity: &DiskId) -> repository::Result<DiskKey> {
    DiskKey::new(identity.to_string().to_ascii_lowercase())
}

fn labels(unchanged: bool) -> BTreeMap<String, String> {
    let consistency = if unchanged { "offline" } else { "file changed while it was read" };
    BTreeMap::from([
        ("kind".to_owned(), "disk-file".to_owned()),
        ("consistency".to_owned(), consistency.to_owned()),
    ])
}

fn warnings(unchanged: bool, file_name: &str, name: &str, world: &World) -> Vec<String> {
    if unchanged {
        return Vec::new();
    }
    let what = format!(
        "{file_name} changed while it was read, so the restore point may mix two states; back it up again when \
         nothing writes to it"
    );
    world.tell(&Event::Warning { vm: name.into(), what: what.clone() });
    vec![what]
}
