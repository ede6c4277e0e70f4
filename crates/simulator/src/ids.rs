//! Identities inside the simulated host: a type each, so that a checkpoint's id never stands where a VM's is meant.
//!
//! All of them are GUIDs on Hyper-V and are written in upper case without braces, in WMI key values as well as in
//! file names (facts: WMI notes 1.1 and 1.3).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! guid_id {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The GUID as Hyper-V prints it: upper case with hyphens.
            pub fn text(&self) -> String {
                guid_text(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.text())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!(stringify!($name), "({})"), self.text())
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map($name)
            }
        }
    )+};
}

guid_id! {
    /// One virtual machine of the simulated host.
    SimVmId,
    /// One checkpoint of a virtual machine; also the stem of its configuration files.
    CheckpointId,
    /// One reference point of a virtual machine.
    ReferencePointId,
    /// One asynchronous job of the management service.
    JobId,
}

/// A GUID in the host's spelling.
pub fn guid_text(guid: &Uuid) -> String {
    guid.hyphenated().to_string().to_uppercase()
}

/// The mark of one moment on one disk's change tracking.
///
/// Text form as seen in the one public example (WMI notes 1.7): the literal `rctX`, the branch GUID with colons
/// in place of hyphens, and the sequence number as eight hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ChangeMark {
    /// Names the history the sequence number belongs to; a new one is started when tracking is lost.
    pub branch: Uuid,
    /// Writes up to and including this sequence number lie before the mark.
    pub sequence: u32,
}

impl fmt::Display for ChangeMark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let branch = self.branch.hyphenated().to_string().replace('-', ":");
        write!(out, "rctX:{branch}:{:08x}", self.sequence)
    }
}

impl FromStr for ChangeMark {
    type Err = MalformedMark;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("rctX:").ok_or(MalformedMark)?;
        let (branch, sequence) = rest.rsplit_once(':').ok_or(MalformedMark)?;
        if sequence.len() != 8 {
            return Err(MalformedMark);
        }
        Ok(ChangeMark {
            branch: Uuid::parse_str(&branch.replace(':', "-")).map_err(|_| MalformedMark)?,
            sequence: u32::from_str_radix(sequence, 16).map_err(|_| MalformedMark)?,
        })
    }
}

/// The text was not a change tracking id at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedMark;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_mark_has_the_shape_of_the_public_example() {
        let text = "rctX:5bfde23b:ce75:4303:b54f:6c18394f105c:00000001";
        let mark: ChangeMark = text.parse().unwrap();
        assert_eq!(mark.sequence, 1);
        assert_eq!(mark.to_string(), text);
    }

    #[test]
    fn other_texts_are_not_change_marks() {
        for text in ["", "rctX:", "rctX:5bfde23b:1", "5bfde23b-ce75-4303-b54f-6c18394f105c"] {
            assert_eq!(text.parse::<ChangeMark>(), Err(MalformedMark), "{text}");
        }
    }

    #[test]
    fn guids_are_printed_in_upper_case() {
        let id: SimVmId = "7f1b9e63-0b0c-4d61-9d0e-3c0e4a1a2b77".parse().unwrap();
        assert_eq!(id.to_string(), "7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77");
    }
}
