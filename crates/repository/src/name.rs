//! Names: sources, disks, restore points, sessions, and the object names built from them.
//!
//! Each is its own type, so that one cannot be passed for another, and each is checked once, where it
//! enters. Object names follow docs/formats/repository.md section 2 and are safe as file names and as
//! bucket keys on every store: they never need escaping.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

/// Longest source id or disk key.
const NAME_CHARS_MAX: usize = 128;
/// Longest companion name; short because it ends up in a file name beside the point.
const COMPANION_CHARS_MAX: usize = 64;

fn check_name(what: &'static str, name: &str) -> Result<()> {
    let bad = |cause| Err(Error::BadName { what, name: name.chars().take(200).collect(), cause });
    if name.is_empty() || name.len() > NAME_CHARS_MAX {
        return bad("it must have 1 to 128 characters");
    }
    if name.starts_with('.') {
        return bad("it must not start with a dot");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return bad("only letters, digits, '.', '_' and '-' are allowed");
    }
    Ok(())
}

macro_rules! text_name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks and takes a name: 1–128 of `A–Z a–z 0–9 . _ -`, not starting with a dot.
            pub fn new(name: impl Into<String>) -> Result<Self> {
                let name = name.into();
                check_name($what, &name)?;
                Ok(Self(name))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(name: String) -> Result<Self> {
                Self::new(name)
            }
        }

        impl FromStr for $type {
            type Err = Error;
            fn from_str(name: &str) -> Result<Self> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
    };
}

text_name! {
    /// What is backed up, for example a VM: groups restore points in the repository.
    SourceId, "a source id"
}
text_name! {
    /// One disk within a restore point; stable from one restore point of a source to the next.
    DiskKey, "a disk key"
}

/// A restore point's identity. New ones sort by time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PointId(Uuid);

impl PointId {
    /// A new id: the time (for sorting only) and 74 random bits.
    pub fn generate(unix_ms: u64) -> Result<Self> {
        let mut random = [0_u8; 10];
        getrandom::fill(&mut random).map_err(Error::internal)?;
        Ok(Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid()))
    }

    /// Takes an id chosen by the caller, for example one written to a journal earlier.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as a UUID.
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for PointId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Uuid::try_parse(text).map(Self).map_err(|_| Error::BadName {
            what: "a restore point id",
            name: text.chars().take(200).collect(),
            cause: "it must be a UUID",
        })
    }
}

/// Sixteen bytes written as 32 lower-case hex digits; text in JSON.
macro_rules! hex_id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $type(pub(crate) [u8; 16]);

        impl $type {
            pub(crate) fn parse(text: &str) -> Option<Self> {
                if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                    return None;
                }
                u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl TryFrom<String> for $type {
            type Error = &'static str;
            fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
                Self::parse(&text).ok_or("expected 32 lower-case hex digits")
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> Self {
                id.to_string()
            }
        }
    };
}

hex_id! {
    /// One writer's work from begin to commit.
    SessionId
}
hex_id! {
    /// The identity of plain bytes: keyed BLAKE3, first 16 bytes.
    ChunkId
}

impl SessionId {
    pub(crate) fn generate() -> Result<Self> {
        let mut id = [0_u8; 16];
        getrandom::fill(&mut id).map_err(Error::internal)?;
        Ok(Self(id))
    }
}

/// Name of the object that makes a place a repository.
pub(crate) const CONFIG: &str = "config";
/// Folder of key slots.
pub(crate) const KEYS: &str = "keys";
/// Folder of packs.
pub(crate) const PACKS: &str = "packs";
/// Folder of runs.
pub(crate) const INDEX: &str = "index";
/// Folder of restore points.
pub(crate) const POINTS: &str = "points";

pub(crate) fn slot_object(slot: u64) -> String {
    format!("{KEYS}/{slot:016x}")
}

pub(crate) fn pack_object(session: SessionId, number: u32) -> String {
    format!("{PACKS}/{:02x}/{session}-{number}", session.0[0])
}

pub(crate) fn run_object(session: SessionId, number: u32) -> String {
    format!("{INDEX}/{session}-{number}")
}

pub(crate) fn point_object(source: &SourceId, point: PointId) -> String {
    format!("{POINTS}/{source}/{point}")
}

pub(crate) fn companion_object(source: &SourceId, point: PointId, name: &str) -> Result<String> {
    let fits = !name.is_empty()
        && name.len() <= COMPANION_CHARS_MAX
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits {
        return Err(Error::BadName {
            what: "a companion's name",
            name: name.chars().take(200).collect(),
            cause: "it must have 1 to 64 characters of a-z, 0-9 and '-'",
        });
    }
    Ok(format!("{}.{name}", point_object(source, point)))
}

/// Reads `points/<source>/<point>`; anything else, companions included, gives `None`.
pub(crate) fn parse_point_object(name: &str) -> Option<(SourceId, PointId)> {
    let (source, point) = name.strip_prefix(POINTS)?.strip_prefix('/')?.split_once('/')?;
    let id = PointId::from_str(point).ok()?;
    (id.to_string() == point).then_some(())?;
    Some((SourceId::new(source).ok()?, id))
}

/// The session in the name of a pack or run.
pub(crate) fn parse_session_object(name: &str) -> Option<(SessionId, u32)> {
    let (session, number) = name.rsplit('/').next()?.split_once('-')?;
    Some((SessionId::parse(session)?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ä", &"x".repeat(129)] {
            assert_eq!(SourceId::new(name).unwrap_err().code(), "RP-026", "{name:?}");
        }
        assert_eq!(SourceId::new("SQL01_a.b-2").unwrap().as_str(), "SQL01_a.b-2");
    }

    #[test]
    fn object_names_read_back() {
        let session = SessionId([0xab; 16]);
        let source = SourceId::new("vm").unwrap();
        let point = PointId::generate(1_700_000_000_000).unwrap();
        assert_eq!(parse_session_object(&pack_object(session, 7)), Some((session, 7)));
        assert_eq!(parse_session_object(&run_object(session, 0)), Some((session, 0)));
        assert_eq!(parse_point_object(&point_object(&source, point)), Some((source.clone(), point)));
        let companion = companion_object(&source, point, "continuation").unwrap();
        assert_eq!(parse_point_object(&companion), None);
        assert!(companion_object(&source, point, "../x").is_err());
    }

    #[test]
    fn point_ids_sort_by_time() {
        let earlier = PointId::generate(1_700_000_000_000).unwrap();
        let later = PointId::generate(1_700_000_000_001).unwrap();
        assert!(earlier < later);
    }
}
