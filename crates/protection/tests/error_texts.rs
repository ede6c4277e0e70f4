//! The words of every error of this crate, pinned: a code never changes its meaning, and each
//! names its object, its cause and the next step.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io;
use std::path::PathBuf;

use protection::plan::Finding;
use protection::{Error, Retry};

fn told(error: &Error) -> String {
    format!("{} {error}. Next: {}. Retry: {:?}", error.code(), error.next_step(), error.retry())
}

fn path() -> PathBuf {
    PathBuf::from("home/journal.db")
}

#[test]
fn each_error_says_what_why_and_what_next() {
    let cases = [
        (
            Error::JournalVersion { path: path(), found: 9 },
            "PR-002 the journal home/journal.db has format 9, which this version does not know. Next: use the version of refpoint that wrote it, or a newer one. Retry: No",
        ),
        (
            Error::JournalRecord { path: path(), sequence: 12 },
            "PR-003 record 12 of the journal home/journal.db cannot be understood. Next: move the journal aside, then look for what is left on the host: refpoint host leftovers. Retry: No",
        ),
        (
            Error::LockFile { path: path(), source: io::Error::other("read-only") },
            "PR-004 the lock file home/journal.db could not be opened: read-only. Next: check that the home folder exists, is writable and has free space. Retry: No",
        ),
        (
            Error::AlreadyRunning { path: path() },
            "PR-005 another backup is running from this home (it holds home/journal.db). Next: wait until the other backup has ended, then run this again. Retry: Later",
        ),
        (
            Error::PlanRefused {
                findings: vec![Finding { vm: "sql01".into(), what: "a VM appears twice".into() }],
            },
            "PR-006 the plan was refused by its check: sql01: a VM appears twice. Next: this is a defect in refpoint: please report it with the plan (refpoint plan --output json). Retry: No",
        ),
        (
            Error::OutOfOrder { step: "commit" },
            "PR-007 step commit was run before what it needs was there. Next: this is a defect in refpoint: please report it with the plan (refpoint plan --output json). Retry: No",
        ),
        (
            Error::DiskNotFrozen { vm: "sql01".into(), disk: "a.vhdx".into(), checkpoint: "C1".into() },
            "PR-008 checkpoint C1 of VM sql01 has no frozen file for its disk a.vhdx. Next: the VM's disks changed between look and backup; run the backup again. Retry: Now",
        ),
        (
            Error::DiskChanged {
                vm: "sql01".into(),
                path: "a.vhdx".into(),
                planned: "X with 1 bytes".into(),
                found: "Y with 2 bytes".into(),
            },
            "PR-009 a.vhdx of VM sql01 is not the disk that was planned: expected X with 1 bytes, found Y with 2 bytes. Next: the VM's disks changed between look and backup; run the backup again. Retry: Now",
        ),
        (
            Error::StillBusy { vm: "V".into(), host: "HV1".into() },
            "PR-010 host HV1 is still busy with VM V. Next: look at the VM's status on the host; when its job or merge is done, run again. Retry: Later",
        ),
        (
            Error::DiskFile { path: "a.vhdx".into(), source: io::Error::other("not found") },
            "PR-011 the disk file a.vhdx could not be read: not found. Next: check the path and that you may read the file. Retry: No",
        ),
    ];
    for (error, expected) in cases {
        assert_eq!(told(&error), expected);
        assert_eq!(error.retry() == Retry::No, expected.ends_with("No"));
    }
}

#[test]
fn a_journal_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    std::fs::write(&path, b"this is no database, but it is long enough to be looked at twice").unwrap();
    let error = protection::run::Journal::open(&path, || "x".into()).unwrap_err();
    assert_eq!(error.code(), "PR-001");
    assert!(error.to_string().contains("journal.db"), "{error}");
}
