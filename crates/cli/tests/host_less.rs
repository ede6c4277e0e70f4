//! Backup and restore of disk files without any host, judged by qemu-img.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use serde_json::Value;
use support::{Bench, noise, tool};

const MIB: u64 = 1 << 20;

/// Two states of one disk: the second differs in one place and grew one.
fn two_states(bench: &Bench) {
    let base =
        [(0, noise(1, 6 << 20)), (100 * MIB, noise(2, 3 << 20)), (300 * MIB - 65_536, noise(3, 65_536))];
    let mut changed = base.to_vec();
    changed.push((50 * MIB + 4096, noise(4, 200_000)));
    let first = bench.raw_image("first.raw", 300 * MIB, &base);
    let second = bench.raw_image("second.raw", 300 * MIB, &changed);
    bench.qemu_vhdx("first.vhdx", &first);
    bench.qemu_vhdx("second.vhdx", &second);
}

fn backup(bench: &Bench, disk: &str) -> Value {
    bench.refpoint(&["backup", "--disk", disk, "--name", "SQL01", "--output", "json"]).expect_exit(0).json()
}

fn same(bench: &Bench, format: &str, restored: &str, raw: &str) {
    tool("qemu-img", &["compare", "-f", format, "-F", "raw", &bench.arg(restored), &bench.arg(raw)]);
}

#[test]
fn both_states_of_a_disk_come_back_as_qemu_made_them() {
    let bench = Bench::with_repository();
    two_states(&bench);
    let first = backup(&bench, "first.vhdx");
    let second = backup(&bench, "second.vhdx");

    // The second state stores little more than its change: 200,000 bytes touch four blocks of 64 KiB.
    assert!(second["results"][0]["disks"][0]["new_bytes"].as_u64().unwrap() <= 5 * 65_536, "{second}");
    let point = |made: &Value| made["results"][0]["restore_point"].as_str().unwrap().to_owned();
    let restore = |point: &str, to: &str, format: &str| {
        bench.refpoint(&["restore", "disk", point, "--to", to, "--format", format]).expect_exit(0);
    };
    restore(&point(&first), "first-again.vhdx", "vhdx");
    restore(&point(&second), "second-again.vhdx", "vhdx");
    restore(&point(&second), "second-again.raw", "raw");
    same(&bench, "vhdx", "first-again.vhdx", "first.raw");
    same(&bench, "vhdx", "second-again.vhdx", "second.raw");
    same(&bench, "raw", "second-again.raw", "second.raw");
    tool("qemu-img", &["check", &bench.arg("second-again.vhdx")]);

    let points =
        bench.refpoint(&["points", "list", "--vm", "sql01", "--output", "json"]).expect_exit(0).json();
    let ids: Vec<&str> = points["restore_points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["restore_point"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [point(&first), point(&second)]);
}

#[test]
fn latest_means_the_newest_and_a_restored_file_is_never_overwritten() {
    let bench = Bench::with_repository();
    two_states(&bench);
    backup(&bench, "first.vhdx");
    backup(&bench, "second.vhdx");
    let restore = ["restore", "disk", "latest", "--vm", "SQL01", "--to", "again.raw", "--format", "raw"];
    bench.refpoint(&restore).expect_exit(0);
    same(&bench, "raw", "again.raw", "second.raw");
    let before = std::fs::metadata(bench.path("again.raw")).unwrap().modified().unwrap();
    insta::assert_snapshot!("restore-over-a-file", bench.refpoint(&restore).page());
    assert_eq!(std::fs::metadata(bench.path("again.raw")).unwrap().modified().unwrap(), before);
}

#[test]
fn a_beginning_that_fits_two_restore_points_is_not_guessed() {
    let bench = Bench::with_repository();
    two_states(&bench);
    backup(&bench, "first.vhdx");
    backup(&bench, "second.vhdx");
    // Ids begin with their time, so all of one hour share their first characters.
    let run = bench.refpoint(&["points", "show", "0"]).expect_exit(2);
    assert!(run.stderr.contains("beginning of 2 restore points"), "{}", run.stderr);
}

#[test]
fn a_verified_restore_point_is_whole_until_a_pack_loses_a_byte() {
    let bench = Bench::with_repository();
    two_states(&bench);
    backup(&bench, "first.vhdx");
    let verify = || bench.refpoint(&["points", "verify", "latest", "--vm", "SQL01", "--output", "json"]);
    assert_eq!(verify().expect_exit(0).json()["whole"], true);

    let packs = tool("find", &[&bench.arg("repo/packs"), "-type", "f", "-size", "+64k"]);
    let pack = packs.lines().next().unwrap();
    flip_a_byte(pack);
    let report = verify().expect_exit(5).json();
    assert_eq!(report["whole"], false);
    assert!(!report["damage"].as_array().unwrap().is_empty(), "{report}");
    let restore = bench.refpoint(&["restore", "disk", "latest", "--vm", "SQL01", "--to", "damaged.vhdx"]);
    assert_eq!(restore.exit, 5, "{}", restore.stderr);
}

#[test]
fn the_recovery_key_opens_the_repository_without_its_passphrase() {
    let bench = Bench::with_repository();
    two_states(&bench);
    backup(&bench, "first.vhdx");
    let key = bench.refpoint(&["repo", "recovery-key"]).expect_exit(0).stdout;
    std::fs::write(bench.path("key.txt"), key).unwrap();
    tool("chmod", &["600", &bench.arg("key.txt")]);
    let mut command = bench.command(&["points", "list", "--recovery-key-file", "key.txt"]);
    let listed = bench.finished(command.env_remove("REFPOINT_PASSPHRASE")).expect_exit(0);
    assert!(listed.stdout.contains("SQL01"), "{}", listed.stdout);

    let mut command = bench.command(&["repo", "add-passphrase", "--recovery-key-file", "key.txt"]);
    command.env_remove("REFPOINT_PASSPHRASE").env("REFPOINT_NEW_PASSPHRASE", "a new one");
    bench.finished(&mut command).expect_exit(0);
    for passphrase in ["a new one", support::PASSPHRASE] {
        let mut command = bench.command(&["points", "list"]);
        bench.finished(command.env("REFPOINT_PASSPHRASE", passphrase)).expect_exit(0);
    }
}

/// Scripts read these; a changed shape is a changed interface.
#[test]
fn the_json_of_every_host_less_command_keeps_its_shape() {
    let bench = Bench::new();
    let made = bench.refpoint(&["repo", "init", "--output", "json"]).expect_exit(0).json();
    two_states(&bench);
    let backed_up = backup(&bench, "first.vhdx");
    let json = |arguments: &[&str]| {
        bench.refpoint(&[arguments, &["--output", "json"]].concat()).expect_exit(0).json()
    };
    let pages = [
        ("repo init", made),
        ("backup --disk", backed_up),
        ("repo info", json(&["repo", "info"])),
        ("points list", json(&["points", "list"])),
        ("points show", json(&["points", "show", "latest"])),
        ("points verify", json(&["points", "verify", "latest"])),
        ("restore disk", json(&["restore", "disk", "latest", "--to", "again.vhdx"])),
        ("disk info", json(&["disk", "info", "again.vhdx"])),
    ];
    let text: String =
        pages.iter().map(|(name, value)| format!("{name}\n{}\n", support::shape(value, 1))).collect();
    insta::assert_snapshot!("json-shapes", text);
}

fn flip_a_byte(path: &str) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let at = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}
