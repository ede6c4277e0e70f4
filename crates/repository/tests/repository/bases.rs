//! Backups based on an earlier restore point: what was not given is carried over, nothing else.

use repository::{Indexed, Repository};

use crate::common::*;

async fn with_base(repository: &Repository<Indexed>, capacity: u64, data: &[u8]) {
    let changes = [Change::Put(0, data.to_vec())];
    backup(repository, point_id(1), disk_spec("d0", capacity, None), &changes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_changed_blocks_are_stored_and_the_disk_reads_back_whole() {
    let repository = create(&memory(), 65536).await;
    let mut expected = noise(1, 32 * MIB);
    with_base(&repository, 32 * MIB, &expected).await;
    let before = repository.stats().await.unwrap();
    let mut changes = Vec::new();
    for block in [0_u64, 17, 300, 511] {
        let (start, bytes) = (block * 64 * KIB, noise(100 + block, 64 * KIB));
        expected[usize::try_from(start).unwrap()..][..bytes.len()].copy_from_slice(&bytes);
        changes.push(Change::Put(start, bytes));
    }
    let spec = disk_spec("d0", 32 * MIB, Some(point_id(1)));
    let point = backup(&repository, point_id(2), spec, &changes).await.unwrap();
    let after = repository.stats().await.unwrap();
    assert_eq!((point.summary().put_bytes, point.summary().new_bytes), (256 * KIB, 256 * KIB));
    assert!(after.stored_bytes - before.stored_bytes < 270 * KIB, "{before:?} {after:?}");
    assert!(read_all(&repository, point.id).await == expected);
    assert!(read_all(&repository, point_id(1)).await == noise(1, 32 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_with_no_change_shares_its_whole_map() {
    let repository = create(&memory(), 65536).await;
    with_base(&repository, 32 * MIB, &noise(1, 32 * MIB)).await;
    let before = repository.stats().await.unwrap();
    let spec = disk_spec("d0", 32 * MIB, Some(point_id(1)));
    backup(&repository, point_id(2), spec, &[]).await.unwrap();
    let after = repository.stats().await.unwrap();
    assert_eq!((after.packs, after.chunks), (before.packs, before.chunks));
    assert!(read_all(&repository, point_id(2)).await == noise(1, 32 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_hides_what_the_base_has() {
    let repository = create(&memory(), 65536).await;
    let capacity = 5 * MIB + 3 * 512;
    for (number, range) in [
        (2, 0..64 * KIB),
        (3, 192 * KIB..4 * MIB + 128 * KIB),
        (4, MIB..3 * MIB),
        (5, 4 * MIB + 64 * KIB..capacity),
        (6, 5 * MIB..capacity),
        (7, 0..capacity),
        (8, 960 * KIB..MIB + 64 * KIB),
    ] {
        let mut expected = noise(1, capacity);
        if number == 2 {
            with_base(&repository, capacity, &expected).await;
        }
        let spec = disk_spec("d0", capacity, Some(point_id(1)));
        let changes = [Change::Hole(range.clone())];
        let point = backup(&repository, point_id(number), spec, &changes).await.unwrap();
        let bytes = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        expected[bytes].fill(0);
        assert!(read_all(&repository, point.id).await == expected, "{range:?}");
        assert!(repository.verify(&point.id).await.unwrap().is_whole());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_into_a_range_made_hole_is_a_block_given_twice() {
    let repository = create(&memory(), 65536).await;
    with_base(&repository, 8 * MIB, &noise(1, 8 * MIB)).await;
    let put = |offset| Change::Put(offset, noise(2, 64 * KIB));
    for changes in [
        [Change::Hole(MIB..6 * MIB), put(3 * MIB)],
        [put(3 * MIB), Change::Hole(MIB..6 * MIB)],
        [Change::Hole(0..64 * KIB), put(0)],
    ] {
        let spec = disk_spec("d0", 8 * MIB, Some(point_id(1)));
        let outcome = backup(&repository, point_id(2), spec, &changes).await;
        assert_eq!(outcome.unwrap_err().code(), "RP-024", "{changes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_may_grow_over_its_base_by_levels_of_the_map() {
    let repository = create(&memory(), 4096).await;
    let small = noise(1, 700 * KIB + 512);
    with_base(&repository, 700 * KIB + 512, &small).await;
    let capacities = [3 * MIB, 3 << 30, 5 << 40];
    for (number, capacity) in (2..).zip(capacities) {
        let spec = disk_spec("d0", capacity, Some(point_id(number - 1)));
        let tail = Change::Put(capacity - MIB, noise(u64::try_from(number).unwrap(), 4 * KIB));
        let point = backup(&repository, point_id(number), spec, &[tail]).await.unwrap();
        let view = repository.disk(&point.id, &key("d0")).await.unwrap();
        assert!(view.read_range(0, small.len()).await.unwrap() == small);
        let ranges = view.data_ranges().await.unwrap();
        assert_eq!(ranges[0], 0..704 * KIB);
        assert_eq!(ranges.len(), usize::try_from(number).unwrap());
        assert_eq!(*ranges.last().unwrap(), capacity - MIB..capacity - MIB + 4 * KIB);
        assert!(repository.verify(&point.id).await.unwrap().is_whole());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_does_not_fit_is_refused_with_the_reason() {
    let repository = create(&memory(), 65536).await;
    with_base(&repository, 2 * MIB, &noise(1, MIB)).await;
    let session = repository.begin_session().await.unwrap();
    let shrunk = session.begin_disk(disk_spec("d0", MIB, Some(point_id(1)))).await.unwrap_err();
    assert_eq!(shrunk.code(), "RP-028");
    assert!(shrunk.to_string().contains("it shrank from 2097152 to 1048576 bytes"), "{shrunk}");
    let no_disk = session.begin_disk(disk_spec("d1", MIB, Some(point_id(1)))).await.unwrap_err();
    assert_eq!(no_disk.code(), "RP-019");
    let no_point = session.begin_disk(disk_spec("d0", MIB, Some(point_id(9)))).await.unwrap_err();
    assert_eq!(no_point.code(), "RP-018");
}

/// 64 TiB with data at both ends: three levels of nodes, a handful of map objects.
#[tokio::test(flavor = "multi_thread")]
async fn a_huge_sparse_disk_costs_what_its_data_costs() {
    let repository = create(&memory(), 65536).await;
    let capacity = 64_u64 << 40;
    let changes = [Change::Put(0, noise(1, MIB)), Change::Put(capacity - MIB, noise(2, MIB))];
    let point = backup(&repository, point_id(1), disk_spec("d0", capacity, None), &changes).await.unwrap();
    let spec = disk_spec("d0", capacity, Some(point.id));
    let middle = [Change::Put(capacity / 2, noise(3, 64 * KIB)), Change::Hole(MIB..capacity / 4)];
    let point = backup(&repository, point_id(2), spec, &middle).await.unwrap();
    let stats = repository.stats().await.unwrap();
    assert!(stats.plain_bytes < 2 * MIB + 256 * KIB, "{stats:?}");
    let view = repository.disk(&point.id, &key("d0")).await.unwrap();
    let half = capacity / 2;
    let expected = [0..MIB, half..half + 64 * KIB, capacity - MIB..capacity];
    assert_eq!(view.data_ranges().await.unwrap(), expected);
    assert_eq!(view.read_range(capacity - 100, 100).await.unwrap(), noise(2, MIB)[(1 << 20) - 100..]);
    assert_eq!(view.read_range(5 << 40, 4096).await.unwrap(), vec![0; 4096]);
}

/// Each restore point must be readable by a reader that knows only it: it names all runs it needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_of_bases_needs_no_other_point() {
    let located = memory();
    let repository = create(&located, 65536).await;
    let mut expected = noise(1, 2 * MIB);
    with_base(&repository, 2 * MIB, &expected).await;
    for number in 2..12_u64 {
        let block = number % 32;
        let bytes = noise(number, 64 * KIB);
        expected[usize::try_from(block * 64 * KIB).unwrap()..][..bytes.len()].copy_from_slice(&bytes);
        let spec = disk_spec("d0", 2 * MIB, Some(point_id(u128::from(number - 1))));
        let changes = [Change::Put(block * 64 * KIB, bytes)];
        backup(&repository, point_id(u128::from(number)), spec, &changes).await.unwrap();
    }
    // Only unlocked: nothing but the point's own list leads to the runs.
    let reader = located.unlock(passphrase()).await.unwrap();
    let view = reader.disk(&point_id(11), &key("d0")).await.unwrap();
    assert!(view.read_range(0, 2 << 20).await.unwrap() == expected);
}
