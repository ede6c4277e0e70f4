//! What a restore point says of the VM it holds.

use hyperv::VmDefinition;
use repository::{Opened, Repository, RestorePoint};

use super::attachments::{DEFINITION_ATTACHMENT, DISKS_ATTACHMENT, VmDisks};
use crate::error::{Error, Result};

/// A VM in a restore point.
#[derive(Debug, Clone)]
pub struct VmSource {
    /// The restore point.
    pub point: RestorePoint,
    /// The VM's settings.
    pub definition: VmDefinition,
    /// Where its disks were attached.
    pub disks: VmDisks,
}

impl VmSource {
    /// Reads the attachments of a VM's restore point.
    pub async fn load<State: Opened>(
        repository: &Repository<State>,
        point: &repository::PointId,
    ) -> Result<Self> {
        let unreadable = |error| Error::repository(format!("Restore point {point}"), error);
        let point = repository.point(point).await.map_err(unreadable)?;
        let definition = read(repository, &point, DEFINITION_ATTACHMENT).await?;
        let disks = read(repository, &point, DISKS_ATTACHMENT).await?;
        let definition = VmDefinition::from_json(&definition).map_err(|error| {
            Error::AttachmentUnreadable { name: DEFINITION_ATTACHMENT, why: error.to_string() }
        })?;
        Ok(Self { point, definition, disks: VmDisks::from_json(&disks)? })
    }
}

async fn read<State: Opened>(
    repository: &Repository<State>,
    point: &RestorePoint,
    name: &'static str,
) -> Result<bytes::Bytes> {
    if !point.attachments.iter().any(|attachment| attachment.name == name) {
        return Err(Error::NotAVm { point: point.id.to_string(), missing: name });
    }
    let content = repository.attachment(&point.id, name).await;
    content.map_err(|error| Error::repository(format!("The attachment {name}"), error))
}
