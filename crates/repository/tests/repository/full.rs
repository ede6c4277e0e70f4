//! A repository that fills up in the middle of a backup.

use std::io::ErrorKind;
use std::sync::Arc;

use object_store::memory::InMemory;
use repository::{Repository, Retry};

use crate::common::fault::{Budget, FaultStore};
use crate::common::*;

/// 80 MiB of noise are three packs; the store is full after one and a half.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_repository_names_itself_loses_nothing_and_gives_the_space_back() {
    let inner = Arc::new(InMemory::new());
    let store = FaultStore::new(Arc::clone(&inner), Budget::Bytes, i64::MAX, ErrorKind::StorageFull);
    let located = Repository::at(Arc::new(store.clone()), "bucket-1");
    let repository = create(&located, 65536).await;
    let changes = [Change::Put(0, noise(1, MIB))];
    backup(&repository, point_id(1), disk_spec("d0", MIB, None), &changes).await.unwrap();
    let before = repository.stats().await.unwrap();
    store.refill(48 << 20);
    let large = [Change::Put(0, noise(2, 80 * MIB))];
    let spec = || disk_spec("d0", 80 * MIB, None);
    let full = backup(&repository, point_id(2), spec(), &large).await.unwrap_err();
    assert_eq!((full.code(), full.retry()), ("RP-014", Retry::Later));
    let told = full.to_string();
    assert!(told.contains("bucket-1 is full: packs/") && told.contains("needs 33"), "{told}");
    assert!(told.contains("Nothing that was committed is lost."), "{told}");
    assert!(full.next_step().contains("Free space on bucket-1"), "{}", full.next_step());
    wait_until(async || repository.stats().await.unwrap() == before).await;
    assert!(read_all(&repository, point_id(1)).await == noise(1, MIB));
    store.refill(i64::MAX);
    let point = backup(&repository, point_id(2), spec(), &large).await.unwrap();
    assert!(read_all(&open(&located).await, point.id).await == noise(2, 80 * MIB));
    assert_eq!(repository.stats().await.unwrap().packs, before.packs + 3);
}
