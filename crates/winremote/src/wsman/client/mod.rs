//! The client: typed operations against one host.
//!
//! ```no_run
//! # async fn example() -> winremote::Result<()> {
//! use winremote::wsman::client::{Client, ClientOptions, Credentials};
//!
//! let options = ClientOptions::new("http://127.0.0.1:5985/wsman", Credentials::basic("admin", "secret"));
//! let client = Client::over_tcp(options)?;
//! let systems = client.query("root/cimv2", "select * from Win32_ComputerSystem").await?;
//! println!("{}", systems[0].get_str("Name")?);
//! # Ok(())
//! # }
//! ```

mod exchange;
mod operations;
mod options;

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::connector::{Connector, Privacy, TcpConnector};
use crate::error::{Error, Result};
use crate::http::{Endpoint, Pool};

pub use options::{ClientOptions, Credentials, Password};

/// A client of one host. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    options: ClientOptions,
    session_id: String,
}

impl Client {
    /// A client over streams of the connector. Nothing is sent yet. Refuses to let a password be read on the way.
    pub fn new(connector: Arc<dyn Connector>, options: ClientOptions) -> Result<Self> {
        let endpoint = Endpoint::parse(&options.url)?;
        let privacy = connector.privacy();
        let fail = |reason: &str| Error::Endpoint { url: endpoint.url.clone(), reason: reason.to_owned() };
        if endpoint.https && privacy != Privacy::Encrypted {
            return Err(fail("https needs an encrypted connection, which is not available here"));
        }
        options.credentials.check()?;
        if privacy == Privacy::Open && !options.allow_basic_over_http {
            return Err(Error::UnsafeSignIn { host: endpoint.authority });
        }
        let pool = Pool::new(connector, endpoint, options.credentials.clone(), options.connections_max);
        let session_id = format!("uuid:{}", Uuid::new_v4());
        Ok(Self { inner: Arc::new(Inner { pool, options, session_id }) })
    }

    /// A client over TCP to host and port of the address.
    pub fn over_tcp(options: ClientOptions) -> Result<Self> {
        let endpoint = Endpoint::parse(&options.url)?;
        Self::new(Arc::new(TcpConnector::new(endpoint.host, endpoint.port)), options)
    }

    /// Host and port, as error texts name it.
    pub fn address(&self) -> &str {
        &self.inner.pool.endpoint().authority
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("options", &self.inner.options).finish_non_exhaustive()
    }
}
