//! Any `object_store` as a store: one conditional put creates an object, and a put that returned is
//! durable, so the barrier has nothing to do.

use std::error::Error as StdError;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::{Attempt, Listed};
use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct Remote {
    store: Arc<dyn ObjectStore>,
    place: String,
}

impl Remote {
    pub(super) fn new(store: Arc<dyn ObjectStore>, place: String) -> Self {
        Self { store, place }
    }

    pub(super) async fn create(&self, name: &str, parts: Vec<Bytes>) -> Result<bool> {
        let payload = PutPayload::from_iter(parts);
        let needed_bytes = payload.content_length() as u64;
        let options = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&Path::from(name), payload, options).await {
            Ok(_) => Ok(true),
            // S3 answers 412 to `If-None-Match: *`, which some stores report as a failed precondition.
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            Err(cause) => {
                let mut attempt = self.attempt(name, "written");
                attempt.needed_bytes = needed_bytes;
                Err(failed(&attempt, &cause))
            }
        }
    }

    pub(super) async fn get(&self, name: &str, bytes_max: u64) -> Result<Option<Bytes>> {
        let failed = |cause| failed(&self.attempt(name, "read"), &cause);
        let found = self.store.get(&Path::from(name)).await.map_err(failed)?;
        if found.meta.size > bytes_max {
            return Ok(None);
        }
        let bytes = found.bytes().await.map_err(failed)?;
        Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
    }

    pub(super) async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let path = Path::from(name);
        match self.store.get_range(&path, range.clone()).await {
            Ok(bytes) => Ok(bytes),
            Err(cause) => {
                // Stores disagree on how they refuse a range beyond the end; the size tells.
                let size = self.size(name).await?;
                match size {
                    Some(size) if size < range.end => Ok(Bytes::new()),
                    _ => Err(failed(&self.attempt(name, "read"), &cause)),
                }
            }
        }
    }

    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>> {
        match self.store.head(&Path::from(name)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(cause) => Err(failed(&self.attempt(name, "read"), &cause)),
        }
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.store
            .list(Some(&Path::from(prefix)))
            .map_ok(|found| Listed { name: found.location.to_string(), bytes: found.size })
            .try_collect()
            .await
            .map_err(|cause| failed(&self.attempt(prefix, "listed"), &cause))
    }

    pub(super) async fn top_level(&self) -> Result<Vec<String>> {
        let found = self.store.list_with_delimiter(None).await;
        let found = found.map_err(|cause| failed(&self.attempt("the bucket", "listed"), &cause))?;
        let folders = found.common_prefixes.iter().map(ToString::to_string);
        Ok(folders.chain(found.objects.iter().map(|object| object.location.to_string())).collect())
    }

    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        match self.store.delete(&Path::from(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(failed(&self.attempt(name, "deleted"), &cause)),
        }
    }

    fn attempt<'a>(&'a self, object: &'a str, doing: &'static str) -> Attempt<'a> {
        Attempt { place: &self.place, object, doing, needed_bytes: 0, free_bytes: None }
    }
}

fn failed(attempt: &Attempt<'_>, cause: &object_store::Error) -> Error {
    use object_store::Error as E;
    let (place, object) = (attempt.place.to_owned(), attempt.object.to_owned());
    match cause {
        E::NotFound { .. } => Error::MissingObject { place, object },
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            Error::PermissionDenied { place, object, doing: attempt.doing }
        }
        _ => match io_cause(cause) {
            Some(io) => attempt.failed(io),
            None => attempt.other(cause),
        },
    }
}

/// The system's own error, when the store carries one somewhere below its own.
pub(super) fn io_cause(cause: &object_store::Error) -> Option<&std::io::Error> {
    let mut next: Option<&(dyn StdError + 'static)> = cause.source();
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        next = error.source();
    }
    None
}
