//! A backup process is killed (SIGKILL, by itself, at the moment a journal record has become
//! durable), for every record there is. Afterwards:
//!
//! - a restore point is either whole or not visible,
//! - the next backup settles what the killed one left on the host,
//! - the next backup is right, byte for byte, and the one after it reads changes only.
//!
//! The child is this same test program, told by environment variables to be the victim. It
//! reaches the simulated host over TCP, so its death is as sudden for the host as a real one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod site;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, raise};
use protection::{Event, Listener};
use site::{CAPACITY, Lab, Product};

const KILL_AT: &str = "VICTIM_DIES_AT_RECORD";
const URL: &str = "VICTIM_HOST_URL";
const HOME: &str = "VICTIM_HOME";
const PREFIX: &str = "VICTIM_HOST_PREFIX";
const FOLDER: &str = "VICTIM_HOST_FOLDER";

/// More records than any backup writes: the bound of the walk.
const RECORDS_MAX: usize = 40;

/// Kills the process when the journal holds so many new records.
struct Executioner {
    at: usize,
    seen: AtomicUsize,
}

impl Listener for Executioner {
    fn hear(&self, event: &Event) {
        if matches!(event, Event::JournalRecorded { .. })
            && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.at
        {
            raise(Signal::SIGKILL).unwrap();
        }
    }
}

/// What the child does instead of the test.
async fn be_the_victim(at: usize) {
    let value = |name: &str| std::env::var(name).unwrap();
    let product = Product {
        url: value(URL),
        paths: vec![(value(PREFIX), value(FOLDER).into())],
        home: value(HOME).into(),
    };
    let executioner = Executioner { at, seen: AtomicUsize::new(0) };
    site::done(product.backup(vec![Arc::new(executioner)]).await.unwrap());
}

/// Runs a victim; `true` if it was killed, `false` if the backup ended before that record.
fn was_killed(product: &Product, test: &str, at: usize) -> bool {
    let (prefix, folder) = product.paths[0].clone();
    let output = Command::new(site::this_program())
        .args(["--exact", test, "--nocapture"])
        .env(KILL_AT, at.to_string())
        .env(URL, &product.url)
        .env(HOME, &product.home)
        .env(PREFIX, prefix)
        .env(FOLDER, folder)
        .output()
        .unwrap();
    if output.status.success() {
        return false;
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.signal(), Some(9), "the victim failed by itself:\n{out}{err}");
    true
}

/// Walks over every record of a backup, killing at each; `before` prepares a fresh lab.
async fn walk(test: &str, backups_before: usize) {
    if let Ok(at) = std::env::var(KILL_AT) {
        return be_the_victim(at.parse().unwrap()).await;
    }
    let mut killed = 0;
    for at in 1..=RECORDS_MAX {
        let lab = Lab::start().await;
        let product = lab.product();
        for _ in 0..backups_before {
            product.good_backup().await;
            lab.write(2 << 20, 69_632, 99);
        }
        let test = test.to_owned();
        let victim = product.clone();
        let died = tokio::task::spawn_blocking(move || was_killed(&victim, &test, at)).await.unwrap();
        if !died {
            break;
        }
        killed += 1;
        survives(&lab, &product, at).await;
        lab.served.shutdown().await;
    }
    assert!(killed >= 12, "a backup has at least six steps of two records, but {killed} kills were made");
    assert!(killed < RECORDS_MAX, "the walk did not reach the end of the backup");
}

/// Everything that must hold after a victim died at record `at`.
async fn survives(lab: &Lab, product: &Product, at: usize) {
    for point in product.points().await {
        let repository = product.repository().await;
        let report = repository.verify(&point).await.unwrap();
        assert!(report.is_whole(), "record {at}: restore point {point} is visible but not whole");
    }
    lab.write(21 << 20, 102_400, 1_000);
    let (point, _) = product.good_backup().await;
    product.assert_point_holds(&point, &lab.expected_at_newest_checkpoint()).await;
    lab.assert_clean(1);

    lab.write(CAPACITY - 4096, 4096, 2_000);
    let (point, disk) = product.good_backup().await;
    assert!(disk.changed_only, "record {at}: read whole, since {:?}", disk.whole_because);
    product.assert_point_holds(&point, &lab.expected_at_newest_checkpoint()).await;
    lab.assert_clean(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_backup_killed_at_any_record_leaves_nothing_behind() {
    walk("a_first_backup_killed_at_any_record_leaves_nothing_behind", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_backup_killed_at_any_record_leaves_nothing_behind() {
    walk("a_second_backup_killed_at_any_record_leaves_nothing_behind", 1).await;
}
