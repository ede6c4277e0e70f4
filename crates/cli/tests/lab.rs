//! Every command against a simulated host, as a person would try them: `lab start` in one terminal, the rest in
//! another.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Bench, Run};

/// A lab in the background; stopped as by Ctrl-C when dropped.
struct Lab {
    bench: Bench,
    process: Child,
    facts: Value,
}

impl Lab {
    /// A lab whose host is registered, and an empty repository.
    fn start() -> Self {
        Self::start_with("4")
    }

    /// The same with so many MiB in the guest's files.
    fn start_with(data_mib: &str) -> Self {
        let bench = Bench::with_repository();
        let start = ["lab", "start", "--folder", "lab", "--data", data_mib, "--output", "json"];
        let mut process = bench.command(&start).stdout(Stdio::piped()).spawn().unwrap();
        let facts = first_document(process.stdout.as_mut().unwrap());
        let lab = Self { bench, process, facts };
        let (host, map) = (&lab.facts["host"], &lab.facts["host"]["maps"][0]);
        let map = format!("{}={}", text(&map["host"]), text(&map["folder"]));
        let add = ["host", "add", "HV1", "--url", text(&host["url"]), "--user", text(&host["user"])];
        let more = ["--password-file", text(&host["password_file"]), "--map", &map];
        lab.run(&[&add[..], &more[..]].concat()).expect_exit(0);
        lab
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.bench.refpoint(arguments)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--output", "json"]].concat()).expect_exit(0).json()
    }

    /// The page with what differs between runs replaced.
    fn page(&self, run: &Run) -> String {
        let address =
            text(&self.facts["host"]["url"]).trim_start_matches("http://").trim_end_matches("/wsman");
        without_ids(&run.page().replace(address, "ADDRESS"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let id = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        let _ = kill(id, Signal::SIGINT);
        let _ = self.process.wait();
    }
}

#[test]
fn a_vm_is_planned_backed_up_changed_backed_up_again_and_restored() {
    let lab = Lab::start();
    insta::assert_snapshot!("vm-list", lab.page(&lab.run(&["vm", "list"])));
    insta::assert_snapshot!("plan-first", lab.page(&lab.run(&["plan", "--vm", "lab01"])));
    let first = lab.json(&["backup", "--vm", "LAB01"]);
    let written = lab.json(&["lab", "write", "--folder", "lab", "--vm", "LAB01"]);
    assert!(written["written_bytes"].as_u64().unwrap() > 0);
    insta::assert_snapshot!("plan-second", lab.page(&lab.run(&["plan", "--vm", "LAB01"])));
    let second = lab.json(&["backup", "--all"]);
    let disk = |made: &Value| made["results"][0]["disks"][0].clone();
    assert_eq!(disk(&second)["changed_only"], true);
    assert!(disk(&second)["read_bytes"].as_u64() < disk(&first)["read_bytes"].as_u64());

    insta::assert_snapshot!("leftovers", lab.page(&lab.run(&["host", "leftovers", "HV1"])));
    let dry_run = ["restore", "vm", "latest", "--vm", "LAB01", "--host", "HV1", "--name", "LAB01-restored"];
    insta::assert_snapshot!(
        "restore-vm-dry-run",
        lab.page(&lab.run(&[&dry_run[..], &["--dry-run"]].concat()))
    );
    assert_eq!(lab.json(&["vm", "list"])["vms"].as_array().unwrap().len(), 1);
    lab.run(&dry_run).expect_exit(0);
    let vms = lab.json(&["vm", "list"]);
    let names: Vec<&str> = vms["vms"].as_array().unwrap().iter().map(|vm| text(&vm["name"])).collect();
    assert_eq!(names, ["LAB01", "LAB01-restored"]);
}

#[test]
fn a_name_that_is_nearly_right_is_answered_with_the_right_one() {
    let lab = Lab::start();
    insta::assert_snapshot!("vm-unknown", lab.page(&lab.run(&["backup", "--vm", "LBA01"])));
    insta::assert_snapshot!("vm-unknown-plan", lab.page(&lab.run(&["plan", "--vm", "SQL01"])));
    insta::assert_snapshot!(
        "lab-write-unknown",
        lab.page(&lab.run(&["lab", "write", "--folder", "lab", "--vm", "X"]))
    );
}

#[test]
fn a_wrong_password_is_told_as_that() {
    let lab = Lab::start();
    lab.run(&["host", "remove", "HV1"]).expect_exit(0);
    let (host, url) = (&lab.facts["host"], text(&lab.facts["host"]["url"]));
    let add = ["host", "add", "HV1", "--url", url, "--user", text(&host["user"]), "--map", r"C:\=/mnt/hv1"];
    let mut command = lab.bench.command(&add);
    let refused = lab.bench.finished(command.env("REFPOINT_HOST_PASSWORD", "wrong"));
    insta::assert_snapshot!("host-wrong-password", lab.page(&refused));
    assert_eq!(lab.json(&["host", "list"])["hosts"], Value::Array(Vec::new()));
}

#[test]
fn a_stopped_lab_leaves_no_process_and_no_socket() {
    let mut lab = Lab::start();
    let id = Pid::from_raw(i32::try_from(lab.process.id()).unwrap());
    assert!(lab.bench.path("lab/control.sock").exists());
    kill(id, Signal::SIGINT).unwrap();
    assert!(lab.process.wait().unwrap().success());
    assert!(!lab.bench.path("lab/control.sock").exists());
    assert_eq!(lab.run(&["vm", "list"]).exit, 6);
}

/// Ctrl-C in the middle of a backup: what was begun on the host is taken back before the command ends.
#[test]
fn an_interrupted_backup_leaves_nothing_on_the_host_and_the_next_one_works() {
    let lab = Lab::start_with("64");
    let mut backup = lab.bench.command(&["backup", "--vm", "LAB01"]);
    let backup = backup.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Writes of the guest go to a differencing file as long as the checkpoint exists.
    while !holds_avhdx(&lab.bench.path("lab/host")) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    kill(Pid::from_raw(i32::try_from(backup.id()).unwrap()), Signal::SIGINT).unwrap();
    let stopped = lab.bench.run_of(backup.wait_with_output().unwrap());
    insta::assert_snapshot!("backup-interrupted", lab.page(&stopped));
    assert!(!holds_avhdx(&lab.bench.path("lab/host")));
    assert_eq!(lab.json(&["host", "leftovers", "HV1"])["leftovers"], Value::Array(Vec::new()));
    assert_eq!(lab.json(&["points", "list"])["restore_points"], Value::Array(Vec::new()));
    lab.run(&["backup", "--vm", "LAB01"]).expect_exit(0);
}

/// Scripts read these; a changed shape is a changed interface.
#[test]
fn the_json_of_every_host_command_keeps_its_shape() {
    let lab = Lab::start();
    let plan = lab.json(&["plan", "--all"]);
    let backup = lab.json(&["backup", "--all"]);
    let restore = ["restore", "vm", "latest", "--host", "HV1", "--name", "AGAIN"];
    let pages = [
        ("host list", lab.json(&["host", "list"])),
        ("vm list", lab.json(&["vm", "list"])),
        ("plan", plan),
        ("backup --all", backup),
        ("host leftovers", lab.json(&["host", "leftovers", "HV1"])),
        ("restore vm --dry-run", lab.json(&[&restore[..], &["--dry-run"]].concat())),
        ("restore vm", lab.json(&restore)),
    ];
    let text: String =
        pages.iter().map(|(name, value)| format!("{name}\n{}\n", support::shape(value, 1))).collect();
    insta::assert_snapshot!("json-shapes", text);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// One JSON document from a stream that stays open: it ends with a line that is only a brace.
fn first_document(stream: &mut impl Read) -> Value {
    let mut document = String::new();
    let mut reader = BufReader::new(stream);
    while !document.ends_with("\n}\n") {
        assert!(reader.read_line(&mut document).unwrap() > 0, "the lab ended early: {document}");
    }
    serde_json::from_str(&document).unwrap()
}

/// GUIDs and restore point ids differ between runs.
fn without_ids(page: &str) -> String {
    let mut shown = String::new();
    let mut rest = page;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let run: usize =
            rest[at..].find(|c: char| !c.is_ascii_hexdigit() && c != '-').unwrap_or(rest.len() - at);
        let word = &rest[at..at + run];
        let guid = word.len() == 36 && word.matches('-').count() == 4;
        shown.push_str(&rest[..at]);
        shown.push_str(if guid { "GUID" } else { word });
        rest = &rest[at + run..];
    }
    shown + rest
}

fn holds_avhdx(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() { holds_avhdx(&path) } else { path.extension().is_some_and(|end| end == "avhdx") }
    })
}
