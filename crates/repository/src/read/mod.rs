//! Reading: chunks by plan, maps as trees, disks as views, and verification.

mod fetch;
mod tree;
mod verify;
mod view;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::core::Core;
use crate::error::{Error, Result};
use crate::format::point::RestorePoint;
use crate::name::point_object;

pub(crate) use fetch::{DecodedFrame, Wanted, fetch_all};
pub(crate) use tree::Tree;
pub(crate) use verify::verify;
pub use verify::{Damage, VerifyReport};
pub use view::DiskView;

/// The bytes of an attachment.
pub(crate) async fn attachment(core: &Arc<Core>, point: &RestorePoint, name: &str) -> Result<Bytes> {
    let Some(record) = point.attachments.iter().find(|attachment| attachment.name == name) else {
        return Err(Error::AttachmentNotFound { point: point.id, name: name.to_owned() });
    };
    core.load_point(point).await?;
    let wanted: Vec<_> = record.chunks.iter().map(|id| Wanted { id: *id, bytes: None }).collect();
    let mut content = BytesMut::new();
    let damaged = |source| Error::DamagedAttachment { point: point.id, name: name.to_owned(), source };
    for piece in fetch_all(core, &wanted).await.map_err(damaged)? {
        content.extend_from_slice(&piece);
    }
    if content.len() as u64 != record.bytes {
        let object = point_object(&point.source, point.id);
        let cause = core.store.damaged(&object, "an attachment has another length than its record");
        return Err(damaged(Arc::new(cause)));
    }
    Ok(content.freeze())
}
