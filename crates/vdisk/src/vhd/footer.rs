//! Which footer counts, and what it says: kind, identity and size of a VHD.
//!
//! VHD has no log, so a cut can leave the end of the file without a footer. A sparse disk then has
//! the copy at its start; a fixed one has nothing. A footer whose checksum is wrong is never used.
//!
//! The size is told twice, and programs disagreed on which counts: Virtual PC and old QEMU showed the
//! guest the product of the geometry, everybody else the Current Size field. Taking the product for a
//! disk of Hyper-V would cut off its last megabytes.

use zerocopy::{FromZeros, IntoBytes};

use super::chs::Chs;
use super::format::{
    FOOTER_BYTES, FOOTER_COOKIE, Footer, NO_OFFSET, OLD_FOOTER_BYTES, SECTOR, VERSION, disk_type,
};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;
use crate::vhdx::DiskKind;

/// Programs whose guests saw the product of the geometry.
const CREATORS_BY_GEOMETRY: [[u8; 4]; 2] = [*b"vpc ", *b"qemu"];
/// Largest disk that is read: what the sector numbers of the table can reach.
const CAPACITY_MAX: u64 = SECTOR << 32;

/// The footer that counts, and where it was found.
#[derive(Debug, Clone)]
pub(super) struct FoundFooter {
    /// Its content.
    pub footer: Footer,
    /// Place of the footer at the end of the file; `None` when only the copy at the start is good.
    pub at_end: Option<u64>,
}

/// Where a footer may begin, by the file's length.
fn places(length: u64) -> impl Iterator<Item = (u64, u64)> {
    [FOOTER_BYTES, OLD_FOOTER_BYTES]
        .into_iter()
        .filter_map(move |bytes| Some((length.checked_sub(bytes)?, bytes)))
        .chain((length >= FOOTER_BYTES).then_some((0, FOOTER_BYTES)))
}

/// Whether a footer's first bytes stand at any place where a VHD has one.
pub(crate) fn has_footer_cookie(file: &dyn FileIo) -> std::io::Result<bool> {
    for (offset, _) in places(file.len()?) {
        let mut cookie = [0; FOOTER_COOKIE.len()];
        file.read_at(offset, &mut cookie)?;
        if &cookie == FOOTER_COOKIE {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the file ends with the valid footer of a fixed disk of just this length.
pub(crate) fn ends_as_fixed_disk(file: &dyn FileIo) -> std::io::Result<bool> {
    for (offset, bytes) in places(file.len()?).filter(|(offset, _)| *offset > 0) {
        if let Some(footer) = read_footer(file, offset, bytes)?.filter(|footer| defect(footer).is_none()) {
            return Ok(footer.disk_type == disk_type::FIXED && footer.current_size.get() == offset);
        }
    }
    Ok(false)
}

impl FoundFooter {
    /// Reads the footer at the end, or else its copy at the start.
    pub(super) fn read(file: &dyn FileIo, length: u64) -> Result<Self> {
        let name = file.name();
        let (mut at_end, mut copy, mut trouble) = (None, None, None);
        for (offset, bytes) in places(length) {
            let footer = read_footer(file, offset, bytes).map_err(|error| Error::io(name, "read", error))?;
            let Some(footer) = footer else { continue };
            match defect(&footer) {
                Some(why) => trouble = trouble.or(Some(why)),
                None if offset == 0 => copy = Some(footer),
                None => at_end = at_end.or(Some((footer, offset))),
            }
        }
        match (at_end, copy) {
            (Some((footer, offset)), copy) => {
                if copy.is_some_and(|copy| tell_two_disks(&footer, offset, &copy)) {
                    let what = "the footer at its end and the copy at its start tell of two different disks";
                    return Err(Error::damaged(name, what));
                }
                Ok(Self { footer, at_end: Some(offset) })
            }
            (None, Some(copy)) if copy.disk_type != disk_type::FIXED => {
                Ok(Self { footer: copy, at_end: None })
            }
            (None, _) => Err(match trouble {
                Some(Defect::Unsupported(what)) => Error::unsupported(name, what),
                Some(Defect::Damaged(what)) => Error::damaged(name, what),
                None => Error::damaged(name, "the footer at its end is missing"),
            }),
        }
    }

    /// How the disk keeps its blocks.
    pub(super) fn kind(&self) -> DiskKind {
        match self.footer.disk_type.get() {
            disk_type::FIXED => DiskKind::Fixed,
            disk_type::DYNAMIC => DiskKind::Dynamic,
            _ => DiskKind::Differencing,
        }
    }

    /// Size of the virtual disk by the rule of the program that made it.
    pub(super) fn capacity(&self, name: &str) -> Result<u64> {
        let footer = &self.footer;
        let geometry = Chs::of(footer);
        let by_geometry = CREATORS_BY_GEOMETRY.contains(&footer.creator_app) && !geometry.is_saturated();
        let capacity = if by_geometry { geometry.bytes() } else { footer.current_size.get() };
        if capacity == 0 || !capacity.is_multiple_of(SECTOR) {
            let what = format!("its disk size of {capacity} bytes is not a number of whole sectors");
            return Err(Error::damaged(name, what));
        }
        if capacity > CAPACITY_MAX {
            let what = format!("its disk size of {capacity} bytes is more than VHD can have");
            return Err(Error::damaged(name, what));
        }
        Ok(capacity)
    }

    /// The program that made the file, and its version; informative only.
    pub(super) fn creator(&self) -> String {
        let app: String = self.footer.creator_app.iter().map(|byte| char::from(*byte)).collect();
        let app = app.trim_matches(|c: char| c == ' ' || c == '\0');
        let app = app.replace(|c: char| !c.is_ascii_graphic(), "?");
        let version = self.footer.creator_version.get();
        format!("{app} {}.{}", version >> 16, version & 0xffff)
    }
}

/// Why a footer cannot be used.
enum Defect {
    Damaged(String),
    Unsupported(String),
}

fn defect(footer: &Footer) -> Option<Defect> {
    if !footer.has_right_checksum() {
        return Some(Defect::Damaged("the checksum of its footer is wrong".into()));
    }
    if footer.version.get() >> 16 != VERSION >> 16 {
        return Some(Defect::Unsupported(format!("VHD version {}", footer.version.get() >> 16)));
    }
    match footer.disk_type.get() {
        disk_type::FIXED | disk_type::DYNAMIC | disk_type::DIFFERENCING => None,
        other => Some(Defect::Unsupported(format!("VHD disk type {other}"))),
    }
}

/// The footer there, if its first bytes are right.
fn read_footer(file: &dyn FileIo, offset: u64, length: u64) -> std::io::Result<Option<Footer>> {
    let mut footer = Footer::new_zeroed();
    file.read_at(offset, &mut footer.as_mut_bytes()[..index(length)])?;
    Ok((&footer.cookie == FOOTER_COOKIE).then_some(footer))
}

/// Two good footers must tell of one disk, or nobody knows which of two disks the file is: a guest can
/// write whatever looks like a footer into the first sector of a fixed disk, or into the last block.
pub(super) fn tell_two_disks(footer: &Footer, offset: u64, copy: &Footer) -> bool {
    let is_whole_fixed = footer.disk_type == disk_type::FIXED && footer.current_size.get() == offset;
    let agree = footer.unique_id == copy.unique_id
        && footer.disk_type == copy.disk_type
        && footer.data_offset == copy.data_offset;
    defect(copy).is_none() && !is_whole_fixed && !agree
}

/// Place of the dynamic header.
pub(super) fn header_offset(footer: &Footer) -> Option<u64> {
    Some(footer.data_offset.get()).filter(|offset| *offset != NO_OFFSET)
}
