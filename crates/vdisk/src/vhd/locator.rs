//! What a differencing VHD knows of its parent: a UUID, a name, and paths at up to eight places.
//!
//! Only the UUID decides. The parent's time stamp is not compared, because every copy of a file changes
//! it. Windows counts the space of a path in bytes and the specification in sectors; only length and
//! place are used, which both write alike.

use uuid::Uuid;

use super::format::{DynamicHeader, LocatorEntry, SECTOR, platform};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;
use crate::parent::ParentLocator;
use crate::range::ByteRange;

/// Longest path that is read. Windows paths have at most 32767 UTF-16 units.
const PATH_BYTES_MAX: u32 = 64 * 1024 - 2;

/// Reads the parent's identity and paths.
pub(super) fn read(file: &dyn FileIo, header: &DynamicHeader, length: u64) -> Result<ParentLocator> {
    let mut parent = ParentLocator::new(Uuid::from_bytes(header.parent_id));
    for entry in &header.locators {
        match entry.code {
            platform::W2RU => parent.relative_path = Some(read_path(file, entry, length)?),
            platform::W2KU => parent.absolute_path = Some(read_path(file, entry, length)?),
            _ => {}
        }
    }
    if parent.first_path().is_none() {
        take_name(&mut parent, &header.parent_name);
    }
    Ok(parent)
}

/// The places that paths take in the file.
pub(super) fn ranges(header: &DynamicHeader) -> impl Iterator<Item = ByteRange> {
    let used = header.locators.iter().filter(|entry| entry.code != [0; 4] && entry.data_length.get() > 0);
    used.map(|entry| {
        let start = entry.data_offset.get();
        ByteRange::new(start, start.saturating_add(entry.data_length.get().into()))
    })
}

/// The places that are kept for paths, which may be longer than the paths: who writes others there uses
/// them. Space that would not hold the path is told in sectors.
pub(super) fn reserved(header: &DynamicHeader) -> impl Iterator<Item = ByteRange> {
    let used = header.locators.iter().filter(|entry| entry.code != [0; 4] && entry.data_length.get() > 0);
    used.map(|entry| {
        let (length, space) = (u64::from(entry.data_length.get()), u64::from(entry.data_space.get()));
        let bytes = if space < length { space * SECTOR } else { space };
        ByteRange::at(entry.data_offset.get(), bytes.max(length))
    })
}

fn read_path(file: &dyn FileIo, entry: &LocatorEntry, length: u64) -> Result<String> {
    let name = file.name();
    let (offset, bytes) = (entry.data_offset.get(), entry.data_length.get());
    if bytes > PATH_BYTES_MAX {
        return Err(Error::damaged(name, format!("a path of its parent has {bytes} bytes")));
    }
    let needed = offset.saturating_add(bytes.into());
    if needed > length {
        let what = "a path of its parent".to_owned();
        return Err(Error::Truncated { file: name.to_owned(), what, needed, length });
    }
    let mut path = vec![0; index(bytes.into())];
    file.read_at(offset, &mut path).map_err(|error| Error::io(name, "read", error))?;
    text(&path, u16::from_le_bytes)
        .ok_or_else(|| Error::damaged(name, "a path of its parent is not UTF-16 text"))
}

/// Without any path the parent's name is the only hint; it is a file name or a whole path.
fn take_name(parent: &mut ParentLocator, name: &[u8]) {
    let Some(name) = text(name, u16::from_be_bytes).filter(|name| !name.is_empty()) else { return };
    if name.contains(['\\', '/', ':']) {
        parent.absolute_path = Some(name);
    } else {
        parent.relative_path = Some(name);
    }
}

/// Text up to the zeros at its end; a zero inside, an odd length or an unpaired surrogate is none.
fn text(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    let end = units.iter().rposition(|unit| *unit != 0).map_or(0, |last| last + 1);
    let text = String::from_utf16(&units[..end]).ok()?;
    (rest.is_empty() && !text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_its_padding_and_must_be_utf_16() {
        let be = |units: &[u16]| units.iter().flat_map(|unit| unit.to_be_bytes()).collect::<Vec<_>>();
        assert_eq!(text(&be(&[0x41, 0xe9, 0, 0]), u16::from_be_bytes).unwrap(), "Aé");
        assert_eq!(text(&be(&[0x41, 0, 0x42]), u16::from_be_bytes), None);
        assert_eq!(text(&be(&[0x41, 0xd800]), u16::from_be_bytes), None);
        assert_eq!(text(&[0x41, 0, 0x42], u16::from_le_bytes), None);
    }

    #[test]
    fn a_name_alone_serves_as_a_path() {
        let parent_of = |name: &str| {
            let mut parent = ParentLocator::new(Uuid::nil());
            take_name(&mut parent, &name.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>());
            (parent.relative_path, parent.absolute_path)
        };
        assert_eq!(parent_of("base.vhd"), (Some("base.vhd".into()), None));
        assert_eq!(parent_of(r"C:\base.vhd"), (None, Some(r"C:\base.vhd".into())));
    }
}
