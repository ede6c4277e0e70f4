//! A local folder as a store, with writes that survive a power cut.
//!
//! An object is written to `tmp/`, flushed, and hard-linked to its final name: the link is the
//! create-if-absent, and no half-written object ever bears a final name. The barrier flushes every folder
//! that got a new name, up to the root. Files in `tmp/` are locked by their writer, so that a leftover of
//! a killed process can be told from a file being written (POSIX link(2), fsync(2), flock(2)).

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{Attempt, Listed};
use crate::error::{Error, Result};
use crate::seal::random;

const TMP: &str = "tmp";
/// EPERM of link(2): the file system has no hard links.
const EPERM: i32 = 1;

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    place: String,
    /// Folders with names that are not durable yet; held while flushing, so that nobody overtakes.
    unflushed: Mutex<BTreeSet<PathBuf>>,
}

/// A file in `tmp/`, locked by us and removed when dropped.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A failure leaves a leftover, which the next session removes.
        let _ = fs::remove_file(&self.path);
    }
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        let place = root.display().to_string();
        Self { root: root.to_owned(), place, unflushed: Mutex::new(BTreeSet::new()) }
    }

    /// Runs file work on a blocking thread.
    pub(super) async fn run<T, F>(self: &Arc<Self>, name: &str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Self, &str) -> Result<T> + Send + 'static,
    {
        let (folder, name) = (Arc::clone(self), name.to_owned());
        tokio::task::spawn_blocking(move || work(&folder, &name)).await.map_err(Error::internal)?
    }

    pub(super) fn create(&self, name: &str, parts: &[Bytes]) -> Result<bool> {
        let needed_bytes = parts.iter().map(|part| part.len() as u64).sum();
        let failed = |cause: &io::Error| {
            let mut attempt = self.attempt(name, "written");
            attempt.needed_bytes = needed_bytes;
            attempt.free_bytes = free_bytes(&self.root);
            attempt.failed(cause)
        };
        let draft = self.write_draft(parts).map_err(|cause| failed(&cause))?;
        let path = self.root.join(name);
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(|cause| failed(&cause))?;
        match fs::hard_link(&draft.path, &path) {
            Ok(()) => {}
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(cause)
                if cause.kind() == io::ErrorKind::Unsupported || cause.raw_os_error() == Some(EPERM) =>
            {
                return Err(Error::NoHardLinks { place: self.place.clone() });
            }
            Err(cause) => return Err(failed(&cause)),
        }
        // All folders up to the root, because another process may have made one and not flushed it yet.
        let mut unflushed = self.unflushed.lock().unwrap_or_else(PoisonError::into_inner);
        unflushed
            .extend(parent.ancestors().take_while(|folder| folder.starts_with(&self.root)).map(Into::into));
        Ok(true)
    }

    fn write_draft(&self, parts: &[Bytes]) -> io::Result<Draft> {
        let mut draft = self.new_draft()?;
        for part in parts {
            draft.file.write_all(part)?;
        }
        draft.file.sync_all()?;
        Ok(draft)
    }

    fn new_draft(&self) -> io::Result<Draft> {
        let tmp = self.root.join(TMP);
        // Only this one folder: a root that is gone (an unmounted disk) must not be made anew.
        match fs::create_dir(&tmp) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(cause),
            _ => {}
        }
        loop {
            let name = random::<16>().map_err(io::Error::other)?;
            let path = tmp.join(format!("{:032x}", u128::from_be_bytes(name)));
            let draft = Draft { file: OpenOptions::new().write(true).create_new(true).open(&path)?, path };
            // A file system without locks keeps leftovers; it does not keep backups from running.
            let _ = draft.file.lock();
            // A cleaner may have taken the file between its creation and its lock.
            if draft.path.try_exists()? {
                return Ok(draft);
            }
        }
    }

    pub(super) fn clean_leftovers(&self) -> Result<()> {
        let Ok(entries) = fs::read_dir(self.root.join(TMP)) else { return Ok(()) };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
            if file.try_lock().is_ok() {
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, name: &str, bytes_max: u64) -> Result<Option<Bytes>> {
        let read = || -> io::Result<Option<Bytes>> {
            let file = File::open(self.root.join(name))?;
            if file.metadata()?.len() > bytes_max {
                return Ok(None);
            }
            let mut bytes = Vec::new();
            file.take(bytes_max).read_to_end(&mut bytes)?;
            Ok(Some(bytes.into()))
        };
        read().map_err(|cause| self.attempt(name, "read").failed(&cause))
    }

    /// May return fewer bytes when the object is shorter.
    pub(super) fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let read = || -> io::Result<Bytes> {
            let mut file = File::open(self.root.join(name))?;
            let length = file.metadata()?.len().min(range.end).saturating_sub(range.start);
            file.seek(SeekFrom::Start(range.start))?;
            let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
            file.take(length).read_to_end(&mut bytes)?;
            Ok(bytes.into())
        };
        read().map_err(|cause| self.attempt(name, "read").failed(&cause))
    }

    pub(super) fn size(&self, name: &str) -> Result<Option<u64>> {
        match fs::metadata(self.root.join(name)) {
            Ok(found) => Ok(Some(found.len())),
            Err(cause) if is_absent(&cause) => Ok(None),
            Err(cause) => Err(self.attempt(name, "read").failed(&cause)),
        }
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        let mut folders = vec![prefix.to_owned()];
        while let Some(folder) = folders.pop() {
            let failed = |cause: io::Error| self.attempt(&folder, "listed").failed(&cause);
            let entries = match fs::read_dir(self.root.join(&folder)) {
                Ok(entries) => entries,
                Err(cause) if is_absent(&cause) => continue,
                Err(cause) => return Err(failed(cause)),
            };
            for entry in entries {
                let entry = entry.map_err(failed)?;
                // Names that are not UTF-8 are not ours.
                let Ok(name) = entry.file_name().into_string() else { continue };
                let name = format!("{folder}/{name}");
                match entry.metadata() {
                    Ok(data) if data.is_dir() => folders.push(name),
                    Ok(data) => found.push(Listed { name, bytes: data.len() }),
                    Err(cause) if is_absent(&cause) => {}
                    Err(cause) => return Err(failed(cause)),
                }
            }
        }
        Ok(found)
    }

    pub(super) fn top_level(&self) -> Result<Vec<String>> {
        match fs::read_dir(&self.root) {
            Ok(entries) => {
                Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
            }
            Err(cause) if is_absent(&cause) => Ok(Vec::new()),
            Err(cause) => Err(self.attempt("the folder", "listed").failed(&cause)),
        }
    }

    pub(super) fn delete(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.root.join(name)) {
            Err(cause) if !is_absent(&cause) => Err(self.attempt(name, "deleted").failed(&cause)),
            _ => Ok(()),
        }
    }

    pub(super) fn make_root(&self) -> Result<()> {
        let failed = |cause: &io::Error| self.attempt("the folder", "created").failed(cause);
        let absolute = std::path::absolute(&self.root).map_err(|cause| failed(&cause))?;
        let fresh: Vec<_> = absolute.ancestors().take_while(|folder| !folder.exists()).collect();
        let changed = fresh.iter().filter_map(|folder| folder.parent()).map(Path::to_owned);
        self.unflushed.lock().unwrap_or_else(PoisonError::into_inner).extend(changed);
        fs::create_dir_all(&absolute).map_err(|cause| failed(&cause))
    }

    pub(super) fn barrier(&self) -> Result<()> {
        let mut unflushed = self.unflushed.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in unflushed.iter() {
            flush_folder(folder).map_err(|cause| {
                self.attempt(&folder.display().to_string(), "flushed to the disk").failed(&cause)
            })?;
        }
        unflushed.clear();
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn unflushed_folders(&self) -> Vec<PathBuf> {
        self.unflushed.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn attempt<'a>(&'a self, object: &'a str, doing: &'static str) -> Attempt<'a> {
        Attempt { place: &self.place, object, doing, needed_bytes: 0, free_bytes: None }
    }
}

/// Nothing there, also when a part of the path is a file.
fn is_absent(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(unix)]
fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows has no flush for folders; NTFS logs their changes itself.
#[cfg(not(unix))]
fn flush_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}
