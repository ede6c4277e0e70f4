//! What can go wrong while bringing data back.
//!
//! Errors of the layers below keep their own code and next step: the operator acts on the cause, and
//! this layer says what was being restored. Codes are stable; a test pins every text.

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether doing the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not without a change by the operator.
    No,
    /// At once.
    Now,
    /// After some time.
    Later,
}

/// Something that could not be brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file beside the disks of a restore point has an unexpected content.
    #[error("The attachment {name} of the restore point cannot be read: {why}.")]
    AttachmentUnreadable {
        /// Name of the attachment.
        name: &'static str,
        /// What does not fit.
        why: String,
    },
}

impl Error {
    /// The stable code of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AttachmentUnreadable { .. } => "RC-001",
        }
    }

    /// What the operator does next.
    pub fn next_step(&self) -> String {
        match self {
            Self::AttachmentUnreadable { .. } => {
                "Restore the disks one by one, or use another restore point.".into()
            }
        }
    }

    /// Whether doing the same again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::AttachmentUnreadable { .. } => Retry::No,
        }
    }
}
