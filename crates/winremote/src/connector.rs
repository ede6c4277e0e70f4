//! The network seam: a connector turns "the host" into a stream of bytes.
//!
//! The client asks for streams one at a time and speaks HTTP over each. TCP is one connector, an in-memory pipe for
//! tests another; TLS and proxies come as connectors of their own and say so through [`Connector::privacy`].

use std::io;
use std::net::IpAddr;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A two-way stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Who could read what goes over a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Anyone on the network.
    Open,
    /// Nobody beyond this machine.
    SameMachine,
    /// Nobody, because the stream is encrypted and the host's identity checked.
    Encrypted,
}

/// Makes streams to one host.
pub trait Connector: Send + Sync {
    /// A new stream to the host.
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;

    /// Who could read what goes over these streams; decides whether a password may be sent as it is.
    fn privacy(&self) -> Privacy;
}

/// Streams over plain TCP.
#[derive(Clone, Debug)]
pub struct TcpConnector {
    host: String,
    port: u16,
}

impl TcpConnector {
    /// Connects to a host name or address.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// A name other than `localhost` may resolve to anything, so only literal loopback addresses count.
    fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    async fn open(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        if self.is_loopback() && !stream.peer_addr()?.ip().is_loopback() {
            return Err(io::Error::other("localhost does not lead to this machine"));
        }
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Connector for TcpConnector {
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Ok(Box::new(self.open().await?) as Box<dyn Stream>) })
    }

    fn privacy(&self) -> Privacy {
        if self.is_loopback() { Privacy::SameMachine } else { Privacy::Open }
    }
}

/// Bytes in flight each way in an in-memory stream; about what a socket holds.
const MEMORY_STREAM_BYTES: usize = 64 * 1024;

/// Streams inside this process, for tests that must not depend on the network or the clock.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    far_ends: mpsc::UnboundedSender<DuplexStream>,
}

/// The other side of a [`MemoryConnector`].
#[derive(Debug)]
pub struct MemoryListener {
    far_ends: mpsc::UnboundedReceiver<DuplexStream>,
}

/// A connector and the listener that its streams lead to.
pub fn memory() -> (MemoryConnector, MemoryListener) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (MemoryConnector { far_ends: sender }, MemoryListener { far_ends: receiver })
}

impl MemoryListener {
    /// The far end of the next stream; none once every connector is gone.
    pub async fn accept(&mut self) -> Option<DuplexStream> {
        self.far_ends.recv().await
    }
}

impl Connector for MemoryConnector {
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async {
            let (near, far) = tokio::io::duplex(MEMORY_STREAM_BYTES);
            self.far_ends.send(far).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }

    fn privacy(&self) -> Privacy {
        Privacy::SameMachine
    }
}
