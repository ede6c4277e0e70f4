//! What the client makes of hosts that are away, slow, wrong or hostile.

#![expect(clippy::unwrap_used, reason = "a test's own helper may stop it")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use winremote::connector::{TcpConnector, memory};
use winremote::wsman::NO_ARGUMENTS;
use winremote::wsman::client::{Client, ClientOptions, Credentials};
use winremote::wsman::server::{Server, ServerOptions};
use winremote::{Error, Retry};

use crate::raw::{Say, envelope, soap, stub, stub_with};
use crate::support::{Lab, client, client_with, lab, options, reference};

const GET: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/GetResponse";
const OBJECT: &str = r#"<p:Lab_Disk xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wmi/root/test/Lab_Disk"><p:A>1</p:A></p:Lab_Disk>"#;

/// The error's text when one object is asked for.
async fn get(say: Say) -> Error {
    stub(vec![say]).0.get(&reference(0)).await.unwrap_err()
}

#[tokio::test]
async fn a_host_that_is_away_is_told_from_a_wrong_password() {
    let (connector, listener) = memory();
    drop(listener);
    let error = Client::new(Arc::new(connector), options()).unwrap().identify().await.unwrap_err();
    assert_eq!((error.code(), error.retry()), ("WR-001", Retry::Later));
    let mut wrong = options();
    wrong.credentials = Credentials::basic("operator", "guess");
    let error = client_with(Arc::new(lab(0)), ServerOptions::default(), wrong).identify().await.unwrap_err();
    assert_eq!(error.to_string(), "lab:5985 refused the sign-in of operator; it offers Basic");
}

#[tokio::test]
async fn a_refused_sign_in_is_told_even_while_a_large_request_is_still_being_sent() {
    let mut wrong = options();
    wrong.credentials = Credentials::basic("operator", "guess");
    let client = client_with(Arc::new(lab(0)), ServerOptions::default(), wrong);
    let large = [("Text", "x".repeat(400_000).into())];
    let error = client.invoke(&reference(0), "Echo", large).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_run()), ("WR-002", false));
}

#[tokio::test]
async fn a_web_server_is_not_taken_for_a_host() {
    let error = get(Say::Http("200 OK", "text/html", "<html>It works</html>".to_owned())).await;
    assert_eq!(
        error.to_string(),
        "lab:5985 answers, but not with WS-Management: status 200, content type text/html, server Stub"
    );
    let error = get(Say::Http("404 Not Found", "text/html", String::new())).await;
    assert_eq!(error.code(), "WR-004");
    let error = get(Say::Bytes(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())).await;
    assert_eq!(error.code(), "WR-007");
    assert_eq!(get(Say::Http("503 Busy", "text/plain", String::new())).await.code(), "WR-010");
    assert_eq!(get(Say::Http("403 No", "text/plain", String::new())).await.code(), "WR-003");
}

#[tokio::test]
async fn faults_keep_number_name_and_the_words_of_the_provider() {
    let error = client(lab(1)).get(&reference(7)).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        r#"lab:5985 answered Get of Lab_Disk.InstanceID="Microsoft:7\\Disk" with a fault: The WMI service cannot find the object: Not found (WMI: not found, code 2147749890, 0x80041002)"#
    );
    let denied = r#"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>w:AccessDenied</s:Value></s:Subcode></s:Code><s:Reason><s:Text>Zugriff verweigert</s:Text></s:Reason><s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="5" Machine="x"/></s:Detail></s:Fault>"#;
    let say = Say::Http("500 Error", "application/soap+xml", envelope("urn:fault", denied));
    let error = get(say).await;
    assert_eq!(
        (error.code(), error.to_string().contains("Zugriff verweigert (access denied, code 5")),
        ("WR-003", true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_may_have_run_but_a_get_is_safe_to_repeat() {
    let client = stub(vec![Say::Silence]).0;
    let error = client.get(&reference(0)).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_run(), error.retry()), ("WR-006", false, Retry::Later));
    let error = client.invoke(&reference(0), "Echo", NO_ARGUMENTS).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_run(), error.retry()), ("WR-006", true, Retry::No));
}

#[tokio::test(start_paused = true)]
async fn the_server_ends_what_takes_longer_than_allowed() {
    let world = Arc::new(lab(1));
    let mut short = options();
    short.timeout = Duration::from_secs(5);
    let client = client_with(Arc::clone(&world), ServerOptions::default(), short);
    let begun = tokio::time::Instant::now();
    let error = client.invoke(&reference(0), "Slow", NO_ARGUMENTS).await.unwrap_err();
    assert_eq!(error.code(), "WR-006");
    assert_eq!((begun.elapsed().as_secs(), world.slow_calls.load(Ordering::SeqCst)), (5, 1));
    let mut long = options();
    long.timeout = Duration::from_secs(600);
    let client = client_with(world, ServerOptions::default(), long);
    let begun = tokio::time::Instant::now();
    client.invoke(&reference(0), "Slow", NO_ARGUMENTS).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 60, "hosts cut operations at a minute");
}

#[tokio::test]
async fn a_connection_is_used_again_and_replaced_when_the_host_closed_it() {
    let (client, heard) = stub(vec![soap(GET, OBJECT), soap(GET, OBJECT), Say::Close, soap(GET, OBJECT)]);
    for _ in 0..3 {
        client.get(&reference(0)).await.unwrap();
    }
    assert_eq!((heard.connections(), heard.requests().len()), (2, 4));
}

#[tokio::test]
async fn a_broken_call_is_never_sent_twice() {
    let (client, heard) = stub(vec![soap(GET, OBJECT), Say::Close]);
    client.get(&reference(0)).await.unwrap();
    let error = client.invoke(&reference(0), "Echo", NO_ARGUMENTS).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_run()), ("WR-007", true));
    assert_eq!(heard.requests().len(), 2);
}

#[tokio::test]
async fn no_more_connections_than_allowed_are_opened() {
    let (client, heard) = stub(vec![soap(GET, OBJECT)]);
    let all = (0..20).map(|number| {
        let client = client.clone();
        async move { client.get(&reference(number)).await }
    });
    let results = futures::future::join_all(all).await;
    assert!(results.iter().all(Result::is_ok));
    assert!(heard.connections() <= options().connections_max, "{}", heard.connections());
}

#[tokio::test]
async fn replies_to_other_requests_are_not_believed() {
    let stale = envelope(GET, OBJECT).replace("{id}", "uuid:other");
    let error = get(Say::Http("200 OK", "application/soap+xml", stale)).await;
    assert!(error.to_string().ends_with("is malformed: it answers another request"), "{error}");
    let error = get(soap("urn:other", OBJECT)).await;
    assert!(error.to_string().ends_with("its action is not the one of the answer"), "{error}");
    let error = get(soap(GET, "")).await;
    assert!(error.to_string().ends_with("it holds no object"), "{error}");
}

#[tokio::test]
async fn hostile_replies_are_refused_without_harm() {
    let deep = format!("{}{}", "<x>".repeat(100_000), "</x>".repeat(100_000));
    let bomb = format!(r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>{}"#, envelope(GET, "&b;"));
    let many = format!("<x {}/>", (0..10_000).map(|n| format!("a{n}=\"\" ")).collect::<String>());
    let cut = envelope(GET, OBJECT).replace("</s:Body></s:Envelope>", "");
    let cases = [
        (envelope(GET, &deep), "its elements are nested more than 40 deep"),
        (bomb, "it has a document type, which SOAP forbids"),
        (envelope(GET, "&b;"), "it uses an entity, which SOAP forbids"),
        (envelope(GET, &many), "an element has more than 48 attributes"),
        (envelope(GET, &"<x/>".repeat(200_000)), "it has more than 109017 elements"),
        (envelope(GET, "<y:x/>"), "a prefix is not declared"),
        (envelope(GET, "<?php x?>"), "it has a processing instruction, which SOAP forbids"),
        (envelope(GET, OBJECT) + "<x/>", "it has two root elements"),
        (cut, "it is cut off"),
        (String::new(), "it is empty"),
        ("{}".to_owned(), "there is text outside of its root element"),
        ("<a/>".to_owned(), "it is not a SOAP envelope"),
    ];
    for (text, why) in cases {
        let error = get(Say::Http("200 OK", "application/soap+xml", text)).await;
        assert!(error.to_string().ends_with(&format!("is malformed: {why}")), "{why}: {error}");
    }
}

#[tokio::test]
async fn damaged_transport_is_told_as_it_is() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: ";
    let short = get(Say::Bytes(format!("{head}1000\r\n\r\n<s:Env").into_bytes())).await;
    assert_eq!(short.code(), "WR-007");
    let latin = [format!("{head}2\r\n\r\n").as_bytes(), &[0xe4, 0xf6]].concat();
    assert!(get(Say::Bytes(latin)).await.to_string().ends_with("it is not UTF-8"));
    let mut small = options();
    small.max_envelope_bytes = 8192;
    let huge = Say::Http("200 OK", "application/soap+xml", "x".repeat(1_000_000));
    let error = stub_with(vec![huge], small).0.get(&reference(0)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the reply of lab:5985 to Get of Lab_Disk.InstanceID="Microsoft:0\\Disk" is larger than 81920 bytes"#
    );
}

#[tokio::test]
async fn utf_16_replies_are_read() {
    let identify = r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><i:IdentifyResponse xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><i:ProductVendor>Ä</i:ProductVendor></i:IdentifyResponse></s:Body></s:Envelope>"#;
    let wide: Vec<u8> =
        std::iter::once(0xfeff).chain(identify.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml;charset=UTF-16\r\nContent-Length: {}\r\n\r\n",
        wide.len()
    );
    let (client, _) = stub(vec![Say::Bytes([head.as_bytes(), &wide].concat())]);
    assert_eq!(client.identify().await.unwrap().product_vendor, "Ä");
}

#[tokio::test]
async fn an_enumeration_without_end_or_progress_is_given_up() {
    let page =
        r"<n:PullResponse><n:EnumerationContext>uuid:1</n:EnumerationContext><n:Items/></n:PullResponse>";
    let first = page.replace("Pull", "Enumerate");
    let action = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
    let (client, heard) = stub(vec![
        soap(&format!("{action}/EnumerateResponse"), &first),
        soap(&format!("{action}/PullResponse"), page),
    ]);
    let error = client.query("", "select * from Lab_Disk").await.unwrap_err();
    assert!(error.to_string().ends_with("is larger than 50 replies without content"), "{error}");
    assert!(heard.requests().len() < 60);
}

#[test]
fn a_password_is_not_sent_readable_over_the_network() {
    let build = |host: &str, url: &str, allow: bool| {
        let mut options = ClientOptions::new(url, Credentials::basic("operator", "x"));
        options.allow_basic_over_http = allow;
        Client::new(Arc::new(TcpConnector::new(host, 5985)), options).map(drop).map_err(|error| error.code())
    };
    assert_eq!(build("hv1", "http://hv1:5985/wsman", false), Err("WR-011"));
    assert_eq!(build("192.0.2.1", "http://127.0.0.1:5985/wsman", false), Err("WR-011"));
    assert_eq!(build("hv1", "http://hv1:5985/wsman", true), Ok(()));
    for host in ["127.0.0.1", "127.9.9.9", "::1", "localhost"] {
        assert_eq!(build(host, "http://[::1]/", false), Ok(()), "{host}");
    }
    assert_eq!(build("127.0.0.1", "https://hv1/wsman", true), Err("WR-012"));
}

#[test]
fn passwords_show_neither_in_debug_nor_in_errors() {
    let options =
        ClientOptions::new("http://operator:hunter2@hv1/", Credentials::basic("operator", "hunter2"));
    assert!(!format!("{options:?}").replace(&options.url, "").contains("hunter2"));
    let error = Client::over_tcp(options).map(drop).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the address http://…@hv1/ cannot be used: user and password do not belong into it"
    );
    let mut options = crate::support::options();
    options.credentials = Credentials::basic("a:b", "hunter2");
    let (connector, _listener) = memory();
    let error = Client::new(Arc::new(connector), options).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "the sign-in of a:b cannot be used: its user name contains a colon");
}

#[tokio::test]
async fn over_tcp_a_server_finishes_what_it_began_and_then_stops() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = Server::new(Arc::new(Lab { disks: 3, ..Lab::default() }), ServerOptions::default());
    let served = tokio::spawn(async move { server.serve(listener, async { _ = stopped.await }).await });
    let mut options = options();
    options.url = format!("http://{address}/wsman");
    let client = Client::over_tcp(options).unwrap();
    assert_eq!(client.enumerate("", "Lab_Disk").await.unwrap().len(), 3);
    stop.send(()).unwrap();
    served.await.unwrap();
    assert_eq!(client.identify().await.unwrap_err().code(), "WR-001");
}
