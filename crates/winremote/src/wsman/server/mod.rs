//! The server half: what a Windows host does on the wire, with the meaning left to a [`Provider`].
//!
//! It is as strict as WinRM is known to be and shows the same quirks: one item in the first reply of an optimised
//! enumeration, a new context with every reply, `xsi:nil` for empty arrays, references without wrapper, faults with
//! HTTP status 500. Layers: `http` (connections, sign-in) → `dispatch` (header checks, time-out, envelope size) →
//! `requests` (one function for each operation) → the provider. Known limits: sign-in is Basic only, references are never
//! returned in place of objects, and there is neither Put, Create nor Delete.

mod dispatch;
mod enumerations;
mod http;
mod provider;
mod requests;

use std::sync::Arc;

use tokio::net::TcpListener;

pub use provider::{Provider, ServerOptions};

use crate::connector::{MemoryListener, Stream};
use enumerations::Enumerations;

/// A server; clones share its enumerations.
pub struct Server<P> {
    shared: Arc<Shared<P>>,
}

struct Shared<P> {
    provider: Arc<P>,
    options: ServerOptions,
    enumerations: Enumerations,
}

impl<P> Clone for Server<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<P: Provider> Server<P> {
    /// A server for the provider.
    pub fn new(provider: Arc<P>, options: ServerOptions) -> Self {
        let enumerations = Enumerations::new(options.enumeration_timeout);
        Self { shared: Arc::new(Shared { provider, options, enumerations }) }
    }

    /// Serves connections until `shutdown` resolves; requests under way are finished first.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        http::serve(self.clone(), listener, shutdown).await;
    }

    /// Serves the connections of an in-memory connector until that is dropped.
    pub async fn serve_memory(&self, mut listener: MemoryListener) {
        while let Some(stream) = listener.accept().await {
            let server = self.clone();
            tokio::spawn(async move { server.serve_stream(stream).await });
        }
    }

    /// Serves one stream until it is closed.
    pub async fn serve_stream(&self, stream: impl Stream + 'static) {
        http::serve_connection(self.clone(), stream, std::future::pending()).await;
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
