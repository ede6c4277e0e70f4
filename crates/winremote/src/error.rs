//! What can go wrong between us and a Windows host, told for the operator.
//!
//! Every error names the host and what was asked of it. For calls that change something the distinction that matters
//! is whether the host may have acted: such an error says "may have run" and is not to be repeated blindly.

use std::io;
use std::time::Duration;

use crate::wsman::Fault;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether trying again helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call will fail the same way.
    No,
    /// The call can be repeated at once.
    Now,
    /// The call can be repeated after a while.
    Later,
}

/// An error of this crate. Codes and texts are pinned by a test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection, and nothing was sent.
    #[error("{host} cannot be reached: {source}")]
    NotReachable {
        /// Host and port.
        host: String,
        /// What the network said.
        source: io::Error,
    },
    /// The host answered 401.
    #[error("{host} refused the sign-in of {user}; it offers {}", if .offered.is_empty() { "no scheme" } else { .offered })]
    SignInRefused {
        /// Host and port.
        host: String,
        /// The user who was refused.
        user: String,
        /// Schemes in the host's answer, comma-separated.
        offered: String,
    },
    /// Signed in, but without the right.
    #[error("{host} denied access to {operation}: {reason}")]
    AccessDenied {
        /// Host and port.
        host: String,
        /// What was asked.
        operation: String,
        /// The host's words.
        reason: String,
    },
    /// Something else answers at this address.
    #[error("{host} answers, but not with WS-Management: {found}")]
    NotWsManagement {
        /// Host and port.
        host: String,
        /// What answered: status, content type, server.
        found: String,
    },
    /// The host answered with a fault.
    #[error("{host} answered {operation} with a fault: {fault}{}", ran(*.may_have_run))]
    Fault {
        /// Host and port.
        host: String,
        /// What was asked.
        operation: String,
        /// The fault.
        fault: Box<Fault>,
        /// True when the call changes something and only its result did not fit.
        may_have_run: bool,
    },
    /// No answer in time, or the host said that its own time was up.
    #[error("{host} did not finish {operation} within {} s{}", .after.as_secs(), ran(*.may_have_run))]
    TimedOut {
        /// Host and port.
        host: String,
        /// What was asked.
        operation: String,
        /// How long it was given.
        after: Duration,
        /// True when the call changes something and may have taken effect.
        may_have_run: bool,
    },
    /// The connection broke after the request had gone out.
    #[error("the connection to {host} broke during {operation}: {reason}{}", ran(*.may_have_run))]
    ConnectionLost {
        /// Host and port.
        host: String,
        /// What was asked.
        operation: String,
        /// What the connection said.
        reason: String,
        /// True when the call changes something and may have taken effect.
        may_have_run: bool,
    },
    /// A reply that cannot be understood.
    #[error("the reply of {host} to {operation} is malformed: {reason}{}", ran(*.may_have_run))]
    MalformedReply {
        /// Host and port.
        host: String,
        /// What was asked.
        operation: String,
        /// What is wrong with it.
        reason: String,
        /// True when the call changes something and may have taken effect.
        may_have_run: bool,
    },
    /// A reply larger than it may be.
    #[error("the reply of {host} to {operation} is larger than {limit}{}", ran(*.may_have_run))]
    ReplyTooLarge {
        /// Host and port.
        host: String,
        /// What was asked.
        operation: String,
        /// The limit with its unit.
        limit: String,
        /// True when the call changes something and may have taken effect.
        may_have_run: bool,
    },
    /// The host has no resources at the moment (HTTP 503).
    #[error("{host} is too busy for {operation}")]
    Busy {
        /// Host and port.
        host: String,
        /// What was asked.
        operation: String,
    },
    /// A password would travel readable over the network.
    #[error("the password for {host} was not sent: Basic sign-in over plain HTTP shows it to the network")]
    UnsafeSignIn {
        /// Host and port.
        host: String,
    },
    /// The sign-in cannot be sent.
    #[error("the sign-in of {user} cannot be used: {reason}")]
    Credentials {
        /// The user.
        user: String,
        /// Why not.
        reason: String,
    },
    /// The endpoint's address cannot be used.
    #[error("the address {url} cannot be used: {reason}")]
    Endpoint {
        /// The address.
        url: String,
        /// Why not.
        reason: String,
    },
    /// A property is missing or of another type.
    #[error("{property} of {class} is {found} where {wanted} was expected")]
    Property {
        /// Class, or `Method_OUTPUT`.
        class: String,
        /// Property or parameter.
        property: String,
        /// The type that was asked for.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// Text that is no object path.
    #[error("{path:?} is not an object path: {why}")]
    ObjectPath {
        /// The text, shortened.
        path: String,
        /// Why not.
        why: String,
    },
    /// Text that is no CIM-XML instance.
    #[error("the text is not an embedded instance: {why}")]
    EmbeddedInstance {
        /// Why not.
        why: String,
    },
    /// Text that is no query of the understood part of WQL.
    #[error("the query {query:?} cannot be read at character {at}: {why}")]
    Wql {
        /// The query, shortened.
        query: String,
        /// Where, counted in characters from 1.
        at: usize,
        /// Why not.
        why: String,
    },
}

fn ran(may_have_run: bool) -> &'static str {
    if may_have_run { "; it may have run" } else { "" }
}

impl Error {
    /// Stable code for manuals and searches.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotReachable { .. } => "WR-001",
            Self::SignInRefused { .. } => "WR-002",
            Self::AccessDenied { .. } => "WR-003",
            Self::NotWsManagement { .. } => "WR-004",
            Self::Fault { .. } => "WR-005",
            Self::TimedOut { .. } => "WR-006",
            Self::ConnectionLost { .. } => "WR-007",
            Self::MalformedReply { .. } => "WR-008",
            Self::ReplyTooLarge { .. } => "WR-009",
            Self::Busy { .. } => "WR-010",
            Self::UnsafeSignIn { .. } => "WR-011",
            Self::Endpoint { .. } => "WR-012",
            Self::Property { .. } => "WR-013",
            Self::ObjectPath { .. } => "WR-014",
            Self::EmbeddedInstance { .. } => "WR-015",
            Self::Wql { .. } => "WR-016",
            Self::Credentials { .. } => "WR-017",
        }
    }

    /// What the operator does next.
    pub fn next_step(&self) -> String {
        match self {
            Self::NotReachable { host, .. } => format!(
                "check that {host} is up, that the name and port are right and that WinRM listens (`winrm enumerate winrm/config/listener` on the host; `Enable-PSRemoting -Force` switches it on)"
            ),
            Self::SignInRefused { offered, .. } if !offered.to_ascii_lowercase().contains("basic") => {
                "allow Basic sign-in on the host (`winrm set winrm/config/service/auth @{Basic=\"true\"}`) and, over plain HTTP, `winrm set winrm/config/service @{AllowUnencrypted=\"true\"}`"
                    .to_owned()
            }
            Self::SignInRefused { user, .. } => {
                format!("check the password of {user} and that the account is neither locked nor expired")
            }
            Self::AccessDenied { .. } => {
                "use an account that is in the host's Administrators group, or in Remote Management Users with the rights that the operation needs".to_owned()
            }
            Self::NotWsManagement { .. } => {
                "check the port (5985 for HTTP, 5986 for HTTPS) and the path (/wsman)".to_owned()
            }
            Self::Fault { fault, .. } => fault.next_step(),
            Self::TimedOut { may_have_run, .. } | Self::ConnectionLost { may_have_run, .. } => after_break(*may_have_run),
            Self::MalformedReply { .. } => {
                "check that nothing between here and the host changes its replies, and report this with the text".to_owned()
            }
            Self::ReplyTooLarge { .. } => {
                "ask for less at a time, or raise the limit here and on the host (`winrm set winrm/config @{MaxEnvelopeSizekb=\"2048\"}`)".to_owned()
            }
            Self::Busy { .. } => "try again when the host has less to do".to_owned(),
            Self::UnsafeSignIn { .. } => {
                "use an https address, or allow Basic over plain HTTP for this host if the network is trusted".to_owned()
            }
            Self::Credentials { .. } => "use another account for this host".to_owned(),
            Self::Endpoint { .. } => "give an address like http://host:5985/wsman".to_owned(),
            Self::Property { .. } | Self::EmbeddedInstance { .. } => {
                "report this with the Windows version of the host".to_owned()
            }
            Self::ObjectPath { .. } | Self::Wql { .. } => "report this with the text".to_owned(),
        }
    }

    /// Whether trying the same call again helps.
    pub fn retry(&self) -> Retry {
        match self {
            Self::NotReachable { .. } | Self::Busy { .. } => Retry::Later,
            Self::TimedOut { may_have_run: false, .. } => Retry::Later,
            Self::ConnectionLost { may_have_run: false, .. } => Retry::Now,
            Self::Fault { fault, .. } => fault.retry(),
            _ => Retry::No,
        }
    }

    /// The fault, when the host answered with one.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault { fault, .. } => Some(fault),
            _ => None,
        }
    }

    /// True when a call that changes something may have taken effect although no result came back.
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::TimedOut { may_have_run, .. }
            | Self::ConnectionLost { may_have_run, .. }
            | Self::MalformedReply { may_have_run, .. }
            | Self::Fault { may_have_run, .. }
            | Self::ReplyTooLarge { may_have_run, .. } => *may_have_run,
            _ => false,
        }
    }

    /// True when the host says that the object, or its class, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.fault().is_some_and(Fault::is_not_found)
    }

    /// True when a reply did not fit, so that asking for less helps.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::ReplyTooLarge { .. }) || self.fault().is_some_and(Fault::is_too_large)
    }
}

fn after_break(may_have_run: bool) -> String {
    if may_have_run {
        "look on the host whether the call took effect before it is sent again".to_owned()
    } else {
        "try again; if it happens often, check the network and the load of the host".to_owned()
    }
}
