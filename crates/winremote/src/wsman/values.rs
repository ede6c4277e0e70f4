//! Instances and values in messages.
//!
//! A property is an element in the namespace of its class. Null is `xsi:nil`, arrays repeat the element, points and
//! lengths of time stand in a child, references as in [`super::endpoint`], embedded instances as escaped CIM-XML.
//! Nothing tells a number from a text, so scalars are read as text. Follows DSP0230 and section 3.4 of the field
//! notes.

use super::endpoint::{self, Side};
use super::names::{ADDRESSING, CIM, XSI, class_uri, split_class_uri};
use crate::cim::{DateTime, Instance, Interval, Value};
use crate::xml::{Element, Writer};

/// How deeply instances may stand inside one another as elements.
const NESTING_MAX: usize = 8;

/// Writes an instance as hosts do: its class is the prefix `p`, properties in alphabetical order.
pub(crate) fn write_instance(writer: &mut Writer, instance: &Instance, default_namespace: &str, side: Side) {
    let namespace = if instance.namespace.is_empty() { default_namespace } else { &instance.namespace };
    let uri = class_uri(namespace, &instance.class);
    let kind = format!("p:{}_Type", instance.class);
    let attributes = [("xmlns:xsi", XSI), ("xmlns:p", &uri), ("xmlns:cim", CIM), ("xsi:type", &kind)];
    writer.open(&format!("p:{}", instance.class), &attributes);
    write_properties(writer, instance, namespace, side);
    writer.close();
}

/// Writes all properties of an instance, or the parameters of a method, with the prefix `p`.
pub(crate) fn write_properties(writer: &mut Writer, instance: &Instance, namespace: &str, side: Side) {
    for (name, value) in instance.iter() {
        write_value(writer, &format!("p:{name}"), value, namespace, side);
    }
}

/// Writes only the named properties, without a class and without prefix, as hosts answer a query for columns.
pub(crate) fn write_fragment(writer: &mut Writer, instance: &Instance, columns: &[String], namespace: &str) {
    writer.open("w:XmlFragment", &[("xmlns:xsi", XSI), ("xmlns:cim", CIM)]);
    for column in columns {
        let value = instance.get(column).unwrap_or(&Value::Null);
        write_value(writer, column, value, namespace, Side::Server);
    }
    writer.close();
}

fn write_value(writer: &mut Writer, name: &str, value: &Value, namespace: &str, side: Side) {
    match value {
        Value::Null => _ = writer.empty(name, &[("xsi:nil", "true")]),
        Value::Array(values) if values.is_empty() => _ = writer.empty(name, &[("xsi:nil", "true")]),
        Value::Array(values) => {
            for value in values {
                write_value(writer, name, value, namespace, side);
            }
        }
        Value::DateTime(moment) => {
            writer.open(name, &[]).leaf("cim:Datetime", &[], &moment.to_iso()).close();
        }
        Value::Interval(interval) => {
            writer.open(name, &[]).leaf("cim:Interval", &[], &interval.to_iso()).close();
        }
        Value::Reference(reference) => {
            writer.open(name, &[]);
            endpoint::write(writer, reference, namespace, side);
            writer.close();
        }
        scalar => _ = writer.leaf(name, &[], &scalar.plain_text().unwrap_or_default()),
    }
}

/// Reads an instance, whose class and namespace stand in its element's namespace.
pub(crate) fn read_instance(element: &Element) -> Result<Instance, String> {
    read_nested(element, 0)
}

fn read_nested(element: &Element, nesting: usize) -> Result<Instance, String> {
    if nesting > NESTING_MAX {
        return Err(format!("instances are nested more than {NESTING_MAX} deep"));
    }
    let (namespace, class) = split_class_uri(&element.namespace).unwrap_or(("", &element.name));
    let mut instance = Instance::new(class).in_namespace(namespace);
    for property in &element.children {
        instance.push(&property.name, read_value(property, nesting)?);
    }
    Ok(instance)
}

/// Reads properties without a class around them, as of `w:XmlFragment`.
pub(crate) fn read_fragment(element: &Element, class: &str) -> Result<Instance, String> {
    let mut instance = read_instance(element)?;
    class.clone_into(&mut instance.class);
    instance.namespace.clear();
    Ok(instance)
}

fn read_value(element: &Element, nesting: usize) -> Result<Value, String> {
    if is_nil(element) {
        return Ok(Value::Null);
    }
    if endpoint::is_reference(element) {
        return endpoint::read(element).map(Value::Reference);
    }
    let Some(child) = element.children.first() else { return Ok(Value::Text(element.text.clone())) };
    if &*child.namespace == CIM {
        return Ok(read_time(child));
    }
    // Objects inside event objects come as elements, with their class in `xsi:type`.
    let mut nested = read_nested(element, nesting + 1)?;
    if let Some(kind) = element.attribute(XSI, "type") {
        let kind = kind.rsplit(':').next().unwrap_or(kind);
        kind.strip_suffix("_Type").unwrap_or(kind).clone_into(&mut nested.class);
    }
    Ok(Value::from(nested))
}

/// A point or length of time; text that is neither stays text.
fn read_time(child: &Element) -> Value {
    let text = child.text.trim();
    match child.name.as_str() {
        "Interval" => Interval::parse_iso(text).map(Value::Interval),
        _ => DateTime::parse_iso(text).map(Value::DateTime),
    }
    .unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn is_nil(element: &Element) -> bool {
    matches!(element.attribute(XSI, "nil").map(str::trim), Some("true" | "1"))
}

/// Why a method's parameter is not written as WinRM demands; servers refuse it.
pub(crate) fn misuse(parameter: &Element) -> Option<&'static str> {
    if endpoint::is_wrapped(parameter) {
        return Some("an EndpointReference element stands around a reference parameter");
    }
    let known = |child: &Element| match &*child.namespace {
        ADDRESSING => matches!(child.name.as_str(), "Address" | "ReferenceParameters"),
        CIM => matches!(child.name.as_str(), "Datetime" | "Interval"),
        _ => false,
    };
    (!parameter.children.iter().all(known))
        .then_some("a parameter holds elements; embedded instances are text")
}
