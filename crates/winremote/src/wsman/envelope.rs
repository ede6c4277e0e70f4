//! Envelopes: the header block that every message carries, written and read.
//!
//! The client writes requests and reads replies, the server the other way round. The order of headers and the
//! `mustUnderstand` marks are those of Windows' own client (section 3.3 of the field notes).

use std::time::Duration;

use super::endpoint;
use super::names::{ADDRESSING, ANONYMOUS, MS_WSMAN, SOAP, WSMAN};
use crate::cim::{Interval, Reference};
use crate::xml::{Element, Limits, Writer, parse};

const MUST: (&str, &str) = ("s:mustUnderstand", "true");
const NEED_NOT: (&str, &str) = ("s:mustUnderstand", "false");
const ENGLISH: (&str, &str) = ("xml:lang", "en-US");

/// The header of a request.
#[derive(Debug)]
pub(crate) struct RequestHeader<'a> {
    pub(crate) to: &'a str,
    pub(crate) action: &'a str,
    pub(crate) message_id: &'a str,
    pub(crate) resource_uri: &'a str,
    /// Keys become selectors; class and namespace are already in the resource URI.
    pub(crate) selectors: Option<&'a Reference>,
    pub(crate) max_envelope_bytes: u32,
    pub(crate) timeout: Duration,
    pub(crate) session_id: &'a str,
}

/// A request's text. `body` is what stands inside `s:Body`; the prefixes s, a, w and p are declared.
pub(crate) fn request(header: &RequestHeader<'_>, body: &str) -> String {
    let mut writer = Writer::new();
    open_envelope(&mut writer);
    writer.open("s:Header", &[]).leaf("a:To", &[], header.to);
    writer.open("a:ReplyTo", &[]).leaf("a:Address", &[MUST], ANONYMOUS).close();
    writer.leaf("a:Action", &[MUST], header.action).leaf("a:MessageID", &[], header.message_id);
    writer.leaf("w:ResourceURI", &[MUST], header.resource_uri);
    writer.leaf("w:MaxEnvelopeSize", &[MUST], &header.max_envelope_bytes.to_string());
    writer.leaf("w:OperationTimeout", &[], &seconds(header.timeout));
    writer.empty("w:Locale", &[ENGLISH, NEED_NOT]).empty("p:DataLocale", &[ENGLISH, NEED_NOT]);
    writer.leaf("p:SessionId", &[NEED_NOT], header.session_id);
    if let Some(selectors) = header.selectors {
        endpoint::write_selectors(&mut writer, selectors, None);
    }
    writer.close().open("s:Body", &[]).raw(body);
    writer.finish()
}

/// A reply's text.
pub(crate) fn reply(action: &str, message_id: &str, relates_to: &str, body: &str) -> String {
    let mut writer = Writer::new();
    open_envelope(&mut writer);
    writer.open("s:Header", &[]).leaf("a:Action", &[], action).leaf("a:MessageID", &[], message_id);
    writer.leaf("a:To", &[], ANONYMOUS);
    if !relates_to.is_empty() {
        writer.leaf("a:RelatesTo", &[], relates_to);
    }
    writer.close().open("s:Body", &[]).raw(body);
    writer.finish()
}

fn open_envelope(writer: &mut Writer) {
    let names = [("xmlns:s", SOAP), ("xmlns:a", ADDRESSING), ("xmlns:w", WSMAN), ("xmlns:p", MS_WSMAN)];
    writer.open("s:Envelope", &names);
}

/// `PT60S`, with a fraction where there is one.
fn seconds(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("PT{}S", duration.as_secs()),
        millis => format!("PT{}.{millis:03}S", duration.as_secs()),
    }
}

/// A message that was read: header and body, unchecked.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) header: Element,
    pub(crate) body: Element,
    /// Size of the text it was read from.
    pub(crate) bytes: usize,
}

/// Why a text is no message.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// Not XML within limits, or not an envelope.
    Malformed(String),
    /// An envelope of another SOAP version.
    OtherSoap,
}

impl Message {
    /// Reads an envelope of at most so many bytes.
    pub(crate) fn read(text: &str, bytes_max: usize) -> Result<Self, Unreadable> {
        let mut root = parse(text, Limits::for_bytes(bytes_max)).map_err(Unreadable::Malformed)?;
        if root.name == "Envelope" && &*root.namespace != SOAP {
            return Err(Unreadable::OtherSoap);
        }
        if root.name != "Envelope" {
            return Err(Unreadable::Malformed("it is not a SOAP envelope".to_owned()));
        }
        let body = root.children.iter().position(|child| child.is(SOAP, "Body"));
        let body = body.map(|at| root.children.swap_remove(at));
        let header = root.children.iter().position(|child| child.is(SOAP, "Header"));
        let header = header.map(|at| root.children.swap_remove(at));
        match (header, body) {
            (Some(header), Some(body)) => Ok(Self { header, body, bytes: text.len() }),
            (None, Some(body)) => Ok(Self { header: Element::empty("Header"), body, bytes: text.len() }),
            _ => Err(Unreadable::Malformed("the envelope has no body".to_owned())),
        }
    }

    pub(crate) fn action(&self) -> Option<&str> {
        self.header.child_text(ADDRESSING, "Action")
    }

    pub(crate) fn message_id(&self) -> Option<&str> {
        self.header.child_text(ADDRESSING, "MessageID").filter(|id| !id.is_empty())
    }

    pub(crate) fn relates_to(&self) -> Option<&str> {
        self.header.child_text(ADDRESSING, "RelatesTo")
    }

    pub(crate) fn resource_uri(&self) -> Option<&str> {
        self.header.child_text(WSMAN, "ResourceURI")
    }

    /// `OperationTimeout`; an error when it is there but no length of time.
    pub(crate) fn operation_timeout(&self) -> Result<Option<Duration>, ()> {
        let text = self.header.child_text(WSMAN, "OperationTimeout");
        text.map(|text| Interval::parse_iso(text).map(Interval::to_duration).ok_or(())).transpose()
    }

    /// `MaxEnvelopeSize`; an error when it is there but no number.
    pub(crate) fn max_envelope_bytes(&self) -> Result<Option<u32>, ()> {
        let text = self.header.child_text(WSMAN, "MaxEnvelopeSize");
        text.map(|text| text.parse().map_err(|_| ())).transpose()
    }

    /// The only element of the body.
    pub(crate) fn only_child(&self) -> Option<&Element> {
        match self.body.children.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}
