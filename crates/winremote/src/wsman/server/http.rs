//! Connections, sign-in and HTTP statuses of the server half.
//!
//! What WinRM answers before SOAP comes into play: 404 for other paths, 405 for other methods, 401 with the schemes
//! it offers, 415 for other content types. Sign-in is checked with every request, as Basic has no state.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, SERVER, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::dispatch::Answer;
use super::{Provider, Server, Shared};
use crate::connector::Stream;
use crate::wsman::names::CONTENT_TYPE as SOAP_TYPE;
use crate::xml::text_of_bytes;

/// Requests under way may take as long as this after shutdown was asked for.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long a connection may be idle, or take to send a request's head (`MaxPacketRetrievalTimeSeconds`).
const IDLE_MAX: Duration = Duration::from_secs(120);
/// A pause after a failed accept, which mostly means that file handles ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn serve<P: Provider>(
    server: Server<P>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) {
    let permits = Arc::new(Semaphore::new(server.shared.options.connections_max.max(1)));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let accept_all = async {
        loop {
            // Beyond MaxConnections new ones wait in the system's queue.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Replies are small and awaited; without this they would be held back for a packet's worth of data.
            _ = stream.set_nodelay(true);
            let (server, mut stopped) = (server.clone(), stopped.clone());
            connections.spawn(async move {
                serve_connection(server, stream, async move { _ = stopped.changed().await }).await;
                drop(permit);
            });
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accept_all => {}
        () = shutdown => {}
    }
    drop(listener);
    drop(stop);
    _ = tokio::time::timeout(DRAIN_MAX, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one connection until it closes; once `stop` resolves, only the request under way is finished.
pub(super) async fn serve_connection<P: Provider>(
    server: Server<P>,
    stream: impl Stream + 'static,
    stop: impl Future<Output = ()>,
) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&server.shared);
        async move { Ok::<_, Infallible>(respond(&shared, request).await) }
    });
    let mut builder = http1::Builder::new();
    let connection = builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a client's connection ended");
    }
}

async fn respond<P: Provider>(shared: &Shared<P>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/wsman" {
        return empty(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::POST {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let asks_to_identify = request.headers().contains_key("WSMANIDENTIFY");
    let user = signed_in(shared, request.headers().get(AUTHORIZATION));
    let limit = shared.options.max_envelope_bytes as usize;
    if user.is_none() && !asks_to_identify {
        // A client that is still sending would see a broken connection instead of the refusal.
        _ = Limited::new(request.into_body(), limit).collect().await;
        return unauthorized();
    }
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    if !content_type.to_ascii_lowercase().starts_with("application/soap+xml") {
        return empty(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let body = match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            return empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Err(_) => return empty(StatusCode::BAD_REQUEST),
    };
    let Ok(text) = text_of_bytes(&body, &content_type) else { return empty(StatusCode::BAD_REQUEST) };
    match shared.answer(&text, user.as_deref()).await {
        Some(answer) => soap(answer),
        None => unauthorized(),
    }
}

/// The user of a Basic sign-in that the provider accepts.
fn signed_in<P: Provider>(shared: &Shared<P>, header: Option<&HeaderValue>) -> Option<String> {
    let (scheme, token) = header?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let plain = Zeroizing::new(STANDARD.decode(token.trim()).ok()?);
    let (user, password) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
    shared.provider.authenticate(user, password).then(|| user.to_owned())
}

fn soap(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.text)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(SOAP_TYPE));
    as_windows(response)
}

fn unauthorized() -> Response<Full<Bytes>> {
    let mut response = empty(StatusCode::UNAUTHORIZED);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"WSMAN\""));
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    as_windows(response)
}

fn as_windows(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(SERVER, HeaderValue::from_static("Microsoft-HTTPAPI/2.0"));
    response
}
