//! Identities: each its own type, so that a checkpoint is never destroyed with a VM's id.
//!
//! Hyper-V writes GUIDs in upper case in WMI and compares them without regard to case; we keep the value and
//! print upper case, so two texts of one id are equal. Change-tracking ids are opaque by specification and are
//! kept as text. Source: `Msvm_VirtualSystemSettingData`, `Msvm_VirtualSystemReferencePoint` class reference.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest RCT id that is believed. Seen ids have 51 characters; 256 leaves room for other formats while a
/// hostile host cannot make us carry megabytes.
pub(crate) const RCT_ID_BYTES_MAX: usize = 256;

/// Longest reference-point instance id that is believed; seen ids have under 120 characters.
pub(crate) const INSTANCE_ID_BYTES_MAX: usize = 1024;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is no GUID.
    #[error("'{text}' is not a GUID, so it cannot be {what}")]
    NotAGuid {
        /// Which id was expected.
        what: &'static str,
        /// The text, cut to a readable length.
        text: String,
    },
    /// The text is empty, too long or holds control characters.
    #[error("{what} must have 1 to {max} printable characters; this one has {found} bytes")]
    NotPrintable {
        /// Which id was expected.
        what: &'static str,
        /// The longest accepted length.
        max: usize,
        /// The length found.
        found: usize,
    },
}

macro_rules! guid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a GUID that is known to be of this kind.
            pub const fn new(guid: Uuid) -> Self {
                Self(guid)
            }

            /// The bare GUID.
            pub const fn guid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:X}", self.0.hyphenated())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_guid(text)
                    .map(Self)
                    .ok_or_else(|| IdError::NotAGuid { what: $what, text: shorten(text) })
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

guid_id!(
    /// Identity of a virtual machine: the GUID that survives renaming, moving and reconfiguring it.
    VmId,
    "a VM id"
);
guid_id!(
    /// Identity of a checkpoint (user or recovery).
    CheckpointId,
    "a checkpoint id"
);
guid_id!(
    /// `VirtualDiskId` of a VHDX: equal in a disk and all its differencing children, new after a conversion.
    VirtualDiskId,
    "a virtual disk id"
);

/// Accepts the hyphenated form with or without braces, as Windows writes both.
pub(crate) fn parse_guid(text: &str) -> Option<Uuid> {
    let text = text.trim();
    let bare = text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(text);
    if bare.len() == 36 { Uuid::try_parse(bare).ok() } else { None }
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

fn check_printable(what: &'static str, text: &str, max: usize) -> Result<(), IdError> {
    let printable = !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control);
    if printable { Ok(()) } else { Err(IdError::NotPrintable { what, max, found: text.len() }) }
}

/// Mark of a reference point on one disk (`rctX:5bfde23b:ce75:…`). Opaque: never taken apart, only handed back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RctId(String);

impl RctId {
    /// Accepts 1 to 256 printable characters.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        check_printable("an RCT id", &text, RCT_ID_BYTES_MAX)?;
        Ok(Self(text))
    }

    /// The id as Hyper-V wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RctId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RctId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl From<RctId> for String {
    fn from(id: RctId) -> String {
        id.0
    }
}

/// Identity of a reference point. Hyper-V keys it by both parts, and both are needed to destroy it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReferencePointId {
    /// `InstanceID` as Hyper-V wrote it.
    pub instance_id: String,
    /// The VM it belongs to.
    pub vm: VmId,
}

impl ReferencePointId {
    /// Accepts an instance id of 1 to 1024 printable characters.
    pub fn new(instance_id: impl Into<String>, vm: VmId) -> Result<Self, IdError> {
        let instance_id = instance_id.into();
        check_printable("a reference point id", &instance_id, INSTANCE_ID_BYTES_MAX)?;
        Ok(Self { instance_id, vm })
    }
}

impl fmt::Display for ReferencePointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.instance_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77";

    #[test]
    fn ids_print_upper_case_whatever_case_they_were_read_in() {
        let lower: VmId = GUID.to_lowercase().parse().unwrap();
        let braced: VmId = format!("{{{GUID}}}").parse().unwrap();
        assert_eq!(lower.to_string(), GUID);
        assert_eq!(lower, braced);
    }

    #[test]
    fn the_name_of_the_host_is_not_a_vm_id() {
        let error = "HV1".parse::<VmId>().unwrap_err();
        assert_eq!(error.to_string(), "'HV1' is not a GUID, so it cannot be a VM id");
        assert!("7F1B9E630B0C4D619D0E3C0E4A1A2B77".parse::<VmId>().is_err());
    }

    #[test]
    fn an_rct_id_is_kept_as_written_and_bounded() {
        let id = RctId::new("rctX:5bfde23b:ce75:4303:b54f:6c18394f105c:00000001").unwrap();
        assert_eq!(id.as_str(), "rctX:5bfde23b:ce75:4303:b54f:6c18394f105c:00000001");
        assert!(RctId::new("").is_err());
        assert!(RctId::new("a\nb").is_err());
        assert!(RctId::new("x".repeat(257)).is_err());
    }

    #[test]
    fn ids_go_through_json_as_text() {
        let id: VmId = GUID.parse().unwrap();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{GUID}\""));
        assert_eq!(serde_json::from_str::<VmId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<VmId>("\"HV1\"").is_err());
    }
}
