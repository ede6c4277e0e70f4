//! Verification of a restore point: read everything, open it, decompress it, hash it again.
//!
//! Each distinct chunk is read once. Packs are also checked as objects (header, directory and footer
//! against the runs), because readers never look at those and a rebuild of the index would.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::fetch::{Wanted, fetch};
use super::tree::{Leaf, Tree, chunks_of};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::format::Fault;
use crate::format::pack::{FOOTER_BYTES, HEADER_BYTES, locate_directory, open_directory};
use crate::format::point::RestorePoint;
use crate::index::IndexPack;
use crate::name::{ChunkId, DiskKey, SessionId};

/// Chunks fetched in one go: bounds the memory that finished fetches hold.
const BATCH_CHUNKS: usize = 256;

/// One place where a restore point is damaged.
#[derive(Debug, Clone)]
pub struct Damage {
    /// The disk, when the damage is on one.
    pub disk: Option<DiskKey>,
    /// The bytes of the disk that are lost; empty when none are.
    pub range: Range<u64>,
    /// What was found.
    pub cause: Arc<Error>,
}

/// What verification found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Distinct chunks that were read and match their identity.
    pub chunks: u64,
    /// Their plain bytes.
    pub plain_bytes: u64,
    /// Packs that were checked.
    pub packs: u64,
    /// All damage; empty when the restore point is whole.
    pub damage: Vec<Damage>,
}

impl VerifyReport {
    /// Whether everything was found right.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

struct Verifier<'a> {
    core: &'a Arc<Core>,
    report: VerifyReport,
    good: HashSet<ChunkId>,
    bad: BTreeMap<ChunkId, Arc<Error>>,
    packs: BTreeSet<(SessionId, u32)>,
}

pub(crate) async fn verify(core: &Arc<Core>, point: &RestorePoint) -> Result<VerifyReport> {
    let (good, bad, packs) = Default::default();
    let mut verifier = Verifier { core, report: VerifyReport::default(), good, bad, packs };
    for record in &point.disks {
        verifier.check_disk(point, &record.key).await?;
    }
    for attachment in &point.attachments {
        if let Err(cause) = super::attachment(core, point, &attachment.name).await {
            verifier.note(None, 0..0, Arc::new(cause));
        }
        let places: Vec<_> = attachment.chunks.iter().map(|id| (0..0, *id)).collect();
        verifier.note_packs(&places);
    }
    verifier.check_packs(point.session).await;
    Ok(verifier.report)
}

impl Verifier<'_> {
    fn note(&mut self, disk: Option<DiskKey>, range: Range<u64>, cause: Arc<Error>) {
        self.report.damage.push(Damage { disk, range, cause });
    }

    async fn check_disk(&mut self, point: &RestorePoint, key: &DiskKey) -> Result<()> {
        let record = point.disk(key)?;
        let tree = Tree::new(self.core, point.id, record);
        let mut walk = tree.walk();
        while let Some(step) = walk.next().await {
            for cause in step.lost {
                let range = match &cause {
                    Error::DamagedRange { start, end, .. } => *start..*end,
                    _ => 0..0,
                };
                self.note(Some(key.clone()), range, Arc::new(cause));
            }
            self.check_leaves(key, record.capacity_bytes, &step.leaves).await;
        }
        Ok(())
    }

    async fn check_leaves(&mut self, key: &DiskKey, capacity: u64, leaves: &[Leaf]) {
        let places: Vec<_> = leaves.iter().flat_map(|(index, items)| chunks_of(*index, items)).collect();
        self.note_packs(&places);
        for batch in places.chunks(BATCH_CHUNKS) {
            self.check_chunks(batch).await;
            for (range, id) in batch {
                if let Some(cause) = self.bad.get(id) {
                    let (range, cause) = (range.start..range.end.min(capacity), Arc::clone(cause));
                    self.note(Some(key.clone()), range, cause);
                }
            }
        }
    }

    async fn check_chunks(&mut self, batch: &[(Range<u64>, ChunkId)]) {
        let mut asked = HashSet::new();
        let wanted: Vec<_> = batch
            .iter()
            .filter(|(_, id)| !self.good.contains(id) && !self.bad.contains_key(id) && asked.insert(*id))
            .map(|(range, id)| Wanted { id: *id, bytes: u32::try_from(range.end - range.start).ok() })
            .collect();
        fetch(self.core, &wanted, |position, result| {
            let id = wanted[position].id;
            match result {
                Ok(bytes) => {
                    self.good.insert(id);
                    self.report.chunks += 1;
                    self.report.plain_bytes += bytes.len() as u64;
                }
                Err(cause) => {
                    self.bad.insert(id, cause);
                }
            }
        })
        .await;
    }

    fn note_packs(&mut self, places: &[(Range<u64>, ChunkId)]) {
        let index = self.core.index();
        let found = places.iter().filter_map(|(_, id)| index.find(id));
        self.packs.extend(found.map(|location| (location.frame.session, location.frame.pack)));
    }

    /// Packs that hold data of this point, and all that its own session wrote (maps are in these).
    async fn check_packs(&mut self, own: SessionId) {
        let index = self.core.index();
        for pack in index.packs() {
            if pack.session != own && !self.packs.contains(&(pack.session, pack.number)) {
                continue;
            }
            self.report.packs += 1;
            if let Err(cause) = check_pack(self.core, pack).await {
                self.note(None, 0..0, Arc::new(cause));
            }
        }
    }
}

/// Checks what readers skip: header, footer and directory, against the run and against each other.
async fn check_pack(core: &Core, pack: &IndexPack) -> Result<()> {
    let object = pack.object();
    let at = |fault: Fault| fault.at(core.store.place(), &object);
    let size = core.store.size(&object).await?;
    if size.is_none() {
        return Err(Error::MissingObject { place: core.store.place().to_owned(), object });
    }
    let shortest = HEADER_BYTES + FOOTER_BYTES;
    if size != Some(u64::from(pack.bytes)) || pack.bytes < shortest {
        return Err(core.store.damaged(&object, "its size differs from its run"));
    }
    let head = core.store.get_range(&object, 0..u64::from(HEADER_BYTES)).await?;
    let foot_at = u64::from(pack.bytes - FOOTER_BYTES);
    let foot = core.store.get_range(&object, foot_at..u64::from(pack.bytes)).await?;
    let (salt, offset, bytes) = locate_directory(&head, &foot, pack.bytes).map_err(at)?;
    if salt != pack.salt {
        return Err(core.store.damaged(&object, "its salt differs from its run"));
    }
    let range = u64::from(offset)..u64::from(offset) + u64::from(bytes);
    let sealed = core.store.get_range(&object, range).await?;
    let frames = open_directory(&object, &core.keys, (&salt, offset), &sealed).map_err(at)?;
    let index = core.index();
    let known = |id: &ChunkId| index.find(id).is_some();
    if frames.iter().flat_map(|frame| &frame.chunks).all(|(id, _)| known(id)) {
        return Ok(());
    }
    Err(core.store.damaged(&object, "its directory lists chunks that no run knows"))
}
