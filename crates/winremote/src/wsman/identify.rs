//! Identify: the one exchange without headers.

use super::Identity;
use super::names::{IDENTITY, SOAP};
use crate::xml::{Element, Writer};

/// The whole request.
pub(crate) fn request() -> String {
    let mut writer = Writer::new();
    writer.open("s:Envelope", &[("xmlns:s", SOAP), ("xmlns:wsmid", IDENTITY)]).empty("s:Header", &[]);
    writer.open("s:Body", &[]).empty("wsmid:Identify", &[]);
    writer.finish()
}

/// True for the body of the request.
pub(crate) fn is_request(body: &Element) -> bool {
    matches!(body.children.as_slice(), [only] if only.is(IDENTITY, "Identify"))
}

/// The whole reply; to callers who did not sign in the version of Windows is not told.
pub(crate) fn reply(identity: &Identity, signed_in: bool) -> String {
    let version = match (signed_in, identity.os_version()) {
        (false, Some(os)) => identity.product_version.replacen(os, "0.0.0", 1),
        _ => identity.product_version.clone(),
    };
    let mut writer = Writer::new();
    writer.open("s:Envelope", &[("xml:lang", "en-US"), ("xmlns:s", SOAP)]).empty("s:Header", &[]);
    writer.open("s:Body", &[]).open("wsmid:IdentifyResponse", &[("xmlns:wsmid", IDENTITY)]);
    writer.leaf("wsmid:ProtocolVersion", &[], &identity.protocol_version);
    writer.leaf("wsmid:ProductVendor", &[], &identity.product_vendor);
    writer.leaf("wsmid:ProductVersion", &[], &version);
    writer.finish()
}

/// Reads the reply's body.
pub(crate) fn read_reply(body: &Element) -> Option<Identity> {
    let response = body.child(IDENTITY, "IdentifyResponse")?;
    let text = |name| response.child_text(IDENTITY, name).unwrap_or_default().to_owned();
    Some(Identity {
        product_vendor: text("ProductVendor"),
        product_version: text("ProductVersion"),
        protocol_version: text("ProtocolVersion"),
    })
}
