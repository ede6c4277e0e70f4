//! Where objects live: a local folder with durable writes of our own, or any `object_store`.
//!
//! The repository needs little of a store: create-if-absent, read, read range, list, and a barrier after
//! which everything created before is durable. Nothing is overwritten. A local folder does not go
//! through `object_store`'s own local backend because that one never flushes to the disk.

mod folder;
mod remote;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;

use crate::error::{Error, Result};
use folder::Folder;
use remote::Remote;

/// An object as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// A store and the name it goes by in messages.
#[derive(Debug)]
pub(crate) struct Store {
    place: String,
    backend: Backend,
}

#[derive(Debug)]
enum Backend {
    Folder(Arc<Folder>),
    Remote(Remote),
}

impl Store {
    pub(crate) fn folder(path: &Path) -> Self {
        Self { place: path.display().to_string(), backend: Backend::Folder(Arc::new(Folder::new(path))) }
    }

    pub(crate) fn remote(store: Arc<dyn ObjectStore>, name: String) -> Self {
        Self { place: name.clone(), backend: Backend::Remote(Remote::new(store, name)) }
    }

    /// Folder or bucket, for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Creates an object from its parts; `false` when one of that name exists.
    pub(crate) async fn create(&self, name: &str, parts: Vec<Bytes>) -> Result<bool> {
        match &self.backend {
            Backend::Folder(folder) => folder.run(name, move |f, name| f.create(name, &parts)).await,
            Backend::Remote(remote) => remote.create(name, parts).await,
        }
    }

    /// Reads a whole object of at most `bytes_max`.
    pub(crate) async fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes> {
        let found = match &self.backend {
            Backend::Folder(folder) => folder.run(name, move |f, name| f.get(name, bytes_max)).await?,
            Backend::Remote(remote) => remote.get(name, bytes_max).await?,
        };
        found.ok_or_else(|| self.damaged(name, "it is larger than any of its kind"))
    }

    /// Reads exactly this range of an object.
    pub(crate) async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let expected = range.end.saturating_sub(range.start);
        let bytes = match &self.backend {
            Backend::Folder(folder) => folder.run(name, move |f, name| f.get_range(name, range)).await?,
            Backend::Remote(remote) => remote.get_range(name, range).await?,
        };
        if bytes.len() as u64 == expected { Ok(bytes) } else { Err(self.damaged(name, "it is cut short")) }
    }

    /// The size of an object, `None` when there is none.
    pub(crate) async fn size(&self, name: &str) -> Result<Option<u64>> {
        match &self.backend {
            Backend::Folder(folder) => folder.run(name, Folder::size).await,
            Backend::Remote(remote) => remote.size(name).await,
        }
    }

    /// All objects under a folder name, sorted by name.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let mut found = match &self.backend {
            Backend::Folder(folder) => folder.run(prefix, Folder::list).await?,
            Backend::Remote(remote) => remote.list(prefix).await?,
        };
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Names directly at the root, to see whether a place is empty.
    pub(crate) async fn top_level(&self) -> Result<Vec<String>> {
        match &self.backend {
            Backend::Folder(folder) => folder.run("", |f, _| f.top_level()).await,
            Backend::Remote(remote) => remote.top_level().await,
        }
    }

    /// Removes an object; only for what no restore point can name.
    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        match &self.backend {
            Backend::Folder(folder) => folder.run(name, Folder::delete).await,
            Backend::Remote(remote) => remote.delete(name).await,
        }
    }

    /// Makes the place itself, when the store has such a thing.
    pub(crate) async fn make_place(&self) -> Result<()> {
        match &self.backend {
            Backend::Folder(folder) => folder.run("", |f, _| f.make_root()).await,
            Backend::Remote(_) => Ok(()),
        }
    }

    /// Returns once everything created before is durable.
    pub(crate) async fn barrier(&self) -> Result<()> {
        match &self.backend {
            Backend::Folder(folder) => folder.run("", |f, _| f.barrier()).await,
            Backend::Remote(_) => Ok(()),
        }
    }

    /// Removes what writers that died left half written; never anything with a final name.
    pub(crate) async fn clean_leftovers(&self) -> Result<()> {
        match &self.backend {
            Backend::Folder(folder) => folder.run("", |f, _| f.clean_leftovers()).await,
            Backend::Remote(_) => Ok(()),
        }
    }

    pub(crate) fn damaged(&self, name: &str, cause: &str) -> Error {
        Error::DamagedObject { place: self.place.clone(), object: name.to_owned(), cause: cause.to_owned() }
    }
}

/// Which object was being worked on and how, for turning causes into errors.
struct Attempt<'a> {
    place: &'a str,
    object: &'a str,
    doing: &'static str,
    needed_bytes: u64,
    free_bytes: Option<u64>,
}

impl Attempt<'_> {
    /// The error for an input or output error of the system.
    fn failed(&self, cause: &std::io::Error) -> Error {
        use std::io::ErrorKind as Kind;
        let (place, object) = (self.place.to_owned(), self.object.to_owned());
        match cause.kind() {
            Kind::NotFound | Kind::NotADirectory if self.doing == "read" => {
                Error::MissingObject { place, object }
            }
            Kind::NotFound => Error::NotFound { place },
            Kind::StorageFull | Kind::QuotaExceeded => {
                let (needed_bytes, free_bytes) = (self.needed_bytes, self.free_bytes);
                Error::Full { place, object, needed_bytes, free_bytes }
            }
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
                Error::PermissionDenied { place, object, doing: self.doing }
            }
            _ => self.other(cause),
        }
    }

    fn other(&self, cause: &dyn std::fmt::Display) -> Error {
        Error::Storage {
            place: self.place.to_owned(),
            object: self.object.to_owned(),
            doing: self.doing,
            cause: cause.to_string().trim_end_matches('.').to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
