//! What can go wrong with a repository, told so that an operator can act.
//!
//! Every error names the object or place, the cause, a code that never changes its meaning, the next
//! step and whether trying again helps. Upper layers wrap these and delegate `code`, `next_step` and
//! `retry`, so the text stays in one file and is pinned by one test.

mod advice;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::name::{DiskKey, PointId};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Whether the same call may succeed when it is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not without a change by the operator.
    No,
    /// At once.
    Now,
    /// After some time, or once the named cause is gone.
    Later,
}

/// An error of the repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The place holds no repository.
    #[error("There is no repository at {place}.")]
    NotFound {
        /// Folder or bucket.
        place: String,
    },
    /// A repository is already there.
    #[error("There is already a repository at {place}; it was left as it is.")]
    AlreadyExists {
        /// Folder or bucket.
        place: String,
    },
    /// The place for a new repository holds something else.
    #[error("{place} is not empty: it holds {found}. No repository was created.")]
    NotEmpty {
        /// Folder or bucket.
        place: String,
        /// One of the things found.
        found: String,
    },
    /// Something is there, but no repository of ours.
    #[error("{place} holds an object \"config\" that is not a Refpoint repository's: {cause}.")]
    NotARepository {
        /// Folder or bucket.
        place: String,
        /// What does not fit.
        cause: String,
    },
    /// Written by a newer version.
    #[error("{object} in {place} has format version {found}; this program reads up to {supported}.")]
    NewerFormat {
        /// Folder or bucket.
        place: String,
        /// Object name.
        object: String,
        /// Version found.
        found: u16,
        /// Newest version known.
        supported: u16,
    },
    /// No key slot opens with this passphrase.
    #[error("The passphrase does not open the repository at {place}.")]
    WrongPassphrase {
        /// Folder or bucket.
        place: String,
    },
    /// The recovery key is well formed but belongs elsewhere.
    #[error("The recovery key does not belong to the repository at {place}.")]
    WrongRecoveryKey {
        /// Folder or bucket.
        place: String,
    },
    /// The recovery key is mistyped.
    #[error("The recovery key cannot be read: {cause}.")]
    BadRecoveryKey {
        /// What is wrong with the text.
        cause: String,
    },
    /// Key slots exist, and all that could be tried are damaged.
    #[error("Key slot {object} in {place} is damaged: {cause}.")]
    DamagedKeySlot {
        /// Folder or bucket.
        place: String,
        /// Object name.
        object: String,
        /// What does not fit.
        cause: String,
    },
    /// No key slot is left.
    #[error("The repository at {place} has no passphrase slot.")]
    NoKeySlot {
        /// Folder or bucket.
        place: String,
    },
    /// An object that must exist is gone.
    #[error("Object {object} is missing from {place}.")]
    MissingObject {
        /// Folder or bucket.
        place: String,
        /// Object name.
        object: String,
    },
    /// An object does not hold what was written.
    #[error("Object {object} in {place} is damaged: {cause}.")]
    DamagedObject {
        /// Folder or bucket.
        place: String,
        /// Object name.
        object: String,
        /// What does not fit.
        cause: String,
    },
    /// Part of a disk cannot be read.
    #[error("Disk {disk} of restore point {point} cannot be read from byte {start} to {end}: {source}")]
    DamagedRange {
        /// Restore point.
        point: PointId,
        /// Disk.
        disk: DiskKey,
        /// First byte that cannot be read.
        start: u64,
        /// End of the unreadable range, exclusive.
        end: u64,
        /// The object and its damage.
        #[source]
        source: Arc<Error>,
    },
    /// An attachment cannot be read.
    #[error("Attachment {name} of restore point {point} cannot be read: {source}")]
    DamagedAttachment {
        /// Restore point.
        point: PointId,
        /// Attachment.
        name: String,
        /// The object and its damage.
        #[source]
        source: Arc<Error>,
    },
    /// No space left.
    #[error("{place} is full: {object} needs {needed_bytes} bytes, {}. Nothing that was committed is lost.", free_text(*.free_bytes))]
    Full {
        /// Folder or bucket.
        place: String,
        /// Object that did not fit.
        object: String,
        /// Its size.
        needed_bytes: u64,
        /// Free space, when the store can tell.
        free_bytes: Option<u64>,
    },
    /// Access denied by the store.
    #[error("Access denied: {object} in {place} cannot be {doing}.")]
    PermissionDenied {
        /// Folder or bucket.
        place: String,
        /// Object name.
        object: String,
        /// "read", "written" …
        doing: &'static str,
    },
    /// The store failed in another way.
    #[error("{object} in {place} could not be {doing}: {cause}.")]
    Storage {
        /// Folder or bucket.
        place: String,
        /// Object name.
        object: String,
        /// "read", "written" …
        doing: &'static str,
        /// The store's own words.
        cause: String,
    },
    /// The file system cannot create a name exactly once.
    #[error("The file system of {place} has no hard links, which commits rely on.")]
    NoHardLinks {
        /// Folder.
        place: String,
    },
    /// No such restore point.
    #[error("There is no restore point {point} in {place}.")]
    PointNotFound {
        /// Folder or bucket.
        place: String,
        /// Restore point.
        point: PointId,
    },
    /// No such disk in the restore point.
    #[error("Restore point {point} has no disk {disk}; it has {known}.")]
    DiskNotFound {
        /// Restore point.
        point: PointId,
        /// Disk asked for.
        disk: DiskKey,
        /// The disks it has.
        known: String,
    },
    /// No such attachment in the restore point.
    #[error("Restore point {point} has no attachment {name}.")]
    AttachmentNotFound {
        /// Restore point.
        point: PointId,
        /// Attachment.
        name: String,
    },
    /// Another session committed this id.
    #[error("Restore point {point} of {source_id} already exists; this session was not committed.")]
    PointExists {
        /// Restore point.
        point: PointId,
        /// Its source.
        source_id: String,
    },
    /// Offset or length not on block borders.
    #[error("Disk {disk}: a range of {length} bytes at {offset} is not aligned to blocks of {block_bytes}.")]
    Misaligned {
        /// Disk.
        disk: DiskKey,
        /// Where.
        offset: u64,
        /// How much.
        length: u64,
        /// The repository's block size.
        block_bytes: u32,
    },
    /// Beyond the disk.
    #[error("Disk {disk}: bytes {start} to {end} are outside its capacity of {capacity_bytes}.")]
    OutsideDisk {
        /// Disk.
        disk: DiskKey,
        /// First byte.
        start: u64,
        /// End, exclusive.
        end: u64,
        /// Capacity.
        capacity_bytes: u64,
    },
    /// The same block came twice.
    #[error("Disk {disk}: the block at byte {offset} was given twice in one session.")]
    GivenTwice {
        /// Disk.
        disk: DiskKey,
        /// First byte of the block, or of the range around it.
        offset: u64,
    },
    /// Over a limit of the format.
    #[error("{what} has {bytes} bytes; at most {bytes_max} are allowed.")]
    TooLarge {
        /// What.
        what: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A name the format does not allow.
    #[error("\"{name}\" cannot be used as {what}: {cause}.")]
    BadName {
        /// What kind of name.
        what: &'static str,
        /// The name.
        name: String,
        /// Which rule it breaks.
        cause: &'static str,
    },
    /// A parameter out of its bounds.
    #[error("{what} cannot be {value}: {cause}.")]
    BadOption {
        /// Which parameter.
        what: &'static str,
        /// Its value.
        value: String,
        /// Which rule it breaks.
        cause: &'static str,
    },
    /// The base disk does not fit.
    #[error("Disk {disk} cannot be based on restore point {point}: {cause}.")]
    BadBase {
        /// Disk.
        disk: DiskKey,
        /// Base restore point.
        point: PointId,
        /// Why.
        cause: String,
    },
    /// A session was used against its order.
    #[error("The session cannot go on: {cause}.")]
    Misuse {
        /// What was done.
        cause: String,
    },
    /// An earlier failure ended the session.
    #[error("{source} The session was given up; nothing of it is visible.")]
    SessionFailed {
        /// The first failure.
        #[source]
        source: Arc<Error>,
    },
    /// A thread or the system's random source failed.
    #[error("Internal work failed: {cause}.")]
    Internal {
        /// What failed.
        cause: String,
    },
}

fn free_text(free_bytes: Option<u64>) -> String {
    free_bytes.map_or_else(|| "free space unknown".to_owned(), |free| format!("{free} are free"))
}

impl Error {
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal { cause: cause.to_string() }
    }

    pub(crate) fn misuse(cause: impl Into<String>) -> Self {
        Self::Misuse { cause: cause.into() }
    }
}
