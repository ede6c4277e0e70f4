//! The host on the wire: its objects as CIM instances, its methods, and the WS-Management server in front of them.

mod arguments;
mod associations;
mod instances;
mod methods;
pub(crate) mod names;
mod provider;
pub(crate) mod schema;
mod serve;
pub(crate) mod values;

pub use serve::Served;
