//! Faults: what a host says instead of an answer.
//!
//! WinRM tells the cause as a number in `f:WSManFault/@Code`: its own catalogue (0x8033xxxx), a Win32 error or a WBEM
//! HRESULT, each in decimal. The text is in the host's language, so only the number decides anything.
//! Shape: MS-WSMV 2.2.4.42 and section 3.7 of the field notes.

mod catalogue;
mod wire;

use std::fmt;

use crate::error::Retry;

pub use catalogue::code;
use catalogue::find;

/// A fault, received by the client or to be sent by a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The number that tells the cause; 0 when the reply has none.
    pub code: u32,
    /// SOAP code without prefix: `Sender`, `Receiver`, `MustUnderstand`, `VersionMismatch`.
    pub soap_code: String,
    /// SOAP subcode without prefix (`InvalidSelectors`); empty when there is none.
    pub subcode: String,
    /// The host's sentence for people.
    pub reason: String,
    /// The machine that speaks, when told.
    pub machine: String,
    /// What the WMI provider itself said, when told.
    pub provider: Option<Box<ProviderFault>>,
}

/// The part of a fault that comes from a provider behind WinRM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderFault {
    /// `WMI Provider` for everything that Hyper-V answers.
    pub provider: String,
    /// The provider's library.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Fault {
    /// A fault of the catalogue with its usual text; see [`code`].
    pub fn new(code: u32) -> Self {
        let entry = find(code);
        Self {
            code,
            soap_code: entry.map_or("Receiver", |entry| entry.soap_code).to_owned(),
            subcode: entry.map_or("InternalError", |entry| entry.subcode).to_owned(),
            reason: entry
                .map_or("The WS-Management service cannot process the request.", |entry| entry.text)
                .to_owned(),
            machine: String::new(),
            provider: None,
        }
    }

    /// An error of WMI or of one of its providers, with the provider's text.
    pub fn wmi(code: u32, text: impl Into<String>) -> Self {
        let provider = ProviderFault {
            provider: "WMI Provider".to_owned(),
            path: r"%systemroot%\system32\WsmWmiPl.dll".to_owned(),
            text: text.into(),
        };
        Self { provider: Some(Box::new(provider)), ..Self::new(code) }
    }

    /// The fault for a message that does not follow its schema, saying where.
    pub(crate) fn schema(why: &str) -> Self {
        let fault = Self::new(code::SCHEMA_VALIDATION);
        let reason = format!("{} ({why}).", fault.reason.trim_end_matches('.'));
        fault.with_reason(reason)
    }

    /// The same fault with another sentence for people.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// The catalogue's name for the code; empty when unknown.
    pub fn name(&self) -> &'static str {
        find(self.code).map_or("", |entry| entry.name)
    }

    /// The object, its class or its namespace does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self.code,
            code::RESOURCE_NOT_FOUND
                | code::WBEM_NOT_FOUND
                | code::WBEM_INVALID_CLASS
                | code::WBEM_INVALID_NAMESPACE
        )
    }

    /// The reply does not fit the envelope.
    pub fn is_too_large(&self) -> bool {
        matches!(self.code, code::ENCODING_LIMIT | code::MAX_ENVELOPE_SIZE | code::MAX_ENVELOPE_SIZE_EXCEEDED)
    }

    /// The account lacks a right.
    pub fn is_access_denied(&self) -> bool {
        matches!(
            self.code,
            code::ACCESS_DENIED
                | code::WBEM_ACCESS_DENIED
                | code::WMI_SERVICE_ACCESS_DENIED
                | code::WMI_PROVIDER_ACCESS_DENIED
                | code::WMI_CONNECTION_ACCESS_DENIED
        )
    }

    /// The host's own time for the operation was up.
    pub fn is_timeout(&self) -> bool {
        self.code == code::TIMED_OUT
    }

    /// A quota of the host is used up for the moment.
    pub fn is_quota(&self) -> bool {
        find(self.code).is_some_and(|entry| entry.subcode == "QuotaLimit")
    }

    /// What the operator does next.
    pub(crate) fn next_step(&self) -> String {
        if self.is_quota() {
            "wait for other WinRM work on the host to end, or raise its quotas (`winrm get winrm/config`)"
                .to_owned()
        } else if self.is_too_large() {
            "ask for less at a time, or raise the limit here and on the host (`winrm set winrm/config @{MaxEnvelopeSizekb=\"2048\"}`)"
                .to_owned()
        } else {
            "look at the WMI-Activity event log of the host".to_owned()
        }
    }

    /// Whether the same call can help later.
    pub(crate) fn retry(&self) -> Retry {
        match self.code {
            // The query has to begin anew, which is what repeating the call does.
            code::INVALID_ENUMERATION_CONTEXT => Retry::Now,
            _ if self.is_quota() => Retry::Later,
            _ => Retry::No,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason.trim_end_matches('.'))?;
        if let Some(provider) = self.provider.as_ref().filter(|provider| !provider.text.is_empty()) {
            write!(formatter, ": {}", provider.text.trim_end_matches('.'))?;
        }
        match (self.code, self.name()) {
            (0, _) => write!(formatter, " ({} {})", self.soap_code, self.subcode),
            (code, "") => write!(formatter, " (code {code}, 0x{code:08X})"),
            (code, name) => write!(formatter, " ({name}, code {code}, 0x{code:08X})"),
        }
    }
}

impl std::error::Error for Fault {}
