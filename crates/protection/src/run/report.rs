//! What came of a backup, for people, programs and job history.

use serde::Serialize;

/// The outcome of a whole plan.
#[derive(Debug, Default, Serialize)]
pub struct BackupReport {
    /// One entry for each VM of the plan, in its order.
    pub vms: Vec<VmReport>,
}

/// The outcome for one VM.
#[derive(Debug, Serialize)]
pub struct VmReport {
    /// VM name.
    pub vm: String,
    /// How it ended.
    pub outcome: VmOutcome,
    /// Things an operator should know.
    pub warnings: Vec<String>,
}

/// How the backup of one VM ended.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum VmOutcome {
    /// A restore point was made.
    Done {
        /// Its id.
        point: String,
        /// The consistency it has, as its label says.
        consistency: String,
        /// Its disks.
        disks: Vec<DiskReport>,
    },
    /// There was nothing to run, for the reason in the plan.
    Skipped {
        /// The reason.
        reason: String,
    },
    /// It failed. Whatever it had begun was settled, or is listed in the warnings.
    Failed {
        /// The error, rendered by whoever shows it.
        #[serde(serialize_with = "as_text")]
        error: crate::Error,
        /// The restore point, where the failure came only after it was committed.
        point: Option<String>,
    },
}

/// What was read and stored of one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskReport {
    /// Its key in the repository.
    pub key: String,
    /// File name.
    pub name: String,
    /// Size of the virtual disk.
    pub capacity_bytes: u64,
    /// Whether only changed ranges were read.
    pub changed_only: bool,
    /// Why it was read whole, where it was.
    pub whole_because: Option<String>,
    /// Bytes that the host reported as changed, where changed ranges were used.
    pub reported_bytes: Option<u64>,
    /// Bytes read from the disk.
    pub read_bytes: u64,
    /// Bytes of content that the repository had not seen before.
    pub new_bytes: u64,
    /// Bytes added to the repository, compressed and sealed.
    pub stored_bytes: u64,
}

fn as_text<S: serde::Serializer>(error: &crate::Error, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(error)
}
