//! `refpoint lab`: a simulated Hyper-V host in the foreground, to try every other command against.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::control::{self, Answer, Control, WriteRequest, Written};
use crate::error::Error;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{View, units};
use crate::practice::{self, Practice};
use crate::report::Outcome;
use crate::settings::HostEntry;
use crate::temporary::Workplace;

/// Name of the virtual machine.
const VM_NAME: &str = "LAB01";

/// Run a simulated Hyper-V host to practise on
#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    Start(StartArgs),
    Write(WriteArgs),
}

/// Start a simulated host with one virtual machine; stop it with Ctrl-C
///
/// The host speaks WS-Management on the loopback interface; its virtual machine has a real VHDX with a real file
/// system. The commands to use it from a second terminal are printed. Without --folder everything is in a
/// temporary folder that is removed at the end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint lab start
  refpoint lab start --folder /tmp/lab --port 5985
  refpoint lab start --folder /tmp/lab --busy 10")]
pub(crate) struct StartArgs {
    /// An empty or new folder for the host's files; kept afterwards
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Port on 127.0.0.1 [default: any free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Let the guest change some files every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub busy: Option<u64>,
    /// Data in the guest's files at the start, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub data: u64,
}

/// Let the guest of a running lab change some of its files
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint lab write --folder /tmp/lab --vm LAB01")]
pub(crate) struct WriteArgs {
    /// The folder that `refpoint lab start` printed
    #[arg(long, value_name = "FOLDER")]
    pub folder: PathBuf,
    /// The virtual machine
    #[arg(long, value_name = "NAME")]
    pub vm: String,
}

/// Runs `refpoint lab …`.
pub(crate) async fn run(context: &Context, command: LabCommand) -> Outcome<Exit> {
    match command {
        LabCommand::Start(args) => start(context, &args).await,
        LabCommand::Write(args) => write(context, args).await,
    }
}

async fn write(context: &Context, args: WriteArgs) -> Outcome<Exit> {
    let written = control::ask(&args.folder, &WriteRequest { vm: args.vm }).await?;
    context.output.show(&written);
    Ok(Exit::Done)
}

async fn start(context: &Context, args: &StartArgs) -> Outcome<Exit> {
    let workplace = Workplace::new(args.folder.as_deref(), "lab")?;
    let folder = workplace.path();
    context.output.note("Building a virtual machine with a real file system ...");
    let mut practice = Practice::start(folder, VM_NAME, args.data, args.port).await?;
    let control = Control::listen(folder)?;
    context.output.show(&LabView::new(folder, practice.host_entry()));
    let served = serve(context, args, &mut practice, &control).await;
    practice.served.shutdown().await;
    served?;
    context.output.note("The lab has stopped.");
    Ok(Exit::Done)
}

/// Until somebody stops it: lets the guest write when asked to and, if busy, all by itself.
async fn serve(
    context: &Context,
    args: &StartArgs,
    practice: &mut Practice,
    control: &Control,
) -> Outcome<()> {
    let mut interrupt = Interrupt::listen()?;
    loop {
        let pause = args.busy.map_or(Duration::MAX, Duration::from_secs);
        tokio::select! {
            () = interrupt.asked() => return Ok(()),
            (request, caller) = control.next() => {
                let answer = match let_guest_write(practice, &request.vm) {
                    Ok(written) => Answer::Written(written),
                    Err(failure) => Answer::Refused(failure.headline()),
                };
                control::answer(caller, &answer).await;
            }
            () = tokio::time::sleep(pause) => {
                let written = let_guest_write(practice, VM_NAME)?;
                context.output.note(written.text().trim_end());
            }
        }
    }
}

fn let_guest_write(practice: &mut Practice, vm: &str) -> Outcome<Written> {
    if !vm.eq_ignore_ascii_case(&practice.vm_name) {
        let near = vec![practice.vm_name.clone()];
        let searched = practice::HOST_NAME.to_owned();
        return Err(Error::VmUnknown { name: vm.to_owned(), searched, near }.into());
    }
    let changed = practice.change_files()?;
    Ok(Written {
        vm: practice.vm_name.clone(),
        files: changed.files as u64,
        database_pages: changed.pages as u64,
        written_bytes: changed.written_bytes,
    })
}

#[derive(Debug, Serialize)]
struct LabView {
    folder: PathBuf,
    vm: &'static str,
    host: HostEntry,
    process_id: u32,
}

impl LabView {
    fn new(folder: &Path, host: HostEntry) -> Self {
        Self { folder: folder.to_owned(), vm: VM_NAME, host, process_id: std::process::id() }
    }
}

impl View for LabView {
    fn text(&self) -> String {
        let (folder, vm, host) = (self.folder.display(), self.vm, &self.host);
        let maps: String =
            host.maps.iter().map(|map| format!(" --map '{}={}'", map.host, map.folder.display())).collect();
        let password = host.password_file.as_deref().unwrap_or(Path::new("")).display();
        let (name, url, user) = (&host.name, &host.url, &host.user);
        let alias = alias_line();
        format!(
            "Simulated host {name} answers at {url}; its virtual machine is {vm}.\n\n\
             In a second terminal:\n{alias}  \
             export REFPOINT_HOME={folder}/home REFPOINT_REPO={folder}/repo REFPOINT_PASSPHRASE=practice\n  \
             refpoint repo init\n  \
             refpoint host add {name} --url {url} --user {user} --password-file {password}{maps}\n  \
             refpoint vm list\n  \
             refpoint backup --vm {vm}\n  \
             refpoint lab write --folder {folder} --vm {vm}\n  \
             refpoint plan --vm {vm}\n  \
             refpoint backup --vm {vm}\n  \
             refpoint points list\n  \
             refpoint restore vm latest --vm {vm} --host {name} --name {vm}-restored\n\n\
             Ctrl-C stops the host.\n"
        )
    }
}

/// Pasted commands must find this program, also when it was started by cargo.
fn alias_line() -> String {
    let on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("refpoint").is_file()));
    match std::env::current_exe() {
        Ok(program) if !on_path => format!("  alias refpoint='{}'\n", program.display()),
        _ => String::new(),
    }
}

impl View for Written {
    fn text(&self) -> String {
        format!(
            "{}: the guest changed {} and {}, {} in all.\n",
            self.vm,
            units::count(self.files, "file"),
            units::count(self.database_pages, "database page"),
            units::bytes(self.written_bytes),
        )
    }
}
