//! An instance: a class name and its properties. Also used for the parameters of a method, in and out.
//!
//! Properties are kept sorted by name, without regard to case: hosts send them in alphabetical order, look-ups are
//! short, and two instances with the same content are equal whatever order they were filled in.

use super::{DateTime, FromValue, Interval, Reference, Value, compare_names, same_name};
use crate::error::{Error, Result};

/// A CIM instance, or a bag of method parameters (then the class is `Method_INPUT` or `Method_OUTPUT`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    /// Class name as the host gave it: the actual class, also when a base class was queried.
    pub class: String,
    /// Namespace with forward slashes (`root/cimv2`); empty when unknown, as for embedded instances.
    pub namespace: String,
    properties: Vec<(String, Value)>,
}

impl Instance {
    /// An instance without properties and without a known namespace.
    pub fn new(class: impl Into<String>) -> Self {
        Self { class: class.into(), ..Self::default() }
    }

    /// The same instance in a namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The same instance with one property set; for building.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a property, replacing the value it had.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let name = name.into();
        match self.position(&name) {
            Ok(at) => self.properties[at].1 = value.into(),
            Err(at) => self.properties.insert(at, (name, value.into())),
        }
    }

    /// Adds one more value of a property: the second and later ones make it an array, as on the wire.
    pub(crate) fn push(&mut self, name: &str, value: Value) {
        match self.position(name) {
            Err(at) => self.properties.insert(at, (name.to_owned(), value)),
            Ok(at) => match &mut self.properties[at].1 {
                Value::Array(values) => values.push(value),
                first => *first = Value::Array(vec![std::mem::replace(first, Value::Null), value]),
            },
        }
    }

    /// Takes a property out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.position(name).ok().map(|at| self.properties.remove(at).1)
    }

    /// A property's value; `None` when there is no such property, `Some(Value::Null)` when it is there without value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).ok().map(|at| &self.properties[at].1)
    }

    /// True when the property is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.is_null())
    }

    /// Properties in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.properties.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Number of properties.
    pub fn len(&self) -> usize {
        self.properties.len()
    }

    /// True when there are no properties.
    pub fn is_empty(&self) -> bool {
        self.properties.is_empty()
    }

    /// True when the instance is of exactly this class.
    pub fn is_class(&self, class: &str) -> bool {
        same_name(&self.class, class)
    }

    /// A required property as the wanted type. Arrays of one element count as that element.
    pub fn get_as<T: FromValue>(&self, name: &str) -> Result<T> {
        self.get_opt(name)?.ok_or_else(|| self.wrong(name, T::WANTED, self.get(name)))
    }

    /// An optional property as the wanted type: `None` when absent or null, an error when it is something else.
    pub fn get_opt<T: FromValue>(&self, name: &str) -> Result<Option<T>> {
        match self.scalar(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                T::from_value(value).map(Some).ok_or_else(|| self.wrong(name, T::WANTED, Some(value)))
            }
        }
    }

    /// An array property. Absent and null give an empty array, and a scalar an array of one, because that is how the
    /// wire shows them.
    pub fn get_array<T: FromValue>(&self, name: &str) -> Result<Vec<T>> {
        let one = |value| T::from_value(value).ok_or_else(|| self.wrong(name, T::WANTED, Some(value)));
        match self.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(one).collect(),
            Some(value) => Ok(vec![one(value)?]),
        }
    }

    /// A required string.
    pub fn get_str(&self, name: &str) -> Result<&str> {
        let value = self.scalar(name);
        value.and_then(Value::as_text).ok_or_else(|| self.wrong(name, "string", value))
    }

    /// An optional string: `None` when absent or null.
    pub fn get_opt_str(&self, name: &str) -> Result<Option<&str>> {
        if self.scalar(name).is_none_or(Value::is_null) { Ok(None) } else { self.get_str(name).map(Some) }
    }

    /// A required `boolean`.
    pub fn get_bool(&self, name: &str) -> Result<bool> {
        self.get_as(name)
    }

    /// A required `uint8`.
    pub fn get_u8(&self, name: &str) -> Result<u8> {
        self.get_as(name)
    }

    /// A required `uint16`.
    pub fn get_u16(&self, name: &str) -> Result<u16> {
        self.get_as(name)
    }

    /// A required `uint32`.
    pub fn get_u32(&self, name: &str) -> Result<u32> {
        self.get_as(name)
    }

    /// A required `uint64`.
    pub fn get_u64(&self, name: &str) -> Result<u64> {
        self.get_as(name)
    }

    /// A required point in time.
    pub fn get_datetime(&self, name: &str) -> Result<DateTime> {
        self.get_as(name)
    }

    /// A required length of time.
    pub fn get_interval(&self, name: &str) -> Result<Interval> {
        self.get_as(name)
    }

    /// A required reference; text is read as an object path.
    pub fn get_reference(&self, name: &str) -> Result<Reference> {
        self.get_as(name)
    }

    /// A required embedded instance.
    pub fn get_embedded(&self, name: &str) -> Result<Instance> {
        self.get_as(name)
    }

    /// The reference to this instance, given the names of its class's keys.
    pub fn reference(&self, keys: &[&str]) -> Result<Reference> {
        let mut reference = Reference::new(&self.namespace, &self.class);
        for key in keys {
            reference.set_key(*key, self.get_str(key)?);
        }
        Ok(reference)
    }

    fn position(&self, name: &str) -> std::result::Result<usize, usize> {
        self.properties.binary_search_by(|(known, _)| compare_names(known, name))
    }

    /// The value, with an array of exactly one element seen as that element.
    fn scalar(&self, name: &str) -> Option<&Value> {
        match self.get(name) {
            Some(Value::Array(values)) if values.len() == 1 => values.first(),
            other => other,
        }
    }

    fn wrong(&self, name: &str, wanted: &'static str, found: Option<&Value>) -> Error {
        let found = match found {
            None => "nothing".to_owned(),
            Some(Value::Text(text)) => format!("the text {:?}", shortened(text)),
            Some(value) => value.kind().to_owned(),
        };
        Error::Property { class: self.class.clone(), property: name.to_owned(), wanted, found }
    }
}

/// Up to 60 characters of a text from outside, for error texts.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let mut short: String = text.chars().take(SHOWN_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
