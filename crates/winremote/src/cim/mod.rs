//! CIM as data: values, instances and references, and the text forms that WMI gives them.
//!
//! Replies of WS-Management carry no types (`<p:X>2</p:X>` may be a string, a number or an array of one), so values
//! read from the wire stay [`Value::Text`] until a typed getter of [`Instance`] asks for what the caller knows to be
//! there. Values made by us carry their type, because CIM-XML needs it. Follows DSP0004 (meta model, datetime),
//! DSP0201 (CIM-XML) and DSP0230 (WS-CIM mapping).

mod convert;
pub mod datetime;
pub mod embedded;
mod instance;
mod name;
mod object_path;
mod reference;
mod value;

pub use convert::FromValue;
pub use datetime::{DateTime, Interval};
pub use instance::Instance;
pub use reference::Reference;
pub use value::Value;

pub(crate) use name::{compare_names, same_name};
