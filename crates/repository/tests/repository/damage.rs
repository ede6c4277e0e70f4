//! Storage that changes, loses or exchanges objects: always detected, always named, never zeros.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use repository::{Error, Indexed, Located, Repository};

use crate::common::*;

struct Small {
    store: Arc<InMemory>,
    located: Repository<Located>,
    expected: Vec<u8>,
}

/// Two restore points, the second based on the first, with a companion: every kind of object.
async fn small() -> Small {
    let store = Arc::new(InMemory::new());
    let located = Repository::at(Arc::clone(&store) as Arc<dyn ObjectStore>, "bucket");
    let repository = create(&located, 4096).await;
    let mut expected = text(1, 3 * MIB);
    let first = [Change::Put(0, expected.clone())];
    backup(&repository, point_id(1), disk_spec("d0", 3 * MIB, None), &first).await.unwrap();
    let changed = noise(2, 8 * KIB);
    expected[1 << 20..][..changed.len()].copy_from_slice(&changed);
    let spec = disk_spec("d0", 3 * MIB, Some(point_id(1)));
    backup(&repository, point_id(2), spec, &[Change::Put(MIB, changed)]).await.unwrap();
    repository.put_companion(&point_id(2), "note", "beside".into()).await.unwrap();
    Small { store, located, expected }
}

async fn objects(store: &InMemory) -> Vec<(Path, Vec<u8>)> {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut found = Vec::new();
    for object in listed {
        let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        found.push((object.location, bytes.to_vec()));
    }
    found.sort();
    found
}

/// Opens, lists, verifies and reads everything; the first thing that is not right.
async fn inspect(small: &Small) -> Result<(), String> {
    let tell = |cause: Error| format!("{} {cause}", cause.code());
    let repository = small.located.unlock(passphrase()).await.map_err(tell)?;
    let repository = repository.index().await.map_err(tell)?;
    if let Some(gap) = repository.gaps().first() {
        return Err(format!("gap {} {}", gap.object, gap.cause));
    }
    for number in [1, 2] {
        let report = repository.verify(&point_id(number)).await.map_err(tell)?;
        if let Some(damage) = report.damage.first() {
            return Err(format!("damage {:?} {}", damage.range, damage.cause));
        }
    }
    let note = repository.companion(&point_id(2), "note").await.map_err(tell)?;
    note.map(drop).ok_or_else(|| "the companion is gone".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_byte_changed_in_any_object_is_detected() {
    let small = small().await;
    inspect(&small).await.unwrap();
    assert!(read_all(&open(&small.located).await, point_id(2)).await == small.expected);
    let mut flips = 0;
    for (path, bytes) in objects(&small.store).await {
        // Every byte of small objects, head and tail of large ones, and a sample between.
        let step = (bytes.len() / 150).max(1);
        for at in (0..bytes.len()).filter(|at| at % step == 0 || *at < 60 || *at + 60 > bytes.len()) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            small.store.put(&path, changed.into()).await.unwrap();
            assert!(inspect(&small).await.is_err(), "byte {at} of {path} changed unnoticed");
            flips += 1;
        }
        small.store.put(&path, bytes.into()).await.unwrap();
    }
    assert!(flips > 1000, "{flips}");
    inspect(&small).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_short_object_is_detected() {
    let small = small().await;
    for (path, bytes) in objects(&small.store).await {
        let is_point = path.as_ref().starts_with("points/");
        small.store.put(&path, bytes[..bytes.len() - 1].to_vec().into()).await.unwrap();
        assert!(inspect(&small).await.is_err(), "{path} cut short unnoticed");
        small.store.put(&path, Vec::new().into()).await.unwrap();
        assert!(inspect(&small).await.is_err(), "{path} emptied unnoticed");
        small.store.delete(&path).await.unwrap();
        let found = inspect(&small).await.unwrap_err();
        assert!(is_point || found.contains("missing") || found.contains("no "), "{path}: {found}");
        small.store.put(&path, bytes.into()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_served_under_another_name_is_detected() {
    let small = small().await;
    let all = objects(&small.store).await;
    let of =
        |prefix: &str| all.iter().filter(|(path, _)| path.as_ref().starts_with(prefix)).collect::<Vec<_>>();
    for prefix in ["packs/", "index/", "points/"] {
        let [(one, bytes), (other, _), ..] = of(prefix)[..] else { panic!("two of {prefix}") };
        let kept = small.store.get(other).await.unwrap().bytes().await.unwrap();
        small.store.put(other, bytes.clone().into()).await.unwrap();
        assert!(inspect(&small).await.is_err(), "{one} taken for {other}");
        small.store.put(other, kept.into()).await.unwrap();
    }
    // A copy of a point under a new id is not a restore point.
    let (_, bytes) = of("points/")[0];
    let copy = Path::from(format!("points/vm-1/{}", point_id(77)));
    small.store.put(&copy, bytes.clone().into()).await.unwrap();
    let points = open(&small.located).await.points().await.unwrap();
    assert_eq!((points.len(), points.gaps.len()), (2, 1));
}

/// The pack that only the second restore point needs.
async fn second_pack(small: &Small, repository: &Repository<Indexed>) -> (Path, Vec<u8>) {
    let second = repository.point(&point_id(2)).await.unwrap();
    assert_eq!(second.summary().new_bytes, 8 * KIB);
    let packs = objects(&small.store).await.into_iter();
    let mut packs: Vec<_> = packs.filter(|(path, _)| path.as_ref().starts_with("packs/")).collect();
    packs.sort_by_key(|(_, bytes)| bytes.len());
    // Noise does not compress and text does: 8 KiB of one outweigh 3 MiB of the other.
    packs.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_as_a_range_of_the_disk_and_spares_the_rest() {
    let small = small().await;
    let repository = open(&small.located).await;
    let (path, mut bytes) = second_pack(&small, &repository).await;
    // The first frame holds the changed blocks.
    bytes[100] ^= 1;
    small.store.put(&path, bytes.into()).await.unwrap();
    let report = open(&small.located).await.verify(&point_id(2)).await.unwrap();
    let lost: Vec<_> = report.damage.iter().map(|damage| damage.range.clone()).collect();
    assert_eq!(lost, [MIB..MIB + 4 * KIB, MIB + 4 * KIB..MIB + 8 * KIB]);
    assert!(open(&small.located).await.verify(&point_id(1)).await.unwrap().is_whole());
    let reader = open(&small.located).await;
    let view = reader.disk(&point_id(2), &key("d0")).await.unwrap();
    assert!(view.read_range(0, 1 << 20).await.unwrap() == small.expected[..1 << 20]);
    let failed = view.read_range(MIB - 4096, 64 << 10).await.unwrap_err();
    assert_eq!(failed.code(), "RP-013");
    let told = failed.to_string();
    assert!(told.contains("Disk d0 of restore point") && told.contains(path.as_ref()), "{told}");
    assert!(told.contains("from byte 1048576 to 1052672"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_pack_fails_reads_by_name_and_other_points_stay_readable() {
    let small = small().await;
    let repository = open(&small.located).await;
    let (path, _) = second_pack(&small, &repository).await;
    small.store.delete(&path).await.unwrap();
    assert!(read_all(&repository, point_id(1)).await == text(1, 3 * MIB));
    let view = repository.disk(&point_id(2), &key("d0")).await.unwrap();
    let failed = view.read_range(MIB, 4096).await.unwrap_err();
    assert!(failed.to_string().contains(&format!("Object {path} is missing from bucket")), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_point_or_run_is_a_gap_and_the_rest_can_be_used() {
    let small = small().await;
    let all = objects(&small.store).await;
    let second = Path::from(format!("points/vm-1/{}", point_id(2)));
    small.store.put(&second, "broken".into()).await.unwrap();
    let repository = open(&small.located).await;
    let points = repository.points().await.unwrap();
    assert_eq!((points.len(), points.gaps.len(), repository.gaps().len()), (1, 1, 1));
    assert!(points.gaps[0].cause.to_string().contains(second.as_ref()));
    assert_eq!(repository.point(&point_id(2)).await.unwrap_err().code(), "RP-012");
    assert!(read_all(&repository, point_id(1)).await == text(1, 3 * MIB));
    for (path, _) in all.iter().filter(|(path, _)| path.as_ref().starts_with("index/")) {
        small.store.delete(path).await.unwrap();
    }
    let repository = open(&small.located).await;
    assert_eq!(repository.gaps().len(), 2);
    assert_eq!(repository.disk(&point_id(1), &key("d0")).await.unwrap_err().code(), "RP-011");
    // Nothing of it is reused, so a new full backup is whole.
    let changes = [Change::Put(0, text(1, 3 * MIB))];
    let point = backup(&repository, point_id(3), disk_spec("d0", 3 * MIB, None), &changes).await.unwrap();
    assert!(read_all(&repository, point.id).await == text(1, 3 * MIB));
}
