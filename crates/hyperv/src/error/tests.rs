//! Every code with its text, next step and retry, pinned. An entry is missing when `every_variant_is_pinned` fails.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;

use winremote::wsman::{Fault, code};

use super::*;

fn at() -> Box<Attempt> {
    Box::new(Attempt::new(
        "HV1",
        "taking a crash-consistent checkpoint of VM 7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77",
    ))
}

fn vm() -> VmId {
    "7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77".parse().unwrap()
}

fn checkpoint() -> CheckpointId {
    "1A2B3C4D-0000-4000-8000-000000000001".parse().unwrap()
}

fn unreachable() -> Box<winremote::Error> {
    let source = io::Error::from(io::ErrorKind::ConnectionRefused);
    Box::new(winremote::Error::NotReachable { host: "hv1:5985".to_owned(), source })
}

fn connecting() -> Vec<Error> {
    use winremote::Error as Cause;
    let host = || "HV1".to_owned();
    let at = || "hv1:5985".to_owned();
    let endpoint = || "http://hv1:5985/wsman".to_owned();
    let user = || "backup".to_owned();
    let refused = Cause::SignInRefused { host: at(), user: user(), offered: "Basic".to_owned() };
    let other = Cause::NotWsManagement { host: at(), found: "status 404 from nginx".to_owned() };
    let operation = "Identify".to_owned();
    let denied = Cause::AccessDenied { host: at(), operation, reason: "Access is denied".to_owned() };
    let namespace = Box::new(Fault::new(code::WBEM_INVALID_NAMESPACE));
    let missing =
        Cause::Fault { host: at(), operation: "a query".to_owned(), fault: namespace, may_have_run: false };
    let unusable = Cause::Endpoint { url: endpoint(), reason: "it has no port".to_owned() };
    vec![
        Error::HostUnreachable { host: host(), endpoint: endpoint(), cause: unreachable() },
        Error::SignInRefused { host: host(), user: user(), cause: Box::new(refused) },
        Error::NotWinRm { host: host(), endpoint: endpoint(), cause: Box::new(other) },
        Error::AccessDenied { host: host(), user: user(), cause: Box::new(denied) },
        Error::NoHyperV { host: host(), cause: Box::new(missing) },
        Error::HyperVHidden { host: host(), user: user() },
        Error::EndpointRefused { host: host(), endpoint: endpoint(), cause: Box::new(unusable) },
    ]
}

fn calling() -> Vec<Error> {
    let failure = JobFailure::new(10, 32768, ["Writer failed (0x800423F4)".to_owned()]);
    vec![
        Error::Call { at: at(), cause: unreachable() },
        Error::MayHaveRun { at: at(), cause: unreachable() },
        Error::Refused { at: at(), method: "CreateSnapshot", code: 32775 },
        Error::JobFailed { at: at(), failure: Box::new(failure) },
        Error::JobUnfinished { at: at(), waited: Duration::from_secs(900) },
        Error::BadAnswer { at: at(), why: "JobState of Msvm_ConcreteJob is null".to_owned() },
        Error::JobVanished { at: at() },
    ]
}

fn objects() -> Vec<Error> {
    let host = || "HV1".to_owned();
    let busy = "its disks are being merged".to_owned();
    let source = io::Error::from(io::ErrorKind::PermissionDenied);
    let unreadable = vdisk::Error::Io { file: "/c/VMs/a.vhdx".to_owned(), action: "open", source };
    let path = || r"C:\VMs\a.vhdx".to_owned();
    vec![
        Error::VmNotFound { host: host(), vm: vm() },
        Error::VmBusy { host: host(), vm: vm(), name: "SQL01".to_owned(), busy },
        Error::CheckpointNotFound { host: host(), checkpoint: checkpoint() },
        Error::NotARecoveryCheckpoint {
            host: host(),
            checkpoint: checkpoint(),
            name: "before update".to_owned(),
        },
        Error::ChangeTrackingLost { at: at(), rct_id: "rctX:1".to_owned(), why: "it is disabled".to_owned() },
        Error::ChangedRangesImplausible { at: at(), why: "1 offsets came with 0 lengths".to_owned() },
        Error::PathNotMapped { path: path(), mapped: vec![r"D:\".to_owned()] },
        Error::PathRefused { path: r"C:\..\a".to_owned(), why: "it holds '..'" },
        Error::DiskFile { host: host(), path: path(), cause: Box::new(unreadable) },
        Error::DefinitionUnreadable { why: "it is empty".to_owned() },
        Error::DefinitionIncomplete { vm: vm(), what: "the settings of the VM itself".to_owned() },
    ]
}

fn all() -> Vec<Error> {
    connecting().into_iter().chain(calling()).chain(objects()).collect()
}

#[test]
fn every_code_has_its_text_and_next_step() {
    let mut page = String::new();
    for error in all() {
        writeln!(page, "{} {error}", error.code()).unwrap();
        writeln!(page, "  next: {} retry: {:?}", error.next_step(), error.retry()).unwrap();
    }
    insta::assert_snapshot!(page);
}

#[test]
fn every_variant_is_pinned_under_its_own_code() {
    let codes: BTreeSet<&str> = all().iter().map(Error::code).collect();
    assert_eq!(codes.len(), all().len(), "two variants share a code");
    assert_eq!(codes.len(), 25, "a new variant needs a line above");
}

#[test]
fn return_codes_of_both_families_have_names() {
    assert_eq!(return_code_name(5), return_code_name(32775));
    assert_eq!(return_code_name(4242), "a code this version does not know");
}
