//! `refpoint demo`: the main job, end to end, with figures, on a simulated host with real disks.

use std::path::PathBuf;

use clap::Args;

use crate::context::Context;
use crate::demo;
use crate::exit::Exit;
use crate::report::Outcome;
use crate::temporary::Workplace;

/// Back up, change, back up again, restore, and prove it, on a simulated Hyper-V host
///
/// Everything happens in a temporary folder and on the loopback interface. The simulated host answers
/// WS-Management as Windows does; its virtual machine has a real VHDX with a real ext4 file system. Every
/// restored byte and file is compared with what the guest wrote; a difference ends with an error.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint demo
  refpoint demo --keep /tmp/demo")]
pub(crate) struct DemoArgs {
    /// Keep everything in this new or empty folder
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// Data in the guest's files, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 192, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub data: u64,
}

/// Runs `refpoint demo`. A comparison that fails is an error, so that the exit code tells it.
pub(crate) async fn run(context: &Context, args: DemoArgs) -> Outcome<Exit> {
    let workplace = Workplace::new(args.keep.as_deref(), "demo")?;
    let figures = demo::play(context.output, workplace.path(), args.data).await?;
    if args.keep.is_some() {
        context.output.note(&format!("Everything is kept in {}.", workplace.path().display()));
    }
    context.output.show(&figures);
    Ok(Exit::Done)
}
