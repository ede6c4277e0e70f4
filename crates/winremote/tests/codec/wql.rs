//! Queries: how they are read, written and matched.

use winremote::cim::{DateTime, Instance, Value};
use winremote::wsman::wql::{Query, Select, like_pattern, parse, quote};

fn select(text: &str) -> Select {
    match parse(text) {
        Ok(Query::Select(select)) => select,
        other => unreachable!("{other:?} is no select"),
    }
}

fn vm() -> Instance {
    Instance::new("Msvm_ComputerSystem")
        .with("Name", "7F1B-2A")
        .with("ElementName", r"SQL\01 100%")
        .with("EnabledState", "2")
        .with("Memory", 4096u64)
        .with("Ready", "true")
        .with("Created", DateTime::parse_iso("2026-01-02T03:04:05Z"))
        .with("Caption", Value::Null)
}

#[test]
fn conditions_are_matched_as_wmi_does() {
    let holds = [
        "Name = '7f1b-2a'",
        r"ElementName = 'sql\\01 100%'",
        "EnabledState = 2 and Memory > 1000",
        "EnabledState <> 3 or Missing = 1",
        "not EnabledState = 3",
        "Memory >= '4096'",
        "Memory < 0x1001",
        "Ready = TRUE",
        "Caption is null and Name is not null",
        "Caption = null and Missing is null",
        "Name <> null",
        "Name like '7F%'",
        "Name like '%[a-c]' and Name like '_F1B-2A'",
        "Name like '%[^x]A'",
        "Created > '20260101000000.000000+000'",
        "(Name = 'x' or Name = '7F1B-2A') and EnabledState = '2'",
    ];
    for condition in holds {
        assert!(select(&format!("select * from A where {condition}")).matches(&vm()), "{condition}");
    }
    let fails = [
        "Name = '7F1B'",
        "Missing = 1",
        "Missing <> 1",
        "Caption <> 'x'",
        "Name = 7",
        "EnabledState is null",
        "Name like '7F1B'",
        "Name like '[^7]%'",
        "Name = 'x' or Name = '7F1B-2A' and EnabledState = 3",
    ];
    for condition in fails {
        assert!(!select(&format!("select * from A where {condition}")).matches(&vm()), "{condition}");
    }
}

#[test]
fn any_text_can_be_quoted_and_matched_exactly() {
    for name in [r"a\b", "it's", "100%", "a_b", "[x]", "\"", "ä"] {
        let thing = Instance::new("A").with("Name", name);
        assert!(select(&format!("select * from A where Name = {}", quote(name))).matches(&thing), "{name}");
        let pattern = quote(&like_pattern(name));
        assert!(select(&format!("select * from A where Name like {pattern}")).matches(&thing), "{name}");
        assert!(!select(&format!("select * from A where Name like {pattern}")).matches(&vm()), "{name}");
    }
}

#[test]
fn columns_and_keywords_are_read_in_any_case() {
    let query = select("SELECT Name , __PATH FROM Msvm_X WHERE A=1 AND B LIKE \"x%\"");
    assert_eq!(query.columns, ["Name", "__PATH"]);
    assert_eq!(query.to_string(), "select Name, __PATH from Msvm_X where (A = 1 and B like 'x%')");
}

#[test]
fn associators_keep_their_source_and_options() {
    let text = r#"associators of {Msvm_X.InstanceID="Microsoft:{7F}\\1"} where AssocClass = Msvm_Y ResultClass=Msvm_Z"#;
    let Query::Associators(query) = parse(text).unwrap() else { unreachable!("not associators") };
    assert_eq!(query.source.key("InstanceID"), Some(r"Microsoft:{7F}\1"));
    assert_eq!(
        (query.assoc_class.as_deref(), query.result_class.as_deref()),
        (Some("Msvm_Y"), Some("Msvm_Z"))
    );
    assert_eq!(parse(&query.to_string()).unwrap(), Query::Associators(query));
    let Query::References(query) = parse("references of {A.B=1} where ResultClass=C Role = D").unwrap()
    else {
        unreachable!("not references")
    };
    assert_eq!(query.role.as_deref(), Some("D"));
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let cases = [
        ("", 1, "select, associators or references was expected"),
        ("delete from A", 1, "select, associators or references was expected"),
        ("select from A", 13, "from was expected"),
        ("select * from", 14, "a class was expected"),
        ("select * from A B", 17, "nothing more was expected"),
        ("select * from A where", 22, "a property was expected"),
        ("select * from A where B", 24, "a comparison was expected"),
        ("select * from A where B = 'x", 27, "these quotes are not closed"),
        ("select * from A where B = C", 27, "a constant was expected"),
        ("select * from A where B > null", 27, "null has no order"),
        ("select * from A where (B = 1", 29, ") was expected"),
        ("select * from A where B = 1x", 27, "this is not a whole number"),
        ("select * from A; drop", 16, "this character has no meaning"),
        ("associators of Msvm_X", 16, "an object path in braces was expected"),
        ("associators of {Msvm_X.A=}", 16, "this is not an object path"),
        ("associators of {A.B=1} where Role=a Role=b", 37, "this stands twice"),
        ("references of {A.B=1} where AssocClass=C", 29, "this is not understood here"),
    ];
    for (text, at, why) in cases {
        let error = parse(text).unwrap_err().to_string();
        assert_eq!(error, format!("the query {text:?} cannot be read at character {at}: {why}"));
    }
}

#[test]
fn deep_and_long_queries_are_refused_without_harm() {
    let deep = format!("select * from A where {}B = 1{}", "(".repeat(50_000), ")".repeat(50_000));
    assert!(parse(&deep).is_err());
    assert!(parse(&format!("select * from A where {} B = 1", "not ".repeat(1000))).is_err());
    let long = "select * from A where A=1".to_owned() + &" or A=1".repeat(4000);
    assert!(parse(&long).is_err());
    let hard = format!("select * from A where B like '{}'", "%a".repeat(1000));
    assert!(!select(&hard).matches(&Instance::new("A").with("B", "a".repeat(999))));
}
