//! Sign-in on one connection.
//!
//! Basic has no state, but the schemes to come do (an NTLM handshake and its sealing keys belong to one connection),
//! so each connection holds its own [`SignIn`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use crate::wsman::client::Credentials;

/// The sign-in of one connection.
#[derive(Debug)]
pub(super) struct SignIn {
    credentials: Credentials,
}

impl SignIn {
    pub(super) fn new(credentials: &Credentials) -> Self {
        Self { credentials: credentials.clone() }
    }

    /// Adds what this request needs; the error says why it cannot.
    pub(super) fn sign(&mut self, headers: &mut HeaderMap) -> Result<(), &'static str> {
        match &self.credentials {
            Credentials::Basic { user, password } => {
                headers.insert(AUTHORIZATION, basic(user, password.reveal())?);
            }
        }
        Ok(())
    }
}

/// The header of Basic sign-in (RFC 7617), in UTF-8, marked so that it never shows in logs.
fn basic(user: &str, password: &str) -> Result<HeaderValue, &'static str> {
    let plain = Zeroizing::new(format!("{user}:{password}"));
    let header = Zeroizing::new(format!("Basic {}", STANDARD.encode(plain.as_bytes())));
    let mut value = HeaderValue::from_str(&header).map_err(|_| "the sign-in does not fit a header")?;
    value.set_sensitive(true);
    Ok(value)
}
