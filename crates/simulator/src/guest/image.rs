//! A virtual disk as a raw image, for the tools that read file systems.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use vdisk::Disk;

use super::expected::pieces;
use crate::error::{Error, Result};

/// Writes a disk's content to a new raw image; what is zero stays a hole.
pub fn write_raw(disk: &Disk, path: &Path) -> Result<()> {
    let wrap = |error| Error::file("writing", path, error);
    let image = File::create_new(path).map_err(wrap)?;
    image.set_len(disk.capacity()).map_err(wrap)?;
    let name = || path.display().to_string();
    let allocated = disk.allocated().map_err(Error::disk(name()))?;
    for piece in allocated.iter().flat_map(|range| pieces(range.start..range.end)) {
        let mut data = vec![0; usize::try_from(piece.end - piece.start).unwrap_or_default()];
        disk.read_at(piece.start, &mut data).map_err(Error::disk(name()))?;
        if data.iter().any(|&byte| byte != 0) {
            image.write_all_at(&data, piece.start).map_err(wrap)?;
        }
    }
    Ok(())
}
