//! Help texts are the first manual; every one is pinned, so that a change shows in review.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use support::Bench;

/// Every command that has a help page.
const COMMANDS: &[&str] = &[
    "",
    "demo",
    "repo",
    "repo init",
    "repo info",
    "repo recovery-key",
    "repo add-passphrase",
    "host",
    "host add",
    "host list",
    "host remove",
    "host leftovers",
    "vm",
    "vm list",
    "plan",
    "backup",
    "points",
    "points list",
    "points show",
    "points verify",
    "restore",
    "restore disk",
    "restore vm",
    "disk",
    "disk info",
    "disk check",
    "disk map",
    "disk convert",
    "disk create",
    "disk compare",
    "disk digest",
    "disk volumes",
    "disk ls",
    "disk get",
    "lab",
    "lab start",
    "lab write",
];

#[test]
fn every_command_explains_itself() {
    let bench = Bench::new();
    for name in COMMANDS {
        let mut words: Vec<&str> = name.split_whitespace().collect();
        words.push("--help");
        let run = bench.refpoint(&words).expect_exit(0);
        let page = without_global_options(&run.stdout, name.is_empty());
        insta::assert_snapshot!(format!("help {name}").trim().replace(' ', "-"), page);
    }
}

#[test]
fn every_command_that_acts_shows_examples() {
    let bench = Bench::new();
    let groups = ["repo", "host", "vm", "points", "restore", "disk", "lab"];
    for name in COMMANDS.iter().filter(|name| !groups.contains(*name)) {
        let mut words: Vec<&str> = name.split_whitespace().collect();
        words.push("--help");
        assert!(bench.refpoint(&words).stdout.contains("Examples:\n"), "refpoint {name}");
    }
}

#[test]
fn help_fits_a_hundred_columns() {
    let bench = Bench::new();
    for name in COMMANDS {
        let mut words: Vec<&str> = name.split_whitespace().collect();
        words.push("--help");
        let text = bench.refpoint(&words).stdout;
        // Also the examples: a line that is broken by the terminal is not for pasting any more.
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "refpoint {name}: {wide:?}");
    }
}

/// The global options are the same on every page, so they are pinned on the first one only.
fn without_global_options(page: &str, keep: bool) -> String {
    match page.split_once("Global options:\n") {
        Some((before, after)) if !keep => {
            let rest = after.split_once("Examples:\n").map(|(_, examples)| format!("Examples:\n{examples}"));
            format!("{before}(global options)\n{}", rest.unwrap_or_default())
        }
        _ => page.to_owned(),
    }
}
