//! Giving a child another parent file that shows the same content.
//!
//! When a file in the middle of a chain has been merged into its parent, the file above it must name
//! that parent. Only the locator changes, so the data write GUID stays (MS-VHDX 2.2.2: files that
//! have this one as their parent must keep finding it); the file write GUID is renewed. The new
//! locator goes to unused space of the metadata region and is durable before the table's one sector
//! names it, so that a cut leaves the old locator or the new one.

use std::sync::Arc;

use uuid::Uuid;
use zerocopy::IntoBytes;

use super::format::{MetadataEntry, MetadataTableHeader, TABLE_BYTES, guid};
use super::header::NewGuids;
use super::image::Image;
use super::metadata::read_table;
use super::replay::replay_in_place;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::parent::ParentLocator;

/// Makes a differencing file name `parent` as its parent. The caller vouches that `parent` shows what
/// the old parent showed; the sizes are compared.
pub fn relink_to_parent(
    child: Arc<dyn FileIo>,
    parent: &Disk,
    relative_path: &str,
    absolute_path: Option<&str>,
) -> Result<()> {
    replay_in_place(&child)?;
    let image = Image::open_for_writing(child)?;
    let bad = |why: &str| Error::BadChain { file: image.name().to_owned(), why: why.to_owned() };
    let parent_image = parent.leaf_image().ok_or_else(|| bad("its new parent would be no VHDX file"))?;
    if image.locator().is_none() {
        return Err(bad("it has no parent"));
    }
    if parent_image.geometry().capacity != image.geometry().capacity {
        return Err(bad("its new parent has another size"));
    }
    let locator = ParentLocator {
        linkage: parent_image.data_write_guid(),
        linkage2: None,
        relative_path: Some(relative_path.to_owned()),
        volume_path: None,
        absolute_path: absolute_path.map(str::to_owned),
    };
    if !locator.fits() {
        return Err(bad("the paths of its new parent are too long"));
    }
    replace_locator(&image, &locator.to_bytes())
}

fn replace_locator(image: &Image, item: &[u8]) -> Result<()> {
    let file = &image.file;
    let region = image.regions.metadata;
    let mut entries = read_table(&**file, region)?;
    let length = u32::try_from(item.len()).unwrap_or(u32::MAX);
    let offset = free_place(&entries, length, region.len()).ok_or_else(|| {
        Error::unsupported(image.name(), "a longer parent locator than its metadata has room for")
    })?;
    let Some(at) = entries.iter().position(|entry| Uuid::from(entry.item_id) == guid::PARENT_LOCATOR) else {
        return Err(Error::damaged(image.name(), "its metadata has no parent locator"));
    };
    entries[at].offset.set(offset);
    entries[at].length.set(length);

    let guids = NewGuids { file_write: Uuid::new_v4(), data_write: None };
    image.header().replace_guids(&**file, guids)?;
    let place = size_of::<MetadataTableHeader>() + at * size_of::<MetadataEntry>();
    file.write_at(region.start + u64::from(offset), item)
        .and_then(|()| file.flush())
        .and_then(|()| file.write_at(region.start + place as u64, entries[at].as_bytes()))
        .and_then(|()| file.flush())
        .map_err(|error| Error::io(image.name(), "write the parent locator of", error))
}

/// The first gap between items that is long enough.
fn free_place(entries: &[MetadataEntry], length: u32, region_bytes: u64) -> Option<u32> {
    let mut taken: Vec<_> = entries.iter().map(|entry| (entry.offset.get(), entry.length.get())).collect();
    taken.sort_unstable();
    let mut place = u32::try_from(TABLE_BYTES).ok()?;
    for (offset, bytes) in taken.into_iter().filter(|(_, bytes)| *bytes > 0) {
        if offset.saturating_sub(place) >= length {
            break;
        }
        place = place.max(offset.checked_add(bytes)?);
    }
    (u64::from(place) + u64::from(length) <= region_bytes).then_some(place)
}
