//! The demonstration in a small form: it is the widest test there is, from the wire to the restored bytes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use support::Bench;

#[test]
fn the_demo_tells_its_story_and_ends_with_the_verdict() {
    let bench = Bench::new();
    let run = bench.refpoint(&["demo", "--data", "8"]).expect_exit(0);
    assert!(run.stdout.ends_with("\ndemo: every restored byte matches\n"), "{}", run.stdout);
    for act in 1..=6 {
        assert!(
            run.stdout.lines().any(|line| line.starts_with(&format!("{act}  "))),
            "act {act} in:\n{}",
            run.stdout
        );
    }
}

#[test]
fn the_figures_show_that_only_changes_were_read_and_the_folder_is_kept() {
    let bench = Bench::new();
    let figures =
        bench.refpoint(&["demo", "--data", "8", "--keep", "kept", "--output", "json"]).expect_exit(0).json();
    let (first, second) = (&figures["backups"][0], &figures["backups"][1]);
    assert_eq!(
        (&first["changed_ranges_only"], &second["changed_ranges_only"]),
        (&false.into(), &true.into())
    );
    assert!(second["read_bytes"].as_u64() < first["read_bytes"].as_u64(), "{figures}");
    assert_eq!(figures["verdict"], "every restored byte matches");

    let mut command = bench.command(&["points", "list", "--output", "json"]);
    command.args(["--repo", "kept/repo", "--passphrase-file", "kept/passphrase.secret"]);
    let points = bench.finished(&mut command).expect_exit(0).json();
    assert_eq!(points["restore_points"].as_array().unwrap().len(), 2);
    let again = bench.refpoint(&["demo", "--data", "8", "--keep", "kept"]);
    insta::assert_snapshot!("demo-folder-in-use", again.page());
}
