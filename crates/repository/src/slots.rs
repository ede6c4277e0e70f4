//! Key slots in the store: making one, and trying a passphrase on all.
//!
//! A slot of another repository (left by a create that was cut) is passed over; a damaged one matters
//! only when no other opens, so that one bad object does not lock anyone out.

use crate::error::{Error, Result};
use crate::format::Fault;
use crate::format::slot::{self, KdfStrength, SLOT_BYTES, Slot};
use crate::name;
use crate::seal::random;
use crate::secret::{KeyBytes, Secret};
use crate::store::Store;

/// More key slots than anyone uses; bounds what a hostile listing can make us stretch.
const SLOTS_MAX: usize = 32;

/// Refuses what could not be opened again, or by anyone.
pub(crate) fn check_passphrase(passphrase: &Secret, kdf: KdfStrength) -> Result<()> {
    let bad = |what, value: String, cause| Err(Error::BadOption { what, value, cause });
    if passphrase.expose().is_empty() {
        return bad("The passphrase", "empty".into(), "anyone could open the repository");
    }
    if !kdf.in_bounds() {
        return bad(
            "The strength of the passphrase slot",
            format!("{kdf:?}"),
            "memory must be 8 KiB per lane to 1 GiB, passes 1 to 16, lanes 1 to 8",
        );
    }
    Ok(())
}

/// Seals the root key with a passphrase in a new slot.
pub(crate) async fn put_slot(
    store: &Store,
    repository: [u8; 16],
    kdf: KdfStrength,
    passphrase: Secret,
    root: KeyBytes,
) -> Result<()> {
    let object = name::slot_object(u64::from_le_bytes(random()?));
    let (salt, slot_name) = (random()?, object.clone());
    let sealed = tokio::task::spawn_blocking(move || {
        slot::encode(&slot_name, (repository, salt), kdf, (&passphrase, &root))
    });
    let bytes = sealed.await.map_err(Error::internal)??;
    if store.create(&object, vec![bytes.into()]).await? {
        return Ok(());
    }
    Err(Error::internal("two random key slot names were equal"))
}

/// Tries each slot; a damaged one matters only when none opens.
pub(crate) async fn open_slots(store: &Store, repository: [u8; 16], passphrase: Secret) -> Result<KeyBytes> {
    let place = || store.place().to_owned();
    let mut damage = None;
    let mut tried = 0;
    for listed in store.list(name::KEYS).await?.into_iter().take(SLOTS_MAX) {
        let slot = match read_slot(store, &listed.name).await {
            Ok(slot) if slot.repository == repository => slot,
            Ok(_) => continue,
            Err(cause) => {
                damage = Some(cause);
                continue;
            }
        };
        tried += 1;
        let passphrase = passphrase.clone();
        let opening = tokio::task::spawn_blocking(move || slot.open(&passphrase));
        if let Some(root) = opening.await.map_err(Error::internal)?? {
            return Ok(root);
        }
    }
    match damage {
        Some(cause) => Err(cause),
        None if tried == 0 => Err(Error::NoKeySlot { place: place() }),
        None => Err(Error::WrongPassphrase { place: place() }),
    }
}

async fn read_slot(store: &Store, object: &str) -> Result<Slot> {
    let damaged = |cause: &str| Error::DamagedKeySlot {
        place: store.place().to_owned(),
        object: object.to_owned(),
        cause: cause.to_owned(),
    };
    let bytes = match store.get(object, SLOT_BYTES as u64).await {
        Err(Error::DamagedObject { cause, .. }) => return Err(damaged(&cause)),
        other => other?,
    };
    Slot::parse(object, &bytes).map_err(|fault| match fault {
        Fault::Damaged(cause) => damaged(cause),
        newer @ Fault::Newer(_) => newer.at(store.place(), object),
    })
}
