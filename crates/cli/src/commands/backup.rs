//! `refpoint backup`: virtual machines of a host, or a disk file that lies here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{ArgGroup, Args};
use protection::file_backup::{FileBackup, backup_file};
use protection::run::settle::settle_host;
use protection::run::{self, Site, VmReport};
use protection::{Policy, World};

use crate::commands::plan::{self, PolicyArgs, WhichVms};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::fleet::{Chosen, Fleet};
use crate::interrupt::Interrupt;
use crate::listener::ProgressListener;
use crate::report::{Failure, Outcome};
use crate::results::{BackupView, VmResult};

/// Back up virtual machines, or a VHDX file
///
/// Looks, plans and runs what `refpoint plan` shows. What an interrupted run left on the host is settled first.
/// With --disk no host is needed: the file is read as it is, so nothing may write to it meanwhile.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["vms", "all", "disk"]).required(true))]
#[command(after_help = "\
Examples:
  refpoint backup --vm SQL01 --repo /backups
  refpoint backup --vm SQL01 --vm WEB01 --host HV1 --repo /backups
  refpoint backup --all --repo /backups --quiet
  refpoint backup --disk sql01.vhdx --name SQL01 --repo /backups")]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub which: WhichVms,
    /// A VHDX file on this machine, instead of virtual machines
    #[arg(long, value_name = "FILE", requires = "name", conflicts_with = "host")]
    pub disk: Option<PathBuf>,
    /// Name under which backups of the file are kept together
    #[arg(long, value_name = "NAME", requires = "disk")]
    pub name: Option<String>,
    #[command(flatten)]
    pub policy: PolicyArgs,
}

/// Runs `refpoint backup`.
pub(crate) async fn run(context: &Context, args: BackupArgs) -> Outcome<Exit> {
    let view = match (&args.disk, &args.name) {
        (Some(file), Some(name)) => backup_disk_file(context, file, name).await?,
        _ => backup_vms(context, &args).await?,
    };
    context.output.show(&view);
    let mut told: Vec<&Failure> = Vec::new();
    for failure in view.failures() {
        // A failure of a whole host is the same for each of its machines.
        if !told.contains(&failure) {
            failure.print_in_text(context.output);
            told.push(failure);
        }
    }
    Ok(view.exit())
}

async fn backup_disk_file(context: &Context, file: &Path, name: &str) -> Outcome<BackupView> {
    // A file that is no disk is told before a passphrase is asked for.
    drop(vdisk::Disk::open_local(file)?);
    let repository = context.open_repository().await?;
    let listener = Arc::new(ProgressListener::new(context.output));
    let world = World::new(Arc::new(protection::world::SystemClock), vec![listener.clone()]);
    let begun = Instant::now();
    let done = backup_file(file, name, &repository, &world).await;
    listener.finish();
    let FileBackup { point, disk, warnings } = done?;
    let result = VmResult::file(name, &point, disk, warnings, begun.elapsed());
    Ok(BackupView::new(vec![result]))
}

async fn backup_vms(context: &Context, args: &BackupArgs) -> Outcome<BackupView> {
    let repository = context.open_repository().await?;
    let journal = plan::open_journal(context)?;
    // Held to the end: only so may what is unfinished in the journal be taken for interrupted. Taken before the
    // hosts are looked at, so that what was seen is not what another backup has changed since.
    let _lock = journal.lock()?;
    let fleet = Fleet::look(context, args.which.host.as_deref()).await?;
    let silent = fleet.silent.clone();
    let listener = Arc::new(ProgressListener::new(context.output));
    let world = World::new(Arc::new(protection::world::SystemClock), vec![listener.clone()]);
    let mut interrupt = Interrupt::listen()?;
    let mut results = Vec::new();
    for chosen in fleet.choose(&args.which.vms)? {
        let policy = args.policy.policy();
        let host = chosen.seen.host.clone();
        let site = Site { host: &host, repository: &repository, journal: &journal, world: &world };
        let names = chosen.names();
        let outcome = tokio::select! {
            outcome = backup_host(&policy, chosen, site) => outcome,
            () = interrupt.asked() => return Err(take_back(context, site, &mut interrupt, &listener).await),
        };
        listener.finish();
        // What was made on other hosts is part of the result, so a host that fails as a whole does not end it.
        results.extend(outcome.unwrap_or_else(|failure| VmResult::all_failed(host.name(), &names, &failure)));
    }
    Ok(BackupView::new(results).with_silent_hosts(silent))
}

/// Settles what was interrupted on one host, plans, and runs the plan.
pub(crate) async fn backup_host(policy: &Policy, chosen: Chosen, site: Site<'_>) -> Outcome<Vec<VmResult>> {
    let Chosen { seen, vms } = chosen;
    let mut inventory = seen.inventory;
    if !site.journal.unfinished(seen.host.computer_name())?.is_empty() {
        settle_host(site).await?;
        inventory = seen.host.inventory().await?;
    }
    let checked = protection::prepare(site, &inventory, &vms, policy).await?;
    let begun = Instant::now();
    let report = run::backup(site, &checked).await;
    let host = seen.host.name();
    let single = report.vms.len() == 1;
    let took = |_: &VmReport| single.then(|| begun.elapsed());
    Ok(report.vms.into_iter().map(|vm| VmResult::vm(host, took(&vm), vm)).collect())
}

/// After Ctrl-C: the run has been dropped where it was, as if the process had died there, and is settled at once
/// instead of by the next backup. Whoever asks a second time does not want to wait for that.
async fn take_back(
    context: &Context,
    site: Site<'_>,
    interrupt: &mut Interrupt,
    listener: &ProgressListener,
) -> Failure {
    listener.finish();
    context.output.note("Stopping: what was begun on the host is taken back first; Ctrl-C again leaves it.");
    tokio::select! {
        settled = settle_host(site) => match settled {
            Ok(()) => Error::Interrupted { left: "nothing of it is left" }.into(),
            Err(error) => error.into(),
        },
        () = interrupt.asked() => Error::Interrupted { left: "the next backup removes what is left of it" }.into(),
    }
}
