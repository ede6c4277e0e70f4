//! From a frozen file as the host names it to a readable disk.
//!
//! The file and its parents are opened through the path map. A differencing file names its parent relative to its
//! own folder, and that is followed first, because it stays true when the folders appear elsewhere; the absolute
//! path is the second choice. Whether a parent is the right one is decided by its data id, which `vdisk` checks.

use std::sync::Arc;

use vdisk::{Disk, FileIo, LocalFile, ParentLocator};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::path_map::{HostPath, PathMap};

impl Host {
    /// Opens a frozen disk for reading. Drop every clone of it before its checkpoint is converted or destroyed: an
    /// open handle makes the merge fail.
    pub fn open_frozen_disk(&self, host_path: &str) -> Result<Disk> {
        let mut chain = Chain { paths: self.paths(), child: HostPath::parse(host_path)?, trouble: None };
        let local = self.paths().to_local(host_path)?;
        let failed = |cause| Error::DiskFile {
            host: self.name().to_owned(),
            path: host_path.to_owned(),
            cause: Box::new(cause),
        };
        let leaf = LocalFile::open_read(&local).map_err(|source| {
            failed(vdisk::Error::Io { file: local.display().to_string(), action: "open", source })
        })?;
        let disk = Disk::open_with(Arc::new(leaf), &mut |locator| chain.parent(locator));
        match (disk, chain.trouble) {
            (Ok(disk), _) => Ok(disk),
            (Err(_), Some(trouble)) => Err(trouble),
            (Err(cause), None) => Err(failed(cause)),
        }
    }
}

/// Walks from child to parent.
struct Chain<'a> {
    paths: &'a PathMap,
    child: HostPath,
    /// A path that the map refused; told instead of "parent not found".
    trouble: Option<Error>,
}

impl Chain<'_> {
    fn parent(&mut self, locator: &ParentLocator) -> vdisk::Result<Arc<dyn FileIo>> {
        let mut last = None;
        for parent in self.candidates(locator) {
            let opened = parent.and_then(|path| Ok((self.paths.to_local(&path.to_string())?, path)));
            match opened {
                Err(error) => self.trouble = self.trouble.take().or(Some(error)),
                Ok((local, path)) => match LocalFile::open_read(&local) {
                    Ok(file) => {
                        (self.child, self.trouble) = (path, None);
                        return Ok(Arc::new(file));
                    }
                    Err(error) => last = Some((local, error)),
                },
            }
        }
        if last.is_some() {
            self.trouble = None;
        }
        let (path, source) = last.map_or_else(
            || (locator.first_path().unwrap_or("without a name").to_owned(), None),
            |(local, error)| (local.display().to_string(), Some(error)),
        );
        Err(vdisk::Error::ParentNotFound { file: self.child.to_string(), path, source })
    }

    /// The parent's host path, most trusted first.
    fn candidates(&self, locator: &ParentLocator) -> Vec<Result<HostPath>> {
        let relative = locator.relative_path.as_deref().map(|path| self.child.sibling(path));
        let absolute = locator.absolute_path.as_deref().map(HostPath::parse);
        relative.into_iter().chain(absolute).collect()
    }
}
