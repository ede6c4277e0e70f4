//! From paths as the host names them to paths on this machine.
//!
//! Disks are named by the host (`C:\VMs\SQL01\sql01.vhdx`) but read from here. A path map says under which local
//! folder a host folder appears. Host paths are outside data: `..` is refused rather than resolved, so that no
//! answer of a host makes us open a file outside the mapped folders.
//! Source: Win32 "Naming Files, Paths, and Namespaces".

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Longest host path that is believed: the Win32 limit for extended-length paths, in characters.
const PATH_CHARS_MAX: usize = 32_767;

/// Host folders and where they appear on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathMap {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    host: HostPath,
    local: PathBuf,
}

impl PathMap {
    /// Takes pairs of host folder and local folder. Where two host folders cover a path, the longer one wins.
    pub fn new<H: AsRef<str>>(pairs: impl IntoIterator<Item = (H, PathBuf)>) -> Result<Self> {
        let mut entries = Vec::new();
        for (host, local) in pairs {
            entries.push(Entry { host: HostPath::parse(host.as_ref())?, local });
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.host.parts.len()));
        Ok(Self { entries })
    }

    /// Where the host's file appears on this machine. Whether it exists there is not looked at.
    pub fn to_local(&self, host_path: &str) -> Result<PathBuf> {
        let path = HostPath::parse(host_path)?;
        for entry in &self.entries {
            if let Some(rest) = path.below(&entry.host) {
                return Ok(rest.iter().fold(entry.local.clone(), |local, part| local.join(part)));
            }
        }
        Err(Error::PathNotMapped { path: host_path.to_owned(), mapped: self.host_folders() })
    }

    /// The mapped host folders, for people.
    pub fn host_folders(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.host.to_string()).collect()
    }
}

/// A checked absolute Windows path: a drive (`C:`) or share (`\\server\share`), then folders and a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPath {
    root: String,
    parts: Vec<String>,
}

impl HostPath {
    /// Accepts drive and UNC paths, also with the `\\?\` prefix, with either slash.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &'static str| Err(Error::PathRefused { path: shorten(text), why });
        if text.chars().count() > PATH_CHARS_MAX {
            return refuse("it is longer than Windows allows");
        }
        if text.chars().any(char::is_control) {
            return refuse("it holds control characters");
        }
        let unified = text.replace('/', "\\");
        let Some((root, rest)) = split_root(&unified) else {
            return refuse("it is not an absolute drive or share path");
        };
        let mut parts = Vec::new();
        for part in rest.split('\\').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                return refuse("it holds '..'");
            }
            if part.contains([':', '*', '?', '"', '<', '>', '|']) {
                return refuse("it holds a character that Windows file names cannot have");
            }
            parts.push(part.to_owned());
        }
        Ok(Self { root, parts })
    }

    /// The parts below `folder`, or `None` when this path is elsewhere. Case does not matter on Windows.
    fn below(&self, folder: &Self) -> Option<&[String]> {
        let covers = self.parts.len() >= folder.parts.len()
            && same_name(&self.root, &folder.root)
            && self.parts.iter().zip(&folder.parts).all(|(a, b)| same_name(a, b));
        covers.then(|| &self.parts[folder.parts.len()..])
    }

    /// The folder this path is in, and `..`-free steps from it: resolves a relative locator such as
    /// `.\base.vhdx` or `..\Virtual Hard Disks\base.vhdx` against it. Climbing above the root is refused.
    pub(crate) fn sibling(&self, relative: &str) -> Result<Self> {
        let refuse = |why: &'static str| Err(Error::PathRefused { path: shorten(relative), why });
        let unified = relative.replace('/', "\\");
        if unified.starts_with('\\') || unified.get(1..2) == Some(":") {
            return refuse("a relative parent path must not be absolute");
        }
        let mut parts = self.parts.clone();
        parts.pop();
        for step in unified.split('\\').filter(|step| !step.is_empty() && *step != ".") {
            if step != ".." {
                parts.push(step.to_owned());
            } else if parts.pop().is_none() {
                return refuse("it climbs above the root of its drive");
            }
        }
        Self::parse(&Self { root: self.root.clone(), parts }.to_string())
    }
}

impl std::fmt::Display for HostPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\\{}", self.root, self.parts.join("\\"))
    }
}

/// Splits `C:\a\b` into `C:` and `a\b`, and `\\server\share\a` into `\\server\share` and `a`.
fn split_root(path: &str) -> Option<(String, &str)> {
    let path = match path.get(..8) {
        Some(prefix) if prefix.eq_ignore_ascii_case(r"\\?\UNC\") => return split_share(&path[8..]),
        _ => path.strip_prefix(r"\\?\").unwrap_or(path),
    };
    if let Some(share) = path.strip_prefix(r"\\") {
        return if share.starts_with(['.', '?']) { None } else { split_share(share) };
    }
    let mut chars = path.chars();
    let (letter, colon) = (chars.next()?, chars.next()?);
    if !letter.is_ascii_alphabetic() || colon != ':' {
        return None;
    }
    let rest = chars.as_str();
    (rest.is_empty() || rest.starts_with('\\')).then(|| (format!("{letter}:"), rest))
}

fn split_share(path: &str) -> Option<(String, &str)> {
    let (server, rest) = path.split_once('\\')?;
    let (share, rest) = rest.split_once('\\').unwrap_or((rest, ""));
    let valid = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains(':');
    (valid(server) && valid(share)).then(|| (format!(r"\\{server}\{share}"), rest))
}

fn same_name(a: &str, b: &str) -> bool {
    a == b || a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(260).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> PathMap {
        PathMap::new([
            (r"C:\", PathBuf::from("/lab/C")),
            (r"C:\ClusterStorage\Volume1", PathBuf::from("/lab/vol1")),
            (r"\\sofs\vms", PathBuf::from("/lab/sofs")),
        ])
        .unwrap()
    }

    #[test]
    fn the_longest_mapped_folder_wins() {
        let local = |path| map().to_local(path).unwrap();
        assert_eq!(local(r"C:\VMs\a.vhdx"), PathBuf::from("/lab/C/VMs/a.vhdx"));
        assert_eq!(local(r"C:\ClusterStorage\Volume1\a.vhdx"), PathBuf::from("/lab/vol1/a.vhdx"));
        assert_eq!(
            local(r"C:\ClusterStorage\Volume10\a.vhdx"),
            PathBuf::from("/lab/C/ClusterStorage/Volume10/a.vhdx")
        );
    }

    #[test]
    fn case_and_slashes_do_not_matter_but_the_rest_keeps_its_spelling() {
        let local = map().to_local(r"c:/clusterstorage/VOLUME1\Virtual Hard Disks/SQL.vhdx").unwrap();
        assert_eq!(local, PathBuf::from("/lab/vol1/Virtual Hard Disks/SQL.vhdx"));
    }

    #[test]
    fn shares_and_extended_prefixes_are_understood() {
        let local = |path| map().to_local(path).unwrap();
        assert_eq!(local(r"\\SOFS\vms\a.vhdx"), PathBuf::from("/lab/sofs/a.vhdx"));
        assert_eq!(local(r"\\?\UNC\sofs\vms\a.vhdx"), PathBuf::from("/lab/sofs/a.vhdx"));
        assert_eq!(local(r"\\?\C:\VMs\a.vhdx"), PathBuf::from("/lab/C/VMs/a.vhdx"));
    }

    #[test]
    fn a_path_that_could_leave_the_mapped_folder_is_refused() {
        for path in [r"C:\VMs\..\..\etc\passwd", r"C:/VMs/../x", r"C:\..", r"\\sofs\vms\..\x", r"\\sofs\..\x"]
        {
            let error = map().to_local(path).unwrap_err();
            assert_eq!(error.code(), "HV-041", "{path}: {error}");
        }
    }

    #[test]
    fn only_absolute_drive_and_share_paths_are_accepted() {
        for path in [
            "",
            "a.vhdx",
            r"C:a.vhdx",
            r"\a.vhdx",
            r"\\server",
            r"\\.\PhysicalDrive0",
            r"\\?\Volume{1}\a",
            "/etc/passwd",
            "C:\\a\nb",
            r"C:\a:stream",
        ] {
            let error = map().to_local(path).unwrap_err();
            assert_eq!(error.code(), "HV-041", "{path}: {error}");
        }
    }

    #[test]
    fn a_path_outside_every_mapped_folder_names_the_mapped_ones() {
        let error = map().to_local(r"D:\VMs\a.vhdx").unwrap_err();
        assert_eq!(error.code(), "HV-040");
        assert!(error.to_string().contains(r"C:\ClusterStorage\Volume1"), "{error}");
    }

    #[test]
    fn a_relative_parent_is_found_from_its_child_and_cannot_climb_out() {
        let child = HostPath::parse(r"C:\VMs\SQL01\Snapshots\a.avhdx").unwrap();
        assert_eq!(child.sibling(r".\b.vhdx").unwrap().to_string(), r"C:\VMs\SQL01\Snapshots\b.vhdx");
        assert_eq!(child.sibling(r"..\Disks\b.vhdx").unwrap().to_string(), r"C:\VMs\SQL01\Disks\b.vhdx");
        assert!(child.sibling(r"..\..\..\..\b.vhdx").is_err());
        assert!(child.sibling(r"D:\b.vhdx").is_err());
        assert!(child.sibling(r"\\server\share\b.vhdx").is_err());
    }
}
