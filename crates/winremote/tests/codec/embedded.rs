//! CIM-XML text as it is sent, and as hosts and other tools write it.

use winremote::cim::{DateTime, Instance, Interval, Reference, Value, embedded};

#[test]
fn an_instance_is_written_with_types_and_in_cim_form() {
    let instance = Instance::new("Msvm_Thing")
        .with("Level", 1u8)
        .with("HostResource", vec![r"C:\VMs\a & b.vhdx"])
        .with("When", DateTime::parse_iso("2026-01-02T03:04:05Z"))
        .with("Delay", Interval::parse_iso("PT45S"))
        .with("On", true)
        .with("Empty", "")
        .with("Missing", Value::Null);
    assert_eq!(
        embedded::encode(&instance),
        concat!(
            r#"<INSTANCE CLASSNAME="Msvm_Thing">"#,
            r#"<PROPERTY NAME="Delay" TYPE="datetime"><VALUE>00000000000045.000000:000</VALUE></PROPERTY>"#,
            r#"<PROPERTY NAME="Empty" TYPE="string"><VALUE></VALUE></PROPERTY>"#,
            r#"<PROPERTY.ARRAY NAME="HostResource" TYPE="string"><VALUE.ARRAY>"#,
            r#"<VALUE>C:\VMs\a &amp; b.vhdx</VALUE></VALUE.ARRAY></PROPERTY.ARRAY>"#,
            r#"<PROPERTY NAME="Level" TYPE="uint8"><VALUE>1</VALUE></PROPERTY>"#,
            r#"<PROPERTY NAME="Missing" TYPE="string"></PROPERTY>"#,
            r#"<PROPERTY NAME="On" TYPE="boolean"><VALUE>TRUE</VALUE></PROPERTY>"#,
            r#"<PROPERTY NAME="When" TYPE="datetime"><VALUE>20260102030405.000000+000</VALUE></PROPERTY>"#,
            r#"</INSTANCE>"#
        )
    );
}

#[test]
fn text_of_the_wmi_dialect_is_read_over_its_additions() {
    let text = r#"<?xml version="1.0" encoding="utf-8"?>
        <INSTANCE CLASSNAME="Msvm_Error"><QUALIFIER NAME="dynamic" TYPE="boolean"><VALUE>TRUE</VALUE></QUALIFIER>
        <PROPERTY NAME="ErrorType" CLASSORIGIN="CIM_Error" TYPE="uint16"><VALUE>4</VALUE></PROPERTY>
        <PROPERTY NAME="Message" PROPAGATED="true" TYPE="string"><VALUE>denied (0x80070005)</VALUE></PROPERTY>
        <PROPERTY NAME="Other" TYPE="string"></PROPERTY>
        <PROPERTY.ARRAY NAME="Args" TYPE="string"><VALUE.ARRAY><VALUE>a</VALUE><VALUE.NULL/></VALUE.ARRAY></PROPERTY.ARRAY>
        </INSTANCE>"#;
    let error = embedded::decode(text).unwrap();
    assert_eq!(error.class, "Msvm_Error");
    assert_eq!(error.get("ErrorType"), Some(&Value::U16(4)));
    assert_eq!(error.get_str("Message").unwrap(), "denied (0x80070005)");
    assert_eq!(error.get("Other"), Some(&Value::Null));
    assert_eq!(error.get("Args"), Some(&Value::Array(vec!["a".into(), Value::Null])));
    assert_eq!(error.len(), 4);
}

#[test]
fn references_and_objects_inside_an_instance_are_read() {
    let with_host = Reference::new("root/v2", "Msvm_X").with_key("InstanceID", r"a\b").on_host("HV1");
    let without = Reference::new("root/v2", "Msvm_X").with_key("InstanceID", "c");
    let instance = Instance::new("Msvm_Link").with("Antecedent", with_host).with("Dependent", without);
    assert_eq!(embedded::decode(&embedded::encode(&instance)).unwrap(), instance);
    let object = r#"<INSTANCE CLASSNAME="A"><PROPERTY.OBJECT NAME="P"><VALUE.OBJECT><INSTANCE CLASSNAME="B">
        <PROPERTY NAME="N" TYPE="sint32"><VALUE>-1</VALUE></PROPERTY></INSTANCE></VALUE.OBJECT></PROPERTY.OBJECT></INSTANCE>"#;
    let inner = embedded::decode(object).unwrap().get_embedded("P").unwrap();
    assert_eq!((inner.class.as_str(), inner.get("N")), ("B", Some(&Value::I32(-1))));
}

#[test]
fn an_instance_inside_an_instance_is_text_until_asked_for() {
    let inner = Instance::new("Inner").with("Path", r"\\HV1\root:X.A=1");
    let outer = Instance::new("Outer").with("Settings", inner.clone());
    let read = embedded::decode(&embedded::encode(&outer)).unwrap();
    assert_eq!(read.get_embedded("Settings").unwrap(), inner);
}

#[test]
fn iso_dates_are_refused_as_hosts_do() {
    let text = |value| {
        format!(
            r#"<INSTANCE CLASSNAME="A"><PROPERTY NAME="T" TYPE="datetime"><VALUE>{value}</VALUE></PROPERTY></INSTANCE>"#
        )
    };
    let refused = embedded::decode(&text("2026-01-02T03:04:05Z")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the text is not an embedded instance: T is no datetime: \"2026-01-02T03:04:05Z\""
    );
    let unknown = embedded::decode(&text("20260102******.******+000")).unwrap();
    assert_eq!(unknown.get_str("T").unwrap(), "20260102******.******+000");
}

#[test]
fn what_is_no_instance_is_not_read() {
    let cases = [
        ("", "it is empty"),
        ("Microsoft:1234", "there is text outside of its root element"),
        ("<CLASS NAME=\"A\"/>", "it begins with CLASS"),
        ("<INSTANCE/>", "it names no class"),
        (
            "<INSTANCE CLASSNAME=\"A\"><PROPERTY NAME=\"x\"/><PROPERTY NAME=\"X\"/></INSTANCE>",
            "X stands twice",
        ),
        ("<INSTANCE CLASSNAME=\"A\"><PROPERTY/></INSTANCE>", "a property has no name"),
        (
            "<INSTANCE CLASSNAME=\"A\"><PROPERTY NAME=\"x\" TYPE=\"uint8\"><VALUE>256</VALUE></PROPERTY></INSTANCE>",
            "x is no uint8: \"256\"",
        ),
        (
            "<!DOCTYPE x [<!ENTITY a \"b\">]><INSTANCE CLASSNAME=\"A\"/>",
            "it has a document type, which SOAP forbids",
        ),
    ];
    for (text, why) in cases {
        let error = embedded::decode(text).unwrap_err().to_string();
        assert_eq!(error, format!("the text is not an embedded instance: {why}"), "{text}");
    }
}
