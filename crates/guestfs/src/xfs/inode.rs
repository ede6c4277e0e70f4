//! Inodes of XFS: finding, checking and understanding them.
//!
//! Source: *XFS Algorithms & Data Structures*, "On-disk Inode". Times are seconds and nanoseconds of 32 bits each, or
//! with `bigtime` nanoseconds of 64 bits from December 1901 on.

use zerocopy::{FromZeros, IntoBytes};

use super::format::{FLAG_REALTIME, FLAG2_BIGTIME, FLAG2_NREXT64, INODE_MAGIC, RawInode, SMALL_INODE_BYTES};
use super::geometry::{Geometry, checksum_fits};
use crate::error::{Error, Result};
use crate::source::Source;
use crate::tree::{Metadata, NodeKind, Times, UnixOwner};

/// An inode that was read and checked.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub number: u64,
    pub raw: RawInode,
    /// The bytes behind its fields: content, extents or the root of their tree.
    pub fork: Vec<u8>,
}

impl Inode {
    /// Reads the inode of this number. One that is not in use is refused.
    pub(super) fn read(source: &dyn Source, geometry: &Geometry, number: u64) -> Result<Self> {
        let volume = source.name();
        let damaged = |what: &str| Error::damaged(volume, format!("inode {number} {what}"));
        let place = geometry.place_of_inode(number).ok_or_else(|| damaged("lies outside the file system"))?;
        let mut stored = vec![0; usize::from(geometry.sb.inode_bytes.get())];
        source.read_at(place, &mut stored).map_err(|e| Error::io(volume, format!("inode {number}"), e))?;
        let mut raw = RawInode::new_zeroed();
        let wide = stored.get(4).is_some_and(|version| *version >= 3);
        let fields = if wide { size_of::<RawInode>() } else { SMALL_INODE_BYTES };
        raw.as_mut_bytes()[..fields].copy_from_slice(&stored[..fields]);
        if raw.magic.get() != INODE_MAGIC || wide != geometry.v5 {
            return Err(damaged("is none"));
        }
        if wide && (!checksum_fits(&stored, SMALL_INODE_BYTES) || raw.number.get() != number) {
            return Err(damaged("has a wrong checksum or number"));
        }
        let inode = Self { number, fork: fork(&raw, &stored[fields..]), raw };
        if inode.raw.mode.get() == 0 || inode.links() == 0 {
            return Err(damaged("is not in use"));
        }
        if inode.raw.flags.get() & FLAG_REALTIME != 0 && inode.kind() == NodeKind::File {
            return Err(Error::unsupported(volume, format!("inode {number} lies on a realtime device")));
        }
        Ok(inode)
    }

    /// What it is.
    pub(super) fn kind(&self) -> NodeKind {
        match self.raw.mode.get() >> 12 {
            0x8 => NodeKind::File,
            0x4 => NodeKind::Folder,
            0xA => NodeKind::Link,
            _ => NodeKind::Special,
        }
    }

    fn links(&self) -> u32 {
        if self.raw.version == 1 { u32::from(self.raw.links_v1.get()) } else { self.raw.links.get() }
    }

    /// Number of extents.
    pub(super) fn extent_count(&self) -> u64 {
        if self.has(FLAG2_NREXT64) { self.raw.extents_wide.get() } else { u64::from(self.raw.extents.get()) }
    }

    pub(super) fn has(&self, flag2: u64) -> bool {
        self.raw.flags2.get() & flag2 != 0
    }

    /// Everything about it but a link's target.
    pub(super) fn metadata(&self) -> Metadata {
        let raw = &self.raw;
        let time = |stored: u64| if self.has(FLAG2_BIGTIME) { big_time(stored) } else { small_time(stored) };
        let kind = self.kind();
        let size = if matches!(kind, NodeKind::File | NodeKind::Link) { raw.size.get() } else { 0 };
        Metadata {
            times: Times {
                created: (raw.version >= 3).then(|| time(raw.created.get())),
                modified: Some(time(raw.modified.get())),
                changed: Some(time(raw.changed.get())),
                accessed: Some(time(raw.accessed.get())),
            },
            links: self.links(),
            unix: Some(UnixOwner { mode: u32::from(raw.mode.get()), uid: raw.uid.get(), gid: raw.gid.get() }),
            ..Metadata::new(kind, size)
        }
    }
}

/// The data fork ends where the attribute fork begins.
fn fork(raw: &RawInode, behind: &[u8]) -> Vec<u8> {
    let end = match usize::from(raw.fork_offset) * 8 {
        0 => behind.len(),
        offset => offset.min(behind.len()),
    };
    behind[..end].to_vec()
}

/// Nanoseconds since 1970 from nanoseconds since 1901-12-13.
fn big_time(stored: u64) -> i128 {
    i128::from(stored) - (1 << 31) * 1_000_000_000
}

/// Nanoseconds since 1970 from signed seconds in the high half and nanoseconds in the low.
fn small_time(stored: u64) -> i128 {
    let [a, b, c, d, e, f, g, h] = stored.to_be_bytes();
    i128::from(i32::from_be_bytes([a, b, c, d])) * 1_000_000_000
        + i128::from(u32::from_be_bytes([e, f, g, h]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_times_begin_in_1901() {
        let first = -2_147_483_648_000_000_000;
        assert_eq!((big_time(0), small_time(0x8000_0000 << 32)), (first, first));
        assert_eq!(big_time(u64::MAX), 16_299_260_425_709_551_615, "the year 2486");
    }
}
