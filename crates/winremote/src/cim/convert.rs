//! From a value to the Rust type that the caller expects, whether the value is typed or still text from the wire.

use super::{DateTime, Instance, Interval, Reference, Value, embedded};

/// A Rust type that a CIM value can be read as.
pub trait FromValue: Sized {
    /// What the caller wanted, for error texts (`uint16`).
    const WANTED: &'static str;

    /// The value as this type; `None` when it is something else. Never called with null.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! whole_number {
    ($($kind:ty => $wanted:literal),* $(,)?) => {
        $(impl FromValue for $kind {
            const WANTED: &'static str = $wanted;

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::U8(number) => (*number).try_into().ok(),
                    Value::U16(number) => (*number).try_into().ok(),
                    Value::U32(number) => (*number).try_into().ok(),
                    Value::U64(number) => (*number).try_into().ok(),
                    Value::I8(number) => (*number).try_into().ok(),
                    Value::I16(number) => (*number).try_into().ok(),
                    Value::I32(number) => (*number).try_into().ok(),
                    Value::I64(number) => (*number).try_into().ok(),
                    Value::Text(text) => text.trim().parse().ok(),
                    _ => None,
                }
            }
        })*
    };
}

whole_number! {
    u8 => "uint8", u16 => "uint16", u32 => "uint32", u64 => "uint64",
    i8 => "sint8", i16 => "sint16", i32 => "sint32", i64 => "sint64",
}

impl FromValue for bool {
    const WANTED: &'static str = "boolean";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(truth) => Some(*truth),
            Value::Text(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
            Value::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}

impl FromValue for f64 {
    const WANTED: &'static str = "real64";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Real(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

impl FromValue for String {
    const WANTED: &'static str = "string";

    fn from_value(value: &Value) -> Option<Self> {
        value.as_text().map(str::to_owned)
    }
}

impl FromValue for DateTime {
    const WANTED: &'static str = "datetime";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::DateTime(moment) => Some(*moment),
            Value::Text(text) => DateTime::parse_iso(text).or_else(|| DateTime::parse_cim(text)),
            _ => None,
        }
    }
}

impl FromValue for Interval {
    const WANTED: &'static str = "interval";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Interval(interval) => Some(*interval),
            Value::Text(text) => Interval::parse_iso(text).or_else(|| Interval::parse_cim(text)),
            _ => None,
        }
    }
}

impl FromValue for Reference {
    const WANTED: &'static str = "reference";

    /// Also reads WMI object paths, since string properties such as `Parent` carry references as text.
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Reference(reference) => Some(reference.clone()),
            Value::Text(text) => Reference::parse_object_path(text).ok(),
            _ => None,
        }
    }
}

impl FromValue for Instance {
    const WANTED: &'static str = "embedded instance";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Embedded(instance) => Some((**instance).clone()),
            Value::Text(text) => embedded::decode(text).ok(),
            _ => None,
        }
    }
}
