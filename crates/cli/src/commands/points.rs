//! `refpoint points`: the restore points of a repository, one of them in detail, and the proof that one is whole.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use repository::{RestorePoint, RestorePoints, VerifyReport};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Table, View, units};
use crate::point_choice;
use crate::report::Outcome;

/// Look at restore points and verify them
#[derive(Debug, Subcommand)]
pub(crate) enum PointsCommand {
    /// Show the restore points, oldest first
    #[command(after_help = "\
Examples:
  refpoint points list --repo /backups
  refpoint points list --vm SQL01 --repo /backups --output json")]
    List {
        /// Only of this virtual machine or disk backup, by name or source id
        #[arg(long, value_name = "NAME")]
        vm: Option<String>,
    },
    /// Show one restore point with its disks and labels
    #[command(after_help = "\
Examples:
  refpoint points show 0198f3a1 --repo /backups
  refpoint points show latest --vm SQL01 --repo /backups")]
    Show(WhichPoint),
    /// Read one restore point completely and check every block against its identity
    #[command(after_help = "\
Examples:
  refpoint points verify latest --vm SQL01 --repo /backups
  refpoint points verify 0198f3a1 --repo /backups --output json")]
    Verify(WhichPoint),
}

/// Which restore point is meant.
#[derive(Debug, Args)]
pub(crate) struct WhichPoint {
    /// Id of a restore point or its unique beginning, or `latest`
    #[arg(value_name = "POINT")]
    pub point: String,
    /// The virtual machine or disk backup that `latest` is of
    #[arg(long, value_name = "NAME")]
    pub vm: Option<String>,
}

/// Runs `refpoint points …`.
pub(crate) async fn run(context: &Context, command: PointsCommand) -> Outcome<Exit> {
    match command {
        PointsCommand::List { vm } => list(context, vm.as_deref()).await,
        PointsCommand::Show(which) => show(context, &which).await,
        PointsCommand::Verify(which) => verify(context, &which).await,
    }
}

async fn list(context: &Context, source: Option<&str>) -> Outcome<Exit> {
    let repository = context.unlock_repository().await?;
    let points = repository.points().await?;
    let chosen = point_choice::of_source(&points, source)?;
    let view = PointListView::new(&points, &chosen);
    for damaged in &view.unreadable {
        context.output.warn(&format!("{}: {}", damaged.object, damaged.cause));
    }
    context.output.show(&view);
    Ok(if view.unreadable.is_empty() { Exit::Done } else { Exit::Warnings })
}

async fn show(context: &Context, which: &WhichPoint) -> Outcome<Exit> {
    let repository = context.unlock_repository().await?;
    let points = repository.points().await?;
    let point = point_choice::choose(&points, &which.point, which.vm.as_deref())?;
    context.output.show(&PointView::of(point));
    Ok(Exit::Done)
}

async fn verify(context: &Context, which: &WhichPoint) -> Outcome<Exit> {
    let repository = context.unlock_repository().await?;
    let points = repository.points().await?;
    let point = point_choice::choose(&points, &which.point, which.vm.as_deref())?;
    context.output.note(&format!("Reading restore point {} completely ...", point.id));
    let report = repository.verify(&point.id).await?;
    let view = VerifyView::of(point, &report);
    context.output.show(&view);
    Ok(if view.whole { Exit::Done } else { Exit::BadData })
}

#[derive(Debug, Serialize)]
struct PointListView {
    restore_points: Vec<PointView>,
    /// Objects that are restore points by name and could not be read.
    unreadable: Vec<Unreadable>,
}

#[derive(Debug, Serialize)]
struct Unreadable {
    object: String,
    cause: String,
}

impl PointListView {
    fn new(all: &RestorePoints, chosen: &[&RestorePoint]) -> Self {
        let unreadable = all
            .gaps
            .iter()
            .map(|gap| Unreadable { object: gap.object.clone(), cause: gap.cause.to_string() });
        Self {
            restore_points: chosen.iter().map(|point| PointView::of(point)).collect(),
            unreadable: unreadable.collect(),
        }
    }
}

impl View for PointListView {
    fn text(&self) -> String {
        let mut table =
            Table::new(&["POINT", "CREATED", "SOURCE", ">DISKS", ">CAPACITY", ">STORED", "CONSISTENCY"]);
        for point in &self.restore_points {
            table.row([
                point.restore_point.clone(),
                units::moment(point.created_unix_ms),
                point.source_name.clone(),
                point.disks.len().to_string(),
                units::bytes(point.disks.iter().map(|disk| disk.capacity_bytes).sum()),
                units::bytes(point.stored_bytes),
                point.consistency().to_owned(),
            ]);
        }
        table.render()
    }
}

#[derive(Debug, Serialize)]
struct PointView {
    restore_point: String,
    source: String,
    source_name: String,
    created_unix_ms: u64,
    labels: BTreeMap<String, String>,
    disks: Vec<DiskRow>,
    attachments: Vec<AttachmentRow>,
    /// What this restore point added to the repository, compressed and sealed.
    stored_bytes: u64,
}

#[derive(Debug, Serialize)]
struct DiskRow {
    key: String,
    name: String,
    capacity_bytes: u64,
    logical_sector_bytes: u32,
    physical_sector_bytes: u32,
    identity: Option<String>,
    /// Bytes handed to the repository for this restore point.
    read_bytes: u64,
    new_bytes: u64,
    reused_bytes: u64,
    stored_bytes: u64,
}

#[derive(Debug, Serialize)]
struct AttachmentRow {
    name: String,
    bytes: u64,
}

impl PointView {
    fn of(point: &RestorePoint) -> Self {
        let disks = point.disks.iter().map(|disk| DiskRow {
            key: disk.key.to_string(),
            name: disk.name.clone(),
            capacity_bytes: disk.capacity_bytes,
            logical_sector_bytes: disk.logical_sector,
            physical_sector_bytes: disk.physical_sector,
            identity: disk.identity.clone(),
            read_bytes: disk.summary.put_bytes,
            new_bytes: disk.summary.new_bytes,
            reused_bytes: disk.summary.reused_bytes,
            stored_bytes: disk.summary.stored_bytes,
        });
        let attachments = point.attachments.iter();
        Self {
            restore_point: point.id.to_string(),
            source: point.source.to_string(),
            source_name: point.source_name.clone(),
            created_unix_ms: point.created_unix_ms,
            labels: point.labels.clone(),
            disks: disks.collect(),
            attachments: attachments
                .map(|attachment| AttachmentRow { name: attachment.name.clone(), bytes: attachment.bytes })
                .collect(),
            stored_bytes: point.summary().stored_bytes,
        }
    }

    fn consistency(&self) -> &str {
        self.labels.get("consistency").map_or("", String::as_str)
    }
}

impl View for PointView {
    fn text(&self) -> String {
        let mut text = format!(
            "Restore point  {}\nSource         {} ({})\nCreated        {}\n",
            self.restore_point,
            self.source_name,
            self.source,
            units::moment(self.created_unix_ms),
        );
        for (label, value) in &self.labels {
            text.push_str(&format!("{:<14} {value}\n", capitalised(label)));
        }
        let mut table = Table::new(&["DISK", "NAME", ">CAPACITY", ">READ", ">NEW", ">STORED"]);
        for disk in &self.disks {
            table.row([
                disk.key.clone(),
                disk.name.clone(),
                units::bytes(disk.capacity_bytes),
                units::bytes(disk.read_bytes),
                units::bytes(disk.new_bytes),
                units::bytes(disk.stored_bytes),
            ]);
        }
        text.push_str(&format!("\n{}", table.render()));
        for attachment in &self.attachments {
            let size = units::bytes(attachment.bytes);
            text.push_str(&format!("\nAttachment     {} ({size})\n", attachment.name));
        }
        text
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[derive(Debug, Serialize)]
struct VerifyView {
    restore_point: String,
    source_name: String,
    whole: bool,
    blocks: u64,
    content_bytes: u64,
    packs: u64,
    damage: Vec<DamageRow>,
}

#[derive(Debug, Serialize)]
struct DamageRow {
    disk: Option<String>,
    start: u64,
    end: u64,
    cause: String,
}

impl VerifyView {
    fn of(point: &RestorePoint, report: &VerifyReport) -> Self {
        let damage = report.damage.iter().map(|damage| DamageRow {
            disk: damage.disk.as_ref().map(ToString::to_string),
            start: damage.range.start,
            end: damage.range.end,
            cause: damage.cause.to_string(),
        });
        Self {
            restore_point: point.id.to_string(),
            source_name: point.source_name.clone(),
            whole: report.is_whole(),
            blocks: report.chunks,
            content_bytes: report.plain_bytes,
            packs: report.packs,
            damage: damage.collect(),
        }
    }
}

impl View for VerifyView {
    fn text(&self) -> String {
        let head = format!("Restore point {} of {}", self.restore_point, self.source_name);
        let read = format!(
            "{} in {} and {} were read and checked",
            units::bytes(self.content_bytes),
            units::count(self.blocks, "block"),
            units::count(self.packs, "pack"),
        );
        if self.whole {
            return format!("{head} is whole: {read}.\n");
        }
        let mut text = format!("{head} is DAMAGED; {read}.\n");
        for damage in &self.damage {
            let place = match &damage.disk {
                Some(disk) => format!("disk {disk}, bytes {} to {}", damage.start, damage.end),
                None => "the restore point itself".to_owned(),
            };
            text.push_str(&format!("  {place}: {}\n", damage.cause));
        }
        text
    }
}
