//! A small repository in a temporary folder, with restore points made for the test.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "each test file uses a part"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use repository::{
    DiskKey, DiskSpec, DiskView, Indexed, InitOptions, KdfStrength, PointId, PointSpec, Repository, Secret,
    SourceId,
};

/// One mebibyte.
pub(crate) const MIB: u64 = 1 << 20;

/// A repository and a folder to restore into; both go when this is dropped.
pub(crate) struct Bench {
    pub(crate) repository: Repository<Indexed>,
    folder: tempfile::TempDir,
}

/// A disk to be put into a restore point.
pub(crate) struct TestDisk {
    pub(crate) key: &'static str,
    pub(crate) capacity: u64,
    pub(crate) logical_sector: u32,
    pub(crate) identity: Option<String>,
    /// Offset and bytes, at multiples of the block size.
    pub(crate) data: Vec<(u64, Vec<u8>)>,
}

impl TestDisk {
    pub(crate) fn new(capacity: u64, data: Vec<(u64, Vec<u8>)>) -> Self {
        let identity = Some("0F3C5A6B-1111-4222-8333-444455556666".to_owned());
        Self { key: "disk-1", capacity, logical_sector: 512, identity, data }
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = InitOptions::new(Secret::new("a passphrase for tests"));
        options.kdf = KdfStrength { memory_kib: 8, passes: 1, lanes: 1 };
        let unlocked = Repository::at_folder(&folder.path().join("store")).create(options).await.unwrap();
        std::fs::create_dir(folder.path().join("restored")).unwrap();
        Self { repository: unlocked.index().await.unwrap(), folder }
    }

    /// The folder to restore into.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("restored")
    }

    /// The folder of the repository.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Names of the files in the folder to restore into.
    pub(crate) fn files(&self) -> Vec<String> {
        names(&self.folder())
    }

    /// Makes a restore point of these disks.
    pub(crate) async fn point(&self, disks: &[TestDisk], attachments: &[(&str, Vec<u8>)]) -> PointId {
        let session = self.repository.begin_session().await.unwrap();
        for disk in disks {
            let spec = DiskSpec {
                key: DiskKey::new(disk.key).unwrap(),
                name: format!("{}.vhdx", disk.key),
                capacity_bytes: disk.capacity,
                logical_sector: disk.logical_sector,
                physical_sector: 4096,
                identity: disk.identity.clone(),
                base: None,
            };
            let writer = session.begin_disk(spec).await.unwrap();
            for (offset, bytes) in &disk.data {
                writer.put(*offset, Bytes::from(bytes.clone())).await.unwrap();
            }
            writer.finish().await.unwrap();
        }
        let attachments = attachments.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone().into()));
        let spec = PointSpec {
            id: PointId::generate(1_741_500_000_000).unwrap(),
            source: SourceId::new("vm").unwrap(),
            source_name: "SQL01".to_owned(),
            created_unix_ms: 1_741_500_000_000,
            labels: BTreeMap::new(),
            attachments: attachments.collect(),
        };
        session.commit(spec).await.unwrap().id
    }

    /// A restore point of one disk, opened.
    pub(crate) async fn disk(&self, disk: TestDisk) -> DiskView {
        let key = DiskKey::new(disk.key).unwrap();
        let point = self.point(&[disk], &[]).await;
        self.repository.disk(&point, &key).await.unwrap()
    }
}

/// Names of the entries of a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// `length` bytes that are never zero and differ from place to place.
pub(crate) fn pattern(seed: u64, length: u64) -> Vec<u8> {
    (0..length).map(|at| (((at / 512) * 31 + at + seed * 7) % 251) as u8 + 1).collect()
}

/// The disk's content as an array.
pub(crate) fn content(disk: &TestDisk) -> Vec<u8> {
    let mut bytes = vec![0; disk.capacity as usize];
    for (offset, data) in &disk.data {
        bytes[*offset as usize..*offset as usize + data.len()].copy_from_slice(data);
    }
    bytes
}
