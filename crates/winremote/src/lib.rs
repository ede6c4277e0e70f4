//! WS-Management and CIM for Windows hosts: codec, client, and the server half that a simulated host uses.
//!
//! | module | what |
//! |---|---|
//! | [`cim`] | values, instances, references and their text forms |
//! | [`wsman`] | envelopes, operations, faults, WQL; [`wsman::client`] and [`wsman::server`] |
//! | [`connector`] | the network seam: a host to a stream of bytes |
//! | `http` | one HTTP/1.1 exchange over a small pool of such streams |
//! | `xml` | a bounded reader and a writer |
//!
//! Nothing here knows Hyper-V: classes and methods are text. The life of a call: `Client` builds an envelope
//! (`wsman::envelope`), `http` carries it over a connection of the pool, the reply is read into an element tree with
//! limits, checked (`RelatesTo`, fault, action) and turned into [`cim::Instance`]s.

pub mod cim;
pub mod connector;
pub mod error;
mod http;
pub mod wsman;
mod xml;

pub use error::{Error, Result, Retry};
