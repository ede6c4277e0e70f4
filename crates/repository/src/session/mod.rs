//! Writing: a session takes the disks of one restore point and commits them together.
//!
//! ```text
//! put ─► piece ≤ 1 MiB ─► blocking thread: zeros? hash, look up, collect, compress ─► packer ─► store
//!                              └─► map builder: leaf full? node full? ─► same way
//! ```
//! Every arrow is bounded, so memory does not depend on the size of disks: a put waits for one of few
//! places, a frame waits for the packer, the packer has one pack growing and one under way.
//!
//! Pieces are worked on by tokio's blocking threads, of which a runtime needs more than it has cores
//! (the default is 512): a piece that waits for the packer holds one while the packer's store needs another.

mod commit;
mod disk;
mod frames;
mod map_builder;
mod packer;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use crate::core::Core;
use crate::error::{Error, Result};
use crate::format::config::Config;
use crate::format::pack::LooseFrame;
use crate::format::point::{DiskRecord, SessionRuns};
use crate::name::{ChunkId, DiskKey, PointId, SessionId, SourceId};

pub use disk::DiskWriter;
use frames::{Assembler, Compressors, RawFrame};
use packer::Command;

/// Frames waiting for the packer: one per core is enough to keep it busy.
const FRAMES_WAITING: usize = 8;

/// What describes a disk that is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpec {
    /// The disk's key; unique within the restore point.
    pub key: DiskKey,
    /// Its name for people.
    pub name: String,
    /// Capacity in bytes.
    pub capacity_bytes: u64,
    /// Logical sector size.
    pub logical_sector: u32,
    /// Physical sector size.
    pub physical_sector: u32,
    /// What identifies the disk outside, for example the virtual disk id.
    pub identity: Option<String>,
    /// Where everything that is not put comes from; without it, that is hole.
    pub base: Option<BaseDisk>,
}

/// A disk of an earlier restore point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseDisk {
    /// The restore point.
    pub point: PointId,
    /// The disk there.
    pub key: DiskKey,
}

/// What describes the restore point that a commit makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointSpec {
    /// Its id, chosen beforehand so that a journal can know it.
    pub id: PointId,
    /// What was backed up.
    pub source: SourceId,
    /// The source's name for people.
    pub source_name: String,
    /// When, in milliseconds since 1970 (UTC).
    pub created_unix_ms: u64,
    /// What the caller wants to remember.
    pub labels: BTreeMap<String, String>,
    /// Small files that belong to it, for example a VM's definition; each at most 4 MiB.
    pub attachments: BTreeMap<String, Bytes>,
}

/// A writer's work from begin to commit. Clones are handles of the same session.
///
/// Dropping the last handle without a commit leaves nothing visible; the packs written so far are removed
/// as far as the store lets us, and nobody reads them otherwise.
#[derive(Clone)]
pub struct WriteSession {
    inner: Arc<Session>,
}

impl fmt::Debug for WriteSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteSession").field("id", &self.inner.id).finish_non_exhaustive()
    }
}

/// What a session needs to know about a chunk before it stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// Nobody has it: the claimer stores it.
    New,
    /// A committed session or this one has it.
    Known,
}

pub(crate) struct Session {
    core: Arc<Core>,
    id: SessionId,
    packer: mpsc::Sender<Command>,
    places: Arc<Semaphore>,
    compressors: Compressors,
    /// Chunks that this session stored or is about to.
    own: Mutex<HashSet<ChunkId>>,
    /// Committed sessions whose chunks were reused, directly or through a base.
    reused: Mutex<BTreeSet<SessionRuns>>,
    /// Map objects and attachments gather here, apart from disk data.
    maps: Mutex<Assembler>,
    disks: Mutex<BTreeMap<DiskKey, Option<DiskRecord>>>,
    ended: Mutex<bool>,
    failure: Mutex<Option<Arc<Error>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WriteSession {
    pub(crate) fn begin(core: Arc<Core>) -> Result<Self> {
        let id = SessionId::generate()?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let (packer, frames) = mpsc::channel(FRAMES_WAITING);
        let maps = Mutex::new(Assembler::new(core.config.frame_bytes));
        let inner = Arc::new(Session {
            core: Arc::clone(&core),
            id,
            packer,
            // Two more than cores, so that a piece waiting for the packer does not idle a core.
            places: Arc::new(Semaphore::new(cores + 2)),
            compressors: Compressors::default(),
            own: Mutex::default(),
            reused: Mutex::default(),
            maps,
            disks: Mutex::default(),
            ended: Mutex::new(false),
            failure: Mutex::default(),
        });
        tokio::spawn(packer::run(core, id, frames, Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// Begins to write a disk.
    pub async fn begin_disk(&self, spec: DiskSpec) -> Result<DiskWriter> {
        self.inner.check()?;
        disk::begin(&self.inner, spec).await
    }
}

impl Session {
    fn config(&self) -> &Config {
        &self.core.config
    }

    /// Fails when an earlier part of the session failed or the session ended.
    fn check(&self) -> Result<()> {
        if let Some(source) = locked(&self.failure).clone() {
            return Err(Error::SessionFailed { source });
        }
        if *locked(&self.ended) {
            return Err(Error::misuse("it was committed already"));
        }
        Ok(())
    }

    /// Ends the session because of `cause`; the first failure stays.
    fn fail(&self, cause: Error) {
        locked(&self.failure).get_or_insert_with(|| Arc::new(cause));
    }

    fn failed(&self) -> Error {
        let known = locked(&self.failure).clone();
        let source = known.unwrap_or_else(|| Arc::new(Error::internal("the packer ended early")));
        Error::SessionFailed { source }
    }

    /// Decides who stores a chunk, and notes whose chunk is reused.
    fn claim(&self, id: ChunkId) -> Claim {
        let index = self.core.index();
        if let Some(location) = index.find(&id) {
            let session = location.frame.session;
            if let Some(runs) = index.runs_of(session) {
                locked(&self.reused).insert(SessionRuns { session, runs });
            }
            return Claim::Known;
        }
        if locked(&self.own).insert(id) { Claim::New } else { Claim::Known }
    }

    /// Takes a map object or a piece of an attachment: its id, and frames that became full.
    fn keep(&self, bytes: &[u8], full: &mut Vec<RawFrame>) -> ChunkId {
        let id = self.core.keys.chunk_id(bytes);
        if self.claim(id) == Claim::New {
            locked(&self.maps).push(id, bytes, full);
        }
        id
    }

    fn compress(&self, raw: RawFrame) -> Result<LooseFrame> {
        self.compressors.compress(raw)
    }

    /// Hands frames to the packer, from a blocking thread.
    fn send_blocking(&self, frames: Vec<RawFrame>) -> Result<u64> {
        let mut stored_bytes = 0;
        for raw in frames {
            let frame = self.compress(raw)?;
            stored_bytes += frame.stored_bytes();
            self.packer.blocking_send(Command::Frame(frame)).map_err(|_| self.failed())?;
        }
        Ok(stored_bytes)
    }

    /// Hands frames to the packer, from a task.
    async fn send(&self, frames: Vec<RawFrame>) -> Result<u64> {
        let mut stored_bytes = 0;
        for raw in frames {
            let frame = self.compress(raw)?;
            stored_bytes += frame.stored_bytes();
            self.packer.send(Command::Frame(frame)).await.map_err(|_| self.failed())?;
        }
        Ok(stored_bytes)
    }
}
