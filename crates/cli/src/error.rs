//! What can go wrong in the command itself: settings, secrets, names, lab and demo. Errors of the crates below
//! keep their own codes; `report.rs` shows both the same way.

use std::io;
use std::path::PathBuf;

use crate::exit::Exit;
use crate::report::Retry;

/// Failures of the `refpoint` command, each with a code, a sentence, a next step and an exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("No repository was named.")]
    RepositoryUnnamed,
    #[error("{what} was not given and there is no terminal to ask on.")]
    SecretMissing { what: &'static str, ways: &'static str },
    #[error("The secret file {} can be read by other users (mode {mode:04o}).", file.display())]
    SecretExposed { file: PathBuf, mode: u32 },
    #[error("The secret file {} cannot be used: {problem}.", file.display())]
    SecretFile { file: PathBuf, problem: String },
    #[error("{what} is empty.")]
    SecretEmpty { what: &'static str },
    #[error("The two entries of {what} differ.")]
    SecretsDiffer { what: &'static str },
    #[error("The settings file {} is damaged: {problem}.", file.display())]
    SettingsDamaged { file: PathBuf, problem: String },
    #[error("{} could not be {action}.", path.display())]
    File { path: PathBuf, action: &'static str, source: io::Error },
    #[error("No host is registered.")]
    NoHosts,
    #[error("There is no registered host named {name}.{}", near_names(near))]
    HostUnknown { name: String, near: Vec<String> },
    #[error("A host named {name} is already registered.")]
    HostExists { name: String },
    #[error("There is no virtual machine {name} on {searched}.{}", near_names(near))]
    VmUnknown { name: String, searched: String, near: Vec<String> },
    #[error("The name {name} fits {} virtual machines: {}.", candidates.len(), candidates.join(", "))]
    VmAmbiguous { name: String, candidates: Vec<String> },
    #[error("There is no restore point {wanted}.{}", near_names(near))]
    PointUnknown { wanted: String, near: Vec<String> },
    #[error("The repository holds no restore point.")]
    NoPoints,
    #[error("{wanted} is the beginning of {} restore points: {}.", candidates.len(), candidates.join(", "))]
    PointAmbiguous { wanted: String, candidates: Vec<String> },
    #[error("The repository holds several sources: {}.", candidates.join(", "))]
    SourceUnnamed { candidates: Vec<String> },
    #[error("Restore point {point} has no disk {wanted}; it has {}.", has.join(", "))]
    DiskUnknown { point: String, wanted: String, has: Vec<String> },
    #[error("Restore point {point} has {} disks: {}.", has.len(), has.join(", "))]
    DiskUnnamed { point: String, has: Vec<String> },
    #[error("The folder {} is not empty.", folder.display())]
    FolderInUse { folder: PathBuf },
    #[error("The lab could not {action}: {problem}.")]
    Lab { action: &'static str, problem: String },
    #[error("The demo found a difference in {check}: {problem}.")]
    DemoMismatch { check: String, problem: String },
    #[error("The backup was stopped before it was complete; {left}.")]
    Interrupted { left: &'static str },
    #[error("The name {} does not tell a disk format.", path.display())]
    FormatUnknown { path: PathBuf },
    #[error("There is no rule {id}.")]
    RuleUnknown { id: String },
    #[error("{option} goes only with {formats}.")]
    OptionUnfit { option: &'static str, formats: &'static str },
    #[error("There is no volume {wanted}; there are {}.", has.join(", "))]
    VolumeUnknown { wanted: String, has: Vec<String> },
    #[error("There are {} volumes with files: {}.", has.len(), has.join(", "))]
    VolumeUnnamed { has: Vec<String> },
    #[error("No volume has files that can be read; there are {}.", has.join(", "))]
    NoFiles { has: Vec<String> },
    #[error("{what} stopped unexpectedly: {problem}.")]
    Internal { what: &'static str, problem: String },
}

impl Error {
    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::RepositoryUnnamed => "CL-001",
            Self::SecretMissing { .. } => "CL-002",
            Self::SecretExposed { .. } => "CL-003",
            Self::SecretFile { .. } => "CL-004",
            Self::SecretEmpty { .. } => "CL-005",
            Self::SecretsDiffer { .. } => "CL-006",
            Self::SettingsDamaged { .. } => "CL-007",
            Self::File { .. } => "CL-008",
            Self::NoHosts => "CL-009",
            Self::HostUnknown { .. } => "CL-010",
            Self::HostExists { .. } => "CL-011",
            Self::VmUnknown { .. } => "CL-012",
            Self::VmAmbiguous { .. } => "CL-013",
            Self::PointUnknown { .. } => "CL-014",
            Self::NoPoints => "CL-015",
            Self::PointAmbiguous { .. } => "CL-016",
            Self::SourceUnnamed { .. } => "CL-017",
            Self::Internal { .. } => "CL-018",
            Self::DiskUnknown { .. } => "CL-019",
            Self::DiskUnnamed { .. } => "CL-020",
            Self::FolderInUse { .. } => "CL-021",
            Self::Lab { .. } => "CL-022",
            Self::DemoMismatch { .. } => "CL-023",
            Self::Interrupted { .. } => "CL-024",
            Self::FormatUnknown { .. } => "CL-025",
            Self::RuleUnknown { .. } => "CL-026",
            Self::VolumeUnknown { .. } => "CL-027",
            Self::VolumeUnnamed { .. } => "CL-028",
            Self::NoFiles { .. } => "CL-029",
            Self::OptionUnfit { .. } => "CL-030",
        }
    }

    /// What the operator does next; `report.rs` makes a sentence of it.
    pub(crate) fn next_step(&self) -> String {
        match self {
            Self::RepositoryUnnamed => "name it with --repo FOLDER or in REFPOINT_REPO".to_owned(),
            Self::SecretMissing { ways, .. } => format!("give it by {ways}"),
            Self::SecretExposed { file, .. } => format!("run `chmod 600 {}`", file.display()),
            Self::SecretFile { .. } => "check the path and that you may read the file".to_owned(),
            Self::SecretEmpty { .. } => "put the secret on the first line".to_owned(),
            Self::SecretsDiffer { .. } => "run the command again and type the same twice".to_owned(),
            Self::SettingsDamaged { file, .. } => {
                format!("repair {0}, or move it away and add the hosts again", file.display())
            }
            Self::File { source, .. } => file_next_step(source).to_owned(),
            Self::NoHosts => "register one with `refpoint host add NAME --url URL --user USER …`".to_owned(),
            Self::HostUnknown { .. } => "see `refpoint host list`".to_owned(),
            Self::HostExists { name } => {
                format!("choose another name, or remove it first with `refpoint host remove {name}`")
            }
            Self::VmUnknown { .. } => "see `refpoint vm list`".to_owned(),
            Self::VmAmbiguous { .. } => "name one with --host HOST or by its id".to_owned(),
            Self::PointUnknown { .. } => "see `refpoint points list`".to_owned(),
            Self::NoPoints => "make one with `refpoint backup`".to_owned(),
            Self::PointAmbiguous { .. } => "give more characters of the id".to_owned(),
            Self::SourceUnnamed { .. } => "name one of them with --vm".to_owned(),
            Self::DiskUnknown { .. } | Self::DiskUnnamed { .. } => "name one of them with --disk".to_owned(),
            Self::FolderInUse { .. } => "name a new or empty folder".to_owned(),
            Self::Lab { .. } => "see `refpoint lab --help`".to_owned(),
            Self::DemoMismatch { .. } => {
                "run `refpoint demo --keep FOLDER` and send what it leaves with a bug report".to_owned()
            }
            Self::Interrupted { .. } => "run it again".to_owned(),
            Self::FormatUnknown { .. } => "name the format with --to".to_owned(),
            Self::RuleUnknown { .. } => "see `refpoint disk check --rules`".to_owned(),
            Self::VolumeUnknown { .. } | Self::VolumeUnnamed { .. } => {
                "name one of them with --volume".to_owned()
            }
            Self::OptionUnfit { .. } => "leave it out, or choose another format with --to".to_owned(),
            Self::NoFiles { .. } => "see `refpoint disk volumes` for what lies on each".to_owned(),
            Self::Internal { .. } => "run the command again and report it if it happens twice".to_owned(),
        }
    }

    /// Whether the same command may succeed when it is run again unchanged.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::SecretsDiffer { .. } | Self::Interrupted { .. } | Self::Internal { .. } => Retry::Now,
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => Retry::Later,
            _ => Retry::No,
        }
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::RepositoryUnnamed
            | Self::SecretMissing { .. }
            | Self::VmAmbiguous { .. }
            | Self::PointAmbiguous { .. }
            | Self::SourceUnnamed { .. }
            | Self::DiskUnnamed { .. }
            | Self::VolumeUnnamed { .. }
            | Self::OptionUnfit { .. }
            | Self::FormatUnknown { .. } => Exit::Usage,
            Self::NoHosts
            | Self::HostUnknown { .. }
            | Self::VmUnknown { .. }
            | Self::PointUnknown { .. }
            | Self::NoPoints
            | Self::DiskUnknown { .. }
            | Self::VolumeUnknown { .. }
            | Self::NoFiles { .. }
            | Self::RuleUnknown { .. } => Exit::NotFound,
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::NotFound,
            Self::SettingsDamaged { .. } => Exit::BadData,
            _ => Exit::Failed,
        }
    }
}

fn file_next_step(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "check the permissions of the file and its folder",
        io::ErrorKind::StorageFull => "free space on that file system",
        _ => "check the file system",
    }
}

/// ` Near names: A, B.` or nothing; kept inside the sentence because it is what the reader needs first.
fn near_names(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(" Near: {}.", near.join(", ")) }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
