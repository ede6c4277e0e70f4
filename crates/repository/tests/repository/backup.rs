//! What a backup stores and what it reads back: blocks, deduplication, attachments, companions, figures.

use bytes::Bytes;
use repository::{DiskView, DiskWriter, Indexed, PutOutcome, Repository, WriteSession, WriteSummary};

use crate::common::*;

#[test]
fn handles_can_be_shared_between_tasks() {
    fn shared<T: Send + Sync + Clone + 'static>() -> usize {
        size_of::<T>()
    }
    let sizes = [shared::<Repository<Indexed>>(), shared::<WriteSession>(), shared::<DiskWriter>()];
    assert!(sizes.iter().all(|size| *size <= 32) && shared::<DiskView>() <= 32);
}

/// Compiles only when every future of the public interface can move between threads.
#[tokio::test(flavor = "multi_thread")]
async fn everything_can_run_in_a_spawned_task() {
    let located = memory();
    let work = async move {
        let repository = create(&located, 65536).await;
        let session = repository.begin_session().await.unwrap();
        let writer = session.begin_disk(disk_spec("d0", MIB, None)).await.unwrap();
        writer.put(0, noise(1, MIB).into()).await.unwrap();
        writer.hole(0..0).await.unwrap();
        writer.finish().await.unwrap();
        let point = session.commit(point_spec(point_id(1))).await.unwrap();
        let view = repository.disk(&point.id, &key("d0")).await.unwrap();
        assert_eq!(view.data_ranges().await.unwrap(), [0..MIB]);
        assert_eq!(view.read_range(0, 10).await.unwrap(), noise(1, 10));
        assert!(repository.verify(&point.id).await.unwrap().is_whole());
        repository.stats().await.unwrap().points
    };
    assert_eq!(tokio::spawn(work).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_reads_back_as_it_was_put() {
    let repository = create(&memory(), 65536).await;
    let (data, log) = (noise(1, 3 * MIB + 64 * KIB), text(2, 640 * KIB));
    let changes = [Change::Put(MIB, data.clone()), Change::Put(10 * MIB, log.clone())];
    let point = backup(&repository, point_id(1), disk_spec("d0", 64 * MIB, None), &changes).await.unwrap();
    let mut expected = vec![0; 64 << 20];
    expected[1 << 20..][..data.len()].copy_from_slice(&data);
    expected[10 << 20..][..log.len()].copy_from_slice(&log);
    assert!(read_all(&repository, point.id).await == expected);
    let view = repository.disk(&point.id, &key("d0")).await.unwrap();
    let ranges = view.data_ranges().await.unwrap();
    assert_eq!(ranges, [MIB..4 * MIB + 64 * KIB, 10 * MIB..10 * MIB + 640 * KIB]);
    assert_eq!(view.read_range(MIB + 5, 1000).await.unwrap(), data[5..1005]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_backup_of_the_same_bytes_stores_next_to_nothing() {
    let repository = create(&memory(), 65536).await;
    let changes = [Change::Put(0, noise(1, 8 * MIB))];
    let spec = || disk_spec("d0", 8 * MIB, None);
    let first = backup(&repository, point_id(1), spec(), &changes).await.unwrap();
    let before = repository.stats().await.unwrap();
    let second = backup(&repository, point_id(2), spec(), &changes).await.unwrap();
    let after = repository.stats().await.unwrap();
    assert_eq!(first.summary().new_bytes, 8 * MIB);
    assert_eq!((second.summary().new_bytes, second.summary().reused_bytes), (0, 8 * MIB));
    assert!(after.stored_bytes - before.stored_bytes < 4 * KIB, "{before:?} {after:?}");
    assert_eq!(after.packs, before.packs);
    assert!(read_all(&repository, second.id).await == noise(1, 8 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_committed_meanwhile_is_reused_too() {
    let located = memory();
    let mut here = create(&located, 65536).await;
    let elsewhere = open(&located).await;
    let changes = [Change::Put(0, noise(1, 2 * MIB))];
    backup(&elsewhere, point_id(1), disk_spec("d0", 2 * MIB, None), &changes).await.unwrap();
    here.refresh().await.unwrap();
    let point = backup(&here, point_id(2), disk_spec("d0", 2 * MIB, None), &changes).await.unwrap();
    assert_eq!(point.summary().new_bytes, 0);
    // A third handle that was opened before both still finds everything the new point needs.
    assert!(read_all(&elsewhere, point.id).await == noise(1, 2 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_tells_new_reused_and_zero_blocks_apart() {
    let repository = create(&memory(), 65536).await;
    let mut bytes = noise(1, 192 * KIB);
    bytes.extend(vec![0; 128 << 10]);
    bytes.extend(noise(1, 64 * KIB));
    let spec = disk_spec("d0", MIB, None);
    let summary = backup(&repository, point_id(1), spec, &[Change::Put(0, bytes)]).await.unwrap().summary();
    assert_eq!((summary.put_bytes, summary.new_bytes), (384 * KIB, 192 * KIB));
    assert_eq!((summary.zero_bytes, summary.reused_bytes), (128 * KIB, 64 * KIB));
    assert!((192 * KIB..200 * KIB).contains(&summary.stored_bytes), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_may_put_at_once_and_out_of_order() {
    let repository = create(&memory(), 4096).await;
    let session = repository.begin_session().await.unwrap();
    let writer = session.begin_disk(disk_spec("d0", 16 * MIB, None)).await.unwrap();
    let data = Bytes::from(noise(1, 16 * MIB));
    let mut puts = tokio::task::JoinSet::new();
    for part in (0..128_u64).rev() {
        let (writer, start) = (writer.clone(), part * 128 * KIB);
        let bytes = data.slice(usize::try_from(start).unwrap()..usize::try_from(start + 128 * KIB).unwrap());
        puts.spawn(async move { writer.put(start, bytes).await });
    }
    while let Some(put) = puts.join_next().await {
        put.unwrap().unwrap();
    }
    writer.finish().await.unwrap();
    let point = session.commit(point_spec(point_id(1))).await.unwrap();
    assert!(read_all(&repository, point.id).await == data);
}

#[tokio::test]
async fn one_thread_is_enough() {
    let repository = create(&memory(), 65536).await;
    let changes = [Change::Put(0, noise(1, 4 * MIB))];
    let point = backup(&repository, point_id(1), disk_spec("d0", 4 * MIB, None), &changes).await.unwrap();
    assert!(read_all(&repository, point.id).await == noise(1, 4 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_of_one_restore_point_are_written_side_by_side() {
    let repository = create(&memory(), 65536).await;
    let session = repository.begin_session().await.unwrap();
    let specs = ["d0", "d1", "d2"].map(|name| disk_spec(name, 3 * MIB, None));
    let changes = [1, 2, 3].map(|seed| [Change::Put(0, noise(seed, 3 * MIB))]);
    let writing = specs.into_iter().zip(&changes).map(|(spec, changes)| write_disk(&session, spec, changes));
    let summaries: Vec<WriteSummary> = futures::future::try_join_all(writing).await.unwrap();
    assert!(summaries.iter().all(|summary| summary.new_bytes == 3 * MIB));
    let point = session.commit(point_spec(point_id(1))).await.unwrap();
    for (name, seed) in [("d0", 1), ("d1", 2), ("d2", 3)] {
        let view = repository.disk(&point.id, &key(name)).await.unwrap();
        assert!(view.read_range(0, 3 << 20).await.unwrap() == noise(seed, 3 * MIB), "{name}");
    }
    let unknown = repository.disk(&point.id, &key("d9")).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.to_string().contains("d0, d1, d2")), ("RP-019", true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_point_tells_what_it_was_given() {
    let repository = create(&memory(), 65536).await;
    let definition = Bytes::from(noise(9, 3 * MIB + 17));
    let mut spec = point_spec(point_id(7));
    spec.attachments.insert("large.bin".into(), definition.clone());
    spec.attachments.insert("empty".into(), Bytes::new());
    let session = repository.begin_session().await.unwrap();
    write_disk(&session, disk_spec("d0", MIB, None), &[]).await.unwrap();
    let committed = session.commit(spec).await.unwrap();
    let read = repository.point(&point_id(7)).await.unwrap();
    assert_eq!(read, committed);
    assert_eq!((read.source_name.as_str(), &*read.labels["kind"]), ("SQL01", "test"));
    let disk = read.disk(&key("d0")).unwrap();
    assert_eq!((disk.name.as_str(), disk.logical_sector, disk.physical_sector), ("d0.vhdx", 512, 4096));
    assert_eq!(disk.identity.as_deref(), Some("DISK-ID"));
    assert_eq!(repository.attachment(&read.id, "large.bin").await.unwrap(), definition);
    assert_eq!(repository.attachment(&read.id, "empty").await.unwrap(), Bytes::new());
    assert_eq!(repository.attachment(&read.id, "none").await.unwrap_err().code(), "RP-020");
    assert_eq!(repository.point(&point_id(8)).await.unwrap_err().code(), "RP-018");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_over_4_mib_is_refused() {
    let repository = create(&memory(), 65536).await;
    let mut spec = point_spec(point_id(1));
    spec.attachments.insert("huge".into(), vec![1; (4 << 20) + 1].into());
    let session = repository.begin_session().await.unwrap();
    assert_eq!(session.commit(spec).await.unwrap_err().code(), "RP-025");
    assert!(repository.points().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_is_created_once_beside_its_point() {
    let repository = create(&memory(), 65536).await;
    let point = backup(&repository, point_id(1), disk_spec("d0", MIB, None), &[]).await.unwrap().id;
    assert_eq!(repository.companion(&point, "continuation").await.unwrap(), None);
    let put = |text: &'static str| repository.put_companion(&point, "continuation", text.into());
    assert_eq!(put("first").await.unwrap(), PutOutcome::Created);
    assert_eq!(put("second").await.unwrap(), PutOutcome::AlreadyThere);
    assert_eq!(repository.companion(&point, "continuation").await.unwrap(), Some("first".into()));
    assert_eq!(repository.points().await.unwrap().len(), 1);
    let no_point = repository.put_companion(&point_id(2), "continuation", "x".into()).await;
    assert_eq!(no_point.unwrap_err().code(), "RP-018");
    let bad_name = repository.put_companion(&point, "../x", "x".into()).await;
    assert_eq!(bad_name.unwrap_err().code(), "RP-026");
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_count_what_is_stored() {
    let repository = create(&memory(), 65536).await;
    let changes = [Change::Put(0, text(1, 2 * MIB))];
    let point = backup(&repository, point_id(1), disk_spec("d0", 8 * MIB, None), &changes).await.unwrap();
    let (stats, new_bytes) = (repository.stats().await.unwrap(), point.summary().new_bytes);
    assert_eq!((stats.points, stats.sources, stats.packs), (1, 1, 1));
    assert_eq!((stats.logical_bytes, stats.unfinished_pack_bytes), (8 * MIB, 0));
    assert!((new_bytes..new_bytes + 8 * KIB).contains(&stats.plain_bytes), "{stats:?}");
    assert!(stats.pack_bytes < 100 * KIB && stats.pack_bytes < stats.stored_bytes, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_that_do_not_fit_the_blocks_are_refused_by_name() {
    let repository = create(&memory(), 65536).await;
    let session = repository.begin_session().await.unwrap();
    let writer = session.begin_disk(disk_spec("d0", MIB + 512, None)).await.unwrap();
    let put = |offset, length: usize| writer.put(offset, vec![1; length].into());
    assert_eq!(put(512, 65536).await.unwrap_err().code(), "RP-022");
    assert_eq!(put(0, 65535).await.unwrap_err().code(), "RP-022");
    assert_eq!(put(MIB, 513).await.unwrap_err().code(), "RP-023");
    assert_eq!(put(u64::MAX - 65535, 65536).await.unwrap_err().code(), "RP-023");
    assert_eq!(writer.hole(0..100).await.unwrap_err().code(), "RP-022");
    put(MIB, 512).await.unwrap();
    writer.finish().await.unwrap();
    let point = session.commit(point_spec(point_id(1))).await.unwrap();
    let view = repository.disk(&point.id, &key("d0")).await.unwrap();
    assert_eq!(view.data_ranges().await.unwrap(), [MIB..MIB + 512]);
    assert_eq!(view.read_range(MIB, 513).await.unwrap_err().code(), "RP-023");
    assert_eq!(view.read_range(MIB, 512).await.unwrap(), vec![1; 512]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_given_twice_ends_the_session() {
    let repository = create(&memory(), 65536).await;
    for (first, second) in [(64 * KIB, 64 * KIB), (MIB, MIB)] {
        let session = repository.begin_session().await.unwrap();
        let changes = [Change::Put(0, noise(1, first)), Change::Put(0, noise(2, second))];
        let outcome = write_disk(&session, disk_spec("d0", 4 * MIB, None), &changes).await;
        assert_eq!(outcome.unwrap_err().code(), "RP-024");
        assert_eq!(session.commit(point_spec(point_id(1))).await.unwrap_err().code(), "RP-024");
    }
    assert!(repository.points().await.unwrap().is_empty());
}
