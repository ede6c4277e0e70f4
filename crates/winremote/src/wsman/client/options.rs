//! What a client needs to know: where, as whom, and within which limits.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Settings of one client.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The host's address, `http://hv1:5985/wsman`; also the `To` header.
    pub url: String,
    /// Who signs in.
    pub credentials: Credentials,
    /// Namespace of references and queries that name none.
    pub namespace: String,
    /// The largest reply asked for. Hosts allow 512,000 bytes unless told otherwise, and cut larger wishes.
    pub max_envelope_bytes: u32,
    /// How long one request may take on the host. Hosts cut it at 60 s.
    pub timeout: Duration,
    /// Connections to the host at most; each carries one request at a time.
    pub connections_max: usize,
    /// Instances that one query may return at most.
    pub items_max: usize,
    /// Allows Basic sign-in over plain HTTP to other machines, where anyone on the way can read the password.
    pub allow_basic_over_http: bool,
}

impl ClientOptions {
    /// The usual settings for an address.
    pub fn new(url: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            url: url.into(),
            credentials,
            namespace: "root/virtualization/v2".to_owned(),
            max_envelope_bytes: 512_000,
            timeout: Duration::from_secs(60),
            connections_max: 4,
            items_max: 1_000_000,
            allow_basic_over_http: false,
        }
    }
}

/// Who signs in, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// HTTP Basic with a local account of the host.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: Password,
    },
}

impl Credentials {
    /// Basic sign-in.
    pub fn basic(user: impl Into<String>, password: impl Into<Password>) -> Self {
        Self::Basic { user: user.into(), password: password.into() }
    }

    /// Basic sign-in separates user and password by the first colon (RFC 7617).
    pub(crate) fn check(&self) -> Result<()> {
        let Self::Basic { user, password } = self;
        let fail = |reason: &str| Err(Error::Credentials { user: user.clone(), reason: reason.to_owned() });
        if user.is_empty() {
            fail("it has no user name")
        } else if user.contains(':') {
            fail("its user name contains a colon")
        } else if user.chars().chain(password.reveal().chars()).any(char::is_control) {
            fail("it contains control characters")
        } else {
            Ok(())
        }
    }

    /// The user's name, for error texts.
    pub fn user(&self) -> &str {
        match self {
            Self::Basic { user, .. } => user,
        }
    }
}

/// A password: wiped from memory when dropped, and never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// The text, for the sign-in itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl From<Zeroizing<String>> for Password {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}
