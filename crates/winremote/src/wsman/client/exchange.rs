//! One request and its reply: from a body to a checked body, or to the error that tells what happened.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::Client;
use crate::cim::Reference;
use crate::error::{Error, Result};
use crate::http::{Broken, Post, Reply};
use crate::wsman::Fault;
use crate::wsman::envelope::{Message, RequestHeader, Unreadable, request};
use crate::wsman::names::{ACTION_FAULT, CONTENT_TYPE};
use crate::xml::text_of_bytes;

/// A host answers by itself when its time is up; waiting a little longer lets it say so.
const GRACE_MAX: Duration = Duration::from_secs(10);
/// Hosts have been seen to count envelopes in UTF-16, and header and fault come on top.
const REPLY_BYTES_EXTRA: usize = 64 * 1024;

/// What sending a request twice would mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Nothing: it only reads.
    Harmless,
    /// It only reads, but the first attempt used something up.
    Useless,
    /// The host may do it twice.
    Dangerous,
}

/// A request, with what its errors need to say.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// For error texts: `Get of Msvm_ComputerSystem.Name="…"`.
    pub(super) operation: String,
    pub(super) action: String,
    pub(super) resource_uri: String,
    pub(super) selectors: Option<&'a Reference>,
    pub(super) body: String,
    pub(super) repeat: Repeat,
}

impl Client {
    /// Sends a call and gives back the reply, once it is known to be the reply to this call and no fault.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Message> {
        let options = &self.inner.options;
        let message_id = format!("uuid:{}", Uuid::new_v4());
        let text = request(
            &RequestHeader {
                to: &self.inner.pool.endpoint().url,
                action: &call.action,
                message_id: &message_id,
                resource_uri: &call.resource_uri,
                selectors: call.selectors,
                max_envelope_bytes: options.max_envelope_bytes,
                timeout: options.timeout,
                session_id: &self.inner.session_id,
            },
            &call.body,
        );
        let message = self.post(text, true, &call.operation, call.repeat).await?;
        if message.relates_to() != Some(message_id.as_str()) {
            return Err(self.malformed(call, "it answers another request"));
        }
        let wanted = format!("{}Response", call.action);
        match message.action() {
            Some(action) if action == wanted => Ok(message),
            _ => Err(self.malformed(call, "its action is not the one of the answer")),
        }
    }

    /// Posts an envelope and reads the one that comes back; faults become errors.
    pub(super) async fn post(
        &self,
        text: String,
        sign_in: bool,
        operation: &str,
        repeat: Repeat,
    ) -> Result<Message> {
        let options = &self.inner.options;
        let reply_bytes_max = 2 * options.max_envelope_bytes as usize + REPLY_BYTES_EXTRA;
        let post = Post { body: Bytes::from(text), content_type: CONTENT_TYPE, sign_in, reply_bytes_max };
        let within = options.timeout + options.timeout.min(GRACE_MAX);
        tracing::debug!(host = self.address(), operation, "request");
        let context = Context { client: self, operation, may_have_run: repeat == Repeat::Dangerous };
        match self.inner.pool.exchange(&post, repeat == Repeat::Harmless, within).await {
            None => Err(context.timed_out()),
            Some(Err(broken)) => Err(context.broken(broken, reply_bytes_max)),
            Some(Ok(reply)) => context.read(&reply, reply_bytes_max),
        }
    }

    pub(super) fn malformed(&self, call: &Call<'_>, reason: &str) -> Error {
        Context { client: self, operation: &call.operation, may_have_run: call.repeat == Repeat::Dangerous }
            .malformed(reason)
    }
}

/// What every error of one exchange says.
struct Context<'a> {
    client: &'a Client,
    operation: &'a str,
    may_have_run: bool,
}

impl Context<'_> {
    fn host(&self) -> String {
        self.client.address().to_owned()
    }

    fn read(&self, reply: &Reply, bytes_max: usize) -> Result<Message> {
        let soap = reply.content_type.to_ascii_lowercase().contains("soap+xml");
        match reply.status {
            200 if soap => {}
            // Only these carry a fault; anything else that is not 200 is about the transport.
            400 | 500 if soap && !reply.body.is_empty() => {}
            401 => return Err(self.sign_in_refused(reply)),
            403 => return Err(self.access_denied("HTTP status 403".to_owned())),
            503 => return Err(Error::Busy { host: self.host(), operation: self.operation.to_owned() }),
            _ => return Err(self.not_ws_management(reply)),
        }
        let text = text_of_bytes(&reply.body, &reply.content_type).map_err(|why| self.malformed(&why))?;
        let message = Message::read(&text, bytes_max).map_err(|unreadable| match unreadable {
            Unreadable::Malformed(why) => self.malformed(&why),
            Unreadable::OtherSoap => self.malformed("it is an envelope of another version of SOAP"),
        })?;
        match Fault::read(&message.body) {
            Some(fault) => Err(self.fault(fault)),
            None if reply.status != 200 || message.action() == Some(ACTION_FAULT) => {
                Err(self.malformed("it says that something is wrong but holds no fault"))
            }
            None => Ok(message),
        }
    }

    fn fault(&self, fault: Fault) -> Error {
        if fault.is_timeout() {
            self.timed_out()
        } else if fault.is_access_denied() {
            self.access_denied(fault.to_string())
        } else {
            // A reply that does not fit is only found out after the work is done.
            let may_have_run = self.may_have_run && fault.is_too_large();
            let (host, operation) = (self.host(), self.operation.to_owned());
            Error::Fault { host, operation, fault: Box::new(fault), may_have_run }
        }
    }

    fn broken(&self, broken: Broken, limit: usize) -> Error {
        let (host, operation) = (self.host(), self.operation.to_owned());
        let may_have_run = self.may_have_run;
        match broken {
            Broken::NotReachable(source) => Error::NotReachable { host, source },
            Broken::NotSent(reason) => Error::NotReachable { host, source: std::io::Error::other(reason) },
            Broken::Lost(reason) => Error::ConnectionLost { host, operation, reason, may_have_run },
            Broken::TooLarge => {
                Error::ReplyTooLarge { host, operation, limit: format!("{limit} bytes"), may_have_run }
            }
        }
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut {
            host: self.host(),
            operation: self.operation.to_owned(),
            after: self.client.inner.options.timeout,
            may_have_run: self.may_have_run,
        }
    }

    fn malformed(&self, reason: &str) -> Error {
        Error::MalformedReply {
            host: self.host(),
            operation: self.operation.to_owned(),
            reason: reason.to_owned(),
            may_have_run: self.may_have_run,
        }
    }

    fn sign_in_refused(&self, reply: &Reply) -> Error {
        let user = self.client.inner.options.credentials.user().to_owned();
        Error::SignInRefused { host: self.host(), user, offered: reply.offered.clone() }
    }

    fn access_denied(&self, reason: String) -> Error {
        Error::AccessDenied { host: self.host(), operation: self.operation.to_owned(), reason }
    }

    fn not_ws_management(&self, reply: &Reply) -> Error {
        let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
        let found = format!(
            "status {}, content type {}, server {}",
            reply.status,
            or_none(&reply.content_type),
            or_none(&reply.server)
        );
        Error::NotWsManagement { host: self.host(), found }
    }
}
