//! How causes become errors, and what a folder makes durable.

use std::io::{Error as IoError, ErrorKind};

use super::{Attempt, Store};
use crate::error::Error;

fn failed(kind: ErrorKind, doing: &'static str) -> Error {
    let object = "packs/aa/x-0";
    Attempt { place: "/backup", object, doing, needed_bytes: 4096, free_bytes: Some(100) }
        .failed(&kind.into())
}

#[test]
fn causes_of_the_system_become_errors_that_tell_the_next_step() {
    let code = |kind, doing| failed(kind, doing).code();
    assert_eq!(code(ErrorKind::NotFound, "read"), "RP-011");
    assert_eq!(code(ErrorKind::NotFound, "written"), "RP-001");
    assert_eq!(code(ErrorKind::StorageFull, "written"), "RP-014");
    assert_eq!(code(ErrorKind::QuotaExceeded, "written"), "RP-014");
    assert_eq!(code(ErrorKind::PermissionDenied, "read"), "RP-015");
    assert_eq!(code(ErrorKind::ReadOnlyFilesystem, "written"), "RP-015");
    assert_eq!(code(ErrorKind::TimedOut, "read"), "RP-016");
    assert_eq!(
        failed(ErrorKind::StorageFull, "written").to_string(),
        "/backup is full: packs/aa/x-0 needs 4096 bytes, 100 are free. Nothing that was committed is lost."
    );
}

#[test]
fn an_error_of_the_system_is_found_below_the_stores_own() {
    let source = Box::new(IoError::from(ErrorKind::StorageFull));
    let cause = object_store::Error::Generic { store: "S3", source };
    assert_eq!(super::remote::io_cause(&cause).map(IoError::kind), Some(ErrorKind::StorageFull));
}

#[tokio::test]
async fn a_name_is_created_once_and_never_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path());
    assert!(store.create("a/b/c", vec!["one".into(), "two".into()]).await.unwrap());
    assert!(!store.create("a/b/c", vec!["other".into()]).await.unwrap());
    store.barrier().await.unwrap();
    assert_eq!(store.get("a/b/c", 6).await.unwrap(), "onetwo");
    assert_eq!(store.get("a/b/c", 5).await.unwrap_err().code(), "RP-012");
    assert_eq!(store.get_range("a/b/c", 1..4).await.unwrap(), "net");
    assert_eq!(store.get_range("a/b/c", 4..7).await.unwrap_err().code(), "RP-012");
    assert_eq!(store.get_range("a/b/c", 9..12).await.unwrap_err().code(), "RP-012");
    assert_eq!(store.get("a/b/d", 5).await.unwrap_err().code(), "RP-011");
    assert_eq!((store.size("a/b/c").await.unwrap(), store.size("a/b").await.is_ok()), (Some(6), true));
    assert_eq!(store.list("a").await.unwrap().len(), 1);
    assert!(std::fs::read_dir(folder.path().join("tmp")).unwrap().next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_creators_of_one_name_exactly_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(Store::folder(folder.path()));
    let mut racers = tokio::task::JoinSet::new();
    for racer in 0..16_u8 {
        let store = std::sync::Arc::clone(&store);
        racers.spawn(async move {
            (racer, store.create("points/p", vec![vec![racer; 1000].into()]).await.unwrap())
        });
    }
    let outcomes = racers.join_all().await;
    let winners: Vec<_> = outcomes.iter().filter(|(_, won)| *won).map(|(racer, _)| *racer).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.get("points/p", 1000).await.unwrap(), vec![winners[0]; 1000]);
}

#[tokio::test]
async fn a_barrier_flushes_every_folder_up_to_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(&folder.path().join("new/root"));
    store.make_place().await.unwrap();
    store.create("packs/aa/x-0", vec!["x".into()]).await.unwrap();
    let super::Backend::Folder(inner) = &store.backend else { panic!("a folder") };
    let unflushed = inner.unflushed_folders();
    for name in ["", "new", "new/root", "new/root/packs", "new/root/packs/aa"] {
        assert!(unflushed.contains(&folder.path().join(name)), "{name:?} of {unflushed:?}");
    }
    store.barrier().await.unwrap();
    assert!(inner.unflushed_folders().is_empty());
}
