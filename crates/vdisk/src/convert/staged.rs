//! A new file that gets its name only once it is complete.
//!
//! It is written in the target's own folder under a hidden name, so that the rename at the end is one
//! step on one file system. Whatever fails before removes it; a process that is killed leaves one
//! hidden file `.refpoint-….new` and never half a disk under a real name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::file_io::{FileIo, LocalFile};

/// What to do when the target exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse, and leave it alone.
    Keep,
    /// Put the new file in its place once that is complete.
    Replace,
}

pub(super) struct StagedFile {
    file: Arc<LocalFile>,
    temporary: PathBuf,
    path: PathBuf,
    existing: Existing,
    published: bool,
}

impl StagedFile {
    pub(super) fn create(path: &Path, existing: Existing) -> Result<Self> {
        let name = path.display().to_string();
        let refuse = |kind: io::ErrorKind| Error::io(&name, "create", kind.into());
        // Also found by the rename at the end; told here before the work is done.
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => return Err(refuse(io::ErrorKind::IsADirectory)),
            Ok(_) if existing == Existing::Keep => return Err(refuse(io::ErrorKind::AlreadyExists)),
            _ => {}
        }
        let temporary = path.with_file_name(format!(".refpoint-{}.new", Uuid::new_v4().simple()));
        let file = LocalFile::create_new(&temporary).map_err(|error| Error::io(&name, "create", error))?;
        let file = Arc::new(file.renamed(&name));
        Ok(Self { file, temporary, path: path.to_owned(), existing, published: false })
    }

    pub(super) fn file(&self) -> Arc<dyn FileIo> {
        Arc::clone(&self.file) as Arc<dyn FileIo>
    }

    /// Gives the file its name, durably.
    pub(super) fn publish(mut self) -> Result<()> {
        let failed = |error: io::Error| Error::io(self.file.name(), "create", error);
        match self.existing {
            Existing::Replace => fs::rename(&self.temporary, &self.path),
            Existing::Keep => rename_if_absent(&self.temporary, &self.path),
        }
        .map_err(failed)?;
        self.published = true;
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let sync = File::open(folder).and_then(|folder| folder.sync_all());
        sync.map_err(|error| Error::io(self.file.name(), "make durable", error))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.published {
            // Nobody is left to be told; what failed before is the error that counts.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn rename_if_absent(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // File systems without this kind of rename (NFS, some FUSE ones): a hard link refuses too.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to).and_then(|()| fs::remove_file(from))
        }
        result => Ok(result?),
    }
}
