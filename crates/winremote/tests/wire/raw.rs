//! Both ends by hand: a host that says what it is told to, and a poster of any text.

#![expect(clippy::unwrap_used, reason = "a test's own set-up may stop it")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use winremote::connector::memory;
use winremote::wsman::client::{Client, ClientOptions};
use winremote::wsman::server::{Server, ServerOptions};

use crate::support::{Lab, options};

/// One prepared answer of a stub host.
#[derive(Clone)]
pub(crate) enum Say {
    /// Status line after `HTTP/1.1 `, content type, body. `{id}` becomes the request's MessageID.
    Http(&'static str, &'static str, String),
    /// Exactly these bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// The end of the connection without a word.
    Close,
    /// Nothing, for ever.
    Silence,
}

/// What a stub host was asked, one text for each request, and how often it was connected to.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    pub(crate) connections: Arc<Mutex<usize>>,
}

impl Heard {
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

/// A SOAP answer with this action and body.
pub(crate) fn soap(action: &str, body: &str) -> Say {
    Say::Http("200 OK", "application/soap+xml;charset=UTF-8", envelope(action, body))
}

pub(crate) fn envelope(action: &str, body: &str) -> String {
    format!(
        r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><s:Header><a:Action>{action}</a:Action><a:RelatesTo>{{id}}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"#
    )
}

/// A client of a stub host that gives these answers in turn, the last one again and again.
pub(crate) fn stub(answers: Vec<Say>) -> (Client, Heard) {
    stub_with(answers, options())
}

pub(crate) fn stub_with(answers: Vec<Say>, options: ClientOptions) -> (Client, Heard) {
    let (connector, mut listener) = memory();
    let heard = Heard::default();
    let (answers, told) = (Arc::new(Mutex::new(VecDeque::from(answers))), heard.clone());
    tokio::spawn(async move {
        while let Some(stream) = listener.accept().await {
            *told.connections.lock().unwrap() += 1;
            tokio::spawn(converse(stream, Arc::clone(&answers), told.clone()));
        }
    });
    (Client::new(Arc::new(connector), options).unwrap(), heard)
}

async fn converse(mut stream: DuplexStream, answers: Arc<Mutex<VecDeque<Say>>>, heard: Heard) {
    while let Some(request) = read_message(&mut stream).await {
        heard.requests.lock().unwrap().push(request.clone());
        let say = {
            let mut answers = answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
        };
        match say {
            Say::Http(status, kind, body) => {
                let id = between(&request, "<a:MessageID>", "</a:MessageID>").unwrap_or_default();
                let body = body.replace("{id}", id);
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nServer: Stub\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                // The client may have seen enough and gone away.
                let _ = stream.write_all((head + &body).as_bytes()).await;
            }
            Say::Bytes(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Say::Close => return,
            Say::Silence => std::future::pending().await,
        }
    }
}

/// Reads one HTTP message with a Content-Length.
async fn read_message(stream: &mut DuplexStream) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let byte = stream.read_u8().await.ok()?;
        text.push(byte);
        if text.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(text.clone()).unwrap().to_ascii_lowercase();
    let length = between(&head, "content-length: ", "\r\n").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    text.extend(body);
    Some(String::from_utf8(text).unwrap())
}

pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

/// An open connection to a served lab, to post anything.
pub(crate) struct Poster {
    stream: DuplexStream,
}

impl Poster {
    pub(crate) fn new(lab: Lab) -> Self {
        Self::with(Server::new(Arc::new(lab), ServerOptions::default()))
    }

    pub(crate) fn with(server: Server<Lab>) -> Self {
        let (stream, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move { server.serve_stream(far).await });
        Self { stream }
    }

    /// Posts a body as the operator; gives head and body of the answer.
    pub(crate) async fn post(&mut self, body: &str) -> (String, String) {
        // operator:correct horse
        let sign_in = "Authorization: Basic b3BlcmF0b3I6Y29ycmVjdCBob3JzZQ==\r\nContent-Type: application/soap+xml;charset=UTF-8\r\n";
        self.send("POST /wsman", sign_in, body).await
    }

    pub(crate) async fn send(&mut self, line: &str, headers: &str, body: &str) -> (String, String) {
        let text =
            format!("{line} HTTP/1.1\r\nHost: lab\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
        self.stream.write_all(text.as_bytes()).await.unwrap();
        let answer = read_message(&mut self.stream).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

/// A request as the client writes it, with one part replaced.
pub(crate) fn request(action: &str, uri: &str, selectors: &str, body: &str) -> String {
    let selectors = if selectors.is_empty() {
        String::new()
    } else {
        format!("<w:SelectorSet>{selectors}</w:SelectorSet>")
    };
    format!(
        r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd" xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration"><s:Header><a:To>http://lab:5985/wsman</a:To><a:ReplyTo><a:Address s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo><a:Action s:mustUnderstand="true">{action}</a:Action><a:MessageID>uuid:1</a:MessageID><w:ResourceURI s:mustUnderstand="true">{uri}</w:ResourceURI><w:MaxEnvelopeSize s:mustUnderstand="true">512000</w:MaxEnvelopeSize><w:OperationTimeout>PT60S</w:OperationTimeout>{selectors}</s:Header><s:Body>{body}</s:Body></s:Envelope>"#
    )
}
