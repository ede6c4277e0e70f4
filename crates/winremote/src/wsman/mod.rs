//! WS-Management: what client and server half have in common, and the two halves.

pub mod client;
mod endpoint;
mod enumerate;
mod envelope;
mod fault;
mod identify;
mod invoke;
mod names;
pub mod server;
mod values;
pub mod wql;

use crate::cim::{Instance, Value};

pub use fault::{Fault, ProviderFault, code};

/// One parameter of a method. `Value` has `From` for all that is needed: `32768u16.into()`, `reference.into()`,
/// `instance.into()` (sent as escaped CIM-XML), `vec![instance].into()`, `vec!["a", "b"].into()`.
pub type Argument = Value;

/// For calls of methods that take no parameters.
pub const NO_ARGUMENTS: [(&str, Argument); 0] = [];

/// What a host says of itself before anyone signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `Microsoft Corporation`.
    pub product_vendor: String,
    /// `OS: 10.0.20348 SP: 0.0 Stack: 3.0`; zeros in place of the OS when not signed in.
    pub product_version: String,
    /// The WS-Management schema.
    pub protocol_version: String,
}

impl Identity {
    /// A Windows host of this version (`10.0.20348`).
    pub fn windows(os_version: &str) -> Self {
        Self {
            product_vendor: "Microsoft Corporation".to_owned(),
            product_version: format!("OS: {os_version} SP: 0.0 Stack: 3.0"),
            protocol_version: "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd".to_owned(),
        }
    }

    /// The number after `OS:`; `None` when missing or hidden from callers who are not signed in.
    pub fn os_version(&self) -> Option<&str> {
        let version = self.product_version.split_once("OS:")?.1.split_whitespace().next()?;
        (version != "0.0.0").then_some(version)
    }
}

/// The result of a method.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// `ReturnValue`; 0 when the method has none, since such methods report failures as faults.
    pub return_value: u32,
    /// All other output parameters, under the class `Method_OUTPUT`.
    pub values: Instance,
}

impl Output {
    /// A result without further parameters.
    pub fn new(return_value: u32) -> Self {
        Self { return_value, values: Instance::default() }
    }

    /// The same result with one more parameter; for building.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.values.set(name, value);
        self
    }
}
