//! One CIM value, typed when we made it and plain text when the wire gave it.

use super::{DateTime, Instance, Interval, Reference, embedded};

/// A value of a property or of a method parameter.
///
/// Method parameters are made with the `From` conversions: `32768u16.into()`, `reference.into()`, `"text".into()`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value (`xsi:nil`). An empty string is [`Value::Text`], not null.
    Null,
    /// CIM `boolean`.
    Bool(bool),
    /// CIM `uint8`.
    U8(u8),
    /// CIM `uint16`.
    U16(u16),
    /// CIM `uint32`.
    U32(u32),
    /// CIM `uint64`.
    U64(u64),
    /// CIM `sint8`.
    I8(i8),
    /// CIM `sint16`.
    I16(i16),
    /// CIM `sint32`.
    I32(i32),
    /// CIM `sint64`.
    I64(i64),
    /// CIM `real32` or `real64`.
    Real(f64),
    /// CIM `string`, and any scalar read from the wire, where types are not told.
    Text(String),
    /// CIM `datetime`, a point in time.
    DateTime(DateTime),
    /// CIM `datetime`, a length of time.
    Interval(Interval),
    /// A reference (`REF`) to another object.
    Reference(Reference),
    /// An instance inside a value; on the wire CIM-XML text in a string property.
    Embedded(Box<Instance>),
    /// An array. Empty arrays travel as null; a one-element array read from the wire looks like its element.
    Array(Vec<Value>),
}

impl Value {
    /// True for [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text, when this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a scalar that reads the same in every form on the wire: numbers, booleans in lower case, text,
    /// and embedded instances as CIM-XML. None for null, arrays and what each form writes in its own way.
    pub(crate) fn plain_text(&self) -> Option<String> {
        match self {
            Self::Bool(truth) => Some(truth.to_string()),
            Self::U8(number) => Some(number.to_string()),
            Self::U16(number) => Some(number.to_string()),
            Self::U32(number) => Some(number.to_string()),
            Self::U64(number) => Some(number.to_string()),
            Self::I8(number) => Some(number.to_string()),
            Self::I16(number) => Some(number.to_string()),
            Self::I32(number) => Some(number.to_string()),
            Self::I64(number) => Some(number.to_string()),
            Self::Real(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::Embedded(instance) => Some(embedded::encode(instance)),
            Self::Null | Self::DateTime(_) | Self::Interval(_) | Self::Reference(_) | Self::Array(_) => None,
        }
    }

    /// What this is, in a word, for error texts.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::U8(_) | Self::U16(_) | Self::U32(_) | Self::U64(_) => "an unsigned number",
            Self::I8(_) | Self::I16(_) | Self::I32(_) | Self::I64(_) => "a signed number",
            Self::Real(_) => "a real number",
            Self::Text(_) => "text",
            Self::DateTime(_) => "a date",
            Self::Interval(_) => "an interval",
            Self::Reference(_) => "a reference",
            Self::Embedded(_) => "an embedded instance",
            Self::Array(_) => "an array",
        }
    }
}

macro_rules! value_from {
    ($($kind:ty => $variant:ident),* $(,)?) => {
        $(impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

value_from! {
    bool => Bool, u8 => U8, u16 => U16, u32 => U32, u64 => U64, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    f64 => Real, String => Text, DateTime => DateTime, Interval => Interval, Reference => Reference,
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&Reference> for Value {
    fn from(value: &Reference) -> Self {
        Self::Reference(value.clone())
    }
}

impl From<Instance> for Value {
    fn from(value: Instance) -> Self {
        Self::Embedded(Box::new(value))
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::Array(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
