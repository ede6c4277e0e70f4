//! Code, text, next step and retry of every error, pinned.

use super::*;

fn every_error() -> Vec<Error> {
    let path = || "sql01.vhdx".to_owned();
    let point = || "P1".to_owned();
    vec![
        Error::AttachmentUnreadable { name: "vm-disks.json", why: "its layout is version 2".to_owned() },
        Error::TargetExists { path: path() },
        Error::TargetBusy { path: path() },
        Error::File { path: path(), action: "create", source: io::ErrorKind::StorageFull.into() },
        Error::Differs { path: path(), offset: 4096 },
        Error::NotAVm { point: point(), missing: "vm-definition.json" },
        Error::NotRestorable { point: point(), why: "a disk is missing".to_owned() },
        Error::BadName { name: "NUL".to_owned(), why: "Windows keeps it for a device" },
        Error::NameTaken { name: "SQL01".to_owned(), host: "HV1".to_owned() },
        Error::Stopped { what: path() },
    ]
}

const TEXTS: &str = r#"
RC-001 The attachment vm-disks.json of the restore point cannot be read: its layout is version 2. | Restore the disks one by one, or use another restore point. | No
RC-002 sql01.vhdx exists already; it was left as it is. | Choose another place, or allow the file to be replaced. | No
RC-003 Another restore is writing sql01.vhdx at this moment. | Wait until that restore has ended, or choose another place. | Later
RC-004 Cannot create sql01.vhdx. | Free space on the volume, then run the restore again. | Later
RC-005 sql01.vhdx differs from the restore point at byte 4096. | Do not use this file. Check the storage it is on, then restore it again to other storage. | No
RC-006 Restore point P1 does not hold a VM: it has no attachment vm-definition.json. | Restore the disks one by one, or use another restore point. | No
RC-007 Restore point P1 cannot be made into a VM: a disk is missing. | Restore the disks one by one, or use another restore point. | No
RC-008 "NUL" cannot be the name of a VM: Windows keeps it for a device. | Choose another name for the new VM. | No
RC-009 There is already a VM named "SQL01" on HV1. | Choose another name for the new VM. | No
RC-010 Restoring sql01.vhdx was stopped before it was complete. | Run the restore again; what was written so far is removed. | Now
"#;

#[test]
fn every_error_keeps_its_code_text_next_step_and_retry() {
    let line =
        |error: Error| format!("{} {error} | {} | {:?}", error.code(), error.next_step(), error.retry());
    let text = every_error().into_iter().map(line).collect::<Vec<_>>().join("\n");
    assert_eq!(text, TEXTS.trim());
}

/// The operator acts on the cause, whose texts are pinned where they are made.
#[test]
fn errors_of_the_layers_below_keep_their_code_and_advice() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    let disk = vdisk::Error::Io { file: "a.vhdx".to_owned(), action: "write", source: full };
    let (code, advice) = (disk.code(), disk.next_step());
    let error = Error::Disk { path: "a.vhdx".to_owned(), action: "written", source: Box::new(disk) };
    assert_eq!(error.to_string(), "The disk file a.vhdx could not be written.");
    assert_eq!((error.code(), error.next_step(), error.retry()), (code, advice, Retry::Later));

    let store = repository::Error::NotFound { place: "store".to_owned() };
    let (code, advice) = (store.code(), store.next_step());
    let error = Error::repository("Disk sql01.vhdx", store);
    assert_eq!(error.to_string(), "Disk sql01.vhdx could not be read from the repository.");
    assert_eq!((error.code(), error.next_step(), error.retry()), (code, advice, Retry::No));

    let host = hyperv::Error::PathRefused { path: "a..b".to_owned(), why: "it holds '..'" };
    let (code, advice) = (host.code(), host.next_step());
    let error = Error::host("Making VM SQL01-copy", host);
    assert_eq!(error.to_string(), "Making VM SQL01-copy failed on the host.");
    assert_eq!((error.code(), error.next_step(), error.retry()), (code, advice, Retry::No));
}
