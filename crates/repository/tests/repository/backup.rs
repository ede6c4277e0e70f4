//! What a backup stores and what it reads back: deduplication, bases, holes, attachments, companions.

use crate::common::*;
use bytes::Bytes;
use repository::{Repository, WriteSession};

/// Everything that is handed to tasks can be.
#[test]
fn handles_can_be_shared_between_tasks() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sendable<T: Send>(_: T) {}
    shared::<Repository<repository::Indexed>>();
    shared::<WriteSession>();
    shared::<repository::DiskWriter>();
    shared::<repository::DiskView>();
    let located = memory();
    sendable(async move {
        let repository = create(&located, 65536).await;
        let session = repository.begin_session().await.unwrap();
        let writer = session.begin_disk(disk_spec("d0", MIB, None)).await.unwrap();
        writer.put(0, Bytes::new()).await.unwrap();
        writer.hole(0..0).await.unwrap();
        writer.finish().await.unwrap();
        let point = session.commit(point_spec(point_id(1))).await.unwrap();
        let view = repository.disk(&point.id, &key("d0")).await.unwrap();
        view.data_ranges().await.unwrap();
        view.read_range(0, 10).await.unwrap();
        repository.verify(&point.id).await.unwrap();
        repository.stats().await.unwrap();
    });
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
