//! Connecting: each failure has its own sentence.

use hyperv::{Host, PathMap};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use winremote::wsman::{Fault, code};

use crate::support::{Canned, profile};

#[tokio::test]
async fn a_host_tells_its_name_and_version() {
    let (host, _) = Canned::new(Vec::new()).connect().await;
    assert_eq!((host.name(), host.computer_name(), host.os_version()), ("HV1", "HV1", "10.0.20348"));
}

#[tokio::test]
async fn a_wrong_password_is_said_to_be_one() {
    let error = Canned::new(Vec::new()).try_connect("wrong", PathMap::default()).await.unwrap_err();
    assert_eq!(error.code(), "HV-002", "{error}");
    assert!(error.to_string().starts_with("host HV1 does not accept the sign-in of backup"), "{error}");
    assert!(!format!("{error:?}").contains("wrong"), "the password is in no text");
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_something_else_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/wsman", listener.local_addr().unwrap());
    let connect = || Host::connect(profile(&url, "any", PathMap::default()));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ =
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n").await;
    });

    let something_else = connect().await.unwrap_err();
    assert_eq!(something_else.code(), "HV-003", "{something_else}");
    let nobody = connect().await.unwrap_err();
    assert_eq!(nobody.code(), "HV-001", "{nobody}");
    assert_eq!(nobody.retry(), hyperv::Retry::Later);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let error = Host::connect(profile("hv1", "any", PathMap::default())).await.unwrap_err();
    assert_eq!(error.code(), "HV-007", "{error}");
}

#[tokio::test]
async fn hyper_v_that_shows_nothing_is_a_matter_of_rights() {
    let blind = Canned::new(Vec::new()).world(|world| world.rows.clear());
    let error = blind.try_connect("correct horse", PathMap::default()).await.unwrap_err();
    assert_eq!(error.code(), "HV-006");
    assert!(error.next_step().contains("Hyper-V Administrators"));
}

#[tokio::test]
async fn a_host_without_hyper_v_and_one_that_denies_access_are_named_so() {
    // The two faults as WinRM sends them; the client sorts them before we see them.
    for (fault, expected) in [(code::WBEM_INVALID_NAMESPACE, "HV-005"), (code::WBEM_ACCESS_DENIED, "HV-004")]
    {
        let error = refusing(Fault::wmi(fault, "")).await;
        assert_eq!(error.code(), expected, "{error}");
    }
}

async fn refusing(fault: Fault) -> hyperv::Error {
    let host = Canned::new(Vec::new()).world(|world| world.refuse_reads = Some(fault));
    host.try_connect("correct horse", PathMap::default()).await.unwrap_err()
}
