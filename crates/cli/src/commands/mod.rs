//! The verbs, one file each, and the registry that runs them.

pub(crate) mod backup;
pub(crate) mod demo;
pub(crate) mod disk;
pub(crate) mod host;
pub(crate) mod lab;
mod leftovers;
pub(crate) mod plan;
pub(crate) mod points;
pub(crate) mod repo;
pub(crate) mod restore;
pub(crate) mod vm;

use crate::arguments::Command;
use crate::context::Context;
use crate::exit::Exit;
use crate::report::Outcome;

/// Runs one verb.
pub(crate) async fn dispatch(context: &Context, command: Command) -> Outcome<Exit> {
    match command {
        Command::Demo(args) => demo::run(context, args).await,
        Command::Repo(command) => repo::run(context, command).await,
        Command::Host(command) => host::run(context, command).await,
        Command::Vm(command) => vm::run(context, command).await,
        Command::Plan(args) => plan::run(context, args).await,
        Command::Backup(args) => backup::run(context, args).await,
        Command::Points(command) => points::run(context, command).await,
        Command::Restore(command) => restore::run(context, command).await,
        Command::Disk(command) => disk::run(context, command).await,
        Command::Lab(command) => lab::run(context, command).await,
    }
}
