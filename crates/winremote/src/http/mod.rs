//! HTTP/1.1 as WS-Management needs it: POST one envelope, read one envelope, keep the connection.
//!
//! hyper directly, not a general client: sign-in belongs to the single connection (NTLM later), the stream comes from
//! our own seam, and a caller must learn whether a request had gone out when something broke (docs/decisions/0002).

mod connection;
mod endpoint;
mod pool;
mod sign_in;

pub(crate) use connection::{Broken, Post, Reply};
pub(crate) use endpoint::Endpoint;
pub(crate) use pool::Pool;
