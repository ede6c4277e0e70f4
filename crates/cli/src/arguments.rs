//! The command line: options that hold everywhere, and the list of verbs. What a verb takes stands in its own
//! file under `commands/`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{backup, demo, disk, host, lab, plan, points, repo, restore, vm};
use crate::exit::EXIT_HELP;
use crate::output::Format;

const HEADING: &str = "Global options";

const EXAMPLES: &str = "\
Examples:
  refpoint demo                                       see it work, with nothing installed
  refpoint repo init --repo /backups                  make a repository
  refpoint host add HV1 --url http://hv1:5985/wsman --user backup \\
      --password-file hv1.secret --map 'C:\\=/mnt/hv1/c'
  refpoint plan --vm SQL01 --repo /backups            what a backup would do, and why
  refpoint backup --vm SQL01 --repo /backups
  refpoint points list --repo /backups
  refpoint restore disk latest --vm SQL01 --to sql01.vhdx --repo /backups";

/// Backup and restore for Hyper-V virtual machines.
///
/// Reads only what changed since the last restore point, keeps every restore point complete by itself in an
/// encrypted repository, and leaves nothing behind on the host.
#[derive(Debug, Parser)]
#[command(name = "refpoint", version, after_help = EXAMPLES, after_long_help = long_after_help())]
#[command(subcommand_required = true, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command understands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The repository's folder
    #[arg(long, global = true, env = "REFPOINT_REPO", hide_env_values = true, value_name = "FOLDER", help_heading = HEADING)]
    pub repo: Option<PathBuf>,
    /// File with the repository's passphrase [or: REFPOINT_PASSPHRASE, or a prompt]
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    pub passphrase_file: Option<PathBuf>,
    /// File with the recovery key, to open a repository whose passphrase is lost
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING, conflicts_with = "passphrase_file")]
    pub recovery_key_file: Option<PathBuf>,
    /// Folder with the registered hosts and the journal [default: ~/.local/share/refpoint]
    #[arg(long, global = true, env = "REFPOINT_HOME", hide_env_values = true, value_name = "FOLDER", help_heading = HEADING)]
    pub home: Option<PathBuf>,
    /// Form of the results: text for people, json for scripts
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    #[arg(value_name = "text|json", help_heading = HEADING)]
    pub output: Format,
    /// Only results, warnings and errors; no progress
    #[arg(long, short, global = true, help_heading = HEADING)]
    pub quiet: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::DemoArgs),
    #[command(subcommand)]
    Repo(repo::RepoCommand),
    #[command(subcommand)]
    Host(host::HostCommand),
    #[command(subcommand)]
    Vm(vm::VmCommand),
    Plan(plan::PlanArgs),
    Backup(backup::BackupArgs),
    #[command(subcommand)]
    Points(points::PointsCommand),
    #[command(subcommand)]
    Restore(restore::RestoreCommand),
    #[command(subcommand)]
    Disk(disk::DiskCommand),
    #[command(subcommand)]
    Lab(lab::LabCommand),
}

fn long_after_help() -> String {
    format!("{EXAMPLES}\n\n{EXIT_HELP}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_option_takes_a_secret_itself() {
        fn visit(command: &clap::Command) {
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str();
                let secret = ["password", "passphrase", "recovery_key", "secret"];
                let names_secret = secret.iter().any(|word| id.contains(word));
                assert!(!names_secret || id.ends_with("_file"), "{id} of {}", command.get_name());
            }
            command.get_subcommands().for_each(visit);
        }
        visit(&Arguments::command());
    }
}
