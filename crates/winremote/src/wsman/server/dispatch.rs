//! From a request's text to a reply's: header checks, the operation within its time, and the size of the envelope.
//!
//! Which header fault comes first when several apply is not known of WinRM; the order here is: readable, addressed,
//! understood, within limits, known action.

use std::time::Duration;

use uuid::Uuid;

use super::{Provider, Shared, requests};
use crate::cim::Reference;
use crate::wsman::endpoint;
use crate::wsman::envelope::{Message, Unreadable, reply};
use crate::wsman::names::{
    ACTION_ENUMERATE, ACTION_GET, ACTION_PULL, ACTION_RELEASE, ADDRESSING, ANONYMOUS, ENVELOPE_BYTES_MIN,
    MS_WSMAN, SOAP, WSMAN, split_class_uri,
};
use crate::wsman::{Fault, code, identify};
use crate::xml::Element;

/// A reply to be sent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

/// A request with its header checked.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) message: Message,
    pub(super) action: String,
    pub(super) message_id: String,
    /// Namespace, class and selectors.
    pub(super) target: Reference,
    pub(super) resource_uri: String,
    pub(super) max_envelope_bytes: usize,
    pub(super) timeout: Duration,
    pub(super) user: String,
}

impl<P: Provider> Shared<P> {
    /// Answers one request. Without a user only Identify is answered, which `None` leads to 401 for anything else.
    pub(super) async fn answer(&self, text: &str, user: Option<&str>) -> Option<Answer> {
        let message = match Message::read(text, self.options.max_envelope_bytes as usize) {
            Ok(message) => message,
            Err(unreadable) => return user.map(|_| self.unreadable(unreadable)),
        };
        if identify::is_request(&message.body) {
            return Some(Answer {
                status: 200,
                text: identify::reply(&self.provider.identify(), user.is_some()),
            });
        }
        let user = user?;
        let relates_to = message.message_id().unwrap_or_default().to_owned();
        let done = match self.check(message, user) {
            Ok(request) => self.run(&request).await,
            Err(fault) => Err(fault),
        };
        Some(done.unwrap_or_else(|fault| self.fault(&fault, &relates_to)))
    }

    /// Runs a checked request within its time and envelope.
    async fn run(&self, request: &Request) -> Result<Answer, Fault> {
        let operation = async {
            match request.action.as_str() {
                ACTION_GET => requests::get(self, request).await,
                ACTION_ENUMERATE => requests::enumerate(self, request).await,
                ACTION_PULL => requests::pull(self, request),
                ACTION_RELEASE => requests::release(self, request),
                _ => requests::invoke(self, request).await,
            }
        };
        let body = tokio::time::timeout(request.timeout, operation).await;
        let body = body.unwrap_or_else(|_| Err(Fault::new(code::TIMED_OUT)))?;
        let text = reply(&format!("{}Response", request.action), &new_id(), &request.message_id, &body);
        if text.len() > request.max_envelope_bytes {
            return Err(Fault::new(code::MAX_ENVELOPE_SIZE));
        }
        Ok(Answer { status: 200, text })
    }

    fn unreadable(&self, unreadable: Unreadable) -> Answer {
        match unreadable {
            Unreadable::OtherSoap => self.fault(&Fault::new(code::SOAP_VERSION_MISMATCH), ""),
            Unreadable::Malformed(why) => {
                let fault = Fault::new(code::SCHEMA_VALIDATION)
                    .with_reason(format!("The request is malformed: {why}."));
                Answer { status: 400, ..self.fault(&fault, "") }
            }
        }
    }

    fn fault(&self, fault: &Fault, relates_to: &str) -> Answer {
        let text = reply(fault.action(), &new_id(), relates_to, &fault.to_body(&self.options.machine));
        Answer { status: 500, text }
    }

    fn check(&self, message: Message, user: &str) -> Result<Request, Fault> {
        check_addressing(&message.header)?;
        check_understood(&message.header)?;
        let asked = message.max_envelope_bytes().map_err(|()| Fault::new(code::INVALID_PARAMETER))?;
        if asked.is_some_and(|bytes| bytes < ENVELOPE_BYTES_MIN) {
            return Err(Fault::new(code::ENVELOPE_LIMIT_TOO_SMALL));
        }
        let envelope =
            asked.map_or(self.options.max_envelope_bytes, |bytes| bytes.min(self.options.max_envelope_bytes));
        let timeout = message.operation_timeout().map_err(|()| Fault::new(code::UNSUPPORTED_TIMEOUT))?;
        let longest = self.options.operation_timeout_max;
        let required = |text: Option<&str>, code| text.map(str::to_owned).ok_or_else(|| Fault::new(code));
        let resource_uri = required(message.resource_uri(), code::INVALID_RESOURCE_URI)?;
        Ok(Request {
            target: read_target(&message.header, &resource_uri)?,
            action: required(message.action(), code::MESSAGE_HEADER_REQUIRED)?,
            message_id: required(message.message_id(), code::MESSAGE_HEADER_REQUIRED)?,
            max_envelope_bytes: envelope as usize,
            timeout: timeout.map_or(longest, |timeout| timeout.min(longest)),
            user: user.to_owned(),
            resource_uri,
            message,
        })
    }
}

/// The headers of WS-Addressing are all needed, and the reply can only go back where the request came from.
fn check_addressing(header: &Element) -> Result<(), Fault> {
    for name in ["To", "Action", "MessageID", "ReplyTo"] {
        let mut found = header.children_named(ADDRESSING, name);
        if found.next().is_none() {
            let reason =
                format!("The request does not have all the expected SOAP headers: {name} is missing.");
            return Err(Fault::new(code::MESSAGE_HEADER_REQUIRED).with_reason(reason));
        }
        if found.next().is_some() {
            return Err(Fault::new(code::INVALID_MESSAGE_HEADER));
        }
    }
    let address =
        header.child(ADDRESSING, "ReplyTo").and_then(|reply| reply.child_text(ADDRESSING, "Address"));
    if address == Some(ANONYMOUS) { Ok(()) } else { Err(Fault::new(code::INVALID_MESSAGE_HEADER)) }
}

/// A header that insists on being understood must be one of those that WinRM knows.
fn check_understood(header: &Element) -> Result<(), Fault> {
    let known = |child: &Element| match &*child.namespace {
        ADDRESSING => true,
        WSMAN => matches!(
            child.name.as_str(),
            "ResourceURI"
                | "SelectorSet"
                | "OptionSet"
                | "MaxEnvelopeSize"
                | "OperationTimeout"
                | "Locale"
                | "FragmentTransfer"
        ),
        MS_WSMAN => matches!(
            child.name.as_str(),
            "DataLocale" | "SessionId" | "OperationID" | "SequenceId" | "ActivityId"
        ),
        _ => false,
    };
    let insists = |child: &Element| matches!(child.attribute(SOAP, "mustUnderstand"), Some("true" | "1"));
    match header.children.iter().find(|child| insists(child) && !known(child)) {
        None => Ok(()),
        Some(child) => {
            let reason =
                format!("The header {} is marked as mustUnderstand but is not understood.", child.name);
            Err(Fault::new(code::MUST_UNDERSTAND).with_reason(reason))
        }
    }
}

fn read_target(header: &Element, resource_uri: &str) -> Result<Reference, Fault> {
    let (namespace, class) =
        split_class_uri(resource_uri).ok_or_else(|| Fault::new(code::INVALID_RESOURCE_URI))?;
    let mut target = Reference::new(namespace, class);
    if let Some(set) = header.child(WSMAN, "SelectorSet") {
        let invalid = |why| {
            Fault::new(code::INVALID_SELECTORS).with_reason(format!("The selectors are not valid: {why}."))
        };
        endpoint::read_selectors(set, &mut target).map_err(invalid)?;
    }
    Ok(target)
}

fn new_id() -> String {
    format!("uuid:{}", Uuid::new_v4().to_string().to_uppercase())
}
