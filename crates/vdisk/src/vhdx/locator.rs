//! The parent locator: how a differencing file names the file below it (MS-VHDX 2.6.2.6).
//!
//! The identity is `parent_linkage`, the parent's data write GUID at the time the child was made;
//! the paths are hints. Windows tries relative, volume, then absolute path. Away from the host only
//! the relative one and a mapping given by the caller make sense, so paths are handed out as text
//! and never followed here (see `parent`).

use uuid::Uuid;
use zerocopy::{FromBytes, IntoBytes};

use super::format::{LocatorEntry, LocatorHeader, guid};
use crate::parent::ParentLocator;

/// Most key-value pairs that are read; Windows keeps the same limit.
const PAIRS_MAX: usize = 256;

impl ParentLocator {
    pub(super) fn parse(item: &[u8]) -> Result<Self, String> {
        let (header, mut rest) =
            LocatorHeader::read_from_prefix(item).map_err(|_| "its parent locator is too short")?;
        let kind = Uuid::from(header.locator_type);
        if kind != guid::LOCATOR_VHDX {
            return Err(format!("its parent locator has the unknown type {kind}"));
        }
        let count = usize::from(header.key_value_count.get());
        if count > PAIRS_MAX {
            return Err(format!("its parent locator has {count} entries"));
        }
        let mut found = Draft::default();
        for _ in 0..count {
            let (entry, after) =
                LocatorEntry::read_from_prefix(rest).map_err(|_| "its parent locator is too short")?;
            rest = after;
            let key = text(item, entry.key_offset.get(), entry.key_length.get())?;
            let value = text(item, entry.value_offset.get(), entry.value_length.get())?;
            found.take(&key, value)?;
        }
        found.finish()
    }

    /// The item's bytes. `parent_linkage2` is never written, as the newest specification asks.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let linkage = format!("{{{}}}", self.linkage.hyphenated());
        let mut pairs = vec![("parent_linkage", linkage.as_str())];
        let paths = [
            ("relative_path", &self.relative_path),
            ("volume_path", &self.volume_path),
            ("absolute_win32_path", &self.absolute_path),
        ];
        pairs.extend(paths.into_iter().filter_map(|(key, path)| Some((key, path.as_deref()?))));

        let table = size_of::<LocatorHeader>() + pairs.len() * size_of::<LocatorEntry>();
        let (mut entries, mut strings) = (Vec::new(), Vec::new());
        let mut put = |text: &str| {
            let offset = table + strings.len();
            let before = strings.len();
            strings.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
            (small(offset), small(strings.len() - before))
        };
        for (key, value) in &pairs {
            let ((key_offset, key_length), (value_offset, value_length)) = (put(key), put(value));
            let entry = LocatorEntry {
                key_offset: u32::from(key_offset).into(),
                value_offset: u32::from(value_offset).into(),
                key_length: key_length.into(),
                value_length: value_length.into(),
            };
            entries.extend_from_slice(entry.as_bytes());
        }
        let header = LocatorHeader {
            locator_type: guid::LOCATOR_VHDX.into(),
            reserved: 0.into(),
            key_value_count: small(pairs.len()).into(),
        };
        [header.as_bytes(), &entries, &strings].concat()
    }

    /// Whether the paths are short enough for the item's 16-bit lengths, with room to spare.
    pub(super) fn fits(&self) -> bool {
        let paths = [&self.relative_path, &self.volume_path, &self.absolute_path];
        paths.into_iter().flatten().map(|path| path.encode_utf16().count()).sum::<usize>() <= PATH_UNITS_MAX
    }
}

/// UTF-16 units of all paths together; keeps every offset of the item below 64 KiB.
const PATH_UNITS_MAX: usize = 30_000;

/// Lossless after [`ParentLocator::fits`]; a longer one would only make an item that is refused.
fn small(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

#[derive(Default)]
struct Draft {
    linkage: Option<Uuid>,
    linkage2: Option<Uuid>,
    relative_path: Option<String>,
    volume_path: Option<String>,
    absolute_path: Option<String>,
}

impl Draft {
    /// Keys are case-sensitive; unknown ones mean nothing to a reader.
    fn take(&mut self, key: &str, value: String) -> Result<(), String> {
        let guid = |value: &str| {
            Uuid::try_parse(value).map_err(|_| format!("its parent locator's {key} is no GUID"))
        };
        match key {
            "parent_linkage" => self.linkage = Some(guid(&value)?),
            "parent_linkage2" => self.linkage2 = Some(guid(&value)?),
            "relative_path" => self.relative_path = Some(value),
            "volume_path" => self.volume_path = Some(value),
            "absolute_win32_path" => self.absolute_path = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<ParentLocator, String> {
        Ok(ParentLocator {
            linkage: self.linkage.ok_or("its parent locator has no parent_linkage")?,
            linkage2: self.linkage2,
            relative_path: self.relative_path,
            volume_path: self.volume_path,
            absolute_path: self.absolute_path,
        })
    }
}

fn text(item: &[u8], offset: u32, length: u16) -> Result<String, String> {
    let start = offset as usize;
    let bytes = start.checked_add(usize::from(length)).and_then(|end| item.get(start..end));
    let bytes =
        bytes.filter(|bytes| bytes.len() % 2 == 0).ok_or("its parent locator points outside itself")?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    match String::from_utf16(&units) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("its parent locator holds text that is not UTF-16".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locator() -> ParentLocator {
        ParentLocator {
            linkage: Uuid::from_u128(0xABCD_EF01),
            linkage2: None,
            relative_path: Some(r".\basé.vhdx".into()),
            volume_path: None,
            absolute_path: Some(r"\\?\C:\VMs\basé.vhdx".into()),
        }
    }

    #[test]
    fn a_locator_reads_back_as_written_with_braces_and_lower_case() {
        let bytes = locator().to_bytes();
        assert_eq!(ParentLocator::parse(&bytes).unwrap(), locator());
        let wide: Vec<u8> =
            "{00000000-0000-0000-0000-0000abcdef01}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(bytes.windows(wide.len()).any(|window| window == wide));
    }

    // case 52
    #[test]
    fn a_guid_without_braces_or_in_upper_case_is_accepted() {
        let mut draft = Draft::default();
        draft.take("parent_linkage", "00000000-0000-0000-0000-0000ABCDEF01".into()).unwrap();
        draft.take("parent_linkage2", "{00000000-0000-0000-0000-000000000002}".into()).unwrap();
        let locator = draft.finish().unwrap();
        assert!(locator.accepts(Uuid::from_u128(0xABCD_EF01)) && locator.accepts(Uuid::from_u128(2)));
        assert!(!locator.accepts(Uuid::from_u128(3)));
    }

    #[test]
    fn any_single_changed_byte_reads_or_fails_but_never_panics() {
        let good = locator().to_bytes();
        let mut refused = 0;
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xd8, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                refused += usize::from(ParentLocator::parse(&bad).is_err());
            }
        }
        assert!(refused > 100, "{refused}");
        assert!((0..good.len()).all(|end| ParentLocator::parse(&good[..end]).is_err()));
    }
}
