//! Names and paths on the host, as Windows allows them.
//!
//! A restored VM gets a folder named after it, so its name must be one that a folder can have. What
//! cannot be is refused rather than changed, because the operator looks for the name they gave.
//! Source: Win32 "Naming Files, Paths, and Namespaces".

use crate::error::{Error, Result};

/// Longest name of a VM here; a folder name has 255 characters and paths go on below it.
const NAME_CHARS_MAX: usize = 100;

/// Folder in which Hyper-V keeps the disks of a VM by default.
const DISKS_FOLDER: &str = "Virtual Hard Disks";

/// Device names that no file can have, with or without an ending.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];

/// Refuses a name that no folder can have.
pub(super) fn check_vm_name(name: &str) -> Result<()> {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        let digit = stem.strip_prefix(prefix).unwrap_or_default();
        digit.len() == 1 && digit.bytes().all(|byte| byte.is_ascii_digit())
    };
    let why = if name.trim().is_empty() {
        "it is empty"
    } else if name.chars().count() > NAME_CHARS_MAX {
        "it has more than 100 characters"
    } else if name.chars().any(|c| c.is_control() || r#"\/:*?"<>|"#.contains(c)) {
        "a folder name cannot hold one of its characters"
    } else if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        "a folder name cannot begin with a blank, or end with a blank or dot"
    } else if DEVICES.contains(&stem.as_str()) || numbered("COM") || numbered("LPT") {
        "Windows keeps it for a device"
    } else {
        return Ok(());
    };
    Err(Error::BadName { name: name.chars().take(NAME_CHARS_MAX).collect(), why })
}

/// The folder beside that of the original: its disk is in `…\VM\Virtual Hard Disks` or in `…\VM`.
pub(super) fn folder_beside(original_disk: &str, name: &str) -> Option<String> {
    let (folder, _) = original_disk.rsplit_once('\\')?;
    let vm_folder = match folder.rsplit_once('\\') {
        Some((above, last)) if last.eq_ignore_ascii_case(DISKS_FOLDER) => above,
        _ => folder,
    };
    let (above, _) = vm_folder.rsplit_once('\\')?;
    (!above.is_empty()).then(|| format!("{above}\\{name}"))
}

/// The folder for the disks of a VM that has this folder.
pub(super) fn disks_folder(vm_folder: &str) -> String {
    format!("{}\\{DISKS_FOLDER}", vm_folder.trim_end_matches('\\'))
}

/// The file name of a restored disk. While a checkpoint exists a VM writes to `NAME_GUID.avhdx`; what
/// is restored is the whole disk again, so it gets the plain name.
pub(super) fn disk_file_name(path: &str) -> String {
    let file = path.rsplit(['\\', '/']).next().unwrap_or(path);
    let (stem, ending) = file.rsplit_once('.').unwrap_or((file, ""));
    let stem = if ending.eq_ignore_ascii_case("avhdx") { without_guid(stem) } else { stem };
    format!("{}.vhdx", if stem.is_empty() { "disk" } else { stem })
}

fn without_guid(stem: &str) -> &str {
    match stem.rsplit_once('_') {
        Some((before, guid)) if uuid::Uuid::try_parse(guid).is_ok() => before,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_folder_can_have_is_refused() {
        for name in ["", "  ", "a\\b", "a/b", "a:b", "a\nb", "dot.", "blank ", " a", "NUL", "com1", "aux.old"]
        {
            assert_eq!(check_vm_name(name).unwrap_err().code(), "RC-008", "{name:?}");
        }
        assert!(check_vm_name(&"x".repeat(101)).is_err());
        for name in ["SQL01 (restored 2025-03-09)", "company", "Größe", "com", "com10"] {
            check_vm_name(name).unwrap();
        }
    }

    #[test]
    fn the_folder_of_the_new_vm_is_beside_that_of_the_original() {
        let beside = |disk| folder_beside(disk, "New");
        assert_eq!(beside(r"C:\VMs\SQL01\Virtual Hard Disks\a.vhdx").as_deref(), Some(r"C:\VMs\New"));
        assert_eq!(beside(r"C:\VMs\SQL01\a.vhdx").as_deref(), Some(r"C:\VMs\New"));
        assert_eq!(beside(r"C:\SQL01\a.vhdx").as_deref(), Some(r"C:\New"));
        assert_eq!((beside(r"C:\a.vhdx"), beside("a.vhdx")), (None, None));
        assert_eq!(disks_folder(r"C:\VMs\New"), r"C:\VMs\New\Virtual Hard Disks");
    }

    #[test]
    fn a_restored_disk_has_the_plain_name_of_the_original() {
        for (path, name) in [
            (r"C:\v\sql01.vhdx", "sql01.vhdx"),
            (r"C:\v\sql01_1F2E3D4C-5B6A-4798-8A9B-ACBDCEDFE0F1.avhdx", "sql01.vhdx"),
            (r"C:\v\sql_01.avhdx", "sql_01.vhdx"),
            (r"C:\v\set.vhds", "set.vhdx"),
            ("plain", "plain.vhdx"),
        ] {
            assert_eq!(disk_file_name(path), name);
        }
    }
}
