//! The repository as its users see it: located → unlocked → indexed, in the type.
//!
//! A located repository can only be created, probed or unlocked. Unlocked, its restore points can be
//! listed and read. Indexed, it also knows every stored chunk and can be written to. The states are
//! types, so that a backup without an index or a listing without a key does not compile.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use zeroize::Zeroizing;

use crate::core::{Core, Gap, RestorePoints};
use crate::error::{Error, Result};
use crate::format::Fault;
use crate::format::config::{self, Config, Plain};
use crate::format::envelope::{ENVELOPE_BYTES, Kind};
use crate::format::point::{ATTACHMENT_BYTES_MAX, RestorePoint};
use crate::format::slot::KdfStrength;
use crate::name::{self, DiskKey, PointId};
use crate::read::{self, DiskView, VerifyReport};
use crate::seal::{Keys, random};
use crate::secret::{Secret, parse_recovery_text, recovery_text};
use crate::session::WriteSession;
use crate::slots::{check_passphrase, open_slots, put_slot};
use crate::stats::{self, RepositoryStats};
use crate::store::Store;

/// Default block size: small enough for scattered guest writes, large enough for a small index.
pub const DEFAULT_BLOCK_BYTES: u32 = 64 << 10;
const PACK_BYTES: u32 = 32 << 20;
const FRAME_BYTES: u32 = 128 << 10;
/// What a freshly made file system holds at its root.
const HARMLESS_NAMES: [&str; 5] =
    [name::KEYS, "tmp", "lost+found", "System Volume Information", "$RECYCLE.BIN"];

/// State: the place is known, nothing was read.
#[derive(Debug, Clone)]
pub struct Located {
    store: Arc<Store>,
}

/// State: the keys are known.
#[derive(Debug, Clone)]
pub struct Unlocked {
    handle: Handle,
}

/// State: the index of all committed sessions is loaded.
#[derive(Debug, Clone)]
pub struct Indexed {
    handle: Handle,
    gaps: Arc<Vec<Gap>>,
}

/// A repository in one of its states: [`Located`], [`Unlocked`], [`Indexed`].
#[derive(Debug, Clone)]
pub struct Repository<State> {
    state: State,
}

/// How to create a repository.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// How disks are cut: a power of two from 4 KiB to 1 MiB.
    pub block_bytes: u32,
    /// Opens the repository later.
    pub passphrase: Secret,
    /// What guessing the passphrase costs.
    pub kdf: KdfStrength,
}

impl InitOptions {
    /// The defaults, with this passphrase.
    pub fn new(passphrase: Secret) -> Self {
        Self { block_bytes: DEFAULT_BLOCK_BYTES, passphrase, kdf: KdfStrength::default() }
    }
}

/// What opens a repository.
#[derive(Debug, Clone)]
pub enum Key {
    /// One of its passphrases.
    Passphrase(Secret),
    /// Its recovery key as printed.
    Recovery(Secret),
}

/// Whether an object was created now or had been there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// This call created it.
    Created,
    /// One of that name exists and was left as it is.
    AlreadyThere,
}

impl Repository<Located> {
    /// A repository in a local folder, with durable writes.
    pub fn at_folder(path: &Path) -> Self {
        Self { state: Located { store: Arc::new(Store::folder(path)) } }
    }

    /// A repository in any object store; `name` is what messages call it.
    pub fn at(store: Arc<dyn ObjectStore>, name: impl Into<String>) -> Self {
        Self { state: Located { store: Arc::new(Store::remote(store, name.into())) } }
    }

    /// Whether there is an object that claims to be a repository's configuration.
    pub async fn exists(&self) -> Result<bool> {
        Ok(self.state.store.size(name::CONFIG).await?.is_some())
    }

    /// Creates the repository; refuses a place that holds one, or anything else.
    pub async fn create(&self, options: InitOptions) -> Result<Repository<Unlocked>> {
        check_options(&options)?;
        let store = &self.state.store;
        let place = || store.place().to_owned();
        if self.exists().await? {
            return Err(Error::AlreadyExists { place: place() });
        }
        let found = store.top_level().await?;
        if let Some(found) = found.into_iter().find(|name| !HARMLESS_NAMES.contains(&name.as_str())) {
            return Err(Error::NotEmpty { place: place(), found });
        }
        store.make_place().await?;
        let config = Config {
            repository: random()?,
            block_bytes: options.block_bytes,
            pack_bytes: PACK_BYTES,
            frame_bytes: FRAME_BYTES,
        };
        let keys = Keys::from_root(Zeroizing::new(random()?));
        put_slot(store, config.repository, options.kdf, options.passphrase, keys.root().clone()).await?;
        store.barrier().await?;
        let bytes = config.encode(&keys, &random()?)?;
        if !store.create(name::CONFIG, vec![bytes.into()]).await? {
            return Err(Error::AlreadyExists { place: place() });
        }
        store.barrier().await?;
        Ok(opened(store, keys, config))
    }

    /// Opens the repository.
    pub async fn unlock(&self, key: Key) -> Result<Repository<Unlocked>> {
        let store = &self.state.store;
        let place = || store.place().to_owned();
        let bytes = match store.get(name::CONFIG, 1 << 16).await {
            Err(Error::MissingObject { place, .. }) => return Err(Error::NotFound { place }),
            other => other?,
        };
        let at_config = |fault: Fault| fault.at(store.place(), name::CONFIG);
        let repository = match config::read_plain(&bytes).map_err(at_config)? {
            Plain::Ours(repository) => repository,
            Plain::Foreign(cause) => {
                return Err(Error::NotARepository { place: place(), cause: cause.to_owned() });
            }
        };
        let is_recovery = matches!(key, Key::Recovery(_));
        let root = match key {
            Key::Recovery(text) => parse_recovery_text(text.expose())?,
            Key::Passphrase(passphrase) => open_slots(store, repository, passphrase).await?,
        };
        let keys = Keys::from_root(root);
        match Config::open(&bytes, &keys).map_err(at_config)? {
            Some(config) => Ok(opened(store, keys, config)),
            None if is_recovery => Err(Error::WrongRecoveryKey { place: place() }),
            None => Err(store.damaged(name::CONFIG, "its seal does not match the key in the key slot")),
        }
    }
}

fn check_options(options: &InitOptions) -> Result<()> {
    check_passphrase(&options.passphrase, options.kdf)?;
    if !config::block_bytes_fit(options.block_bytes) {
        return Err(Error::BadOption {
            what: "The block size",
            value: options.block_bytes.to_string(),
            cause: "it must be a power of two from 4096 to 1048576",
        });
    }
    Ok(())
}

fn opened(store: &Arc<Store>, keys: Keys, config: Config) -> Repository<Unlocked> {
    Repository { state: Unlocked { handle: Handle(Arc::new(Core::new(Arc::clone(store), keys, config))) } }
}

mod sealed {
    /// What states share once they are unlocked.
    #[derive(Debug, Clone)]
    pub struct Handle(pub(super) std::sync::Arc<crate::core::Core>);

    /// States in which the keys are known: for functions that read, whatever else is loaded. Sealed: only
    /// the states here have it.
    pub trait Opened {
        /// What all handles share; of use inside this crate only.
        fn handle(&self) -> &Handle;
    }
}
use sealed::Handle;
pub use sealed::Opened;

impl Opened for Unlocked {
    fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Opened for Indexed {
    fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl<State: Opened> Repository<State> {
    fn core(&self) -> &Arc<Core> {
        &self.state.handle().0
    }

    /// Folder or bucket, for messages.
    pub fn place(&self) -> &str {
        self.core().store.place()
    }

    /// The repository's own id, made with it: what tells it from every other, wherever it is moved.
    pub fn id(&self) -> uuid::Uuid {
        uuid::Uuid::from_bytes(self.core().config.repository)
    }

    /// How disks are cut here; `put` wants ranges aligned to this.
    pub fn block_bytes(&self) -> u32 {
        self.core().config.block_bytes
    }

    /// The key that opens this repository without any passphrase, as text to print and keep.
    pub fn recovery_key(&self) -> Secret {
        recovery_text(self.core().keys.root())
    }

    /// Lets one more passphrase open the repository; those before keep working.
    pub async fn add_passphrase(&self, passphrase: Secret, kdf: KdfStrength) -> Result<()> {
        check_passphrase(&passphrase, kdf)?;
        let core = self.core();
        let root = core.keys.root().clone();
        put_slot(&core.store, core.config.repository, kdf, passphrase, root).await?;
        core.store.barrier().await
    }

    /// All restore points, oldest first; those that cannot be read are listed as gaps.
    pub async fn points(&self) -> Result<RestorePoints> {
        self.core().read_points().await
    }

    /// One restore point.
    pub async fn point(&self, id: &PointId) -> Result<RestorePoint> {
        self.core().find_point(*id).await
    }

    /// The bytes of an attachment.
    pub async fn attachment(&self, id: &PointId, name: &str) -> Result<Bytes> {
        let point = self.core().find_point(*id).await?;
        read::attachment(self.core(), &point, name).await
    }

    /// Creates a small sealed object beside a restore point, once. At most 4 MiB.
    pub async fn put_companion(&self, id: &PointId, name: &str, content: Bytes) -> Result<PutOutcome> {
        if content.len() > ATTACHMENT_BYTES_MAX {
            return Err(Error::TooLarge {
                what: format!("Companion {name} of restore point {id}"),
                bytes: content.len() as u64,
                bytes_max: ATTACHMENT_BYTES_MAX as u64,
            });
        }
        let object = self.companion_object(id, name).await?;
        let core = self.core();
        let created = core.create(Kind::Companion, &object, content.to_vec()).await?;
        core.store.barrier().await?;
        Ok(if created { PutOutcome::Created } else { PutOutcome::AlreadyThere })
    }

    /// A companion's bytes, `None` when there is none of that name.
    pub async fn companion(&self, id: &PointId, name: &str) -> Result<Option<Bytes>> {
        let object = self.companion_object(id, name).await?;
        let bytes_max = (ATTACHMENT_BYTES_MAX + ENVELOPE_BYTES) as u64;
        match self.core().open(Kind::Companion, &object, bytes_max).await {
            Ok(content) => Ok(Some(content.into())),
            Err(Error::MissingObject { .. }) => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    async fn companion_object(&self, id: &PointId, name: &str) -> Result<String> {
        let point = self.core().find_point(*id).await?;
        name::companion_object(&point.source, *id, name)
    }

    /// A disk of a restore point, for random access.
    pub async fn disk(&self, id: &PointId, key: &DiskKey) -> Result<DiskView> {
        let point = self.core().find_point(*id).await?;
        self.core().load_point(&point).await?;
        DiskView::open(self.core(), &point, key)
    }

    /// Reads everything a restore point needs and checks it against its identities.
    pub async fn verify(&self, id: &PointId) -> Result<VerifyReport> {
        let point = self.core().find_point(*id).await?;
        self.core().load_point(&point).await?;
        read::verify(self.core(), &point).await
    }
}

impl Repository<Unlocked> {
    /// Loads the index of all committed sessions.
    pub async fn index(&self) -> Result<Repository<Indexed>> {
        let gaps = Arc::new(self.core().load_all().await?);
        Ok(Repository { state: Indexed { handle: self.state.handle.clone(), gaps } })
    }
}

impl Repository<Indexed> {
    /// What could not be read while loading the index; its chunks are not reused.
    pub fn gaps(&self) -> &[Gap] {
        &self.state.gaps
    }

    /// Takes in what others committed since.
    pub async fn refresh(&mut self) -> Result<()> {
        self.state.gaps = Arc::new(self.core().load_all().await?);
        Ok(())
    }

    /// Begins to write one restore point.
    pub async fn begin_session(&self) -> Result<WriteSession> {
        self.core().store.clean_leftovers().await?;
        WriteSession::begin(Arc::clone(self.core()))
    }

    /// Sizes and counts of the whole repository.
    pub async fn stats(&self) -> Result<RepositoryStats> {
        stats::collect(self.core()).await
    }
}
