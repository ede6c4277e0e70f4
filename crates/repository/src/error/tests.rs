//! Pins code, text, next step and retry of every error: operators and scripts rely on them.

use std::fmt::Write;
use std::sync::Arc;

use super::Error;
use crate::name::{DiskKey, PointId};

fn all() -> Vec<Error> {
    let place = || "/backup".to_owned();
    let object = || "packs/aa/x-0".to_owned();
    let cause = || "its seal does not match".to_owned();
    let disk = || DiskKey::new("scsi-0-0").unwrap();
    let point = PointId::from_uuid(uuid::Uuid::from_u128(7));
    let damaged = || Error::DamagedObject { place: place(), object: object(), cause: cause() };
    vec![
        Error::NotFound { place: place() },
        Error::AlreadyExists { place: place() },
        Error::NotEmpty { place: place(), found: "photos".into() },
        Error::NotARepository { place: place(), cause: "it is too short".into() },
        Error::NewerFormat { place: place(), object: "config".into(), found: 2, supported: 1 },
        Error::WrongPassphrase { place: place() },
        Error::WrongRecoveryKey { place: place() },
        Error::BadRecoveryKey { cause: "it has 3 of 56 digits".into() },
        Error::DamagedKeySlot { place: place(), object: "keys/01".into(), cause: cause() },
        Error::NoKeySlot { place: place() },
        Error::MissingObject { place: place(), object: object() },
        damaged(),
        Error::DamagedRange { point, disk: disk(), start: 4096, end: 8192, source: Arc::new(damaged()) },
        Error::Full { place: place(), object: object(), needed_bytes: 33_000_000, free_bytes: Some(4096) },
        Error::Full { place: place(), object: object(), needed_bytes: 33_000_000, free_bytes: None },
        Error::PermissionDenied { place: place(), object: object(), doing: "written" },
        Error::Storage { place: place(), object: object(), doing: "read", cause: "timed out".into() },
        Error::NoHardLinks { place: place() },
        Error::PointNotFound { place: place(), point },
        Error::DiskNotFound { point, disk: disk(), known: "d0, d1".into() },
        Error::AttachmentNotFound { point, name: "vm.json".into() },
        Error::PointExists { point, source_id: "vm-1".into() },
        Error::Misaligned { disk: disk(), offset: 512, length: 512, block_bytes: 65536 },
        Error::OutsideDisk { disk: disk(), start: 0, end: 9, capacity_bytes: 8 },
        Error::GivenTwice { disk: disk(), offset: 65536 },
        Error::TooLarge { what: "Attachment x".into(), bytes: 9, bytes_max: 8 },
        Error::BadName { what: "a source id", name: "a/b".into(), cause: "it must be short" },
        Error::BadOption { what: "The block size", value: "3".into(), cause: "it must be a power of two" },
        Error::BadBase { disk: disk(), point, cause: "it shrank".into() },
        Error::misuse("disk d0 was begun twice"),
        Error::SessionFailed { source: Arc::new(Error::NotFound { place: place() }) },
        Error::internal("a worker stopped"),
        Error::DamagedAttachment { point, name: "vm.json".into(), source: Arc::new(damaged()) },
    ]
}

#[test]
fn every_error_keeps_its_code_and_says_what_to_do() {
    let mut text = String::new();
    for error in all() {
        let (code, retry, next) = (error.code(), error.retry(), error.next_step());
        writeln!(text, "{code} {error}\n    Next: {next} Retry: {retry:?}").unwrap();
    }
    insta::assert_snapshot!("errors", text);
}
