//! Envelopes as they stand on the wire, both ways. Compared with sections 3.3 to 3.7 of the field notes.

use winremote::cim::{Instance, Value};

use crate::raw::{Poster, Say, between, request, stub};
use crate::support::{lab, reference};

/// The last request's envelope, one element a line, with ids replaced.
fn shown(text: &str) -> String {
    let body = text.split_once("\r\n\r\n").map_or(text, |(_, body)| body);
    let mut shown = body.replace("><", ">\n<");
    for (start, end) in [
        ("<a:MessageID>", "</a:MessageID>"),
        ("\"false\">uuid:", "</p:SessionId>"),
        ("Context>uuid:", "</n:"),
    ] {
        if let Some(id) = between(&shown, start, end).map(str::to_owned) {
            shown = shown.replace(&format!("{start}{id}{end}"), &format!("{start}ID{end}"));
        }
    }
    shown
}

#[tokio::test]
async fn the_client_asks_to_identify() {
    let (client, heard) = stub(vec![Say::Close]);
    client.identify_unauthenticated().await.unwrap_err();
    let request = &heard.requests()[0];
    insta::assert_snapshot!(request.replace("\r\n", "\n"));
}

#[tokio::test]
async fn the_client_asks_for_one_object() {
    let (client, heard) = stub(vec![Say::Close]);
    client.get(&reference(1)).await.unwrap_err();
    insta::assert_snapshot!(shown(&heard.requests()[0]));
}

#[tokio::test]
async fn the_client_asks_a_query() {
    let (client, heard) = stub(vec![Say::Close]);
    client
        .query("root/cimv2", r"select * from Win32_Volume where Name < 'C:\\' and Label <> 'a'")
        .await
        .unwrap_err();
    insta::assert_snapshot!(shown(&heard.requests()[0]));
}

#[tokio::test]
async fn the_client_calls_a_method() {
    let (client, heard) = stub(vec![Say::Close]);
    let settings = Instance::new("Lab_Settings").with("Level", 1u8).with("Path", r"C:\a & b");
    let arguments = [
        ("System", Value::from(reference(0))),
        ("Settings", settings.clone().into()),
        ("Many", vec![settings.clone(), settings].into()),
        ("Type", 32768u16.into()),
        ("Force", true.into()),
        ("Nothing", Value::Null),
        ("Empty", "".into()),
    ];
    client.invoke(&reference(0), "CreateSnapshot", arguments).await.unwrap_err();
    insta::assert_snapshot!(shown(&heard.requests()[0]));
}

const LAB_DISK: &str = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/test/Lab_Disk";

#[tokio::test]
async fn the_server_answers_with_an_object() {
    let selectors = r#"<w:Selector Name="InstanceID">Microsoft:0\Disk</w:Selector>"#;
    let get = request("http://schemas.xmlsoap.org/ws/2004/09/transfer/Get", LAB_DISK, selectors, "");
    let (head, body) = Poster::new(lab(1)).post(&get).await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("server: Microsoft-HTTPAPI/2.0"), "{head}");
    assert!(head.contains("content-type: application/soap+xml;charset=UTF-8"), "{head}");
    insta::assert_snapshot!(shown(&body));
}

#[tokio::test]
async fn the_server_answers_with_pages() {
    let mut poster = Poster::new(lab(2));
    let enumerate = r#"<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>32000</w:MaxElements><w:Filter Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL">select Number from Lab_Disk</w:Filter></n:Enumerate>"#;
    let uri = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/test/*";
    let action = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
    let (_, first) = poster.post(&request(&format!("{action}/Enumerate"), uri, "", enumerate)).await;
    let context = between(&first, "<n:EnumerationContext>", "<").unwrap();
    let pull = format!(
        "<n:Pull><n:EnumerationContext>{context}</n:EnumerationContext><n:MaxElements>9</n:MaxElements></n:Pull>"
    );
    let (_, second) = poster.post(&request(&format!("{action}/Pull"), uri, "", &pull)).await;
    insta::assert_snapshot!(format!("{}\n\n{}", shown(&first), shown(&second)));
}

#[tokio::test]
async fn the_server_answers_a_call() {
    let input = format!(r#"<p:Start_INPUT xmlns:p="{LAB_DISK}"/>"#);
    let call = request(
        &format!("{LAB_DISK}/Start"),
        LAB_DISK,
        r#"<w:Selector Name="InstanceID">x</w:Selector>"#,
        &input,
    );
    let (_, body) = Poster::new(lab(1)).post(&call).await;
    insta::assert_snapshot!(shown(&body));
}

#[tokio::test]
async fn the_server_answers_with_a_fault() {
    let mut poster = Poster::new(lab(1));
    let wrong = r#"<w:Selector Name="Colour">red</w:Selector>"#;
    let get = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";
    let (head, first) = poster.post(&request(get, LAB_DISK, wrong, "")).await;
    assert!(head.starts_with("HTTP/1.1 500"), "{head}");
    let absent = r#"<w:Selector Name="InstanceID">x</w:Selector>"#;
    let (_, second) = poster.post(&request(get, LAB_DISK, absent, "")).await;
    insta::assert_snapshot!(format!("{}\n\n{}", shown(&first), shown(&second)));
}
