//! A simulated host with one VM and real disk files, a repository and a home: everything that a
//! backup needs, in a folder of its own.
//!
//! [`Product`] is what the command line does, and reaches the host over TCP only; [`Lab`] is the
//! simulated side, which also knows what the disk must contain.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use hyperv::{Credentials, Host, HostProfile, PathMap, VmId};
use protection::run::{BackupReport, DiskReport, Journal, Site, VmOutcome, backup, settle};
use protection::world::SystemClock;
use protection::{Listener, Policy, Result, World, prepare};
use repository::{Indexed, InitOptions, KdfStrength, Key, PointId, Repository, Secret};
use simulator::{CheckpointId, DiskSpec, ExpectedDisk, Served, SimVmId, SimulatedHost, VmSpec};
use tempfile::TempDir;

const USER: &str = "operator";
const PASSWORD: &str = "lab only";
const PASSPHRASE: &str = "a passphrase of the lab";
pub(crate) const CAPACITY: u64 = 48 << 20;

/// The simulated side.
pub(crate) struct Lab {
    pub(crate) folder: TempDir,
    pub(crate) host: SimulatedHost,
    pub(crate) served: Served,
    pub(crate) vm: SimVmId,
}

impl Lab {
    /// A running VM with one disk of 48 MiB, of which the guest has written about 6 MiB.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = SimulatedHost::builder(&folder.path().join("host"))
            .name("HV1")
            .credentials(USER, PASSWORD)
            .seed(7)
            .build()
            .unwrap();
        let vm = host.add_vm(VmSpec::new("sql01").disk(DiskSpec::blank("sql01.vhdx", CAPACITY))).unwrap();
        let served = host.serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let lab = Self { folder, host, served, vm };
        for megabyte in [0, 1, 2, 20, 21, 40] {
            lab.write(megabyte << 20, 1 << 20, megabyte);
        }
        lab
    }

    /// The guest writes bytes that tell `seed` apart from every other.
    pub(crate) fn write(&self, offset: u64, length: usize, seed: u64) {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut data = vec![0; length];
        for byte in &mut data {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_le_bytes()[0];
        }
        let guest = self.host.guest(self.vm).unwrap();
        guest.write(0, offset, &data).unwrap();
        guest.flush().unwrap();
    }

    /// What the disk held when the newest checkpoint was taken.
    pub(crate) fn expected_at_newest_checkpoint(&self) -> ExpectedDisk {
        let newest: CheckpointId = self.host.moments(self.vm).unwrap().last().unwrap().checkpoint;
        self.host.expected(self.vm, 0, Some(newest)).unwrap()
    }

    /// How the product reaches this lab.
    pub(crate) fn product(&self) -> Product {
        Product { url: self.served.url(), paths: self.host.path_map(), home: self.folder.path().to_owned() }
    }

    /// Nothing of a backup is on the VM but `reference_points` marks.
    pub(crate) fn assert_clean(&self, reference_points: usize) {
        let left = self.host.leftovers(self.vm).unwrap();
        assert_eq!(left.checkpoints, [], "checkpoints are left");
        assert_eq!(left.avhdx_files, Vec::<PathBuf>::new(), "differencing files are left");
        assert!(!left.merging, "a merge is pending");
        assert_eq!(left.reference_points.len(), reference_points, "reference points");
    }
}

/// The product's side.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) url: String,
    pub(crate) paths: Vec<(String, PathBuf)>,
    pub(crate) home: PathBuf,
}

impl Product {
    fn repository_folder(&self) -> PathBuf {
        self.home.join("repository")
    }

    pub(crate) async fn host(&self) -> Result<Host> {
        let profile = HostProfile {
            name: "HV1".into(),
            endpoint: self.url.clone(),
            credentials: Credentials::basic(USER, PASSWORD),
            paths: PathMap::new(self.paths.clone())?,
        };
        Ok(Host::connect(profile).await?)
    }

    /// Opens the repository, making it where there is none.
    pub(crate) async fn repository(&self) -> Repository<Indexed> {
        let located = Repository::at_folder(&self.repository_folder());
        if !located.exists().await.unwrap() {
            let mut options = InitOptions::new(Secret::new(PASSPHRASE));
            options.kdf = weak();
            located.create(options).await.unwrap();
        }
        let unlocked = located.unlock(Key::Passphrase(Secret::new(PASSPHRASE))).await.unwrap();
        unlocked.index().await.unwrap()
    }

    /// What `refpoint backup --vm sql01` does.
    pub(crate) async fn backup(&self, listeners: Vec<Arc<dyn Listener>>) -> Result<BackupReport> {
        self.backup_with(&Policy::default(), listeners).await
    }

    pub(crate) async fn backup_with(
        &self,
        policy: &Policy,
        listeners: Vec<Arc<dyn Listener>>,
    ) -> Result<BackupReport> {
        let (host, repository) = (self.host().await?, self.repository().await);
        let journal = Journal::open(&self.home.join("journal.db"), || "lab".into())?;
        let world = World::new(Arc::new(SystemClock), listeners);
        let site = Site { host: &host, repository: &repository, journal: &journal, world: &world };
        let _lock = journal.lock()?;
        settle::settle_host(site).await?;
        let inventory = host.inventory().await?;
        let vms: Vec<VmId> = inventory.vms.iter().map(|vm| vm.id).collect();
        let plan = prepare(site, &inventory, &vms, policy).await?;
        Ok(backup(site, &plan).await)
    }

    /// A backup that must succeed: its restore point and its one disk.
    pub(crate) async fn good_backup(&self) -> (PointId, DiskReport) {
        done(self.backup(Vec::new()).await.unwrap())
    }

    /// Restore points in the repository, newest last.
    pub(crate) async fn points(&self) -> Vec<PointId> {
        let repository = self.repository().await;
        repository.points().await.unwrap().points.into_iter().map(|point| point.id).collect()
    }

    /// Compares the disk of a restore point with what it must be, byte for byte.
    pub(crate) async fn assert_point_holds(&self, point: &PointId, expected: &ExpectedDisk) {
        let repository = self.repository().await;
        let record = repository.point(point).await.unwrap();
        let view = repository.disk(point, &record.disks[0].key).await.unwrap();
        assert_eq!(view.capacity(), expected.capacity());
        let (mut have, mut want) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        for offset in (0..CAPACITY).step_by(1 << 20) {
            view.read_at(offset, &mut have).await.unwrap();
            expected.read_at(offset, &mut want).unwrap();
            assert!(have == want, "restore point {point} differs in the MiB at {offset}");
        }
    }
}

/// The restore point and the disk of a backup that succeeded without a warning.
pub(crate) fn done(mut report: BackupReport) -> (PointId, DiskReport) {
    let vm = report.vms.remove(0);
    assert_eq!(vm.warnings, Vec::<String>::new());
    match vm.outcome {
        VmOutcome::Done { point, mut disks, .. } => (point.parse().unwrap(), disks.remove(0)),
        other => panic!("not done: {other:?}"),
    }
}

/// The weakest derivation that is accepted: the lab's secrets protect nothing.
fn weak() -> KdfStrength {
    KdfStrength { memory_kib: 8, passes: 1, lanes: 1 }
}

/// Where this test binary lives, to be run again as a child.
pub(crate) fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}
