//! `DiskId`: the virtual disk id that MS-VHDX 2.6.2.4 calls "Virtual Disk ID" (SCSI page 83 data).
//!
//! It is a type of its own so that it cannot be mixed up with the file and data write GUIDs. It
//! names a *virtual disk*, not a file: a child has the id of its parent, and copies keep it.

use std::fmt;

use uuid::Uuid;

/// The identity of a virtual disk, the same in every file of its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId(Uuid);

impl DiskId {
    /// The id of disks that have none, such as raw images.
    pub const NIL: Self = Self(Uuid::nil());

    /// Wraps a GUID read elsewhere.
    #[must_use]
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// A fresh id for a new disk.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The GUID inside.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// Whether this is the id of a disk that has none.
    #[must_use]
    pub const fn is_nil(&self) -> bool {
        self.0.is_nil()
    }
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}", self.0.hyphenated())
    }
}

impl std::str::FromStr for DiskId {
    type Err = uuid::Error;

    /// Accepts either case, with or without braces, as Windows writes both.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text.trim()).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_upper_case_and_reads_back_in_any_case() {
        let id: DiskId = "{a5d5d491-0000-4000-8000-0000000000ff}".parse().unwrap();
        assert_eq!(id.to_string(), "A5D5D491-0000-4000-8000-0000000000FF");
        assert_eq!(id.to_string().parse::<DiskId>().unwrap(), id);
        assert!(DiskId::NIL.is_nil() && !id.is_nil());
    }
}
