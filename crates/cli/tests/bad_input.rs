//! What an operator sees when something is wrong: the object, the cause, the next step, and an exit code that a
//! script can branch on. Every page is pinned.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::{Bench, noise, tool};

#[test]
fn a_file_that_is_no_disk_is_named_with_what_it_looks_like() {
    let bench = Bench::with_repository();
    std::fs::write(bench.path("notes.txt"), "Dear diary,\n".repeat(100)).unwrap();
    insta::assert_snapshot!("not-a-disk-info", bench.refpoint(&["disk", "info", "notes.txt"]).page());
    let backup = bench.refpoint(&["backup", "--disk", "notes.txt", "--name", "NOTES"]);
    insta::assert_snapshot!("not-a-disk-backup", backup.page());
}

#[test]
fn a_truncated_disk_is_refused_and_nothing_of_it_is_visible() {
    let bench = Bench::with_repository();
    let raw = bench.raw_image("disk.raw", 64 << 20, &[(0, noise(1, 4 << 20)), (40 << 20, noise(2, 4 << 20))]);
    let vhdx = bench.qemu_vhdx("disk.vhdx", &raw);
    let length = std::fs::metadata(&vhdx).unwrap().len();
    std::fs::File::options().write(true).open(&vhdx).unwrap().set_len(length / 2).unwrap();
    let backup = bench.refpoint(&["backup", "--disk", "disk.vhdx", "--name", "CUT"]);
    insta::assert_snapshot!("truncated-disk", backup.page());
    let points = bench.refpoint(&["points", "list", "--output", "json"]).expect_exit(0).json();
    assert_eq!(points["restore_points"], serde_json::json!([]));
}

#[test]
fn a_missing_file_is_not_found() {
    let bench = Bench::with_repository();
    insta::assert_snapshot!(bench.refpoint(&["disk", "info", "nowhere.vhdx"]).page());
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let bench = Bench::with_repository();
    let mut command = bench.command(&["points", "list"]);
    let wrong = bench.finished(command.env("REFPOINT_PASSPHRASE", "guess"));
    insta::assert_snapshot!("wrong-passphrase", wrong.page());
    let mut command = bench.command(&["points", "list", "--output", "json"]);
    let wrong = bench.finished(command.env("REFPOINT_PASSPHRASE", "guess"));
    insta::assert_snapshot!("wrong-passphrase-json", wrong.page());
}

#[test]
fn a_missing_passphrase_is_asked_for_by_its_ways() {
    let bench = Bench::with_repository();
    let mut command = bench.command(&["points", "list"]);
    insta::assert_snapshot!(bench.finished(command.env_remove("REFPOINT_PASSPHRASE")).page());
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let bench = Bench::with_repository();
    std::fs::write(bench.path("secret"), support::PASSPHRASE).unwrap();
    std::fs::set_permissions(bench.path("secret"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = bench.refpoint(&["points", "list", "--passphrase-file", "secret"]);
    insta::assert_snapshot!(exposed.page());
    std::fs::set_permissions(bench.path("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    bench.refpoint(&["points", "list", "--passphrase-file", "secret"]).expect_exit(0);
}

#[test]
fn a_folder_without_a_repository_is_told_before_any_passphrase_is_asked_for() {
    let bench = Bench::new();
    let mut command = bench.command(&["points", "list", "--repo", "elsewhere"]);
    insta::assert_snapshot!(
        "repository-missing",
        bench.finished(command.env_remove("REFPOINT_PASSPHRASE")).page()
    );
    let mut command = bench.command(&["points", "list"]);
    insta::assert_snapshot!("repository-unnamed", bench.finished(command.env_remove("REFPOINT_REPO")).page());
}

#[test]
fn a_repository_is_never_made_over_something_else() {
    let bench = Bench::with_repository();
    insta::assert_snapshot!("repository-exists", bench.refpoint(&["repo", "init"]).page());
    std::fs::create_dir(bench.path("photos")).unwrap();
    std::fs::write(bench.path("photos/cat.jpg"), "meow").unwrap();
    let init = bench.refpoint(&["repo", "init", "--repo", "photos"]);
    insta::assert_snapshot!("repository-folder-in-use", init.page());
    assert_eq!(std::fs::read_dir(bench.path("photos")).unwrap().count(), 1);
}

#[test]
fn a_host_that_does_not_answer_is_named_with_its_address() {
    let bench = Bench::with_repository();
    // A port that was free a moment ago: nothing listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/wsman");
    let add = ["host", "add", "HV1", "--url", &url, "--user", "backup", "--map", r"C:\=/mnt/hv1"];
    let page = |run: support::Run| run.page().replace(&port.to_string(), "PORT");
    let with_password = |arguments: &[&str]| {
        let mut command = bench.command(arguments);
        bench.finished(command.env("REFPOINT_HOST_PASSWORD", "secret"))
    };
    insta::assert_snapshot!("host-unreachable-add", page(with_password(&add)));
    with_password(&[&add[..], &["--unchecked"]].concat()).expect_exit(0);
    insta::assert_snapshot!("host-unreachable-list", page(with_password(&["vm", "list"])));
    insta::assert_snapshot!("host-unreachable-backup", page(with_password(&["backup", "--vm", "SQL01"])));
}

#[test]
fn an_unknown_host_is_told_with_near_names() {
    let bench = Bench::with_repository();
    let add = ["host", "add", "HV1", "--url", "http://127.0.0.1:9/wsman", "--user", "backup", "--unchecked"];
    bench.refpoint(&[&add[..], &["--map", r"C:\=/mnt/hv1"]].concat()).expect_exit(0);
    insta::assert_snapshot!("host-unknown", bench.refpoint(&["vm", "list", "--host", "HV2"]).page());
    let empty = Bench::new();
    insta::assert_snapshot!("no-hosts", empty.refpoint(&["vm", "list"]).page());
}

#[test]
fn damaged_settings_are_named_and_kept() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("home")).unwrap();
    std::fs::write(bench.path("home/hosts.json"), "{\"version\": 1, \"hosts\": [{}]}").unwrap();
    insta::assert_snapshot!(bench.refpoint(&["host", "list"]).page());
}

#[test]
fn a_restore_point_that_is_not_there_is_told_with_where_to_look() {
    let bench = Bench::with_repository();
    insta::assert_snapshot!("point-unknown", bench.refpoint(&["points", "show", "0123abcd"]).page());
    insta::assert_snapshot!(
        "latest-of-unknown",
        bench.refpoint(&["points", "show", "latest", "--vm", "X"]).page()
    );
    insta::assert_snapshot!("latest-of-nothing", bench.refpoint(&["points", "show", "latest"]).page());
}

/// A file system of 40 MiB takes the repository and a first, small backup. The second does not fit: it fails, the
/// first stays whole, and after the file system grew the second succeeds.
#[test]
fn a_full_repository_loses_nothing_and_works_again_when_there_is_room() {
    let bench = Bench::new();
    let small = bench.raw_image("small.raw", 64 << 20, &[(1 << 20, noise(1, 2 << 20))]);
    let large = bench.raw_image("large.raw", 128 << 20, &[(1 << 20, noise(2, 60 << 20))]);
    bench.qemu_vhdx("small.vhdx", &small);
    bench.qemu_vhdx("large.vhdx", &large);
    std::fs::create_dir(bench.path("repo")).unwrap();
    let script = r#"
        mount -t tmpfs -o size=40m tmpfs repo || exit 90
        "$REFPOINT" repo init --quiet > /dev/null || exit 91
        "$REFPOINT" backup --quiet --disk small.vhdx --name SMALL > /dev/null || exit 92
        "$REFPOINT" backup --disk large.vhdx --name LARGE > full.out 2> full.err
        echo $? > full.exit
        "$REFPOINT" points list --output json > after.json || exit 93
        "$REFPOINT" points verify latest --vm SMALL > /dev/null || exit 94
        mount -o remount,size=200m repo || exit 95
        "$REFPOINT" backup --quiet --disk large.vhdx --name LARGE > /dev/null || exit 96
        "$REFPOINT" restore disk latest --vm LARGE --to large-again.raw --format raw --quiet > /dev/null || exit 97
    "#;
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script]);
    let run = bench.finished(bench.environment(&mut command).env("REFPOINT", env!("CARGO_BIN_EXE_refpoint")));
    run.expect_exit(0);

    let read = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap();
    assert_eq!(read("full.exit").trim(), "7", "{}", read("full.err"));
    let told = without_figures(&read("full.err").replace(&bench.arg("repo"), "BENCH/repo"));
    insta::assert_snapshot!("repository-full", told);
    let after: serde_json::Value = serde_json::from_str(&read("after.json")).unwrap();
    assert_eq!(after["restore_points"].as_array().unwrap().len(), 1);
    assert_eq!(after["restore_points"][0]["source_name"], "SMALL");
    tool("cmp", &[&bench.arg("large.raw"), &bench.arg("large-again.raw")]);
}

/// Sizes and the names of objects differ from run to run.
fn without_figures(text: &str) -> String {
    let shown = |word: &str| match word {
        _ if word.starts_with("packs/") => "OBJECT".to_owned(),
        _ if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) => "N".to_owned(),
        _ => word.to_owned(),
    };
    text.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}
