//! Restoring disks to files, and proving that they are right.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::sync::Mutex;
use std::time::Duration;

use common::{Bench, MIB, TestDisk, content, pattern};
use recovery::{
    DiskTarget, Error, Progress, TargetFormat, compare, open_restored, restore_disk, verify_restored,
};
use repository::DiskView;
use vdisk::{DiskId, FileIo, LocalFile, WritableDisk};

const QUIET: &(dyn Fn(Progress) + Send + Sync) = &|_| {};

/// 70 MiB with data at the start, over a block border, and in the last, partial block.
fn disk() -> TestDisk {
    let capacity = 70 * MIB + 1024;
    let data = vec![(0, pattern(1, 64 << 10)), (31 * MIB, pattern(2, 9 * MIB)), (70 * MIB, pattern(3, 1024))];
    TestDisk::new(capacity, data)
}

fn read(bench: &Bench, name: &str, format: TargetFormat) -> Vec<u8> {
    let disk = open_restored(&bench.folder().join(name), format).unwrap();
    let mut bytes = vec![0xEE; disk.capacity() as usize];
    disk.read_at(0, &mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn a_disk_is_restored_to_vhdx_and_to_raw_and_proven_equal() {
    let bench = Bench::new().await;
    let expected = content(&disk());
    let view = bench.disk(disk()).await;

    for (name, format) in [("a.vhdx", TargetFormat::Vhdx), ("a.raw", TargetFormat::Raw)] {
        let target = DiskTarget::new(bench.folder().join(name), format);
        let restored = restore_disk(&view, &target, QUIET).await.unwrap();

        assert!(read(&bench, name, format) == expected, "{name}");
        assert_eq!(restored.data_bytes, (64 << 10) + 9 * MIB + 1024);
        assert!(restored.stored_bytes < 20 * MIB, "{name} takes {} bytes", restored.stored_bytes);
        let proof = verify_restored(&view, &target.path, format, QUIET).await.unwrap();
        assert!(proof.compared_bytes >= restored.data_bytes);
    }
    assert_eq!(bench.files().len(), 2, "nothing else is left: {:?}", bench.files());
}

#[tokio::test]
async fn progress_counts_up_to_all_bytes() {
    let bench = Bench::new().await;
    let view = bench.disk(disk()).await;
    let seen = Mutex::new(Vec::new());
    let note = |progress: Progress| seen.lock().unwrap().push(progress);

    let target = DiskTarget::new(bench.folder().join("a.vhdx"), TargetFormat::Vhdx);
    restore_disk(&view, &target, &note).await.unwrap();

    let seen = seen.into_inner().unwrap();
    assert!(seen.windows(2).all(|pair| pair[0].done_bytes < pair[1].done_bytes));
    let last = seen.last().unwrap();
    assert_eq!(last.done_bytes, last.total_bytes);
}

#[tokio::test]
async fn the_identity_is_new_unless_it_is_to_be_kept() {
    let bench = Bench::new().await;
    let view = bench.disk(disk()).await;
    let original: DiskId = view.record().identity.as_deref().unwrap().parse().unwrap();

    for keep_identity in [false, true] {
        let path = bench.folder().join(format!("{keep_identity}.vhdx"));
        let target = DiskTarget { keep_identity, ..DiskTarget::new(&path, TargetFormat::Vhdx) };
        restore_disk(&view, &target, QUIET).await.unwrap();
        let restored = open_restored(&path, TargetFormat::Vhdx).unwrap();
        assert_eq!(restored.virtual_disk_id() == original, keep_identity);
        assert_eq!((restored.logical_sector(), restored.physical_sector()), (512, 4096));
    }
}

#[tokio::test]
async fn a_file_that_is_there_is_left_alone_unless_it_may_be_replaced() {
    let bench = Bench::new().await;
    let view = bench.disk(disk()).await;
    let path = bench.folder().join("a.raw");
    std::fs::write(&path, b"precious").unwrap();

    let mut target = DiskTarget::new(&path, TargetFormat::Raw);
    let error = restore_disk(&view, &target, QUIET).await.unwrap_err();
    assert!(matches!(error, Error::TargetExists { .. }), "{error}");
    assert_eq!((std::fs::read(&path).unwrap().as_slice(), bench.files().len()), (&b"precious"[..], 1));

    target.replace = true;
    restore_disk(&view, &target, QUIET).await.unwrap();
    assert!(read(&bench, "a.raw", TargetFormat::Raw) == content(&disk()));
}

#[tokio::test]
async fn a_leftover_of_a_killed_restore_is_replaced_and_one_under_way_is_not() {
    let bench = Bench::new().await;
    let view = bench.disk(disk()).await;
    let target = DiskTarget::new(bench.folder().join("a.vhdx"), TargetFormat::Vhdx);
    let partial = bench.folder().join("a.vhdx.refpoint-partial");

    let under_way = LocalFile::create_new(&partial).unwrap();
    let error = restore_disk(&view, &target, QUIET).await.unwrap_err();
    assert!(matches!(error, Error::TargetBusy { .. }), "{error}");

    under_way.write_at(0, b"half").unwrap();
    drop(under_way);
    restore_disk(&view, &target, QUIET).await.unwrap();
    assert_eq!(bench.files(), ["a.vhdx"]);
}

/// Damages every pack of the repository.
fn damage(bench: &Bench) {
    fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    let mut packs = Vec::new();
    files(&bench.store().join("packs"), &mut packs);
    for pack in packs {
        let mut bytes = std::fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x55);
        std::fs::remove_file(&pack).unwrap();
        std::fs::write(&pack, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_repository_leaves_no_file_behind_and_says_what_is_lost() {
    let bench = Bench::new().await;
    let data = (0..64).map(|block| (block * MIB, pattern(block, MIB))).collect();
    let view = bench.disk(TestDisk::new(64 * MIB, data)).await;
    damage(&bench);

    let target = DiskTarget::new(bench.folder().join("a.vhdx"), TargetFormat::Vhdx);
    let error = restore_disk(&view, &target, QUIET).await.unwrap_err();

    assert!(error.code().starts_with("RP-"), "{} {error}", error.code());
    assert_eq!(error.to_string(), "Disk disk-1.vhdx could not be read from the repository.");
    assert!(bench.files().is_empty(), "{:?}", bench.files());
}

#[tokio::test]
async fn a_target_that_cannot_be_written_is_named_with_the_cause() {
    let bench = Bench::new().await;
    let view = bench.disk(disk()).await;
    let target = DiskTarget::new(bench.folder().join("no such folder/a.vhdx"), TargetFormat::Vhdx);

    let error = restore_disk(&view, &target, QUIET).await.unwrap_err();

    assert_eq!(
        (error.code(), error.next_step().as_str()),
        ("RC-004", "Check the path; its folder must exist.")
    );
}

/// A restore that the operator gives up is a future that is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_given_up_midway_removes_its_partial_file() {
    let bench = Bench::new().await;
    let view = bench.disk(disk()).await;
    let target = DiskTarget::new(bench.folder().join("a.raw"), TargetFormat::Raw);
    let (started, is_started) = std::sync::mpsc::channel();
    let work = tokio::spawn({
        let (view, target) = (view.clone(), target.clone());
        async move {
            let note = |_| {
                let _ = started.send(());
                std::thread::sleep(Duration::from_millis(1));
            };
            restore_disk(&view, &target, &note).await
        }
    });
    tokio::task::spawn_blocking(move || is_started.recv().unwrap()).await.unwrap();
    work.abort();
    let _ = work.await;

    for _ in 0..1000 {
        if bench.files().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bench.files(), [""; 0]);
}

async fn first_difference(view: &DiskView, bench: &Bench, name: &str, format: TargetFormat) -> Option<u64> {
    let disk = open_restored(&bench.folder().join(name), format).unwrap();
    compare(view, &disk, QUIET).await.unwrap().first_difference
}

#[tokio::test]
async fn one_wrong_byte_is_found_wherever_it_is() {
    let bench = Bench::new().await;
    let view = bench.disk(disk()).await;
    for offset in [0, 5 * MIB, 33 * MIB + 77, 70 * MIB + 1023] {
        let name = format!("{offset}.vhdx");
        let path = bench.folder().join(&name);
        restore_disk(&view, &DiskTarget::new(&path, TargetFormat::Vhdx), QUIET).await.unwrap();
        assert_eq!(first_difference(&view, &bench, &name, TargetFormat::Vhdx).await, None);
        let file = std::sync::Arc::new(LocalFile::open_read_write(&path).unwrap());
        let mut disk = WritableDisk::open(file).unwrap();
        disk.write_at(offset, &[0xFF]).unwrap();
        disk.close().unwrap();

        assert_eq!(first_difference(&view, &bench, &name, TargetFormat::Vhdx).await, Some(offset));
        let error = verify_restored(&view, &path, TargetFormat::Vhdx, QUIET).await.unwrap_err();
        assert!(error.to_string().ends_with(&format!("at byte {offset}.")), "{error}");
    }
}

#[tokio::test]
async fn a_disk_that_is_too_short_or_longer_with_data_differs() {
    let bench = Bench::new().await;
    let view = bench.disk(TestDisk::new(MIB + 100, vec![(0, pattern(1, 64 << 10))])).await;
    let path = bench.folder().join("a.raw");
    restore_disk(&view, &DiskTarget::new(&path, TargetFormat::Raw), QUIET).await.unwrap();
    let file = LocalFile::open_read_write(&path).unwrap();

    file.set_len(MIB + 200).unwrap();
    assert_eq!(first_difference(&view, &bench, "a.raw", TargetFormat::Raw).await, None);
    file.write_at(MIB + 150, b"x").unwrap();
    assert_eq!(first_difference(&view, &bench, "a.raw", TargetFormat::Raw).await, Some(MIB + 150));
    file.set_len(MIB).unwrap();
    assert_eq!(first_difference(&view, &bench, "a.raw", TargetFormat::Raw).await, Some(MIB));
}

/// A raw source can have any size; a VHDX has whole sectors.
#[tokio::test]
async fn a_size_that_is_no_whole_sector_is_rounded_up_with_zeros() {
    let bench = Bench::new().await;
    let view = bench.disk(TestDisk::new(MIB + 100, vec![(0, pattern(1, 64 << 10))])).await;
    let target = DiskTarget::new(bench.folder().join("a.vhdx"), TargetFormat::Vhdx);

    restore_disk(&view, &target, QUIET).await.unwrap();

    assert_eq!(open_restored(&target.path, TargetFormat::Vhdx).unwrap().capacity(), MIB + 512);
    verify_restored(&view, &target.path, TargetFormat::Vhdx, QUIET).await.unwrap();
}
