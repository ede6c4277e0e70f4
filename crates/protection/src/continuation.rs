//! The continuation record: how the next backup of a VM goes on from a restore point.
//!
//! It is a companion object beside the restore point, written only after the host has turned
//! the recovery checkpoint into a reference point. It is small, it is never changed, and losing
//! it costs one whole read: slow, never wrong.

use hyperv::{RctId, ReferencePointId, VirtualDiskId, VmId};
use serde::{Deserialize, Serialize};

/// Name of the companion object beside a restore point.
pub const COMPANION: &str = "continuation";

/// Version written into new records; a record of another version is not used.
pub const VERSION: u32 = 1;

/// What must still hold on the host for changed ranges to be usable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuation {
    /// Version of this record.
    pub version: u32,
    /// The VM.
    pub vm: VmId,
    /// The host that made the reference point.
    pub host: String,
    /// The reference point that marks the restore point's instant.
    pub reference_point: ReferencePointId,
    /// One entry for each disk that has an RCT id.
    pub disks: Vec<ContinuationDisk>,
}

/// One disk of a [`Continuation`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContinuationDisk {
    /// The disk's key in the repository.
    pub key: String,
    /// The device part of the disk's WMI instance id.
    pub attachment: String,
    /// The file the VM wrote to when no checkpoint existed, as the host names it.
    pub path: String,
    /// The virtual disk id inside the file.
    pub virtual_disk_id: VirtualDiskId,
    /// Size of the virtual disk.
    pub capacity_bytes: u64,
    /// The mark on the disk from which changes are asked for.
    pub rct_id: RctId,
}

impl Continuation {
    /// The record as stored.
    ///
    /// # Errors
    /// Only if serialisation itself fails.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads a stored record; `None` where it is damaged or of another version, since a record
    /// that cannot be understood is worth as much as none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.version == VERSION).then_some(record)
    }

    /// The entry of one attachment.
    pub fn disk(&self, attachment: &str) -> Option<&ContinuationDisk> {
        self.disks.iter().find(|disk| disk.attachment == attachment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm() -> VmId {
        "7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77".parse().unwrap()
    }

    fn record() -> Continuation {
        Continuation {
            version: VERSION,
            vm: vm(),
            host: "HV1".into(),
            reference_point: ReferencePointId::new("Microsoft:RP1", vm()).unwrap(),
            disks: Vec::new(),
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let bytes = record().encode().unwrap();
        assert_eq!(Continuation::decode(&bytes), Some(record()));
    }

    #[test]
    fn a_record_of_another_version_is_not_used() {
        let bytes = Continuation { version: 2, ..record() }.encode().unwrap();
        assert_eq!(Continuation::decode(&bytes), None);
    }

    #[test]
    fn a_damaged_record_is_not_used() {
        assert_eq!(Continuation::decode(b"{\"version\":1"), None);
    }
}
