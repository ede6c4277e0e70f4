//! The server half: what a Windows host does on the wire, with the meaning left to a [`Provider`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::wql::Query;
use super::{Fault, Identity, Output};
use crate::cim::{Instance, Reference};
use crate::connector::Stream;

/// The meaning behind a server: its objects and methods. Implement with `async fn`.
pub trait Provider: Send + Sync + 'static {
    /// What the host says of itself.
    fn identify(&self) -> Identity;

    /// Whether this user with this password may sign in.
    fn authenticate(&self, user: &str, password: &str) -> bool;

    /// One object. Unknown objects are [`Fault::wmi`] with `WBEM_NOT_FOUND`, selectors that are no keys
    /// `INVALID_SELECTORS`. `target.namespace` is always set, `target.host` never.
    fn get(&self, target: &Reference) -> impl Future<Output = Result<Instance, Fault>> + Send;

    /// The instances that a query names, whole: the server cuts them down to the selected columns itself.
    /// A plain enumeration of a class arrives as `select * from Class`.
    fn query(
        &self,
        namespace: &str,
        query: &Query,
    ) -> impl Future<Output = Result<Vec<Instance>, Fault>> + Send;

    /// Calls a method. Arguments are untyped text, references (without namespace only if the sender left it out),
    /// arrays where an element stands repeated; the typed getters of `Instance` read them, `get_embedded` and
    /// `get_array::<Instance>` the CIM-XML ones.
    fn invoke(
        &self,
        target: &Reference,
        method: &str,
        arguments: &Instance,
    ) -> impl Future<Output = Result<Output, Fault>> + Send;
}

/// How a server behaves; the default is a Windows Server as it comes.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// `MaxEnvelopeSizekb`, in bytes.
    pub max_envelope_bytes: u32,
    /// `MaxBatchItems`.
    pub batch_items_max: u32,
    /// Items in the first reply of an optimised enumeration; hosts often send one whatever was asked.
    pub first_reply_items: usize,
    /// `EnumerationTimeoutms`: contexts that are not pulled for so long are gone.
    pub enumeration_timeout: Duration,
    /// `MaxTimeoutms`: longer `OperationTimeout`s are cut to this.
    pub operation_timeout_max: Duration,
    /// `MaxConnections`.
    pub connections_max: usize,
    /// The machine's name in faults.
    pub machine: String,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_envelope_bytes: 512_000,
            batch_items_max: 32_000,
            first_reply_items: 1,
            enumeration_timeout: Duration::from_secs(60),
            operation_timeout_max: Duration::from_secs(60),
            connections_max: 300,
            machine: "localhost".to_owned(),
        }
    }
}

/// A server; clones share its enumerations.
pub struct Server<P> {
    provider: Arc<P>,
    options: Arc<ServerOptions>,
}

impl<P: Provider> Server<P> {
    /// A server for the provider.
    pub fn new(provider: Arc<P>, options: ServerOptions) -> Self {
        Self { provider, options: Arc::new(options) }
    }

    /// Serves connections until `shutdown` resolves; requests under way are finished first.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        let _ = (&self.provider, &self.options, listener);
        shutdown.await;
    }

    /// Serves one stream until it is closed.
    pub async fn serve_stream(&self, stream: Box<dyn Stream>) {
        let _ = stream;
    }
}

/// Serves connections with the default options until `shutdown` resolves.
pub async fn serve<P: Provider>(
    listener: TcpListener,
    provider: Arc<P>,
    shutdown: impl Future<Output = ()> + Send,
) {
    Server::new(provider, ServerOptions::default()).serve(listener, shutdown).await;
}
