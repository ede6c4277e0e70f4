//! Creating and opening: passphrases, the recovery key, and places that are something else.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use repository::{KdfStrength, Key, Repository};

use crate::common::*;

fn with_store() -> (Arc<InMemory>, Repository<repository::Located>) {
    let store = Arc::new(InMemory::new());
    let located = Repository::at(Arc::clone(&store) as Arc<dyn ObjectStore>, "bucket");
    (store, located)
}

async fn slot_of(store: &InMemory) -> Path {
    let listed = store.list_with_delimiter(Some(&Path::from("keys"))).await.unwrap();
    listed.objects[0].location.clone()
}

async fn change(store: &InMemory, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = store.get(path).await.unwrap().bytes().await.unwrap().to_vec();
    change(&mut bytes);
    store.put(path, bytes.into()).await.unwrap();
}

#[tokio::test]
async fn a_place_without_a_repository_says_so() {
    let (_, located) = with_store();
    assert!(!located.exists().await.unwrap());
    let missing = located.unlock(passphrase()).await.unwrap_err();
    assert_eq!(
        (missing.code(), missing.to_string().as_str()),
        ("RP-001", "There is no repository at bucket.")
    );
}

#[tokio::test]
async fn a_repository_is_created_once() {
    let (_, located) = with_store();
    let first = create(&located, 65536).await;
    assert!(located.exists().await.unwrap());
    assert_eq!(located.create(options(65536)).await.unwrap_err().code(), "RP-002");
    assert_eq!((first.place(), first.block_bytes()), ("bucket", 65536));
    assert_eq!(open(&located).await.block_bytes(), 65536);
}

#[tokio::test]
async fn options_out_of_bounds_are_refused() {
    let (store, located) = with_store();
    for block_bytes in [0, 2048, 65535, 2 << 20] {
        assert_eq!(located.create(options(block_bytes)).await.unwrap_err().code(), "RP-027");
    }
    let mut weak = options(65536);
    weak.kdf = KdfStrength { memory_kib: 2 << 20, passes: 1, lanes: 1 };
    assert_eq!(located.create(weak).await.unwrap_err().code(), "RP-027");
    let mut empty = options(65536);
    empty.passphrase = secret("");
    assert_eq!(located.create(empty).await.unwrap_err().code(), "RP-027");
    assert!(store.list_with_delimiter(None).await.unwrap().common_prefixes.is_empty());
}

#[tokio::test]
async fn a_wrong_passphrase_is_told_from_a_damaged_slot() {
    let (store, located) = with_store();
    create(&located, 65536).await;
    let wrong = located.unlock(Key::Passphrase(secret("correct hors"))).await.unwrap_err();
    assert_eq!(wrong.code(), "RP-006");
    let slot = slot_of(&store).await;
    change(&store, &slot, |bytes| bytes[80] ^= 1).await;
    let damaged = located.unlock(passphrase()).await.unwrap_err();
    assert_eq!(damaged.code(), "RP-009");
    assert!(damaged.to_string().contains(slot.as_ref()), "{damaged}");
    store.delete(&slot).await.unwrap();
    assert_eq!(located.unlock(passphrase()).await.unwrap_err().code(), "RP-010");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recovery_key_opens_without_any_slot_and_adds_a_passphrase() {
    let (store, located) = with_store();
    let repository = create(&located, 65536).await;
    let changes = [Change::Put(0, noise(1, MIB))];
    backup(&repository, point_id(1), disk_spec("d0", MIB, None), &changes).await.unwrap();
    let printed = repository.recovery_key();
    assert!(!format!("{printed:?} {repository:?}").contains(printed.expose()));
    store.delete(&slot_of(&store).await).await.unwrap();
    let recovered = located.unlock(Key::Recovery(printed)).await.unwrap();
    recovered.add_passphrase(secret("a new one"), WEAK).await.unwrap();
    let opened = located.unlock(Key::Passphrase(secret("a new one"))).await.unwrap();
    assert!(read_all(&opened.index().await.unwrap(), point_id(1)).await == noise(1, MIB));
}

#[tokio::test]
async fn a_second_passphrase_opens_beside_the_first() {
    let (store, located) = with_store();
    let repository = create(&located, 65536).await;
    let first = slot_of(&store).await;
    repository.add_passphrase(secret("second"), WEAK).await.unwrap();
    for text in [PASSPHRASE, "second"] {
        assert!(located.unlock(Key::Passphrase(secret(text))).await.is_ok(), "{text}");
    }
    assert_eq!(located.unlock(Key::Passphrase(secret("third"))).await.unwrap_err().code(), "RP-006");
    change(&store, &first, |bytes| bytes[80] ^= 1).await;
    assert!(located.unlock(Key::Passphrase(secret("second"))).await.is_ok());
}

#[tokio::test]
async fn the_recovery_key_of_another_repository_is_refused() {
    let (_, located) = with_store();
    create(&located, 65536).await;
    let (_, other) = with_store();
    let key = create(&other, 65536).await.recovery_key();
    assert_eq!(located.unlock(Key::Recovery(key)).await.unwrap_err().code(), "RP-007");
    let mistyped = located.unlock(Key::Recovery(secret("RP1-0000"))).await.unwrap_err();
    assert_eq!(mistyped.code(), "RP-008");
}

/// Two repositories in one bucket, or a slot left by a create that was cut: not ours, so passed over.
#[tokio::test]
async fn key_slots_of_another_repository_are_passed_over() {
    let (store, located) = with_store();
    create(&located, 65536).await;
    let (other_store, other) = with_store();
    create(&other, 65536).await;
    let foreign = slot_of(&other_store).await;
    let bytes = other_store.get(&foreign).await.unwrap().bytes().await.unwrap();
    store.put(&foreign, bytes.into()).await.unwrap();
    assert!(located.unlock(passphrase()).await.is_ok());
}

#[tokio::test]
async fn a_slot_cannot_demand_more_memory_than_is_allowed() {
    let (store, located) = with_store();
    create(&located, 65536).await;
    change(&store, &slot_of(&store).await, |bytes| {
        bytes[12..16].copy_from_slice(&(2_u32 << 20).to_le_bytes());
        let check = blake3::hash(&bytes[..120]);
        bytes[120..].copy_from_slice(&check.as_bytes()[..16]);
    })
    .await;
    let refused = located.unlock(passphrase()).await.unwrap_err();
    assert_eq!(refused.code(), "RP-009");
    assert!(refused.to_string().contains("more memory or passes than is allowed"), "{refused}");
}

#[tokio::test]
async fn something_else_is_not_taken_for_a_repository() {
    let (store, located) = with_store();
    store.put(&Path::from("config"), "[core]\nbare = false\n".into()).await.unwrap();
    assert_eq!(located.unlock(passphrase()).await.unwrap_err().code(), "RP-004");
    assert_eq!(located.create(options(65536)).await.unwrap_err().code(), "RP-002");
    let (store, located) = with_store();
    store.put(&Path::from("photos/1.jpg"), "x".into()).await.unwrap();
    let refused = located.create(options(65536)).await.unwrap_err();
    assert_eq!(refused.code(), "RP-003");
    assert!(refused.to_string().contains("it holds photos"), "{refused}");
}

#[tokio::test]
async fn a_newer_format_is_refused_before_a_key_is_needed() {
    let (store, located) = with_store();
    create(&located, 65536).await;
    change(&store, &Path::from("config"), |bytes| bytes[8] = 2).await;
    let newer = located.unlock(Key::Passphrase(secret("wrong"))).await.unwrap_err();
    assert_eq!(newer.code(), "RP-005");
    assert!(newer.to_string().contains("format version 2; this program reads up to 1"), "{newer}");
}
