//! The host's address, taken apart and checked once.

use hyper::Uri;

use crate::error::{Error, Result};

/// A checked address of a WS-Management service.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    /// Host and port, for the Host header and for error texts.
    pub(crate) authority: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) https: bool,
}

impl Endpoint {
    /// Reads `http://host:5985/wsman`; port and path may be left out.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let fail = |reason: &str| Error::Endpoint { url: without_user(url), reason: reason.to_owned() };
        let uri: Uri = url.parse().map_err(|_| fail("it is not an address"))?;
        let (https, usual_port) = match uri.scheme_str() {
            Some("http") => (false, 5985),
            Some("https") => (true, 5986),
            _ => return Err(fail("it begins with neither http:// nor https://")),
        };
        let authority = uri.authority().ok_or_else(|| fail("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(fail("user and password do not belong into it"));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(fail("it names no host"));
        }
        let port = authority.port_u16().unwrap_or(usual_port);
        let path = match uri.path() {
            "" | "/" => "/wsman",
            path => path,
        };
        Ok(Self {
            url: format!("{}://{host}:{port}{path}", if https { "https" } else { "http" }),
            authority: format!("{host}:{port}"),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            path: path.to_owned(),
            https,
        })
    }
}

/// The address without what stands before an `@`, which may be a password.
fn without_user(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…@{}", &url[..scheme], &url[at + 1..]),
        (None, Some(at)) => format!("…@{}", &url[at + 1..]),
        _ => url.to_owned(),
    }
}
