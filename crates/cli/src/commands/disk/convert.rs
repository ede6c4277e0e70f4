//! `refpoint disk convert`: a whole disk as one new file of another format or shape.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde::Serialize;
use vdisk::{CreateKind, Existing, Target, Written};

use super::source::Source;
use super::work::watched;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{View, units};
use crate::report::Outcome;

/// Write a disk, with all its parents, into one new file
///
/// Zeros take no space in the new file. It appears under its name once it is complete and durable, and an existing
/// file is left alone unless --force is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint disk convert sql01.vhdx sql01.qcow2
  refpoint disk convert sql01_7F1B9E63.avhdx flat.vhdx --block-size 2M
  refpoint disk convert sql01.img sql01.vhdx --raw --fixed")]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    source: Source,
    /// The file to write
    target: PathBuf,
    /// Format of the new file [default: by its name]
    #[arg(long, value_enum, value_name = "raw|vhdx|vhd|qcow2", hide_possible_values = true)]
    to: Option<Format>,
    /// Give every block its space at once (VHDX, VHD)
    #[arg(long)]
    fixed: bool,
    /// Bytes of a block (VHDX), such as 2M [default: 32M]
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    block_size: Option<u64>,
    /// Replace the file if it exists, once the new one is complete
    #[arg(long)]
    force: bool,
}

/// Formats that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Format {
    Raw,
    Vhdx,
    Vhd,
    Qcow2,
}

#[derive(Debug, Serialize)]
struct ConvertView {
    file: String,
    format: Format,
    capacity_bytes: u64,
    /// Bytes of the disk that are not zero, in units of 64 KiB.
    data_bytes: u64,
    /// Length of the new file; holes count.
    file_bytes: u64,
    seconds: f64,
}

/// Runs `refpoint disk convert`.
pub(super) async fn run(context: &Context, args: ConvertArgs) -> Outcome<Exit> {
    let format = match args.to {
        Some(format) => format,
        None => by_name(&args.target)?,
    };
    let target = args.target(format)?;
    let disk = args.source.open()?;
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let (capacity_bytes, path, begun) = (disk.capacity(), args.target.clone(), Instant::now());
    let Written { data_bytes, file_bytes } = watched(context, capacity_bytes, "converting", move |watch| {
        vdisk::convert(&disk, &path, &target, existing, watch)
    })
    .await?;
    context.output.show(&ConvertView {
        file: args.target.display().to_string(),
        format,
        capacity_bytes,
        data_bytes,
        file_bytes,
        seconds: begun.elapsed().as_secs_f64(),
    });
    Ok(Exit::Done)
}

impl ConvertArgs {
    /// An option that would change nothing is a mistake of whoever gave it.
    fn check_options(&self, format: Format) -> Result<(), Error> {
        let unfit = if self.block_size.is_some() && format != Format::Vhdx {
            Some(("--block-size", "VHDX"))
        } else if self.fixed && !matches!(format, Format::Vhdx | Format::Vhd) {
            Some(("--fixed", "VHDX and VHD"))
        } else {
            None
        };
        match unfit {
            Some((option, formats)) => Err(Error::OptionUnfit { option, formats }),
            None => Ok(()),
        }
    }

    fn target(&self, format: Format) -> Result<Target, Error> {
        self.check_options(format)?;
        let kind = if self.fixed { CreateKind::Fixed } else { CreateKind::Dynamic };
        Ok(match format {
            Format::Raw => Target::Raw,
            Format::Vhd => Target::Vhd { kind },
            Format::Qcow2 => Target::Qcow2,
            Format::Vhdx => Target::Vhdx {
                kind,
                // What does not fit is refused by the format's own rule.
                block_bytes: self.block_size.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
                disk_id: None,
            },
        })
    }
}

/// The format that a name stands for. A wrong guess would make a file that nobody expects.
fn by_name(path: &Path) -> Result<Format, Error> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match ending.as_str() {
        "vhdx" => Ok(Format::Vhdx),
        "vhd" => Ok(Format::Vhd),
        "qcow2" => Ok(Format::Qcow2),
        "raw" | "img" => Ok(Format::Raw),
        _ => Err(Error::FormatUnknown { path: path.to_owned() }),
    }
}

impl View for ConvertView {
    fn text(&self) -> String {
        format!(
            "Wrote {}: {} of {} are data, in {:.1} s\n",
            self.file,
            units::bytes(self.data_bytes),
            units::bytes(self.capacity_bytes),
            self.seconds,
        )
    }
}
