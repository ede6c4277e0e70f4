//! Restore points as stored (format document 4.7), and the public shape of what they tell.
//!
//! JSON, because these are small, few, and the one object whose fields will grow; the seal around it
//! gives integrity, so leniency about unknown fields is safe.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::map::LEVELS_MAX;
use super::{Parsed, damaged};
use crate::error::{Error, Result};
use crate::name::{ChunkId, DiskKey, PointId, SessionId, SourceId};

/// Largest restore point object that a reader accepts.
pub(crate) const POINT_OBJECT_BYTES_MAX: u64 = 64 << 20;
/// Attachments are stored in pieces of this size.
pub(crate) const ATTACHMENT_PIECE_BYTES: usize = 1 << 20;
/// Largest attachment, and largest companion.
pub(crate) const ATTACHMENT_BYTES_MAX: usize = 4 << 20;

/// Byte counts of one disk's, or one session's, writing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteSummary {
    /// Bytes handed to `put`.
    pub put_bytes: u64,
    /// Of these, bytes in blocks that the repository did not have.
    pub new_bytes: u64,
    /// Of these, bytes in blocks that the repository had already.
    pub reused_bytes: u64,
    /// Of these, bytes in blocks of zeros, which become holes.
    pub zero_bytes: u64,
    /// What the new blocks take in packs, after compression and sealing.
    pub stored_bytes: u64,
}

impl WriteSummary {
    pub(crate) fn add(&mut self, other: &Self) {
        self.put_bytes += other.put_bytes;
        self.new_bytes += other.new_bytes;
        self.reused_bytes += other.reused_bytes;
        self.zero_bytes += other.zero_bytes;
        self.stored_bytes += other.stored_bytes;
    }
}

/// A disk in a restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskRecord {
    /// The disk's key.
    pub key: DiskKey,
    /// Its name for people.
    pub name: String,
    /// Capacity in bytes.
    pub capacity_bytes: u64,
    /// Logical sector size.
    pub logical_sector: u32,
    /// Physical sector size.
    pub physical_sector: u32,
    /// What identifies the disk outside, for example the virtual disk id.
    pub identity: Option<String>,
    /// What writing it took.
    #[serde(default)]
    pub summary: WriteSummary,
    pub(crate) levels: u8,
    pub(crate) root: Option<ChunkId>,
}

/// An attachment of a restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentRecord {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    pub(crate) chunks: Vec<ChunkId>,
}

/// The runs of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SessionRuns {
    pub(crate) session: SessionId,
    pub(crate) runs: u32,
}

/// One restore point: complete by itself, visible to all once committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePoint {
    /// Its id.
    #[serde(rename = "point")]
    pub id: PointId,
    /// What was backed up.
    pub source: SourceId,
    /// The source's name for people, at that time.
    pub source_name: String,
    /// When, in milliseconds since 1970 (UTC), by the writer's clock.
    pub created_unix_ms: u64,
    /// What the caller wanted to remember.
    pub labels: BTreeMap<String, String>,
    /// The disks.
    pub disks: Vec<DiskRecord>,
    /// The attachments.
    pub attachments: Vec<AttachmentRecord>,
    pub(crate) session: SessionId,
    pub(crate) runs: Vec<SessionRuns>,
}

impl RestorePoint {
    /// What writing all disks took.
    pub fn summary(&self) -> WriteSummary {
        let mut total = WriteSummary::default();
        self.disks.iter().for_each(|disk| total.add(&disk.summary));
        total
    }

    /// The disk with this key.
    pub fn disk(&self, key: &DiskKey) -> Result<&DiskRecord> {
        self.disks.iter().find(|disk| disk.key == *key).ok_or_else(|| {
            let known: Vec<_> = self.disks.iter().map(|disk| disk.key.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::DiskNotFound { point: self.id, disk: key.clone(), known }
        })
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let bytes = serde_json::to_vec(self).map_err(Error::internal)?;
        let bytes_max = POINT_OBJECT_BYTES_MAX / 2;
        if bytes.len() as u64 > bytes_max {
            let what = format!("The description of restore point {}", self.id);
            return Err(Error::TooLarge { what, bytes: bytes.len() as u64, bytes_max });
        }
        Ok(bytes)
    }

    pub(crate) fn parse(source: &SourceId, id: PointId, bytes: &[u8]) -> Parsed<Self> {
        let Ok(point) = serde_json::from_slice::<Self>(bytes) else {
            return damaged("its content is not a restore point");
        };
        if point.id != id || point.source != *source {
            return damaged("its content belongs to another name");
        }
        if point.disks.iter().any(|disk| disk.levels > LEVELS_MAX) {
            return damaged("a disk's map has too many levels");
        }
        let attachments_fit = point.attachments.iter().all(|attachment| {
            attachment.bytes <= ATTACHMENT_BYTES_MAX as u64
                && attachment.chunks.len() <= ATTACHMENT_BYTES_MAX / ATTACHMENT_PIECE_BYTES
        });
        if !attachments_fit {
            return damaged("an attachment is too large");
        }
        Ok(point)
    }
}
