//! `refpoint disk`: tools for virtual disk files that need no host and no repository.

mod check;
mod compare;
mod convert;
mod create;
mod digest;
mod get;
mod guest;
mod info;
mod ls;
mod map;
mod source;
mod volumes;
mod work;

use clap::Subcommand;
use vdisk::{DiskFormat, DiskKind};

use crate::context::Context;
use crate::exit::Exit;
use crate::report::Outcome;

/// Look at, check, convert and compare virtual disk files, and reach the files inside them
#[derive(Debug, Subcommand)]
pub(crate) enum DiskCommand {
    Info(info::InfoArgs),
    Check(check::CheckArgs),
    Map(map::MapArgs),
    Convert(convert::ConvertArgs),
    Create(create::CreateArgs),
    Compare(compare::CompareArgs),
    Digest(digest::DigestArgs),
    Volumes(volumes::VolumesArgs),
    Ls(ls::LsArgs),
    Get(get::GetArgs),
}

/// Runs `refpoint disk …`.
pub(crate) async fn run(context: &Context, command: DiskCommand) -> Outcome<Exit> {
    match command {
        DiskCommand::Info(args) => info::run(context, &args),
        DiskCommand::Check(args) => check::run(context, &args),
        DiskCommand::Map(args) => map::run(context, &args),
        DiskCommand::Convert(args) => convert::run(context, args).await,
        DiskCommand::Create(args) => create::run(context, &args),
        DiskCommand::Compare(args) => compare::run(context, &args).await,
        DiskCommand::Digest(args) => digest::run(context, &args).await,
        DiskCommand::Volumes(args) => volumes::run(context, &args),
        DiskCommand::Ls(args) => ls::run(context, &args),
        DiskCommand::Get(args) => get::run(context, args).await,
    }
}

/// Formats as people write them.
fn format_name(format: DiskFormat) -> &'static str {
    match format {
        DiskFormat::Vhdx => "VHDX",
        DiskFormat::Vhd => "VHD",
        DiskFormat::Raw => "raw",
    }
}

fn kind_name(kind: DiskKind) -> &'static str {
    match kind {
        DiskKind::Fixed => "fixed",
        DiskKind::Dynamic => "dynamic",
        DiskKind::Differencing => "differencing",
    }
}

/// GUIDs the way Windows tools show them.
fn guid(id: uuid::Uuid) -> String {
    format!("{:X}", id.hyphenated())
}
