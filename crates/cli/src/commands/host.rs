//! `refpoint host`: which Hyper-V hosts are known, how they are reached, and what backups left on them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::commands::leftovers;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Table, View};
use crate::report::Outcome;
use crate::settings::{HostEntry, PathMapping};

/// Register Hyper-V hosts and look at what is left on them
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    Add(AddArgs),
    /// Show the registered hosts
    #[command(after_help = "\
Examples:
  refpoint host list
  refpoint host list --output json")]
    List,
    /// Forget a host; nothing on the host or in a repository changes
    #[command(after_help = "\
Examples:
  refpoint host remove HV1")]
    Remove {
        /// Name of the host
        name: String,
    },
    /// Show recovery checkpoints, reference points and unmerged disks on a host
    ///
    /// A recovery checkpoint that stays behind makes a disk file grow without limit. Those that a run of
    /// Refpoint left behind are removed by its next backup of that virtual machine.
    #[command(after_help = "\
Examples:
  refpoint host leftovers HV1
  refpoint host leftovers HV1 --output json")]
    Leftovers {
        /// Name of the host
        name: String,
    },
}

/// Register a Hyper-V host
///
/// The host is asked once before it is registered, so that a wrong address or password shows now. The password
/// is not stored: name a file that only you can read, set REFPOINT_HOST_PASSWORD, or be asked each time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint host add HV1 --url http://hv1:5985/wsman --user backup \\
      --password-file hv1.secret --map 'C:\\=/mnt/hv1/c'
  refpoint host add HV2 --url http://hv2:5985/wsman --user backup \\
      --map 'C:\\=/mnt/hv2/c' --map 'D:\\VMs=/mnt/hv2/vms'")]
pub(crate) struct AddArgs {
    /// A name of your choice
    pub name: String,
    /// WS-Management endpoint of the host
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// Who signs in; a member of Hyper-V Administrators
    #[arg(long, value_name = "USER")]
    pub user: String,
    /// File with the password, readable by you only [or: REFPOINT_HOST_PASSWORD, or a prompt]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// A folder here that shows the files under a path of the host; may be given several times
    #[arg(long = "map", value_name = "HOST=FOLDER", value_parser = parse_mapping, required = true)]
    pub maps: Vec<PathMapping>,
    /// Register without asking the host
    #[arg(long)]
    pub unchecked: bool,
}

/// `C:\VMs=/mnt/vms`. The first `=` separates, since Windows folders with one are rarer than local ones.
fn parse_mapping(text: &str) -> Result<PathMapping, String> {
    let (host, folder) = text.split_once('=').ok_or("expected HOST=FOLDER, as in 'C:\\=/mnt/hv1/c'")?;
    if host.is_empty() || folder.is_empty() {
        return Err("both sides of = are needed, as in 'C:\\=/mnt/hv1/c'".to_owned());
    }
    let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
    Ok(PathMapping { host: host.to_owned(), folder })
}

/// Runs `refpoint host …`.
pub(crate) async fn run(context: &Context, command: HostCommand) -> Outcome<Exit> {
    match command {
        HostCommand::Add(args) => add(context, args).await,
        HostCommand::List => list(context),
        HostCommand::Remove { name } => remove(context, &name),
        HostCommand::Leftovers { name } => leftovers::run(context, &name).await,
    }
}

async fn add(context: &Context, args: AddArgs) -> Outcome<Exit> {
    let password_file = args.password_file.map(absolute).transpose()?;
    let entry = HostEntry { name: args.name, url: args.url, user: args.user, password_file, maps: args.maps };
    let mut view = AddView { host: entry.clone(), computer_name: None, os_version: None };
    // Whatever the path map refuses is told now, not at the first backup.
    drop(context.path_map(&entry)?);
    if !args.unchecked {
        let host = context.connect(&entry).await?;
        view.computer_name = Some(host.computer_name().to_owned());
        view.os_version = Some(host.os_version().to_owned());
    }
    context.settings.add_host(entry)?;
    context.output.show(&view);
    Ok(Exit::Done)
}

/// Later commands run from other folders.
fn absolute(path: PathBuf) -> Outcome<PathBuf> {
    let absolute = std::path::absolute(&path);
    Ok(absolute.map_err(|source| crate::error::Error::File { path, action: "found", source })?)
}

fn list(context: &Context) -> Outcome<Exit> {
    context.output.show(&HostListView { hosts: context.settings.hosts()? });
    Ok(Exit::Done)
}

fn remove(context: &Context, name: &str) -> Outcome<Exit> {
    let removed = context.settings.remove_host(name)?;
    context.output.show(&RemoveView { removed });
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct AddView {
    host: HostEntry,
    /// What the host calls itself; nothing if it was not asked.
    computer_name: Option<String>,
    os_version: Option<String>,
}

impl View for AddView {
    fn text(&self) -> String {
        match (&self.computer_name, &self.os_version) {
            (Some(computer), Some(version)) => {
                format!("Host {} is registered: {computer}, Windows {version}.\n", self.host.name)
            }
            _ => format!("Host {} is registered; it was not asked.\n", self.host.name),
        }
    }
}

#[derive(Debug, Serialize)]
struct HostListView {
    hosts: Vec<HostEntry>,
}

impl View for HostListView {
    fn text(&self) -> String {
        if self.hosts.is_empty() {
            return "No host is registered; see `refpoint host add --help`.\n".to_owned();
        }
        let mut table = Table::new(&["HOST", "URL", "USER", "PASSWORD", "PATHS"]);
        for host in &self.hosts {
            let password = match &host.password_file {
                Some(file) => file.display().to_string(),
                None => "asked".to_owned(),
            };
            let maps = host.maps.iter().map(|map| format!("{} = {}", map.host, map.folder.display()));
            let paths = maps.collect::<Vec<_>>().join(", ");
            table.row([&host.name, &host.url, &host.user, &password, &paths].map(String::as_str));
        }
        table.render()
    }
}

#[derive(Debug, Serialize)]
struct RemoveView {
    removed: HostEntry,
}

impl View for RemoveView {
    fn text(&self) -> String {
        format!("Host {} is forgotten.\n", self.removed.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_cut_at_its_first_equals_sign() {
        let map = parse_mapping(r"C:\VMs=/mnt/a=b").unwrap();
        assert_eq!((map.host.as_str(), map.folder), (r"C:\VMs", PathBuf::from("/mnt/a=b")));
    }

    #[test]
    fn a_mapping_needs_both_sides() {
        for text in ["C:", "=/mnt", r"C:\="] {
            assert!(parse_mapping(text).is_err(), "{text}");
        }
    }
}
