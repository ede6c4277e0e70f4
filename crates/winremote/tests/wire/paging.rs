//! Enumerations over several replies: sizes, contexts and their end.

use std::sync::Arc;
use std::time::Duration;

use winremote::wsman::NO_ARGUMENTS;
use winremote::wsman::server::{Server, ServerOptions};

use crate::raw::{Poster, between, request};
use crate::support::{Lab, client_with, lab, options};

const ALL: &str = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/test/*";
const ACTION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";

fn enumerate() -> String {
    let body = r#"<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>32000</w:MaxElements><w:Filter Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL">select * from Lab_Disk</w:Filter></n:Enumerate>"#;
    request(&format!("{ACTION}/Enumerate"), ALL, "", body)
}

fn pull(context: &str) -> String {
    let body = format!(
        "<n:Pull><n:EnumerationContext>{context}</n:EnumerationContext><n:MaxElements>1</n:MaxElements></n:Pull>"
    );
    request(&format!("{ACTION}/Pull"), ALL, "", &body)
}

fn context(reply: &str) -> String {
    between(reply, "<n:EnumerationContext>", "<").unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_first_reply_has_one_item_and_every_reply_a_new_context() {
    let mut poster = Poster::new(lab(3));
    let (_, first) = poster.post(&enumerate()).await;
    let (_, second) = poster.post(&pull(&context(&first))).await;
    let (_, third) = poster.post(&pull(&context(&second))).await;
    for reply in [&first, &second, &third] {
        assert_eq!(reply.matches("<p:Lab_Disk ").count(), 1);
    }
    assert!(
        !context(&first).is_empty() && !context(&second).is_empty() && context(&first) != context(&second)
    );
    assert!(third.contains("<n:EndOfSequence/>") && context(&third).is_empty());
}

#[tokio::test]
async fn a_context_works_once() {
    let mut poster = Poster::new(lab(3));
    let (_, first) = poster.post(&enumerate()).await;
    poster.post(&pull(&context(&first))).await;
    let (_, again) = poster.post(&pull(&context(&first))).await;
    assert!(again.contains("Code=\"2150858779\""), "{again}");
}

#[tokio::test(start_paused = true)]
async fn a_context_expires() {
    let server = Server::new(Arc::new(lab(3)), ServerOptions::default());
    let post = async |text: String| Poster::with(server.clone()).post(&text).await.1;
    let first = post(enumerate()).await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    // Contexts belong to the server and not to a connection, and each new one has its own minute.
    let second = post(pull(&context(&first))).await;
    assert!(second.contains("<p:Lab_Disk "), "{second}");
    tokio::time::sleep(Duration::from_secs(50)).await;
    let third = post(pull(&context(&second))).await;
    assert!(third.contains("<n:EndOfSequence/>"), "{third}");
    let late = post(enumerate()).await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(post(pull(&context(&late))).await.contains("Code=\"2150858779\""));
}

#[tokio::test]
async fn a_released_context_is_gone() {
    let mut poster = Poster::new(lab(3));
    let (_, first) = poster.post(&enumerate()).await;
    let body =
        format!("<n:Release><n:EnumerationContext>{}</n:EnumerationContext></n:Release>", context(&first));
    let (head, _) = poster.post(&request(&format!("{ACTION}/Release"), ALL, "", &body)).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(poster.post(&pull(&context(&first))).await.1.contains("Code=\"2150858779\""));
}

#[tokio::test]
async fn pages_stay_under_half_of_the_envelope() {
    let lab = Lab { disks: 300, notes_bytes: 5000, ..Lab::default() };
    let client = client_with(Arc::new(lab), ServerOptions::default(), options());
    let found = client.query("", "select * from Lab_Disk").await.unwrap();
    assert_eq!(found.len(), 300);
    assert!(found.iter().enumerate().all(|(at, disk)| disk.get_u32("Number").unwrap() as usize == at));
}

#[tokio::test]
async fn an_item_or_result_larger_than_the_envelope_is_a_fault() {
    let lab = Arc::new(Lab { disks: 2, notes_bytes: 100_000, ..Lab::default() });
    let mut small = options();
    small.max_envelope_bytes = 50_000;
    let client = client_with(lab, ServerOptions::default(), small);
    let error = client.query("", "select * from Lab_Disk").await.unwrap_err();
    assert_eq!(error.fault().unwrap().code, 2_150_858_823);
    assert!(error.is_too_large() && !error.may_have_run());
    let error = client.invoke(&crate::support::reference(0), "Big", NO_ARGUMENTS).await.unwrap_err();
    assert!(error.is_too_large() && error.may_have_run(), "{error}");
}

#[tokio::test]
async fn more_items_than_allowed_are_refused() {
    let mut few = options();
    few.items_max = 10;
    let error = client_with(Arc::new(lab(20)), ServerOptions::default(), few)
        .enumerate("", "Lab_Disk")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the reply of lab:5985 to Enumerate of Lab_Disk is larger than 10 instances"
    );
}

#[tokio::test]
async fn a_hundred_thousand_numbers_come_in_one_reply() {
    let (server, mut large) =
        (ServerOptions { max_envelope_bytes: 4_000_000, ..ServerOptions::default() }, options());
    large.max_envelope_bytes = 4_000_000;
    let client = client_with(Arc::new(lab(1)), server, large);
    let output = client.invoke(&crate::support::reference(0), "Big", NO_ARGUMENTS).await.unwrap();
    assert_eq!(output.values.get_array::<u64>("Offsets").unwrap().len(), 100_000);
}
