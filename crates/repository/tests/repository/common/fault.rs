//! A store that misbehaves: full, failing or cut off after so many bytes or puts, or losing its answers.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// What a put costs.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    Bytes,
    Puts,
}

/// Passes everything on to a store in memory until the budget is spent; then puts fail.
#[derive(Debug, Clone)]
pub struct FaultStore {
    pub inner: Arc<InMemory>,
    budget: Budget,
    left: Arc<AtomicI64>,
    kind: std::io::ErrorKind,
    echoes_points: bool,
}

impl FaultStore {
    pub fn new(inner: Arc<InMemory>, budget: Budget, left: i64, kind: std::io::ErrorKind) -> Self {
        Self { inner, budget, left: Arc::new(AtomicI64::new(left)), kind, echoes_points: false }
    }

    /// Puts restore points twice and reports the second outcome, as a client does whose first answer was lost.
    pub fn echoing_points(inner: Arc<InMemory>) -> Self {
        let unlimited = Self::new(inner, Budget::Puts, i64::MAX, std::io::ErrorKind::Other);
        Self { echoes_points: true, ..unlimited }
    }

    pub fn refill(&self, left: i64) {
        self.left.store(left, Ordering::SeqCst);
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultStore")
    }
}

#[async_trait::async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let cost = match self.budget {
            Budget::Bytes => i64::try_from(payload.content_length()).unwrap(),
            Budget::Puts => 1,
        };
        if self.left.fetch_sub(cost, Ordering::SeqCst) < cost {
            let source = Box::new(std::io::Error::from(self.kind));
            return Err(object_store::Error::Generic { store: "FaultStore", source });
        }
        if self.echoes_points && location.as_ref().starts_with("points/") {
            self.inner.put_opts(location, payload.clone(), options.clone()).await?;
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
