//! What the server half refuses, and with which fault.

#![expect(clippy::unwrap_used, reason = "a test's own helper may stop it")]

use crate::raw::{Poster, between, request};
use crate::support::lab;

const URI: &str = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/test/Lab_Disk";
const ALL: &str = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/test/*";
const GET: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";
const ENUMERATE: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate";
const PULL: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Pull";
const KEY: &str = r#"<w:Selector Name="InstanceID">Microsoft:0\Disk</w:Selector>"#;

/// The fault's code that a request leads to; 0 for none.
async fn code_of(text: &str) -> u32 {
    let (_, body) = Poster::new(lab(2)).post(text).await;
    between(&body, "<f:WSManFault", ">")
        .and_then(|fault| between(fault, "Code=\"", "\""))
        .map_or(0, |code| code.parse().unwrap())
}

fn filter(dialect: &str, query: &str) -> String {
    format!(
        r#"<n:Enumerate><w:OptimizeEnumeration/><w:Filter Dialect="{dialect}">{query}</w:Filter></n:Enumerate>"#
    )
}

fn wql(query: &str) -> String {
    filter("http://schemas.microsoft.com/wbem/wsman/1/WQL", query)
}

fn echo(parameters: &str) -> String {
    request(
        &format!("{URI}/Echo"),
        URI,
        KEY,
        &format!(r#"<p:Echo_INPUT xmlns:p="{URI}">{parameters}</p:Echo_INPUT>"#),
    )
}

#[tokio::test]
async fn a_well_formed_request_is_answered() {
    assert_eq!(code_of(&request(GET, URI, KEY, "")).await, 0);
    assert_eq!(code_of(&request(ENUMERATE, ALL, "", &wql("select * from Lab_Disk"))).await, 0);
    assert_eq!(code_of(&echo("<p:A>1</p:A>")).await, 0);
}

#[tokio::test]
async fn selectors_must_be_keys_and_stand_once() {
    assert_eq!(
        code_of(&request(GET, URI, r#"<w:Selector Name="Colour">red</w:Selector>"#, "")).await,
        2_150_858_813
    );
    assert_eq!(code_of(&request(GET, URI, &format!("{KEY}{KEY}"), "")).await, 2_150_858_813);
    assert_eq!(code_of(&request(GET, URI, "<w:Selector>x</w:Selector>", "")).await, 2_150_858_813);
    assert_eq!(
        code_of(&request(GET, URI, r#"<w:Selector Name="instanceid">Microsoft:0\Disk</w:Selector>"#, ""))
            .await,
        0
    );
}

#[tokio::test]
async fn wql_needs_the_wildcard_resource_and_must_be_readable() {
    assert_eq!(code_of(&request(ENUMERATE, URI, "", &wql("select * from Lab_Disk"))).await, 2_150_859_003);
    assert_eq!(code_of(&request(ENUMERATE, ALL, "", &wql("select"))).await, 0x8004_1017);
    assert_eq!(code_of(&request(ENUMERATE, ALL, "", &filter("urn:x", "y"))).await, 2_150_858_777);
    assert_eq!(code_of(&request(ENUMERATE, ALL, "", "<n:Enumerate/>")).await, 2_150_858_811);
}

#[tokio::test]
async fn reference_parameters_stand_without_wrapper() {
    let parts = format!(
        "<a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address><a:ReferenceParameters><w:ResourceURI>{URI}</w:ResourceURI><w:SelectorSet>{KEY}</w:SelectorSet></a:ReferenceParameters>"
    );
    assert_eq!(code_of(&echo(&format!("<p:A>{parts}</p:A>"))).await, 0);
    let wrapped = format!("<p:A><a:EndpointReference>{parts}</a:EndpointReference></p:A>");
    assert_eq!(code_of(&echo(&wrapped)).await, 2_150_858_817);
    let elsewhere = parts
        .replace("http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous", "http://hv2:5985/wsman");
    assert_eq!(code_of(&echo(&format!("<p:A>{elsewhere}</p:A>"))).await, 2_150_859_009);
}

#[tokio::test]
async fn embedded_instances_are_text_and_parameters_have_the_class_namespace() {
    assert_eq!(code_of(&echo("<p:A>&lt;INSTANCE CLASSNAME=\"X\"/&gt;</p:A>")).await, 0);
    assert_eq!(code_of(&echo("<p:A><![CDATA[<INSTANCE CLASSNAME=\"X\"/>]]></p:A>")).await, 0);
    assert_eq!(code_of(&echo("<p:A><INSTANCE CLASSNAME=\"X\"/></p:A>")).await, 2_150_858_817);
    assert_eq!(code_of(&echo("<A>1</A>")).await, 2_150_858_817);
    assert_eq!(code_of(&request(&format!("{URI}/Echo"), URI, KEY, "<p:Echo_INPUT/>")).await, 2_150_858_817);
}

#[tokio::test]
async fn actions_and_resources_must_be_known() {
    assert_eq!(
        code_of(&request("http://schemas.xmlsoap.org/ws/2004/09/transfer/Put", URI, KEY, "")).await,
        2_150_858_771
    );
    assert_eq!(code_of(&request("urn:other/Echo", URI, KEY, "")).await, 2_150_858_753);
    assert_eq!(code_of(&request(GET, "urn:other", KEY, "")).await, 2_150_858_811);
    assert_eq!(code_of(&request(GET, ALL, KEY, "")).await, 2_150_858_811);
    assert_eq!(code_of(&request(GET, URI, KEY, "<x/>")).await, 2_150_858_817);
}

#[tokio::test]
async fn headers_must_be_there_once_and_be_understood() {
    let good = request(GET, URI, KEY, "");
    for name in ["To", "MessageID"] {
        let start = format!("<a:{name}>");
        let inner = between(&good, &start, &format!("</a:{name}>")).unwrap();
        let element = format!("{start}{inner}</a:{name}>");
        assert_eq!(code_of(&good.replace(&element, "")).await, 2_150_858_769, "{name}");
        assert_eq!(code_of(&good.replace(&element, &element.repeat(2))).await, 2_150_858_767, "{name}");
    }
    let unknown = |must: &str| {
        good.replace(
            "</s:Header>",
            &format!("<x:Y xmlns:x=\"urn:x\" s:mustUnderstand=\"{must}\"/></s:Header>"),
        )
    };
    assert_eq!(code_of(&unknown("true")).await, 2_150_858_768);
    assert_eq!(code_of(&unknown("false")).await, 0);
    assert_eq!(code_of(&good.replace("role/anonymous", "role/none")).await, 2_150_858_767);
}

#[tokio::test]
async fn limits_in_headers_must_make_sense() {
    let good = request(GET, URI, KEY, "");
    assert_eq!(code_of(&good.replace(">512000<", ">8191<")).await, 2_150_858_805);
    assert_eq!(code_of(&good.replace(">512000<", ">much<")).await, 2_150_858_810);
    assert_eq!(code_of(&good.replace("PT60S", "soon")).await, 2_150_858_764);
    assert_eq!(code_of(&good.replace("2003/05/soap-envelope", "2001/soap")).await, 2_150_858_765);
}

#[tokio::test]
async fn a_context_that_is_not_known_is_refused() {
    let pull = "<n:Pull><n:EnumerationContext>uuid:X</n:EnumerationContext></n:Pull>";
    assert_eq!(code_of(&request(PULL, ALL, "", pull)).await, 2_150_858_779);
}

#[tokio::test]
async fn requests_are_turned_away_before_soap() {
    let mut poster = Poster::new(lab(1));
    let kind = "Content-Type: application/soap+xml;charset=UTF-8\r\n";
    let body = request(GET, URI, KEY, "");
    let (head, _) = poster.send("POST /wsman", kind, &body).await;
    assert!(
        head.starts_with("HTTP/1.1 401") && head.contains("www-authenticate: Basic realm=\"WSMAN\""),
        "{head}"
    );
    // operator:wrong
    let wrong = format!("{kind}Authorization: Basic b3BlcmF0b3I6d3Jvbmc=\r\n");
    assert!(poster.send("POST /wsman", &wrong, &body).await.0.starts_with("HTTP/1.1 401"));
    // Without sign-in only Identify is answered.
    let probe = format!("{kind}WSMANIDENTIFY: unauthenticated\r\n");
    assert!(poster.send("POST /wsman", &probe, &body).await.0.starts_with("HTTP/1.1 401"));
    let right = "Authorization: Basic b3BlcmF0b3I6Y29ycmVjdCBob3JzZQ==\r\n";
    assert!(poster.send("POST /other", right, &body).await.0.starts_with("HTTP/1.1 404"));
    assert!(poster.send("GET /wsman", right, "").await.0.starts_with("HTTP/1.1 405"));
    assert!(poster.send("POST /wsman", right, &body).await.0.starts_with("HTTP/1.1 415"));
    let (head, body) = poster.send("POST /wsman", &format!("{right}{kind}"), "<s:Envelope>").await;
    assert!(head.starts_with("HTTP/1.1 400") && body.contains("2150858817"), "{head} {body}");
}
