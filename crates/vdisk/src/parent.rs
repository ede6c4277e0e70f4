//! What a child knows of its parent, and which local file that may lead to.
//!
//! Both formats note an identity and paths. The identity decides whether a file is the parent. The
//! paths come from inside the image, which a guest or a stranger may have written, so none of them is
//! followed unasked: a file beside the child is opened by its name, everything else only when the
//! caller has said which local file is meant ([`ParentMap`]). Windows itself tries the relative path,
//! the volume path, then the absolute path (MS-VHDX 2.6.2.6.3).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::layer::needs_parent;

/// What a child knows of its parent: in a VHDX by its parent locator, in a VHD by its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentLocator {
    /// The parent's identity when the child was made: the data write GUID of a VHDX, the UUID of a VHD.
    pub linkage: Uuid,
    /// A second accepted identity; written by some Windows versions while a merge is under way. VHD
    /// has none.
    pub linkage2: Option<Uuid>,
    /// Path from the child's folder, with backslashes.
    pub relative_path: Option<String>,
    /// `\\?\Volume{GUID}\…`. VHD has none.
    pub volume_path: Option<String>,
    /// `\\?\C:\…`; in a VHD also `C:\…`.
    pub absolute_path: Option<String>,
}

impl ParentLocator {
    /// An identity without paths.
    #[must_use]
    pub(crate) const fn new(linkage: Uuid) -> Self {
        Self { linkage, linkage2: None, relative_path: None, volume_path: None, absolute_path: None }
    }

    /// Whether a file with this identity is the parent.
    #[must_use]
    pub fn accepts(&self, identity: Uuid) -> bool {
        self.linkage == identity || self.linkage2 == Some(identity)
    }

    /// The first path in the order in which Windows tries them.
    #[must_use]
    pub fn first_path(&self) -> Option<&str> {
        self.paths().next()
    }

    /// The paths in the order in which Windows tries them.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        [&self.relative_path, &self.volume_path, &self.absolute_path].into_iter().filter_map(Option::as_deref)
    }
}

/// Which local file stands for a parent path, as the caller says.
///
/// Paths are compared as Windows compares them: without regard to case, `/` as `\`, and with or
/// without a leading `\\?\` or `.\`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParentMap {
    files: BTreeMap<String, PathBuf>,
}

impl ParentMap {
    /// A map that knows no parent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says which local file is meant by a path that stands in an image.
    pub fn insert(&mut self, path_in_image: &str, local: impl Into<PathBuf>) {
        self.files.insert(folded(path_in_image), local.into());
    }

    /// The local file for the first of the child's paths that the map knows.
    #[must_use]
    pub fn find(&self, locator: &ParentLocator) -> Option<&Path> {
        if self.files.is_empty() {
            return None;
        }
        locator.paths().find_map(|path| self.files.get(&folded(path))).map(PathBuf::as_path)
    }
}

impl ParentMap {
    /// The local path of a child's parent: by the map, or else inside the child's folder.
    pub(crate) fn locate(&self, child: &str, folder: &Path, locator: &ParentLocator) -> Result<PathBuf> {
        if let Some(local) = self.find(locator) {
            return Ok(local.to_path_buf());
        }
        let Some(path) = locator.first_path() else { return Err(needs_parent(child, locator)) };
        let relative = locator.relative_path.as_deref();
        relative.map_or(Err("it is absolute"), |path| beside(folder, path)).map_err(|why| {
            Error::ParentPathNotFollowed { file: child.to_owned(), path: shortened(path), why }
        })
    }
}

/// A path for an error text.
fn shortened(path: &str) -> String {
    let shown = path.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { '?' } else { c });
    let rest = if path.chars().nth(SHOWN_CHARS).is_some() { "…" } else { "" };
    shown.chain(rest.chars()).collect()
}

/// Characters of a path that an error text shows.
const SHOWN_CHARS: usize = 300;

fn folded(path: &str) -> String {
    let path = path.replace('/', r"\").to_lowercase();
    let path = path.strip_prefix(r"\\?\").unwrap_or(&path);
    path.strip_prefix(r".\").unwrap_or(path).to_owned()
}

/// Longest path that is followed; Windows has no longer ones.
const PATH_UNITS_MAX: usize = 32_767;
/// Longest name of one file or folder on Windows.
const NAME_UNITS_MAX: usize = 255;
/// Names that mean a device on Windows, whatever their extension.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The file that a relative path from an image names inside `folder`, or why it is not followed. Only
/// files in that folder and below are, or an image could make us read any file of this machine.
fn beside(folder: &Path, path: &str) -> Result<PathBuf, &'static str> {
    if path.encode_utf16().count() > PATH_UNITS_MAX {
        return Err("it is longer than Windows allows");
    }
    if path.starts_with(['\\', '/']) || path.contains(':') {
        return Err("it is absolute");
    }
    let mut local = folder.to_path_buf();
    let mut names = 0;
    for name in path.split(['\\', '/']).filter(|name| !matches!(*name, "" | ".")) {
        if name == ".." {
            return Err("it leaves the child's folder");
        }
        if name.chars().any(char::is_control) {
            return Err("it holds control characters");
        }
        if name.encode_utf16().count() > NAME_UNITS_MAX {
            return Err("a name in it is longer than Windows allows");
        }
        if is_device(name) {
            return Err("it names a device");
        }
        local.push(name);
        names += 1;
    }
    if names == 0 { Err("it names no file") } else { Ok(local) }
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let port = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let is_port = port.is_some_and(|number| number.chars().count() == 1 && number != "0");
    DEVICES.contains(&stem.as_str()) || (is_port && port.is_some_and(|n| n.chars().all(char::is_numeric)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locator(relative: Option<&str>, absolute: Option<&str>) -> ParentLocator {
        ParentLocator {
            relative_path: relative.map(str::to_owned),
            absolute_path: absolute.map(str::to_owned),
            ..ParentLocator::new(Uuid::nil())
        }
    }

    // case 55
    #[test]
    fn only_files_in_and_below_the_childs_folder_are_followed() {
        let folder = Path::new("/vms");
        for (path, expected) in [
            (r".\base.vhdx", Ok("/vms/base.vhdx")),
            (r"old\.\base.vhdx", Ok("/vms/old/base.vhdx")),
            ("nulls.vhdx", Ok("/vms/nulls.vhdx")),
            (r"..\base.vhdx", Err("it leaves the child's folder")),
            (r"old\..\..\base.vhdx", Err("it leaves the child's folder")),
            (r"\\server\share\base.vhdx", Err("it is absolute")),
            (r"\\.\PhysicalDrive0", Err("it is absolute")),
            ("/etc/passwd", Err("it is absolute")),
            (r"C:base.vhdx", Err("it is absolute")),
            ("base.vhdx:stream", Err("it is absolute")),
            ("nul", Err("it names a device")),
            (r"old\COM1.vhdx", Err("it names a device")),
            ("a\0b", Err("it holds control characters")),
            (r".\.\", Err("it names no file")),
            ("", Err("it names no file")),
        ] {
            assert_eq!(beside(folder, path), expected.map(PathBuf::from), "{path:?}");
        }
        let long = "a".repeat(256);
        assert_eq!(beside(folder, &long), Err("a name in it is longer than Windows allows"));
        assert_eq!(beside(folder, &"a".repeat(40_000)), Err("it is longer than Windows allows"));
    }

    #[test]
    fn a_map_compares_paths_as_windows_does() {
        let mut map = ParentMap::new();
        map.insert(r"C:\VMs\Base.vhdx", "/restore/base");
        map.insert(r"..\up.vhdx", "/restore/up");
        for (relative, absolute, expected) in [
            (None, Some(r"\\?\c:\vms\BASE.VHDX"), Some("/restore/base")),
            (Some(r".\other.vhdx"), Some("c:/vms/base.vhdx"), Some("/restore/base")),
            (Some(r"..\UP.vhdx"), Some(r"C:\VMs\Base.vhdx"), Some("/restore/up")),
            (Some(r".\other.vhdx"), None, None),
        ] {
            assert_eq!(map.find(&locator(relative, absolute)), expected.map(Path::new), "{relative:?}");
        }
    }

    #[test]
    fn the_first_path_follows_the_order_of_windows() {
        let mut both = locator(Some(r".\base.vhdx"), Some(r"\\?\C:\b.vhdx"));
        assert_eq!(both.first_path(), Some(r".\base.vhdx"));
        both.relative_path = None;
        both.volume_path = Some(r"\\?\Volume{1}\b.vhdx".into());
        assert_eq!(both.first_path(), Some(r"\\?\Volume{1}\b.vhdx"));
    }
}
