//! Typed getters over what the wire gives: text, null, and scalars where arrays were.

use winremote::cim::{Instance, Reference, Value};

fn from_wire() -> Instance {
    Instance::new("Msvm_Thing")
        .with("Number", "42")
        .with("Big", "18446744073709551615")
        .with("Negative", "-1")
        .with("Yes", "true")
        .with("Status", vec!["2", "32772"])
        .with("Nothing", Value::Null)
        .with("Empty", "")
        .with("Parent", r#"\\HV1\root\virtualization\v2:Msvm_X.InstanceID="a\\b""#)
}

#[test]
fn text_becomes_what_is_asked_for() {
    let thing = from_wire();
    assert_eq!(thing.get_u16("Number").unwrap(), 42);
    assert_eq!(thing.get_u64("Big").unwrap(), u64::MAX);
    assert_eq!(thing.get_as::<i32>("Negative").unwrap(), -1);
    assert!(thing.get_bool("Yes").unwrap());
    assert_eq!(thing.get_str("Empty").unwrap(), "");
    assert_eq!(thing.get_reference("Parent").unwrap().key("instanceid"), Some(r"a\b"));
}

#[test]
fn names_are_found_in_any_case() {
    assert_eq!(from_wire().get_u8("nUMBER").unwrap(), 42);
    let mut thing = from_wire();
    thing.set("NUMBER", 7u8);
    assert_eq!((thing.get_u8("Number").unwrap(), thing.len()), (7, from_wire().len()));
}

#[test]
fn a_scalar_is_an_array_of_one_and_null_an_empty_array() {
    let thing = from_wire();
    assert_eq!(thing.get_array::<u16>("Status").unwrap(), [2, 32772]);
    assert_eq!(thing.get_array::<u16>("Number").unwrap(), [42]);
    assert!(thing.get_array::<u16>("Nothing").unwrap().is_empty());
    assert!(thing.get_array::<u16>("Absent").unwrap().is_empty());
    assert_eq!(Instance::new("A").with("One", vec![5u8]).get_u8("One").unwrap(), 5);
}

#[test]
fn absent_and_null_are_no_value_but_an_empty_string_is_one() {
    let thing = from_wire();
    assert_eq!(thing.get_opt_str("Absent").unwrap(), None);
    assert_eq!(thing.get_opt_str("Nothing").unwrap(), None);
    assert_eq!(thing.get_opt_str("Empty").unwrap(), Some(""));
    assert_eq!(thing.get_opt::<u32>("Nothing").unwrap(), None);
    assert!(thing.get_opt::<u32>("Yes").is_err());
}

#[test]
fn an_error_names_class_property_and_what_is_there() {
    let thing = from_wire();
    let told = |error: winremote::Error| error.to_string();
    assert_eq!(
        told(thing.get_u8("Big").unwrap_err()),
        "Big of Msvm_Thing is the text \"18446744073709551615\" where uint8 was expected"
    );
    assert_eq!(
        told(thing.get_str("Absent").unwrap_err()),
        "Absent of Msvm_Thing is nothing where string was expected"
    );
    assert_eq!(
        told(thing.get_str("Nothing").unwrap_err()),
        "Nothing of Msvm_Thing is null where string was expected"
    );
    assert_eq!(
        told(thing.get_u8("Status").unwrap_err()),
        "Status of Msvm_Thing is an array where uint8 was expected"
    );
}

#[test]
fn an_instance_can_tell_its_own_reference() {
    let thing = Instance::new("Msvm_X").in_namespace("root/v2").with("InstanceID", "a").with("Other", "b");
    let reference = thing.reference(&["InstanceID"]).unwrap();
    assert_eq!(reference, Reference::new("root/v2", "Msvm_X").with_key("InstanceID", "a"));
    assert!(thing.reference(&["Missing"]).is_err());
}
