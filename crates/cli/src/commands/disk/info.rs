//! `refpoint disk info`: what a disk file is, read from its own structures.

use clap::Args;
use serde::Serialize;
use vdisk::{BlockUsage, Disk, Error, LayerInfo, LogState, Oddity};

use super::source::{Source, open_file};
use super::{format_name, guid, kind_name};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{View, units};
use crate::report::Outcome;

/// Show size, identity, allocation and all layers of a disk file
///
/// Parents are found beside it. When one is missing the file itself is still shown, and the command ends with 3.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint disk info sql01.vhdx
  refpoint disk info sql01_7F1B9E63.avhdx --output json")]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    source: Source,
}

/// Runs `refpoint disk info`.
pub(super) fn run(context: &Context, args: &InfoArgs) -> Outcome<Exit> {
    let (disk, missing) = match args.source.open() {
        Ok(disk) => (disk, None),
        Err(error) if is_about_a_parent(&error) => (leaf_of(&args.source, &error)?, Some(error)),
        Err(error) => return Err(error.into()),
    };
    context.output.show(&DiskView::of(&disk, missing.as_ref())?);
    let Some(error) = missing else { return Ok(Exit::Done) };
    context.output.warn(&format!("{error} Only what the file holds itself is shown. {}", error.next_step()));
    Ok(Exit::Warnings)
}

/// Whether the file itself may be fine.
fn is_about_a_parent(error: &Error) -> bool {
    matches!(
        error,
        Error::NeedsParent { .. }
            | Error::ParentNotFound { .. }
            | Error::ParentMismatch { .. }
            | Error::ParentPathNotFollowed { .. }
    )
}

/// The file without its parents.
fn leaf_of(source: &Source, error: &Error) -> vdisk::Result<Disk> {
    debug_assert!(is_about_a_parent(error));
    Disk::open_leaf(open_file(&source.file)?)
}

/// One virtual disk over all its files.
#[derive(Debug, Serialize)]
struct DiskView {
    capacity_bytes: u64,
    /// Bytes that hold data in any layer; the rest reads as zeros. Unknown while a parent is missing.
    allocated_bytes: Option<u64>,
    logical_sector_bytes: u32,
    physical_sector_bytes: u32,
    virtual_disk_id: String,
    /// The file named first, its parents after it.
    layers: Vec<LayerView>,
    /// Why the chain is not complete, if it is not.
    missing_parent: Option<String>,
}

/// One file of the chain.
#[derive(Debug, Serialize)]
struct LayerView {
    file: String,
    file_bytes: Option<u64>,
    format: &'static str,
    kind: &'static str,
    creator: String,
    block_bytes: u32,
    allocated_blocks: u64,
    data_write_guid: String,
    file_write_guid: String,
    parent_path: Option<String>,
    /// Entries of its log that were replayed in memory; the file itself is unchanged.
    log_entries_replayed: u64,
    /// What is against the specification and can be read all the same; `disk check` tells more.
    oddities: Vec<String>,
    /// Structures that this version does not know and does not need.
    unknown_parts: Vec<String>,
}

impl DiskView {
    fn of(disk: &Disk, missing: Option<&Error>) -> vdisk::Result<Self> {
        let allocated = if missing.is_none() { Some(disk.allocated()?.total_bytes()) } else { None };
        let usage = disk.block_usage()?;
        Ok(Self {
            capacity_bytes: disk.capacity(),
            allocated_bytes: allocated,
            logical_sector_bytes: disk.logical_sector(),
            physical_sector_bytes: disk.physical_sector(),
            virtual_disk_id: disk.virtual_disk_id().to_string(),
            layers: disk.layers().zip(usage).map(|(layer, usage)| LayerView::of(layer, &usage)).collect(),
            missing_parent: missing.map(ToString::to_string),
        })
    }
}

impl LayerView {
    fn of(layer: LayerInfo, usage: &BlockUsage) -> Self {
        Self {
            file_bytes: std::fs::metadata(&layer.name).ok().map(|facts| facts.len()),
            format: format_name(layer.format),
            kind: kind_name(layer.kind),
            log_entries_replayed: match layer.log {
                LogState::Clean => 0,
                LogState::ReplayedInMemory { entries } => entries,
            },
            creator: layer.creator,
            block_bytes: layer.block_bytes,
            allocated_blocks: usage.allocated_blocks,
            data_write_guid: guid(layer.data_write_guid),
            file_write_guid: guid(layer.file_write_guid),
            parent_path: layer.parent.and_then(|parent| parent.first_path().map(str::to_owned)),
            unknown_parts: layer
                .unknown
                .iter()
                .map(|part| format!("{} {}", part.what, guid(part.id)))
                .collect(),
            oddities: usage.oddities.iter().map(|oddity| oddity_sentence(*oddity)).collect(),
            file: layer.name,
        }
    }
}

fn oddity_sentence(oddity: Oddity) -> String {
    let blocks = |count| units::count(count, "block");
    match oddity {
        Oddity::PartialWithoutParent(count) => {
            format!("{} marked as partially present although there is no parent", blocks(count))
        }
        Oddity::JunkBitmapEntries(count) => {
            format!("{} with junk in the entry of a sector bitmap", units::count(count, "chunk"))
        }
        Oddity::BlocksBeyondEnd(count) => format!("{} beyond the end of the file", blocks(count)),
    }
}

impl View for DiskView {
    fn text(&self) -> String {
        let allocated = match self.allocated_bytes {
            Some(bytes) => {
                format!("{} ({})", units::bytes(bytes), units::percent(bytes, self.capacity_bytes))
            }
            None => "unknown without the parent".to_owned(),
        };
        let mut text = format!(
            "Virtual disk   {}\nCapacity       {} ({} bytes)\nAllocated      {allocated}\nSectors        {} logical, \
             {} physical\n",
            self.virtual_disk_id,
            units::bytes(self.capacity_bytes),
            self.capacity_bytes,
            self.logical_sector_bytes,
            self.physical_sector_bytes,
        );
        for (number, layer) in self.layers.iter().enumerate() {
            text.push_str(&layer.text(number, self.layers.len()));
        }
        text
    }
}

impl LayerView {
    fn text(&self, number: usize, of: usize) -> String {
        let title = if of == 1 { "File".to_owned() } else { format!("File {} of {of}", number + 1) };
        let size = self.file_bytes.map(units::bytes).unwrap_or_default();
        let mut text = format!("\n{title:<14} {}\n", self.file);
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                text.push_str(&format!("  {name:<12} {value}\n"));
            }
        };
        line("Format", &format!("{} {}", self.kind, self.format));
        line("Size", &size);
        if self.block_bytes > 0 {
            let blocks = format!("{} of {}", self.allocated_blocks, units::bytes(self.block_bytes.into()));
            line("Blocks", &blocks);
        }
        line("Made by", &self.creator);
        if self.log_entries_replayed > 0 {
            let entries = match self.log_entries_replayed {
                1 => "1 entry".to_owned(),
                more => format!("{more} entries"),
            };
            line("Log", &format!("its {entries} were replayed in memory; the file was not changed"));
        }
        line("Parent", self.parent_path.as_deref().unwrap_or_default());
        line("Data id", &self.data_write_guid);
        line("File id", &self.file_write_guid);
        line("Odd", &self.oddities.join("; "));
        line("Unknown", &self.unknown_parts.join(", "));
        text
    }
}
