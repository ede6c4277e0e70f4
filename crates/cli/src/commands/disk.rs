//! `refpoint disk`: what a VHDX file is, read from its own structures.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use vdisk::{Disk, DiskFormat, DiskKind, LayerInfo};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{View, units};
use crate::report::Outcome;

/// Look at virtual disk files
#[derive(Debug, Subcommand)]
pub(crate) enum DiskCommand {
    /// Show size, identity, allocation and all layers of a VHDX file; parents are found beside it
    #[command(after_help = "\
Examples:
  refpoint disk info sql01.vhdx
  refpoint disk info sql01_7F1B9E63.avhdx --output json")]
    Info {
        /// A .vhdx or .avhdx file
        file: PathBuf,
    },
}

/// Runs `refpoint disk …`.
pub(crate) fn run(context: &Context, command: DiskCommand) -> Outcome<Exit> {
    let DiskCommand::Info { file } = command;
    let disk = Disk::open_local(&file)?;
    context.output.show(&DiskView::of(&disk)?);
    Ok(Exit::Done)
}

/// One virtual disk over all its files.
#[derive(Debug, Serialize)]
struct DiskView {
    capacity_bytes: u64,
    /// Bytes that hold data in any layer; the rest reads as zeros.
    allocated_bytes: u64,
    logical_sector_bytes: u32,
    physical_sector_bytes: u32,
    virtual_disk_id: String,
    /// The file named first, its parents after it.
    layers: Vec<LayerView>,
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
    /// Structures that this version does not know and does not need.
    unknown_parts: Vec<String>,
}

impl DiskView {
    fn of(disk: &Disk) -> Result<Self, vdisk::Error> {
        Ok(Self {
            capacity_bytes: disk.capacity(),
            allocated_bytes: disk.allocated()?.total_bytes(),
            logical_sector_bytes: disk.logical_sector(),
            physical_sector_bytes: disk.physical_sector(),
            virtual_disk_id: disk.virtual_disk_id().to_string(),
            layers: disk.layers().map(LayerView::of).collect(),
        })
    }
}

impl LayerView {
    fn of(layer: LayerInfo) -> Self {
        Self {
            file_bytes: std::fs::metadata(&layer.name).ok().map(|facts| facts.len()),
            format: match layer.format {
                DiskFormat::Vhdx => "VHDX",
                DiskFormat::Vhd => "VHD",
                DiskFormat::Raw => "raw",
            },
            kind: match layer.kind {
                DiskKind::Fixed => "fixed",
                DiskKind::Dynamic => "dynamic",
                DiskKind::Differencing => "differencing",
            },
            creator: layer.creator,
            block_bytes: layer.block_bytes,
            allocated_blocks: layer.allocated_blocks,
            data_write_guid: guid(layer.data_write_guid),
            file_write_guid: guid(layer.file_write_guid),
            parent_path: layer.parent.and_then(|parent| parent.first_path().map(str::to_owned)),
            unknown_parts: layer
                .unknown
                .iter()
                .map(|part| format!("{} {}", part.what, guid(part.id)))
                .collect(),
            file: layer.name,
        }
    }
}

/// GUIDs the way Windows tools show them.
fn guid(id: uuid::Uuid) -> String {
    format!("{:X}", id.hyphenated())
}

impl View for DiskView {
    fn text(&self) -> String {
        let mut text = format!(
            "Virtual disk   {}\nCapacity       {} ({} bytes)\nAllocated      {} ({})\nSectors        {} logical, \
             {} physical\n",
            self.virtual_disk_id,
            units::bytes(self.capacity_bytes),
            self.capacity_bytes,
            units::bytes(self.allocated_bytes),
            units::percent(self.allocated_bytes, self.capacity_bytes),
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
        line("Parent", self.parent_path.as_deref().unwrap_or_default());
        line("Data id", &self.data_write_guid);
        line("File id", &self.file_write_guid);
        line("Unknown", &self.unknown_parts.join(", "));
        text
    }
}
