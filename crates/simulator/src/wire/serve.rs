//! The host on a TCP port, and connections that can be made to break.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use winremote::wsman::server::{Server, ServerOptions};

use super::provider::HostProvider;
use crate::error::{Error, Result};
use crate::host::SimulatedHost;

/// A host that answers on the network until it is shut down or dropped.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Served {
    /// The address for clients.
    pub fn url(&self) -> String {
        format!("http://{}/wsman", self.addr)
    }

    /// Stops answering; open connections are closed.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

impl SimulatedHost {
    /// Answers WS-Management on an address; port 0 takes a free one. Merges that a stopped host left go on.
    pub async fn serve(&self, addr: SocketAddr) -> Result<Served> {
        self.serve_with(addr, ServerOptions::default()).await
    }

    /// The same with other limits of the WinRM service.
    pub async fn serve_with(&self, addr: SocketAddr, options: ServerOptions) -> Result<Served> {
        let cannot = |error: io::Error| Error::Refused {
            doing: "listen on the network",
            why: format!("{addr}: {error}"),
        };
        let listener = TcpListener::bind(addr).await.map_err(cannot)?;
        let addr = listener.local_addr().map_err(cannot)?;
        self.resume_merges();
        let options = ServerOptions { machine: self.name(), ..options };
        let server = Arc::new(Server::new(Arc::new(HostProvider::new(Arc::clone(self.core()))), options));
        let (stop, stopped) = watch::channel(false);
        let cut = Arc::clone(&self.core().cut);
        let task = tokio::spawn(accept(listener, server, cut, stopped));
        tracing::info!(%addr, host = %self.name(), "simulated host is answering");
        Ok(Served { addr, stop, task })
    }
}

async fn accept(
    listener: TcpListener,
    server: Arc<Server<HostProvider>>,
    cut: Arc<AtomicU64>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let stream = CuttableStream { stream, began: cut.load(Ordering::SeqCst), cut: Arc::clone(&cut) };
                let server = Arc::clone(&server);
                connections.spawn(async move { server.serve_stream(Box::new(stream)).await });
            }
        }
    }
    connections.shutdown().await;
}

/// A connection that fails once the host's connections were cut.
struct CuttableStream {
    stream: TcpStream,
    began: u64,
    cut: Arc<AtomicU64>,
}

impl CuttableStream {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::SeqCst) == self.began {
            Ok(())
        } else {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(context, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
