//! What each error's code is, what the operator does next, and whether trying again helps.

use super::{Error, Retry};

impl Error {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "RP-001",
            Self::AlreadyExists { .. } => "RP-002",
            Self::NotEmpty { .. } => "RP-003",
            Self::NotARepository { .. } => "RP-004",
            Self::NewerFormat { .. } => "RP-005",
            Self::WrongPassphrase { .. } => "RP-006",
            Self::WrongRecoveryKey { .. } => "RP-007",
            Self::BadRecoveryKey { .. } => "RP-008",
            Self::DamagedKeySlot { .. } => "RP-009",
            Self::NoKeySlot { .. } => "RP-010",
            Self::MissingObject { .. } => "RP-011",
            Self::DamagedObject { .. } => "RP-012",
            Self::DamagedRange { .. } => "RP-013",
            Self::Full { .. } => "RP-014",
            Self::PermissionDenied { .. } => "RP-015",
            Self::Storage { .. } => "RP-016",
            Self::NoHardLinks { .. } => "RP-017",
            Self::PointNotFound { .. } => "RP-018",
            Self::DiskNotFound { .. } => "RP-019",
            Self::AttachmentNotFound { .. } => "RP-020",
            Self::PointExists { .. } => "RP-021",
            Self::Misaligned { .. } => "RP-022",
            Self::OutsideDisk { .. } => "RP-023",
            Self::GivenTwice { .. } => "RP-024",
            Self::TooLarge { .. } => "RP-025",
            Self::BadName { .. } => "RP-026",
            Self::BadOption { .. } => "RP-027",
            Self::BadBase { .. } => "RP-028",
            Self::Misuse { .. } => "RP-029",
            Self::SessionFailed { source } => source.code(),
            Self::Internal { .. } => "RP-030",
            Self::DamagedAttachment { .. } => "RP-031",
        }
    }

    /// What the operator does next.
    pub fn next_step(&self) -> String {
        match self {
            Self::NotFound { .. } => "Check the path, or create one with `refpoint repo init`.".into(),
            Self::AlreadyExists { .. } => "Use it as it is, or choose another place.".into(),
            Self::NotEmpty { .. } => "Choose an empty folder, or empty this one.".into(),
            Self::NotARepository { .. } => "Check the path; nothing there was touched.".into(),
            Self::NewerFormat { .. } => "Update Refpoint on this machine.".into(),
            Self::WrongPassphrase { .. } => "Try the passphrase again, or use the recovery key.".into(),
            Self::WrongRecoveryKey { .. } => {
                "Find the recovery key that was kept for this repository.".into()
            }
            Self::BadRecoveryKey { .. } => "Compare the text with the printed key, group by group.".into(),
            Self::DamagedKeySlot { .. } | Self::NoKeySlot { .. } => {
                "Open the repository with the recovery key and add a passphrase.".into()
            }
            Self::MissingObject { object, .. } | Self::DamagedObject { object, .. } => format!(
                "Bring {object} back from a copy of the repository; verifying restore points tells which it affects."
            ),
            Self::DamagedRange { .. } => {
                "Restore this range from another restore point, or bring the object back from a copy.".into()
            }
            Self::DamagedAttachment { .. } => "Use another restore point of this source.".into(),
            Self::Full { place, .. } => {
                format!("Free space on {place} or enlarge it, then run the backup again.")
            }
            Self::PermissionDenied { place, .. } => {
                format!("Give this account access to {place}, then try again.")
            }
            Self::Storage { .. } => "Check the storage and its connection, then try again.".into(),
            Self::NoHardLinks { .. } => "Use a folder on ext4, XFS, NTFS, ReFS or NFS.".into(),
            Self::PointNotFound { .. } | Self::DiskNotFound { .. } | Self::AttachmentNotFound { .. } => {
                "List what is there with `refpoint points list` and `refpoint points show`.".into()
            }
            Self::PointExists { .. } => "Nothing to do: the other session's restore point stands.".into(),
            Self::Misaligned { .. }
            | Self::OutsideDisk { .. }
            | Self::GivenTwice { .. }
            | Self::Misuse { .. } => "This is a fault of the program; please report it.".into(),
            Self::TooLarge { .. } | Self::BadName { .. } | Self::BadOption { .. } => {
                "Choose another value.".into()
            }
            Self::BadBase { .. } => "Read the whole disk instead.".into(),
            Self::SessionFailed { source } => source.next_step(),
            Self::Internal { .. } => "Try again; report it if it happens twice.".into(),
        }
    }

    /// Whether the same call may succeed when made again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Full { .. } | Self::PermissionDenied { .. } | Self::Storage { .. } => Retry::Later,
            Self::Internal { .. } => Retry::Now,
            Self::SessionFailed { source } => source.retry(),
            Self::DamagedRange { source, .. } | Self::DamagedAttachment { source, .. } => source.retry(),
            _ => Retry::No,
        }
    }
}
