//! What a restore point of a VM carries beside its disks, so that the VM can be made again.
//!
//! Two small files: the definition as the host gave it (`hyperv` owns its layout), and this list,
//! which says where each disk of the restore point was attached. The definition alone cannot tell,
//! because it names files, and a file's name changes with every checkpoint. Whoever makes a restore
//! point of a VM writes both; whoever restores one reads both.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Name of the attachment with the VM's definition.
pub const DEFINITION_ATTACHMENT: &str = "vm-definition.json";

/// Name of the attachment with the list of disks.
pub const DISKS_ATTACHMENT: &str = "vm-disks.json";

/// Version of the list's layout. Readers accept this and older ones.
const DISKS_FORMAT: u32 = 1;

/// Most disks in a list; Hyper-V attaches 4 controllers of 64 disks and 4 IDE disks.
const DISKS_MAX: usize = 1024;

/// Where the disks of a restore point were attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmDisks {
    /// Version of this layout.
    pub format: u32,
    /// One entry for each disk of the restore point.
    pub disks: Vec<VmDisk>,
}

/// One disk of the VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmDisk {
    /// Its key in the restore point.
    pub key: String,
    /// The device part of its WMI instance id, which stays the same across checkpoints.
    pub attachment: String,
    /// The file that the VM wrote to, as the host names it.
    pub path: String,
}

impl VmDisks {
    /// A list in today's layout.
    pub fn new(disks: Vec<VmDisk>) -> Self {
        Self { format: DISKS_FORMAT, disks }
    }

    /// Writes it as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|error| unreadable(&error.to_string()))
    }

    /// Reads it back, refusing what is newer than this version.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let list: Self = serde_json::from_slice(bytes).map_err(|error| unreadable(&error.to_string()))?;
        if list.format == 0 || list.format > DISKS_FORMAT {
            let (found, known) = (list.format, DISKS_FORMAT);
            return Err(unreadable(&format!(
                "its layout is version {found}, this program reads up to {known}"
            )));
        }
        if list.disks.len() > DISKS_MAX {
            return Err(unreadable(&format!("it has {} disks, more than {DISKS_MAX}", list.disks.len())));
        }
        Ok(list)
    }
}

fn unreadable(why: &str) -> Error {
    Error::AttachmentUnreadable { name: DISKS_ATTACHMENT, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> VmDisks {
        VmDisks::new(vec![VmDisk {
            key: "0f3c".to_owned(),
            attachment: r"83F8638B-8DCA-4152-9EDA-2CA8B33039B4\0\0\D".to_owned(),
            path: r"C:\VMs\SQL01\sql01.vhdx".to_owned(),
        }])
    }

    #[test]
    fn a_list_of_disks_survives_json() {
        assert_eq!(VmDisks::from_json(&list().to_json().unwrap()).unwrap(), list());
    }

    #[test]
    fn a_list_of_a_newer_version_and_one_that_is_no_list_are_refused() {
        let newer = VmDisks { format: 2, ..list() }.to_json().unwrap();
        let error = VmDisks::from_json(&newer).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
        assert!(VmDisks::from_json(b"{\"format\":1}").is_err());
    }
}
