//! XML as SOAP needs it: a bounded reader into an element tree with resolved namespaces, and a writer.
//!
//! quick-xml cuts the text into events; everything that decides what is accepted is here: no document type, no
//! entities but the five of XML, no processing instructions, and limits on bytes, depth, elements and attributes, all
//! checked before memory is taken. A tree instead of a pull parser, because envelopes are small (500 KB) and the order
//! of header, fault and body differs between hosts.

mod reader;
mod tree;
mod writer;

pub(crate) use reader::{Limits, parse, text_of_bytes};
pub(crate) use tree::Element;
pub(crate) use writer::Writer;
