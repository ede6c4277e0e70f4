//! `refpoint restore`: a disk into a file, or a virtual machine beside its original.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::{Args, Subcommand, ValueEnum};
use hyperv::{Gap, Host};
use recovery::vm::{self, VmPlan, VmProgress, VmRequest, VmRestored, VmSource};
use recovery::{DiskRestored, DiskTarget, Progress, TargetFormat};
use repository::{PointId, Repository, Unlocked};
use serde::Serialize;

use crate::commands::points::WhichPoint;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{self, Output, View, units};
use crate::point_choice;
use crate::report::Outcome;

/// Bring data back
#[derive(Debug, Subcommand)]
pub(crate) enum RestoreCommand {
    Disk(DiskArgs),
    Vm(VmArgs),
}

/// Restore one disk of a restore point into a new file
///
/// The file appears under its name only when it is complete, and is then compared with the restore point.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint restore disk latest --vm SQL01 --to sql01.vhdx --repo /backups
  refpoint restore disk 0198f3a1 --disk 0b1c2d3e --to disk.img --format raw --repo /backups")]
pub(crate) struct DiskArgs {
    #[command(flatten)]
    pub which: WhichPoint,
    /// The disk by key, its unique beginning, or name; needed if there are several
    #[arg(long, value_name = "DISK")]
    pub disk: Option<String>,
    /// The file to make
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Form of the file
    #[arg(long, value_enum, default_value_t = DiskForm::Vhdx)]
    pub format: DiskForm,
    /// Replace a file that is there, once the new one is complete
    #[arg(long)]
    pub replace: bool,
    /// Give the VHDX the virtual disk id of the original, when it takes the original's place
    #[arg(long)]
    pub keep_identity: bool,
    /// Do not compare the file with the restore point afterwards
    #[arg(long)]
    pub no_verify: bool,
}

/// Form of a restored disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiskForm {
    /// Dynamic VHDX
    Vhdx,
    /// Plain image, sparse where the file system can
    Raw,
}

/// Restore a whole virtual machine beside the original, under a new name
///
/// Disks are written into a new folder of the host, compared with the restore point, and the virtual machine is
/// registered there, switched off. The original is not touched. If any of it fails, all of it is taken back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint restore vm latest --vm SQL01 --host HV1 --name SQL01-back --dry-run --repo /backups
  refpoint restore vm 0198f3a1 --host HV1 --name SQL01-back --folder 'C:\\VMs\\back' --repo /backups")]
pub(crate) struct VmArgs {
    #[command(flatten)]
    pub which: WhichPoint,
    /// The host that gets the virtual machine
    #[arg(long, value_name = "HOST")]
    pub host: String,
    /// Name of the restored virtual machine
    #[arg(long = "name", value_name = "NEW")]
    pub new_name: String,
    /// Folder on the host for the disks [default: beside the original's disks]
    #[arg(long, value_name = "PATH")]
    pub folder: Option<String>,
    /// Show what would be done, and whether it can be
    #[arg(long)]
    pub dry_run: bool,
    /// Do not compare the disks with the restore point before the machine is registered
    #[arg(long)]
    pub no_verify: bool,
}

/// Runs `refpoint restore …`.
pub(crate) async fn run(context: &Context, command: RestoreCommand) -> Outcome<Exit> {
    match command {
        RestoreCommand::Disk(args) => disk(context, args).await,
        RestoreCommand::Vm(args) => vm(context, args).await,
    }
}

async fn disk(context: &Context, args: DiskArgs) -> Outcome<Exit> {
    let repository = context.unlock_repository().await?;
    let points = repository.points().await?;
    let point = point_choice::choose(&points, &args.which.point, args.which.vm.as_deref())?;
    let record = point_choice::choose_disk(point, args.disk.as_deref())?;
    let view = repository.disk(&point.id, &record.key).await?;
    let target = DiskTarget {
        keep_identity: args.keep_identity,
        replace: args.replace,
        ..DiskTarget::new(&args.to, args.format.into())
    };
    let name = args.to.display().to_string();
    let bar = Bar::new(context.output);
    let restored = recovery::restore_disk(&view, &target, &|progress| bar.show(&name, 0, progress)).await;
    let restored = bar.ended(restored)?;
    let mut verified_bytes = None;
    if !args.no_verify {
        let comparing = format!("comparing {name}");
        let on_progress = |progress| bar.show(&comparing, 1, progress);
        let compared = recovery::verify_restored(&view, &args.to, target.format, &on_progress).await;
        verified_bytes = Some(bar.ended(compared)?.compared_bytes);
    }
    let restore_point = point.id.to_string();
    context.output.show(&DiskView { restore_point, disk: record.name.clone(), restored, verified_bytes });
    Ok(Exit::Done)
}

async fn vm(context: &Context, args: VmArgs) -> Outcome<Exit> {
    let repository = context.unlock_repository().await?;
    let points = repository.points().await?;
    let point = point_choice::choose(&points, &args.which.point, args.which.vm.as_deref())?;
    let source = VmSource::load(&repository, &point.id).await?;
    let request = VmRequest { folder: args.folder, verify: !args.no_verify, ..VmRequest::new(args.new_name) };
    let plan = vm::plan(&source, &request)?;
    let host = context.connect(&context.settings.host(&args.host)?).await?;
    if args.dry_run {
        vm::check(&plan, &host).await?;
        context.output.show(&PlanView { host: host.name().to_owned(), plan });
        return Ok(Exit::Done);
    }
    let restored = run_plan(context.output, &repository, &source, &plan, &host).await?;
    let complete = restored.left_out.is_empty();
    context.output.show(&VmView { host: host.name().to_owned(), restored });
    Ok(if complete { Exit::Done } else { Exit::Warnings })
}

/// The whole virtual machine of a restore point, beside the original.
pub(crate) async fn vm_beside(
    context: &Context,
    point: &PointId,
    host: &str,
    name: &str,
) -> Outcome<VmRestored> {
    let repository = context.unlock_repository().await?;
    let source = VmSource::load(&repository, point).await?;
    let plan = vm::plan(&source, &VmRequest::new(name))?;
    let host = context.connect(&context.settings.host(host)?).await?;
    run_plan(context.output, &repository, &source, &plan, &host).await
}

/// The only disk of a restore point, into a new file.
pub(crate) async fn disk_to_file(
    context: &Context,
    point: &PointId,
    to: &Path,
    form: DiskForm,
) -> Outcome<DiskRestored> {
    let repository = context.unlock_repository().await?;
    let point = repository.point(point).await?;
    let record = point_choice::choose_disk(&point, None)?;
    let view = repository.disk(&point.id, &record.key).await?;
    let target = DiskTarget::new(to, form.into());
    Ok(recovery::restore_disk(&view, &target, &|_| ()).await?)
}

async fn run_plan(
    output: Output,
    repository: &Repository<Unlocked>,
    source: &VmSource,
    plan: &VmPlan,
    host: &Host,
) -> Outcome<VmRestored> {
    let bar = Bar::new(output);
    let on_progress = |progress| match progress {
        VmProgress::Writing { disk, progress } => bar.show(&plan.disks[disk].path, disk * 2, progress),
        VmProgress::Verifying { disk, progress } => {
            bar.show(&format!("comparing {}", plan.disks[disk].path), disk * 2 + 1, progress);
        }
        VmProgress::Registering => {}
    };
    let restored = vm::restore_vm(repository, source, plan, host, &on_progress).await;
    Ok(bar.ended(restored)?)
}

/// One bar after the other: a restore goes through its phases in order.
struct Bar {
    output: Output,
    now: Mutex<Option<(usize, output::Progress, u64)>>,
}

impl Bar {
    fn new(output: Output) -> Self {
        Self { output, now: Mutex::new(None) }
    }

    fn show(&self, what: &str, phase: usize, progress: Progress) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.as_ref().is_none_or(|(shown, ..)| *shown != phase) {
            if let Some((_, bar, _)) = now.take() {
                bar.finish();
            }
            *now = Some((phase, self.output.progress(progress.total_bytes, what), 0));
        }
        if let Some((_, bar, done)) = now.as_mut() {
            bar.advance(progress.done_bytes.saturating_sub(*done));
            *done = progress.done_bytes;
        }
    }

    /// Removes the bar, whatever came of the work.
    fn ended<T, E>(&self, outcome: Result<T, E>) -> Result<T, E> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bar, _)) = now.take() {
            bar.finish();
        }
        outcome
    }
}

impl From<DiskForm> for TargetFormat {
    fn from(form: DiskForm) -> Self {
        match form {
            DiskForm::Vhdx => Self::Vhdx,
            DiskForm::Raw => Self::Raw,
        }
    }
}

#[derive(Debug, Serialize)]
struct DiskView {
    restore_point: String,
    disk: String,
    #[serde(flatten)]
    restored: DiskRestored,
    /// Bytes compared with the restore point afterwards; nothing if that was not wanted.
    verified_bytes: Option<u64>,
}

impl View for DiskView {
    fn text(&self) -> String {
        let DiskRestored { path, capacity_bytes, data_bytes, .. } = &self.restored;
        let verified = match self.verified_bytes {
            Some(_) => "and compared with the restore point",
            None => "not compared",
        };
        format!(
            "{} of restore point {} is in {}: {} of data on a disk of {}, {verified}.\n",
            self.disk,
            self.restore_point,
            path.display(),
            units::bytes(*data_bytes),
            units::bytes(*capacity_bytes),
        )
    }
}

#[derive(Debug, Serialize)]
struct PlanView {
    host: String,
    plan: VmPlan,
}

impl View for PlanView {
    fn text(&self) -> String {
        let plan = &self.plan;
        let mut text = format!(
            "Restore point {} of {} would become {} on {}, in {}.\n",
            plan.point, plan.original, plan.name, self.host, plan.folder
        );
        for disk in &plan.disks {
            text.push_str(&format!("  write {} ({})\n", disk.path, units::bytes(disk.capacity_bytes)));
        }
        if plan.verify {
            text.push_str("  compare the disks with the restore point\n");
        }
        text.push_str(&format!("  register {}, switched off\n", plan.name));
        text
    }
}

#[derive(Debug, Serialize)]
struct VmView {
    host: String,
    restored: VmRestored,
}

impl View for VmView {
    fn text(&self) -> String {
        let VmRestored { vm, name, disks, verified_bytes, left_out } = &self.restored;
        let mut text = format!("{name} is registered on {} as {vm}, switched off.\n", self.host);
        for disk in disks {
            let (path, data) = (disk.path.display(), units::bytes(disk.data_bytes));
            text.push_str(&format!("  {path}: {data} of data\n"));
        }
        if *verified_bytes > 0 {
            text.push_str(&format!("  {} compared with the restore point\n", units::bytes(*verified_bytes)));
        }
        for Gap { what, why } in left_out {
            text.push_str(&format!("  left out: {what}, since {why}\n"));
        }
        text
    }
}
