//! From the host's plain numbers to CIM values.

use std::time::Duration;

use winremote::cim::{DateTime, Interval, Value};

/// A point in time; null beyond what CIM can write.
pub(crate) fn date_time(unix_ms: u64) -> Option<DateTime> {
    let micros = i64::try_from(unix_ms).ok()?.checked_mul(1000)?;
    DateTime::from_unix_micros(micros)
}

/// The value of a `datetime` property that is a point in time.
pub(crate) fn moment(unix_ms: u64) -> Value {
    date_time(unix_ms).into()
}

/// The value of a `datetime` property that is a length of time.
pub(crate) fn length(duration: Duration) -> Value {
    u64::try_from(duration.as_micros()).ok().and_then(Interval::from_micros).into()
}

/// A list of texts as an array value.
pub(crate) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Value {
    Value::Array(texts.into_iter().map(|text| Value::Text(text.into())).collect())
}

/// A text that a client gave for a property, as a value of the declared type; null when it does not fit.
pub(crate) fn typed(kind: &str, text: &str) -> Value {
    match kind {
        "boolean" => text.to_lowercase().parse::<bool>().ok().into(),
        "uint8" => text.parse::<u8>().ok().into(),
        "uint16" => text.parse::<u16>().ok().into(),
        "uint32" => text.parse::<u32>().ok().into(),
        "uint64" => text.parse::<u64>().ok().into(),
        "sint16" => text.parse::<i16>().ok().into(),
        "datetime" => match (Interval::parse_cim(text), DateTime::parse_cim(text)) {
            (Some(interval), _) => interval.into(),
            (None, moment) => moment.into(),
        },
        _ => text.into(),
    }
}

/// The text that [`typed`] reads back; nothing for null and for what is not a scalar.
pub(crate) fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(truth) => truth.to_string(),
        Value::U8(number) => number.to_string(),
        Value::U16(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::I8(number) => number.to_string(),
        Value::I16(number) => number.to_string(),
        Value::I32(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::DateTime(moment) => moment.to_cim(),
        Value::Interval(interval) => interval.to_cim(),
        Value::Null | Value::Reference(_) | Value::Embedded(_) | Value::Array(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_setting_comes_back_with_its_type() {
        let given = [
            ("boolean", Value::Bool(true)),
            ("uint16", Value::U16(3)),
            ("string", Value::Text("x".into())),
            ("datetime", Interval::from_micros(90_000_000).into()),
        ];
        for (kind, value) in given {
            assert_eq!(typed(kind, &plain(&value).unwrap()), value);
        }
        assert_eq!(typed("uint16", "many"), Value::Null);
    }
}
