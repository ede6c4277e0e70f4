//! Host paths: `C:\VMs\SQL01\sql01.vhdx` on the simulated host is `<folder>/C/VMs/SQL01/sql01.vhdx` here.
//!
//! Windows compares names without regard to case, Linux does not. A name that exists in another spelling is therefore
//! found by looking through the folder, so that a client may spell paths as a Windows client may.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// An absolute path with a drive letter, as the host names a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPath(String);

impl HostPath {
    /// Checks and normalises a path: backslashes, no empty, `.` or `..` parts, a drive letter in upper case.
    pub fn parse(text: &str) -> Result<HostPath> {
        let refuse = |why| Error::HostPath { path: text.to_owned(), why };
        let slashed = text.replace('/', "\\");
        let mut parts = slashed.split('\\');
        let drive = parts.next().unwrap_or_default();
        let letter = match drive.as_bytes() {
            [letter, b':'] if letter.is_ascii_alphabetic() => letter.to_ascii_uppercase() as char,
            _ => return Err(refuse("it does not begin with a drive letter")),
        };
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        for part in &parts {
            match *part {
                "." | ".." => return Err(refuse("it holds a relative part")),
                part if part.contains(['\0', ':', '*', '?', '"', '<', '>', '|']) => {
                    return Err(refuse("it holds a character that Windows forbids"));
                }
                _ => {}
            }
        }
        Ok(HostPath(format!("{letter}:\\{}", parts.join("\\"))))
    }

    /// The default folder of a VM. Names that Windows would refuse end in a neutral one.
    pub(crate) fn vm_folder(name: &str) -> HostPath {
        let name = name.trim_matches(['.', ' ']);
        HostPath(format!(r"C:\VMs\{}", if name.is_empty() { "VM" } else { name }))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder that holds this file; a drive's root is its own folder.
    pub fn folder(&self) -> HostPath {
        let end = self.0.rfind('\\').unwrap_or(2);
        HostPath(self.0[..end.max(3)].to_owned())
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('\\').next().unwrap_or_default()
    }

    /// The last part without its extension.
    pub fn stem(&self) -> &str {
        let name = self.file_name();
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }

    /// The extension in lower case, without the dot.
    pub fn extension(&self) -> String {
        self.file_name().rsplit_once('.').map_or(String::new(), |(_, extension)| extension.to_lowercase())
    }

    /// The file that a relative path names, seen from this folder; `.` and `..` parts are followed.
    pub(crate) fn relative(&self, path: &str) -> Result<HostPath> {
        let mut parts: Vec<&str> = self.0.split('\\').filter(|part| !part.is_empty()).collect();
        for part in path.split(['\\', '/']) {
            match part {
                "" | "." => {}
                ".." if parts.len() > 1 => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        HostPath::parse(&parts.join("\\"))
    }

    /// A file or folder in this folder. `name` is one part and comes from the simulator itself.
    pub(crate) fn join(&self, name: &str) -> HostPath {
        debug_assert!(!name.is_empty() && !name.contains('/'));
        HostPath(format!("{}\\{name}", self.0.trim_end_matches('\\')))
    }

    /// Whether both name the same file.
    pub fn same_file(&self, other: &HostPath) -> bool {
        self.0.to_lowercase() == other.0.to_lowercase()
    }

    fn letter(&self) -> char {
        self.0.chars().next().unwrap_or('C')
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for HostPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl TryFrom<String> for HostPath {
    type Error = Error;

    fn try_from(text: String) -> Result<HostPath> {
        HostPath::parse(&text)
    }
}

impl From<HostPath> for String {
    fn from(path: HostPath) -> String {
        path.0
    }
}

/// Where the host's drives live on this machine.
#[derive(Debug, Clone)]
pub(crate) struct DriveFolders {
    root: PathBuf,
}

impl DriveFolders {
    pub(crate) fn under(root: &Path) -> DriveFolders {
        DriveFolders { root: root.to_owned() }
    }

    /// The local file behind a host path, found without regard to case; it need not exist.
    pub(crate) fn local(&self, path: &HostPath) -> PathBuf {
        let mut local = self.root.join(path.letter().to_string());
        for part in path.as_str()[2..].split('\\').filter(|part| !part.is_empty()) {
            local = child_any_case(&local, part);
        }
        local
    }

    /// Host prefix and local folder of every drive, for those who read the files directly.
    pub(crate) fn map(&self) -> Vec<(String, PathBuf)> {
        ('A'..='Z')
            .map(|letter| (format!("{letter}:\\"), self.root.join(letter.to_string())))
            .filter(|(_, folder)| folder.is_dir())
            .collect()
    }
}

/// The entry `name` of `folder`, in its own spelling when it exists in any.
fn child_any_case(folder: &Path, name: &str) -> PathBuf {
    let exact = folder.join(name);
    if exact.exists() {
        return exact;
    }
    let wanted = name.to_lowercase();
    let found = std::fs::read_dir(folder).ok().and_then(|entries| {
        entries.flatten().find(|entry| entry.file_name().to_str().is_some_and(|n| n.to_lowercase() == wanted))
    });
    found.map_or(exact, |entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_path_is_normalised() {
        let path = HostPath::parse(r"c:/VMs\\SQL01\sql01.vhdx").unwrap();
        assert_eq!(path.as_str(), r"C:\VMs\SQL01\sql01.vhdx");
        assert_eq!(path.folder().as_str(), r"C:\VMs\SQL01");
        assert_eq!((path.stem(), path.extension().as_str()), ("sql01", "vhdx"));
        assert_eq!(HostPath::parse("D:").unwrap().folder().as_str(), "D:\\");
    }

    #[test]
    fn a_relative_path_is_followed_from_a_folder() {
        let folder = HostPath::parse(r"C:\VMs\SQL01\Disks").unwrap();
        assert_eq!(folder.relative(r".\a.vhdx").unwrap().as_str(), r"C:\VMs\SQL01\Disks\a.vhdx");
        assert_eq!(folder.relative(r"..\..\b.vhdx").unwrap().as_str(), r"C:\VMs\b.vhdx");
        assert!(folder.relative(r"..\..\..\..\b.vhdx").is_err());
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for text in ["", "sql01.vhdx", r"\\hv1\C$\a.vhdx", r"C:\VMs\..\..\etc", r"C:\a|b", "/etc/passwd"] {
            assert!(matches!(HostPath::parse(text), Err(Error::HostPath { .. })), "{text}");
        }
    }

    #[test]
    fn files_are_found_in_any_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let drives = DriveFolders::under(folder.path());
        let path = HostPath::parse(r"C:\VMs\Sql01.vhdx").unwrap();
        std::fs::create_dir_all(drives.local(&path.folder())).unwrap();
        std::fs::write(drives.local(&path), b"x").unwrap();
        let other = HostPath::parse(r"c:\vms\SQL01.VHDX").unwrap();
        assert_eq!(drives.local(&other), folder.path().join("C/VMs/Sql01.vhdx"));
        assert!(path.same_file(&other));
    }
}
