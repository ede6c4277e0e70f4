//! Faults in envelopes.

use super::{Fault, ProviderFault};
use crate::wsman::names::{ACTION_ADDRESSING_FAULT, ACTION_FAULT, ENUMERATION, FAULT, SOAP};
use crate::xml::{Element, Writer};

/// Characters of a host's text that are kept; a fault is shown to people, on a line.
const TEXT_CHARS_MAX: usize = 2000;

impl Fault {
    /// Subcodes that WS-Addressing defines have its prefix and an action of their own.
    fn is_addressing(&self) -> bool {
        matches!(
            self.subcode.as_str(),
            "ActionNotSupported"
                | "DestinationUnreachable"
                | "EndpointUnavailable"
                | "InvalidMessageInformationHeader"
                | "MessageInformationHeaderRequired"
        )
    }

    fn prefix(&self) -> &'static str {
        match self.subcode.as_str() {
            "CannotProcessFilter" | "InvalidEnumerationContext" => "n",
            _ if self.is_addressing() => "a",
            _ => "w",
        }
    }

    /// The action of the envelope around the fault.
    pub(crate) fn action(&self) -> &'static str {
        if self.is_addressing() { ACTION_ADDRESSING_FAULT } else { ACTION_FAULT }
    }

    /// The body of a fault's envelope, told by a machine.
    pub(crate) fn to_body(&self, machine: &str) -> String {
        let mut writer = Writer::new();
        writer.open("s:Fault", &[]).open("s:Code", &[]).leaf(
            "s:Value",
            &[],
            &format!("s:{}", self.soap_code),
        );
        if !self.subcode.is_empty() {
            let subcode = format!("{}:{}", self.prefix(), self.subcode);
            let names: &[_] = if self.prefix() == "n" { &[("xmlns:n", ENUMERATION)] } else { &[] };
            writer.open("s:Subcode", names).leaf("s:Value", &[], &subcode).close();
        }
        writer.close().open("s:Reason", &[]).leaf("s:Text", &[("xml:lang", "en-US")], &self.reason).close();
        let machine = if self.machine.is_empty() { machine } else { &self.machine };
        let (code, detail) = (self.code.to_string(), [("xmlns:f", FAULT)]);
        writer.open("s:Detail", &[]);
        writer
            .open("f:WSManFault", &[detail[0], ("Code", &code), ("Machine", machine)])
            .open("f:Message", &[]);
        match &self.provider {
            None => _ = writer.text(&self.reason),
            Some(provider) => {
                let names = [("provider", provider.provider.as_str()), ("path", &provider.path)];
                writer.leaf("f:ProviderFault", &names, &provider.text);
            }
        }
        writer.finish()
    }

    /// Reads a fault out of a body; none when the body holds something else.
    pub(crate) fn read(body: &Element) -> Option<Self> {
        let fault = body.child(SOAP, "Fault")?;
        let code = fault.child(SOAP, "Code");
        let subcode = code.and_then(|code| code.child(SOAP, "Subcode"));
        let value = |element: Option<&Element>| {
            let text = element.and_then(|element| element.child_text(SOAP, "Value")).unwrap_or_default();
            clean(text.rsplit(':').next().unwrap_or_default())
        };
        let reason = fault.child(SOAP, "Reason").and_then(|reason| reason.child_text(SOAP, "Text"));
        let detail = fault.child(SOAP, "Detail").and_then(|detail| detail.child(FAULT, "WSManFault"));
        let message = detail.and_then(|detail| detail.child(FAULT, "Message"));
        let number = detail.and_then(|detail| detail.attribute("", "Code")).and_then(parse_code);
        let said = message.map(|message| clean(&message.text)).unwrap_or_default();
        let reason = reason.map(clean).filter(|reason| !reason.is_empty()).unwrap_or(said);
        let machine =
            detail.and_then(|detail| detail.attribute("", "Machine")).map(clean).unwrap_or_default();
        Some(Self {
            code: number.unwrap_or(0),
            soap_code: value(code),
            subcode: value(subcode),
            reason,
            machine,
            provider: message
                .and_then(|message| message.child(FAULT, "ProviderFault"))
                .map(read_provider)
                .map(Box::new),
        })
    }
}

fn read_provider(element: &Element) -> ProviderFault {
    let attribute = |name| clean(element.attribute("", name).unwrap_or_default());
    ProviderFault {
        provider: attribute("provider"),
        path: attribute("path"),
        text: clean(&element.deep_text()),
    }
}

/// Some stacks write the number signed.
fn parse_code(text: &str) -> Option<u32> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
}

/// A host's text on one line, without control characters, and bounded.
fn clean(text: &str) -> String {
    let words: Vec<&str> = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(TEXT_CHARS_MAX).collect()
}
