//! Code, text, next step and retry of every error, as the operator sees them.

use std::io;
use std::time::Duration;

use winremote::Error;
use winremote::wsman::{Fault, code};

fn every() -> Vec<Error> {
    let host = || "hv1:5985".to_owned();
    let operation = || "CreateSnapshot of Msvm_X".to_owned();
    let fault = |code| Error::Fault {
        host: host(),
        operation: operation(),
        fault: Box::new(Fault::new(code)),
        may_have_run: false,
    };
    let after = Duration::from_secs(60);
    vec![
        Error::NotReachable { host: host(), source: io::Error::other("no route") },
        Error::SignInRefused { host: host(), user: "admin".to_owned(), offered: "Negotiate".to_owned() },
        Error::SignInRefused { host: host(), user: "admin".to_owned(), offered: "Basic".to_owned() },
        Error::AccessDenied { host: host(), operation: operation(), reason: "Access is denied".to_owned() },
        Error::NotWsManagement { host: host(), found: "status 404".to_owned() },
        fault(code::INVALID_SELECTORS),
        fault(code::OPERATION_QUOTA),
        fault(code::MAX_ENVELOPE_SIZE),
        fault(code::INVALID_ENUMERATION_CONTEXT),
        fault(0x8004_1234),
        Error::TimedOut { host: host(), operation: operation(), after, may_have_run: false },
        Error::TimedOut { host: host(), operation: operation(), after, may_have_run: true },
        Error::ConnectionLost {
            host: host(),
            operation: operation(),
            reason: "reset".to_owned(),
            may_have_run: false,
        },
        Error::MalformedReply {
            host: host(),
            operation: operation(),
            reason: "it is cut off".to_owned(),
            may_have_run: true,
        },
        Error::ReplyTooLarge {
            host: host(),
            operation: operation(),
            limit: "9 bytes".to_owned(),
            may_have_run: false,
        },
        Error::Busy { host: host(), operation: operation() },
        Error::UnsafeSignIn { host: host() },
        Error::Endpoint { url: "ftp://hv1".to_owned(), reason: "it is odd".to_owned() },
        Error::Property {
            class: "C".to_owned(),
            property: "P".to_owned(),
            wanted: "uint8",
            found: "null".to_owned(),
        },
        Error::ObjectPath { path: "x".to_owned(), why: "it is odd".to_owned() },
        Error::EmbeddedInstance { why: "it is odd".to_owned() },
        Error::Wql { query: "x".to_owned(), at: 1, why: "it is odd".to_owned() },
        Error::Credentials { user: "a:b".to_owned(), reason: "it is odd".to_owned() },
    ]
}

#[test]
fn every_error_tells_object_cause_and_next_step() {
    let lines: Vec<String> = every()
        .iter()
        .map(|error| {
            format!("{} {error}\n  Next: {}\n  Retry: {:?}", error.code(), error.next_step(), error.retry())
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn only_calls_that_change_something_may_have_run() {
    let told: Vec<&str> = every().iter().filter(|error| error.may_have_run()).map(Error::code).collect();
    assert_eq!(told, ["WR-006", "WR-008"]);
}

#[test]
fn faults_are_sorted_by_number() {
    assert!(every()[7].is_too_large() && every()[14].is_too_large());
    assert!(Fault::new(code::WBEM_NOT_FOUND).is_not_found());
    assert!(Fault::new(5).is_access_denied());
    assert!(Fault::new(2_150_858_793).is_timeout());
    assert_eq!(Fault::new(2_150_859_003).name(), "WQL needs a wildcard resource");
}
