//! When a restore point becomes visible, and what may be relied on before and after.

use std::io::ErrorKind;
use std::sync::Arc;

use object_store::memory::InMemory;
use repository::{Indexed, Located, Repository};

use crate::common::fault::{Budget, FaultStore};
use crate::common::*;

fn at(store: &Arc<InMemory>) -> Repository<Located> {
    let store: Arc<dyn repository::ObjectStore> = Arc::clone(store) as _;
    Repository::at(store, "memory")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uncommitted_session_is_invisible_and_its_chunks_are_not_reused() {
    let located = memory();
    let repository = create(&located, 65536).await;
    let session = repository.begin_session().await.unwrap();
    let changes = [Change::Put(0, noise(1, 2 * MIB))];
    write_disk(&session, disk_spec("d0", 2 * MIB, None), &changes).await.unwrap();
    let other = open(&located).await;
    assert!(other.points().await.unwrap().is_empty());
    let point = backup(&other, point_id(2), disk_spec("d0", 2 * MIB, None), &changes).await.unwrap();
    assert_eq!(point.summary().new_bytes, 2 * MIB);
    drop(session);
    assert!(read_all(&open(&located).await, point.id).await == noise(1, 2 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_commits_of_one_id_one_wins_and_the_other_is_told() {
    let repository = create(&memory(), 65536).await;
    let mut racers = Vec::new();
    for seed in [1, 2] {
        let session = repository.begin_session().await.unwrap();
        let changes = [Change::Put(0, noise(seed, MIB))];
        write_disk(&session, disk_spec("d0", MIB, None), &changes).await.unwrap();
        racers.push(tokio::spawn(session.commit(point_spec(point_id(1)))));
    }
    let mut outcomes = Vec::new();
    for racer in racers {
        outcomes.push(racer.await.unwrap().map_err(|cause| cause.code()));
    }
    let winner = outcomes.iter().position(Result::is_ok).unwrap();
    assert_eq!(outcomes[1 - winner].as_ref().unwrap_err(), &"RP-021");
    let expected = noise(u64::try_from(winner).unwrap() + 1, MIB);
    assert!(read_all(&repository, point_id(1)).await == expected);
    assert_eq!(repository.points().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_disk_keeps_a_session_from_committing() {
    let repository = create(&memory(), 65536).await;
    let session = repository.begin_session().await.unwrap();
    let writer = session.begin_disk(disk_spec("d0", MIB, None)).await.unwrap();
    let refused = session.clone().commit(point_spec(point_id(1))).await.unwrap_err();
    assert_eq!(refused.code(), "RP-029");
    assert_eq!(writer.put(0, noise(1, MIB).into()).await.unwrap_err().code(), "RP-029");
    assert!(repository.points().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_abandoned_half_way_is_not_taken_for_holes() {
    let repository = create(&memory(), 65536).await;
    let session = repository.begin_session().await.unwrap();
    let writer = session.begin_disk(disk_spec("d0", 512 * MIB, None)).await.unwrap();
    let bytes = bytes::Bytes::from(vec![7; 512 << 20]);
    // More pieces than have a place: the put cannot be through after one poll.
    let put = futures::FutureExt::now_or_never(writer.put(0, bytes));
    assert!(put.is_none());
    let outcome = writer.finish().await.unwrap_err();
    assert!(outcome.to_string().contains("abandoned half way"), "{outcome}");
}

async fn one_backup(repository: &Repository<Indexed>) -> Result<(), repository::Error> {
    let session = repository.begin_session().await?;
    let changes = [Change::Put(0, noise(2, MIB)), Change::Put(4 * MIB, text(3, MIB))];
    write_disk(&session, disk_spec("d0", 8 * MIB, Some(point_id(1))), &changes).await?;
    session.commit(point_spec(point_id(2))).await.map(drop)
}

/// Every put of a backup fails once, first to last: what was committed stays, nothing else shows.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_cut_at_any_put_leaves_the_repository_as_it_was() {
    let mut puts = 0;
    loop {
        let inner = Arc::new(InMemory::new());
        let repository = create(&at(&inner), 65536).await;
        let changes = [Change::Put(0, noise(1, 8 * MIB))];
        backup(&repository, point_id(1), disk_spec("d0", 8 * MIB, None), &changes).await.unwrap();
        let failing = FaultStore::new(Arc::clone(&inner), Budget::Puts, puts, ErrorKind::ConnectionReset);
        let cut = open(&Repository::at(Arc::new(failing), "memory")).await;
        let outcome = one_backup(&cut).await;
        drop(cut);
        let after = open(&at(&inner)).await;
        assert!(after.gaps().is_empty());
        assert!(read_all(&after, point_id(1)).await == noise(1, 8 * MIB));
        if outcome.is_ok() {
            break;
        }
        assert_eq!(outcome.unwrap_err().code(), "RP-016");
        assert_eq!(after.points().await.unwrap().len(), 1);
        one_backup(&after).await.unwrap();
        let again = open(&at(&inner)).await;
        assert!(again.verify(&point_id(2)).await.unwrap().is_whole());
        puts += 1;
    }
    assert_eq!(puts, 3, "a pack, a run and the point");
}

/// The commit was stored but its answer was lost, and the store's client put it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_meets_itself_has_succeeded() {
    let inner = Arc::new(InMemory::new());
    let store = FaultStore::echoing_points(Arc::clone(&inner));
    let repository = create(&Repository::at(Arc::new(store), "memory"), 65536).await;
    let changes = [Change::Put(0, noise(1, MIB))];
    let point = backup(&repository, point_id(1), disk_spec("d0", MIB, None), &changes).await.unwrap();
    assert!(read_all(&repository, point.id).await == noise(1, MIB));
}
