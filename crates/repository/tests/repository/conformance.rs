//! One suite for every kind of store, and what only a local folder can show.

use std::path::Path;

use repository::{Located, Repository};

use crate::common::*;

/// What every store must do; each call gets an empty place.
async fn conforms(located: Repository<Located>) {
    assert!(!located.exists().await.unwrap());
    let repository = create(&located, 65536).await;
    assert_eq!(located.create(options(65536)).await.unwrap_err().code(), "RP-002");
    let data = noise(1, 40 * MIB);
    let changes = [Change::Put(0, data.clone())];
    let spec = disk_spec("d0", 48 * MIB, None);
    let first = backup(&repository, point_id(1), spec.clone(), &changes).await.unwrap();
    let again = backup(&repository, point_id(1), spec, &changes).await.unwrap_err();
    assert_eq!(again.code(), "RP-021");
    let based = disk_spec("d0", 48 * MIB, Some(first.id));
    let second = backup(&repository, point_id(2), based, &[Change::Hole(0..MIB)]).await.unwrap();
    repository.put_companion(&second.id, "note", "beside".into()).await.unwrap();
    drop(repository);
    let reopened = open(&located).await;
    let points = reopened.points().await.unwrap();
    assert_eq!(points.iter().map(|point| point.id).collect::<Vec<_>>(), [first.id, second.id]);
    assert!(points.gaps.is_empty() && reopened.gaps().is_empty());
    let view = reopened.disk(&first.id, &key("d0")).await.unwrap();
    assert!(view.read_range(0, 40 << 20).await.unwrap() == data);
    let view = reopened.disk(&second.id, &key("d0")).await.unwrap();
    assert_eq!(view.data_ranges().await.unwrap(), [MIB..40 * MIB]);
    assert_eq!(reopened.companion(&second.id, "note").await.unwrap(), Some("beside".into()));
    for point in points {
        let report = reopened.verify(&point.id).await.unwrap();
        assert!(report.is_whole() && report.packs >= 2, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_memory_conforms() {
    conforms(memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    // A folder that does not exist yet, two levels deep.
    conforms(Repository::at_folder(&folder.path().join("backup/repository"))).await;
}

fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                names.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_holds_the_documented_files_and_no_draft() {
    let folder = tempfile::tempdir().unwrap();
    let repository = create(&Repository::at_folder(folder.path()), 65536).await;
    let changes = [Change::Put(0, noise(1, MIB))];
    let point = backup(&repository, point_id(1), disk_spec("d0", MIB, None), &changes).await.unwrap();
    repository.put_companion(&point.id, "continuation", "x".into()).await.unwrap();
    let names = files(folder.path());
    let of = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
    assert_eq!((of("config"), of("keys/"), of("packs/"), of("index/"), of("points/vm-1/")), (1, 1, 1, 1, 2));
    assert_eq!((names.len(), of("tmp/")), (6, 0));
    let pack = names.iter().find(|name| name.starts_with("packs/")).unwrap();
    let run = names.iter().find(|name| name.starts_with("index/")).unwrap();
    assert_eq!(pack[9..], run[6..], "pack and run carry the session's name");
    assert_eq!(pack[6..8], run[6..8], "packs lie under the first two digits");
}

/// A process that was killed leaves files in `tmp/`; one that still writes holds a lock on its own.
#[tokio::test(flavor = "multi_thread")]
async fn drafts_of_dead_writers_are_removed_and_those_of_living_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let repository = create(&Repository::at_folder(folder.path()), 65536).await;
    let (dead, living) = (folder.path().join("tmp/dead"), folder.path().join("tmp/living"));
    std::fs::write(&dead, "half an obj").unwrap();
    let held = std::fs::File::create(&living).unwrap();
    held.lock().unwrap();
    let session = repository.begin_session().await.unwrap();
    assert!(!dead.exists() && living.exists());
    drop((session, held));
    repository.begin_session().await.unwrap();
    assert!(!living.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_session_takes_its_packs_along() {
    let folder = tempfile::tempdir().unwrap();
    let repository = create(&Repository::at_folder(folder.path()), 65536).await;
    let session = repository.begin_session().await.unwrap();
    let writer = session.begin_disk(disk_spec("d0", 80 * MIB, None)).await.unwrap();
    writer.put(0, noise(1, 80 * MIB).into()).await.unwrap();
    wait_until(async || files(folder.path()).iter().any(|name| name.starts_with("packs/"))).await;
    drop((writer, session));
    wait_until(async || !files(folder.path()).iter().any(|name| name.starts_with("packs/"))).await;
    assert!(open(&Repository::at_folder(folder.path())).await.points().await.unwrap().is_empty());
}

/// The disk was unmounted and its mount point is an empty folder now: no half repository may grow there.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_lost_its_repository_receives_no_commit() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mounted");
    let repository = create(&Repository::at_folder(&root), 65536).await;
    let session = repository.begin_session().await.unwrap();
    write_disk(&session, disk_spec("d0", MIB, None), &[]).await.unwrap();
    std::fs::rename(&root, folder.path().join("elsewhere")).unwrap();
    std::fs::create_dir(&root).unwrap();
    let refused = session.commit(point_spec(point_id(1))).await.unwrap_err();
    assert_eq!(refused.code(), "RP-001");
    assert!(!root.join("points").exists());
}

#[tokio::test]
async fn a_folder_with_other_things_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lost+found")).unwrap();
    std::fs::write(folder.path().join("thesis.odt"), "x").unwrap();
    let located = Repository::at_folder(folder.path());
    let refused = located.create(options(65536)).await.unwrap_err();
    assert_eq!(refused.code(), "RP-003");
    assert_eq!(files(folder.path()), ["thesis.odt"]);
    std::fs::remove_file(folder.path().join("thesis.odt")).unwrap();
    assert!(located.create(options(65536)).await.is_ok());
}

#[tokio::test]
async fn a_file_in_the_place_of_the_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "x").unwrap();
    let located = Repository::at_folder(&path);
    assert_eq!(located.unlock(passphrase()).await.unwrap_err().code(), "RP-001");
    let refused = located.create(options(65536)).await.unwrap_err();
    assert_eq!(refused.code(), "RP-016");
    assert!(refused.to_string().contains("file"), "{refused}");
}
