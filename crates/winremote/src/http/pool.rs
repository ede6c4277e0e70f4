//! A few connections to one host, kept open between requests.
//!
//! Each carries one request at a time, so the number of connections bounds the requests under way. Hosts close idle
//! connections after two minutes; ours are dropped earlier, so that a request seldom meets a connection that is just
//! being closed. When it does, the pool repeats it only if nothing had gone out, or if the caller said that a repeat
//! is harmless.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::connection::{Broken, Connection, Post, Reply};
use super::endpoint::Endpoint;
use crate::connector::Connector;
use crate::wsman::client::Credentials;

/// Well below the 120 s after which http.sys closes a connection.
const IDLE_MAX: Duration = Duration::from_secs(45);
/// A host on the same network answers within milliseconds; this covers a lost packet or two on a slow line.
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// The connections of one client.
pub(crate) struct Pool {
    connector: Arc<dyn Connector>,
    endpoint: Endpoint,
    credentials: Credentials,
    permits: Semaphore,
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl Pool {
    pub(crate) fn new(
        connector: Arc<dyn Connector>,
        endpoint: Endpoint,
        credentials: Credentials,
        connections_max: usize,
    ) -> Self {
        let permits = Semaphore::new(connections_max.max(1));
        Self { connector, endpoint, credentials, permits, idle: Mutex::default() }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Posts a message over an idle or a new connection. `None` when the deadline passed after it had gone out;
    /// before that a passed deadline is [`Broken::NotReachable`].
    pub(crate) async fn exchange(
        &self,
        post: &Post,
        repeatable: bool,
        within: Duration,
    ) -> Option<Result<Reply, Broken>> {
        let _permit = self.permits.acquire().await.ok()?;
        while let Some(connection) = self.take_idle() {
            match self.exchange_over(connection, post, within).await? {
                Err(Broken::NotSent(_)) => {}
                Err(Broken::Lost(_)) if repeatable => self.forget_idle(),
                done => return Some(done),
            }
        }
        match self.connect(within).await {
            Ok(connection) => self.exchange_over(connection, post, within).await,
            Err(error) => Some(Err(Broken::NotReachable(error))),
        }
    }

    async fn exchange_over(
        &self,
        mut connection: Connection,
        post: &Post,
        within: Duration,
    ) -> Option<Result<Reply, Broken>> {
        let result = tokio::time::timeout(within, connection.exchange(&self.endpoint, post)).await.ok()?;
        if result.is_ok() && connection.is_open() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((connection, Instant::now()));
        }
        Some(result)
    }

    async fn connect(&self, within: Duration) -> std::io::Result<Connection> {
        let open = async { Connection::open(self.connector.connect().await?, &self.credentials).await };
        let within = within.min(CONNECT_MAX);
        tokio::time::timeout(within, open).await.unwrap_or_else(|_| {
            let text = format!("no connection within {:.1} s", within.as_secs_f64());
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
        })
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(connection, since)| connection.is_open() && since.elapsed() < IDLE_MAX);
        idle.pop().map(|(connection, _)| connection)
    }

    /// One connection closed by the host means the others are likely gone too.
    fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
