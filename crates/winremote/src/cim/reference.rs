//! A reference names one object: namespace, class and keys.
//!
//! Keys are kept as text, since both selectors and object paths carry them so. On the wire a reference is an endpoint
//! reference (see `wsman::endpoint`), in string properties an object path (see `object_path`).

use std::fmt;

use super::{compare_names, object_path, same_name};
use crate::error::Result;

/// The name of one object on a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Host in an object path (`\\HV1\…`); none in relative paths and in most endpoint references.
    pub host: Option<String>,
    /// Namespace with forward slashes (`root/virtualization/v2`); empty means the connection's default.
    pub namespace: String,
    /// Class name.
    pub class: String,
    keys: Vec<(String, String)>,
}

impl Reference {
    /// A reference without keys yet: the class itself, or its only instance.
    pub fn new(namespace: impl Into<String>, class: impl Into<String>) -> Self {
        Self { host: None, namespace: namespace.into(), class: class.into(), keys: Vec::new() }
    }

    /// The same reference with one more key; for building.
    #[must_use]
    pub fn with_key(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set_key(name, value);
        self
    }

    /// The same reference naming a host.
    #[must_use]
    pub fn on_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets a key, replacing the value it had.
    pub fn set_key(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        match self.keys.binary_search_by(|(known, _)| compare_names(known, &name)) {
            Ok(at) => self.keys[at].1 = value.into(),
            Err(at) => self.keys.insert(at, (name, value.into())),
        }
    }

    /// The value of a key.
    pub fn key(&self, name: &str) -> Option<&str> {
        let at = self.keys.binary_search_by(|(known, _)| compare_names(known, name)).ok()?;
        Some(&self.keys[at].1)
    }

    /// Keys in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Number of keys.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// True when the reference names this class.
    pub fn is_class(&self, class: &str) -> bool {
        same_name(&self.class, class)
    }

    /// True when both name the same object on one host: names compare without case, the host is left out, and a
    /// missing namespace equals any.
    pub fn same_object(&self, other: &Self) -> bool {
        let namespaces = self.namespace.is_empty()
            || other.namespace.is_empty()
            || self.namespace.eq_ignore_ascii_case(&other.namespace);
        namespaces
            && same_name(&self.class, &other.class)
            && self.keys.len() == other.keys.len()
            && self.keys.iter().zip(&other.keys).all(|(a, b)| same_name(&a.0, &b.0) && a.1 == b.1)
    }

    /// Reads `\\HOST\root\virtualization\v2:Class.Key="value"`, and the shorter forms without host or namespace.
    pub fn parse_object_path(text: &str) -> Result<Self> {
        object_path::parse(text)
    }

    /// The object path, with as much of host and namespace as is known. Backslashes and quotes in keys are doubled
    /// and escaped as WMI does.
    pub fn to_object_path(&self) -> String {
        object_path::format(self)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_object_path())
    }
}
