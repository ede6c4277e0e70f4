//! One connection to a host, one request at a time.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, SERVER, USER_AGENT, WWW_AUTHENTICATE,
};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use super::Endpoint;
use super::sign_in::SignIn;
use crate::connector::Stream;
use crate::wsman::client::Credentials;

/// A message to be posted.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) body: Bytes,
    pub(crate) content_type: &'static str,
    /// False for Identify before sign-in.
    pub(crate) sign_in: bool,
    /// Largest body of a reply that is read.
    pub(crate) reply_bytes_max: usize,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) server: String,
    /// Schemes of `WWW-Authenticate`, comma-separated.
    pub(crate) offered: String,
    pub(crate) body: Bytes,
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum Broken {
    /// No connection.
    NotReachable(io::Error),
    /// The connection was already closed; nothing went out.
    NotSent(String),
    /// The request may have reached the host.
    Lost(String),
    /// The reply's body is larger than asked for; the request has been carried out.
    TooLarge,
}

/// An open connection. Dropping it closes the stream at once, also in the middle of a request.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
    sign_in: SignIn,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Opens a connection over a stream.
    pub(super) async fn open(stream: Box<dyn Stream>, credentials: &Credentials) -> io::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a host ended");
            }
        });
        Ok(Self { sender, task, sign_in: SignIn::new(credentials) })
    }

    /// False once the host has closed it.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Posts a message and reads the whole reply, so that the connection can be used again.
    pub(super) async fn exchange(&mut self, endpoint: &Endpoint, post: &Post) -> Result<Reply, Broken> {
        let request = self.request(endpoint, post).map_err(|why| Broken::NotSent(why.to_owned()))?;
        self.sender.ready().await.map_err(|error| Broken::NotSent(told(&error)))?;
        let response = self.sender.try_send_request(request).await.map_err(|mut unsent| {
            let told = told(unsent.error());
            if unsent.take_message().is_some() { Broken::NotSent(told) } else { Broken::Lost(told) }
        })?;
        read_reply(response, post.reply_bytes_max).await
    }

    fn request(&mut self, endpoint: &Endpoint, post: &Post) -> Result<Request<Full<Bytes>>, &'static str> {
        let mut request = Request::post(endpoint.path.as_str())
            .body(Full::new(post.body.clone()))
            .map_err(|_| "the path of the address does not fit a request")?;
        let headers = request.headers_mut();
        let host =
            HeaderValue::from_str(&endpoint.authority).map_err(|_| "the host does not fit a header")?;
        headers.insert(HOST, host);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(post.content_type));
        headers.insert(USER_AGENT, HeaderValue::from_static("Refpoint"));
        if post.sign_in {
            self.sign_in.sign(headers)?;
        } else {
            headers.insert("WSMANIDENTIFY", HeaderValue::from_static("unauthenticated"));
        }
        Ok(request)
    }
}

async fn read_reply(response: Response<Incoming>, bytes_max: usize) -> Result<Reply, Broken> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, bytes_max).collect().await.map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            Broken::TooLarge
        } else {
            Broken::Lost(error.to_string())
        }
    })?;
    Ok(Reply {
        status: head.status.as_u16(),
        content_type: text(&head.headers, CONTENT_TYPE),
        server: text(&head.headers, SERVER),
        offered: schemes(&head.headers),
        body: body.to_bytes(),
    })
}

/// A header's text, bounded, for decisions and error texts.
fn text(headers: &HeaderMap, name: HeaderName) -> String {
    const SHOWN_CHARS: usize = 100;
    let value = headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(value).chars().filter(|letter| !letter.is_control()).take(SHOWN_CHARS).collect()
}

fn schemes(headers: &HeaderMap) -> String {
    const SCHEMES_MAX: usize = 8;
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let names = values.filter_map(|value| value.split_whitespace().next()).take(SCHEMES_MAX);
    names.map(|name| name.chars().take(20).collect::<String>()).collect::<Vec<_>>().join(", ")
}

/// hyper's error with its cause.
fn told(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
