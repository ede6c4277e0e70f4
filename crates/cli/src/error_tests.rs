//! Pins code, sentence, next step, retry and exit code of every error of the command.

use super::*;

fn io_error(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "the system's words")
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn secrets() -> Vec<Error> {
    let file = PathBuf::from("/secrets/pass");
    vec![
        Error::SecretMissing {
            what: "The passphrase of the repository",
            ways: "--passphrase-file FILE or REFPOINT_PASSPHRASE",
        },
        Error::SecretExposed { file: file.clone(), mode: 0o644 },
        Error::SecretFile { file, problem: "it is larger than 4096 bytes".into() },
        Error::SecretEmpty { what: "The passphrase of the repository" },
        Error::SecretsDiffer { what: "the passphrase" },
    ]
}

fn files() -> Vec<Error> {
    let path = PathBuf::from("/data/hosts.json");
    vec![
        Error::SettingsDamaged { file: path.clone(), problem: "expected value at line 1 column 1".into() },
        Error::File { path: path.clone(), action: "read", source: io_error(io::ErrorKind::NotFound) },
        Error::File {
            path: path.clone(),
            action: "written",
            source: io_error(io::ErrorKind::PermissionDenied),
        },
        Error::File { path: path.clone(), action: "written", source: io_error(io::ErrorKind::StorageFull) },
        Error::File { path, action: "read", source: io_error(io::ErrorKind::Other) },
    ]
}

fn named_things() -> Vec<Error> {
    vec![
        Error::RepositoryUnnamed,
        Error::NoHosts,
        Error::HostUnknown { name: "HV9".into(), near: names(&["HV1"]) },
        Error::HostExists { name: "HV1".into() },
        Error::VmUnknown { name: "SQL1".into(), searched: "HV1".into(), near: names(&["SQL01", "SQL02"]) },
        Error::VmUnknown { name: "WEB".into(), searched: "HV1, HV2".into(), near: Vec::new() },
        Error::VmAmbiguous { name: "SQL01".into(), candidates: names(&["SQL01 on HV1", "SQL01 on HV2"]) },
        Error::PointUnknown { wanted: "0a".into(), near: Vec::new() },
        Error::NoPoints,
        Error::PointAmbiguous { wanted: "01".into(), candidates: names(&["01aa", "01bb"]) },
        Error::SourceUnnamed { candidates: names(&["SQL01", "WEB01"]) },
        Error::DiskUnknown { point: "01aa".into(), wanted: "9".into(), has: names(&["0", "1"]) },
        Error::DiskUnnamed { point: "01aa".into(), has: names(&["0", "1"]) },
    ]
}

fn the_rest() -> Vec<Error> {
    vec![
        Error::FolderInUse { folder: "/tmp/lab".into() },
        Error::Lab { action: "start", problem: "the port is taken".into() },
        Error::DemoMismatch {
            check: "disk 0 of the first point".into(),
            problem: "byte 4096 differs".into(),
        },
        Error::Interrupted { left: "nothing of it is left" },
        Error::FormatUnknown { path: "/disks/sql01.bin".into() },
        Error::RuleUnknown { id: "VHDX-9".into() },
        Error::VolumeUnknown { wanted: "disk0/part9".into(), has: vec!["disk0/part1".into()] },
        Error::VolumeUnnamed { has: vec!["disk0/part1".into(), "lvm/vg0/root".into()] },
        Error::OptionUnfit { option: "--fixed", formats: "VHDX and VHD" },
        Error::NoFiles { has: vec!["disk0/part1".into()] },
        Error::Internal { what: "The transfer", problem: "task panicked".into() },
    ]
}

#[test]
fn every_error_keeps_its_code_text_and_advice() {
    let mut page = String::new();
    for error in [named_things(), secrets(), files(), the_rest()].into_iter().flatten() {
        page.push_str(&format!(
            "{} exit {} retry {}\n  {error}\n  next: {}\n",
            error.code(),
            error.exit() as u8,
            error.retry(),
            error.next_step()
        ));
    }
    insta::assert_snapshot!(page);
}
