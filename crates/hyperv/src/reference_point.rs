//! Reference points: marks in time on a VM's disks, from which changed ranges are asked later.
//!
//! Source: `Msvm_VirtualSystemReferencePoint` class reference (`VirtualDiskIdentifiers` and
//! `ResilientChangeTrackingIdentifiers` are parallel arrays).

use serde::{Deserialize, Serialize};

use crate::checkpoint::Consistency;
use crate::id::{RctId, ReferencePointId, VmId};

/// What a reference point keeps (`ReferencePointType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferencePointKind {
    /// A replica log.
    Log,
    /// Marks of resilient change tracking.
    Rct,
    /// A kind this version does not know.
    Unknown(u16),
}

/// A reference point as the host lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferencePoint {
    /// Its identity.
    pub id: ReferencePointId,
    /// The VM it belongs to.
    pub vm: VmId,
    /// How consistent the marked moment is; `None` when the host does not say.
    pub consistency: Option<Consistency>,
    /// What it keeps.
    pub kind: ReferencePointKind,
    /// Attachment and RCT id of every marked disk.
    pub disks: Vec<(String, RctId)>,
}

impl ReferencePoint {
    /// The RCT id of the disk at `attachment`, compared without regard to case.
    pub fn rct_id(&self, attachment: &str) -> Option<&RctId> {
        self.disks.iter().find(|(at, _)| at.eq_ignore_ascii_case(attachment)).map(|(_, id)| id)
    }
}
