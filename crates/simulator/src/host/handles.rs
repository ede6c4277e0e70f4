//! Who else has a file open: the simulated host's sharing violations.
//!
//! Windows refuses to merge into a file that another handle holds (WMI notes 7.1, marked there as inferred).
//! Linux has no such rule, so the host looks at the open files of all processes it may see. It must itself hold no
//! handle when it asks. Where `/proc` cannot be read nothing is found, which only makes the host more lenient.

use std::fs;
use std::path::Path;

/// Whether any process, this one included, has the file open.
pub(crate) fn is_open(file: &Path) -> bool {
    let Ok(file) = fs::canonicalize(file) else { return false };
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let numbered = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.parse::<u32>().is_ok());
    processes
        .flatten()
        .filter(|entry| numbered(&entry.file_name()))
        .any(|process| holds(&process.path().join("fd"), &file))
}

fn holds(descriptors: &Path, file: &Path) -> bool {
    let Ok(descriptors) = fs::read_dir(descriptors) else { return false };
    descriptors
        .flatten()
        .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target == file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_handle_is_seen_until_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.vhdx");
        fs::write(&path, b"x").unwrap();
        assert!(!is_open(&path));
        let handle = fs::File::open(&path).unwrap();
        assert!(is_open(&path));
        drop(handle);
        assert!(!is_open(&path));
    }
}
