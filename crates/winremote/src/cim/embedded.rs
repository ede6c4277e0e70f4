//! Embedded instances: CIM-XML text inside a string, both as parameters and in what hosts answer.
//!
//! `<INSTANCE CLASSNAME="…"><PROPERTY NAME="…" TYPE="uint16"><VALUE>1</VALUE></PROPERTY>…</INSTANCE>`; arrays are
//! `PROPERTY.ARRAY` with `VALUE.ARRAY`, references `PROPERTY.REFERENCE`. Hosts accept "CIM DTD 2.0" and "WMI DTD 2.0"
//! alike and answer in the latter, which adds qualifiers and origins; those are read over. Here, unlike in replies,
//! types are told, so values come back typed. Follows DSP0201.

use super::{DateTime, Instance, Interval, Reference, Value};
use crate::error::{Error, Result};
use crate::xml::{Element, Limits, Writer, parse};

/// Longest text read: what fits the largest envelope that hosts can be set to.
const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The CIM-XML text of an instance. Null properties are written without value.
pub fn encode(instance: &Instance) -> String {
    let mut writer = Writer::new();
    writer.open("INSTANCE", &[("CLASSNAME", &instance.class)]);
    for (name, value) in instance.iter() {
        match value {
            Value::Array(values) => encode_array(&mut writer, name, values),
            Value::Reference(reference) => encode_reference(&mut writer, name, reference),
            value => {
                writer.open("PROPERTY", &[("NAME", name), ("TYPE", type_name(value))]);
                encode_value(&mut writer, value);
                writer.close();
            }
        }
    }
    writer.finish()
}

fn encode_array(writer: &mut Writer, name: &str, values: &[Value]) {
    let kind = values.iter().find(|value| !value.is_null()).map_or("string", type_name);
    writer.open("PROPERTY.ARRAY", &[("NAME", name), ("TYPE", kind)]).open("VALUE.ARRAY", &[]);
    for value in values {
        match value {
            Value::Null => _ = writer.empty("VALUE.NULL", &[]),
            value => encode_value(writer, value),
        }
    }
    writer.close().close();
}

fn encode_reference(writer: &mut Writer, name: &str, reference: &Reference) {
    writer.open("PROPERTY.REFERENCE", &[("NAME", name), ("REFERENCECLASS", &reference.class)]);
    writer.open("VALUE.REFERENCE", &[]);
    match &reference.host {
        Some(host) => _ = writer.open("INSTANCEPATH", &[]).open("NAMESPACEPATH", &[]).leaf("HOST", &[], host),
        None => _ = writer.open("LOCALINSTANCEPATH", &[]),
    }
    writer.open("LOCALNAMESPACEPATH", &[]);
    for part in reference.namespace.split('/').filter(|part| !part.is_empty()) {
        writer.empty("NAMESPACE", &[("NAME", part)]);
    }
    writer.close();
    if reference.host.is_some() {
        writer.close();
    }
    writer.open("INSTANCENAME", &[("CLASSNAME", &reference.class)]);
    for (key, value) in reference.keys() {
        writer
            .open("KEYBINDING", &[("NAME", key)])
            .leaf("KEYVALUE", &[("VALUETYPE", "string")], value)
            .close();
    }
    writer.close().close().close().close();
}

fn encode_value(writer: &mut Writer, value: &Value) {
    if let Some(text) = value_text(value) {
        writer.leaf("VALUE", &[], &text);
    }
}

/// The text of a scalar inside CIM-XML; none for null.
fn value_text(value: &Value) -> Option<String> {
    match value {
        Value::Bool(truth) => Some(if *truth { "TRUE" } else { "FALSE" }.to_owned()),
        Value::DateTime(moment) => Some(moment.to_cim()),
        Value::Interval(interval) => Some(interval.to_cim()),
        Value::Reference(reference) => Some(reference.to_object_path()),
        other => other.plain_text(),
    }
}

/// The CIM type; null has none of its own and goes as string, which hosts take for every type.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::U8(_) => "uint8",
        Value::U16(_) => "uint16",
        Value::U32(_) => "uint32",
        Value::U64(_) => "uint64",
        Value::I8(_) => "sint8",
        Value::I16(_) => "sint16",
        Value::I32(_) => "sint32",
        Value::I64(_) => "sint64",
        Value::Real(_) => "real64",
        Value::DateTime(_) | Value::Interval(_) => "datetime",
        Value::Null | Value::Text(_) | Value::Reference(_) | Value::Embedded(_) | Value::Array(_) => "string",
    }
}

/// Reads CIM-XML text. Embedded instances inside it stay text, to be read when they are asked for.
pub fn decode(text: &str) -> Result<Instance> {
    let fail = |why: String| Error::EmbeddedInstance { why };
    let root = parse(text.trim(), Limits::for_bytes(TEXT_BYTES_MAX)).map_err(fail)?;
    decode_element(&root).map_err(fail)
}

fn decode_element(root: &Element) -> Result<Instance, String> {
    if root.name != "INSTANCE" {
        return Err(format!("it begins with {}", super::instance::shortened(&root.name)));
    }
    let class = root.attribute("", "CLASSNAME").filter(|class| !class.is_empty());
    let mut instance = Instance::new(class.ok_or("it names no class")?);
    for property in &root.children {
        let value = match property.name.as_str() {
            "PROPERTY" => decode_property(property)?,
            "PROPERTY.ARRAY" => decode_array(property)?,
            "PROPERTY.REFERENCE" => decode_reference(property)?,
            "PROPERTY.OBJECT" => decode_object(property)?,
            _ => continue,
        };
        let name = property.attribute("", "NAME").filter(|name| !name.is_empty());
        let name = name.ok_or("a property has no name")?;
        if instance.get(name).is_some() {
            return Err(format!("{name} stands twice"));
        }
        instance.set(name, value);
    }
    Ok(instance)
}

fn decode_property(property: &Element) -> Result<Value, String> {
    match property.child("", "VALUE") {
        None => Ok(Value::Null),
        Some(value) => typed(&value.text, property),
    }
}

fn decode_array(property: &Element) -> Result<Value, String> {
    let Some(array) = property.child("", "VALUE.ARRAY") else { return Ok(Value::Null) };
    let value = |value: &Element| match value.name.as_str() {
        "VALUE" => typed(&value.text, property),
        "VALUE.NULL" => Ok(Value::Null),
        other => Err(format!("an array holds {}", super::instance::shortened(other))),
    };
    array.children.iter().map(value).collect::<Result<_, _>>().map(Value::Array)
}

/// A text as the property's type says; types that are not known stay text.
fn typed(text: &str, property: &Element) -> Result<Value, String> {
    let kind = property.attribute("", "TYPE").unwrap_or("string");
    let value = match kind {
        "boolean" => super::FromValue::from_value(&text.into()).map(Value::Bool),
        "uint8" => text.trim().parse().ok().map(Value::U8),
        "uint16" => text.trim().parse().ok().map(Value::U16),
        "uint32" => text.trim().parse().ok().map(Value::U32),
        "uint64" => text.trim().parse().ok().map(Value::U64),
        "sint8" => text.trim().parse().ok().map(Value::I8),
        "sint16" => text.trim().parse().ok().map(Value::I16),
        "sint32" => text.trim().parse().ok().map(Value::I32),
        "sint64" => text.trim().parse().ok().map(Value::I64),
        "real32" | "real64" => text.trim().parse().ok().map(Value::Real),
        "datetime" => decode_datetime(text.trim()),
        _ => Some(Value::Text(text.to_owned())),
    };
    value.ok_or_else(|| {
        let name = property.attribute("", "NAME").unwrap_or_default();
        format!("{} is no {kind}: {:?}", super::instance::shortened(name), super::instance::shortened(text))
    })
}

/// Only the CIM form: a host refuses ISO text here, so a server built on this must too. Points with unknown digits
/// stay text.
fn decode_datetime(text: &str) -> Option<Value> {
    let wildcard = text.len() == 25 && text.contains('*');
    let value = DateTime::parse_cim(text).map(Value::DateTime);
    let value = value.or_else(|| Interval::parse_cim(text).map(Value::Interval));
    value.or_else(|| wildcard.then(|| Value::Text(text.to_owned())))
}

fn decode_reference(property: &Element) -> Result<Value, String> {
    let Some(value) = property.child("", "VALUE.REFERENCE") else { return Ok(Value::Null) };
    let path = value.children.first().ok_or("a reference is empty")?;
    let name = if path.name == "INSTANCENAME" { Some(path) } else { path.child("", "INSTANCENAME") };
    let name = name.ok_or("a reference names no instance")?;
    let place = path.child("", "NAMESPACEPATH").unwrap_or(path);
    let parts = place.child("", "LOCALNAMESPACEPATH").map(|local| local.children.iter());
    let parts: Vec<&str> =
        parts.into_iter().flatten().filter_map(|part| part.attribute("", "NAME")).collect();
    let class = name.attribute("", "CLASSNAME").ok_or("a reference names no class")?;
    let mut reference = Reference::new(parts.join("/"), class);
    reference.host = place.child_text("", "HOST").map(str::to_owned);
    for key in name.children_named("", "KEYBINDING") {
        let value = key.child("", "KEYVALUE").ok_or("a key has no value")?;
        reference.set_key(key.attribute("", "NAME").ok_or("a key has no name")?, value.text.as_str());
    }
    Ok(Value::Reference(reference))
}

fn decode_object(property: &Element) -> Result<Value, String> {
    let object = property.child("", "VALUE.OBJECT").and_then(|value| value.child("", "INSTANCE"));
    object.map_or(Ok(Value::Null), |object| decode_element(object).map(Value::from))
}
