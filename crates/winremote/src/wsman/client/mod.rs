//! The client: typed operations against one host.

mod options;

use std::sync::Arc;

pub use options::{ClientOptions, Credentials, Password};

use super::{Argument, Identity, Output};
use crate::cim::{Instance, Reference};
use crate::connector::Connector;
use crate::error::{Error, Result};

/// A client of one host. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    connector: Arc<dyn Connector>,
    options: Arc<ClientOptions>,
}

impl Client {
    /// A client over streams of the connector. Nothing is sent yet.
    pub fn new(connector: Arc<dyn Connector>, options: ClientOptions) -> Result<Self> {
        let _ = connector.privacy();
        Ok(Self { connector, options: Arc::new(options) })
    }

    /// A client over TCP to the host and port of the address (`http://hv1:5985/wsman`).
    pub fn over_tcp(options: ClientOptions) -> Result<Self> {
        Err(unfinished(&options))
    }

    /// What the host says of itself, signed in.
    pub async fn identify(&self) -> Result<Identity> {
        let _ = &self.connector;
        Err(unfinished(&self.options))
    }

    /// What the host says of itself to anyone; tells "nobody there" from "wrong password".
    pub async fn identify_unauthenticated(&self) -> Result<Identity> {
        Err(unfinished(&self.options))
    }

    /// One object.
    pub async fn get(&self, _target: &Reference) -> Result<Instance> {
        Err(unfinished(&self.options))
    }

    /// All instances that a WQL query names. An empty namespace means the default one.
    pub async fn query(&self, _namespace: &str, _wql: &str) -> Result<Vec<Instance>> {
        Err(unfinished(&self.options))
    }

    /// All instances of one class, without a query.
    pub async fn enumerate(&self, _namespace: &str, _class: &str) -> Result<Vec<Instance>> {
        Err(unfinished(&self.options))
    }

    /// Objects associated with the source, by `associators of {…}`. Empty class names do not narrow.
    pub async fn associators(
        &self,
        _source: &Reference,
        _assoc_class: &str,
        _result_class: &str,
    ) -> Result<Vec<Instance>> {
        Err(unfinished(&self.options))
    }

    /// Calls a method. An error whose [`Error::may_have_run`] is true must not lead to the same call again before its
    /// effect was looked for.
    pub async fn invoke<N: Into<String>>(
        &self,
        _target: &Reference,
        _method: &str,
        _arguments: impl IntoIterator<Item = (N, Argument)>,
    ) -> Result<Output> {
        Err(unfinished(&self.options))
    }
}

fn unfinished(options: &ClientOptions) -> Error {
    Error::Endpoint { url: options.url.clone(), reason: "not there yet".to_owned() }
}
