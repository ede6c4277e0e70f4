//! What the tests share: weak keys, a disk given as bytes, and stores that misbehave.

pub mod fault;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use repository::{
    BaseDisk, DiskKey, DiskSpec, Error, Indexed, InitOptions, KdfStrength, Key, Located, PointId, PointSpec,
    Repository, RestorePoint, Secret, SourceId, WriteSession, WriteSummary,
};

pub const PASSPHRASE: &str = "correct horse";
/// Only for tests: a real passphrase slot takes 64 MiB and three passes.
pub const WEAK: KdfStrength = KdfStrength { memory_kib: 8, passes: 1, lanes: 1 };
pub const KIB: u64 = 1024;
pub const MIB: u64 = 1024 * 1024;

pub fn secret(text: &str) -> Secret {
    Secret::new(text)
}

pub fn options(block_bytes: u32) -> InitOptions {
    InitOptions { block_bytes, passphrase: secret(PASSPHRASE), kdf: WEAK }
}

pub fn passphrase() -> Key {
    Key::Passphrase(secret(PASSPHRASE))
}

pub fn memory() -> Repository<Located> {
    Repository::at(Arc::new(InMemory::new()), "memory")
}

pub async fn create(located: &Repository<Located>, block_bytes: u32) -> Repository<Indexed> {
    located.create(options(block_bytes)).await.unwrap().index().await.unwrap()
}

pub async fn open(located: &Repository<Located>) -> Repository<Indexed> {
    located.unlock(passphrase()).await.unwrap().index().await.unwrap()
}

pub fn key(name: &str) -> DiskKey {
    DiskKey::new(name).unwrap()
}

pub fn point_id(number: u128) -> PointId {
    PointId::from_uuid(uuid::Uuid::from_u128(number))
}

pub fn disk_spec(name: &str, capacity_bytes: u64, base: Option<PointId>) -> DiskSpec {
    DiskSpec {
        key: key(name),
        name: format!("{name}.vhdx"),
        capacity_bytes,
        logical_sector: 512,
        physical_sector: 4096,
        identity: Some("DISK-ID".into()),
        base: base.map(|point| BaseDisk { point, key: key(name) }),
    }
}

pub fn point_spec(id: PointId) -> PointSpec {
    PointSpec {
        id,
        source: SourceId::new("vm-1").unwrap(),
        source_name: "SQL01".into(),
        created_unix_ms: 1_700_000_000_000,
        labels: BTreeMap::from([("kind".into(), "test".into())]),
        attachments: BTreeMap::from([("definition.json".into(), Bytes::from_static(b"{}"))]),
    }
}

/// A put or a hole.
#[derive(Debug, Clone)]
pub enum Change {
    Put(u64, Vec<u8>),
    Hole(std::ops::Range<u64>),
}

pub async fn write_disk(
    session: &WriteSession,
    spec: DiskSpec,
    changes: &[Change],
) -> Result<WriteSummary, Error> {
    let writer = session.begin_disk(spec).await?;
    for change in changes {
        match change {
            Change::Put(offset, bytes) => writer.put(*offset, bytes.clone().into()).await?,
            Change::Hole(range) => writer.hole(range.clone()).await?,
        }
    }
    writer.finish().await
}

/// Backs up one disk "d0" as restore point `id`.
pub async fn backup(
    repository: &Repository<Indexed>,
    id: PointId,
    spec: DiskSpec,
    changes: &[Change],
) -> Result<RestorePoint, Error> {
    let session = repository.begin_session().await?;
    write_disk(&session, spec, changes).await?;
    session.commit(point_spec(id)).await
}

pub async fn read_all(repository: &Repository<Indexed>, id: PointId) -> Vec<u8> {
    let view = repository.disk(&id, &key("d0")).await.unwrap();
    let mut bytes = vec![0xAA; usize::try_from(view.capacity()).unwrap()];
    view.read_at(0, &mut bytes).await.unwrap();
    bytes
}

/// Bytes that do not compress and differ by seed.
pub fn noise(seed: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Bytes that compress well and differ by seed.
pub fn text(seed: u64, length: u64) -> Vec<u8> {
    let line = format!("line {seed} of some log file that says much the same each time\n");
    line.bytes().cycle().take(usize::try_from(length).unwrap()).collect()
}

/// Waits for a state, for at most ten seconds.
pub async fn wait_until(mut reached: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if reached().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the state was not reached within ten seconds");
}
