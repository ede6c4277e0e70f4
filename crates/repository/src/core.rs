//! What an unlocked repository is inside: store, keys, configuration, index, cache of frames.
//!
//! Shared behind one `Arc` by every handle, session and view. Restore points are read here, and with
//! them the runs they name, which is the only way a run becomes trusted (format document section 5).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::format::config::Config;
use crate::format::envelope::{self, Kind};
use crate::format::point::{POINT_OBJECT_BYTES_MAX, RestorePoint, SessionRuns};
use crate::format::run::{RUN_OBJECT_BYTES_MAX, Run};
use crate::index::{FrameKey, Index};
use crate::name::{self, PointId, SourceId};
use crate::read::DecodedFrame;
use crate::seal::{Keys, random};
use crate::store::Store;

/// Memory for decoded frames: enough for a few parallel readers of 4 MiB each.
const FRAME_CACHE_BYTES: usize = 16 << 20;

pub(crate) struct Core {
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Keys,
    pub(crate) config: Config,
    pub(crate) frames: Cache<FrameKey, Arc<DecodedFrame>>,
    index: RwLock<Arc<Index>>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("place", &self.store.place()).finish_non_exhaustive()
    }
}

/// Something that could not be read while the rest could.
#[derive(Debug, Clone)]
pub struct Gap {
    /// The object.
    pub object: String,
    /// Why.
    pub cause: Arc<Error>,
}

/// Restore points, oldest first, with the ones that could not be read.
#[derive(Debug, Clone, Default)]
pub struct RestorePoints {
    /// Those that could be read.
    pub points: Vec<RestorePoint>,
    /// Those that could not.
    pub gaps: Vec<Gap>,
}

impl std::ops::Deref for RestorePoints {
    type Target = [RestorePoint];
    fn deref(&self) -> &[RestorePoint] {
        &self.points
    }
}

impl IntoIterator for RestorePoints {
    type Item = RestorePoint;
    type IntoIter = std::vec::IntoIter<RestorePoint>;
    fn into_iter(self) -> Self::IntoIter {
        self.points.into_iter()
    }
}

impl Core {
    pub(crate) fn new(store: Arc<Store>, keys: Keys, config: Config) -> Self {
        let (index, frames) = (RwLock::default(), Cache::new(FRAME_CACHE_BYTES));
        Self { store, keys, config, frames, index }
    }

    /// The index as it is now.
    pub(crate) fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the runs of a committed session into the index.
    pub(crate) fn add_runs(&self, runs: SessionRuns, loaded: Vec<Run>) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut index).add(runs.session, loaded);
    }

    /// Opens a sealed object.
    pub(crate) async fn open(&self, kind: Kind, name: &str, bytes_max: u64) -> Result<Vec<u8>> {
        let sealed = self.store.get(name, bytes_max).await?;
        envelope::open(kind, name, &self.keys, &sealed).map_err(|fault| fault.at(self.store.place(), name))
    }

    /// Creates a sealed object; `false` when one of that name exists.
    pub(crate) async fn create(&self, kind: Kind, name: &str, content: Vec<u8>) -> Result<bool> {
        let sealed = envelope::seal(kind, name, &self.keys, &random()?, content)?;
        self.store.create(name, vec![Bytes::from(sealed)]).await
    }

    /// Names of all restore points, oldest first as far as ids sort by time.
    pub(crate) async fn point_names(&self) -> Result<Vec<(SourceId, PointId)>> {
        let listed = self.store.list(name::POINTS).await?;
        let mut names: Vec<_> =
            listed.iter().filter_map(|object| name::parse_point_object(&object.name)).collect();
        names.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        Ok(names)
    }

    pub(crate) async fn read_point(&self, source: &SourceId, id: PointId) -> Result<RestorePoint> {
        let object = name::point_object(source, id);
        let content = self.open(Kind::Point, &object, POINT_OBJECT_BYTES_MAX).await?;
        RestorePoint::parse(source, id, &content).map_err(|fault| fault.at(self.store.place(), &object))
    }

    pub(crate) async fn find_point(&self, id: PointId) -> Result<RestorePoint> {
        let names = self.point_names().await?;
        let Some((source, _)) = names.into_iter().find(|(_, found)| *found == id) else {
            return Err(Error::PointNotFound { place: self.store.place().to_owned(), point: id });
        };
        self.read_point(&source, id).await
    }

    pub(crate) async fn read_points(&self) -> Result<RestorePoints> {
        let mut found = RestorePoints::default();
        for (source, id) in self.point_names().await? {
            match self.read_point(&source, id).await {
                Ok(point) => found.points.push(point),
                Err(cause) => {
                    let object = name::point_object(&source, id);
                    found.gaps.push(Gap { object, cause: Arc::new(cause) });
                }
            }
        }
        found.points.sort_by_key(|point| (point.created_unix_ms, point.id));
        Ok(found)
    }

    /// Makes sure that everything this restore point needs is in the index.
    pub(crate) async fn load_point(&self, point: &RestorePoint) -> Result<()> {
        for runs in &point.runs {
            self.load_runs(*runs).await?;
        }
        Ok(())
    }

    /// Loads the runs that all readable restore points name; what fails is a gap.
    pub(crate) async fn load_all(&self) -> Result<Vec<Gap>> {
        let RestorePoints { points, mut gaps } = self.read_points().await?;
        let named: BTreeSet<_> = points.iter().flat_map(|point| point.runs.iter().copied()).collect();
        for runs in named {
            if let Err(cause) = self.load_runs(runs).await {
                let object = name::run_object(runs.session, 0);
                gaps.push(Gap { object, cause: Arc::new(cause) });
            }
        }
        Ok(gaps)
    }

    async fn load_runs(&self, runs: SessionRuns) -> Result<()> {
        if self.index().has(runs.session) {
            return Ok(());
        }
        let mut loaded = Vec::new();
        for number in 0..runs.runs {
            let object = name::run_object(runs.session, number);
            let content = self.open(Kind::Run, &object, RUN_OBJECT_BYTES_MAX).await?;
            loaded.push(Run::parse(&content).map_err(|fault| fault.at(self.store.place(), &object))?);
        }
        self.add_runs(runs, loaded);
        Ok(())
    }
}
