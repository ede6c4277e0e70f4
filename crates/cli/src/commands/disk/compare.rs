//! `refpoint disk compare`: whether two disks hold the same bytes, whatever their formats.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use vdisk::{Comparison, Disk};

use super::source::{Mapping, open_raw, parent_map};
use super::work::watched;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{View, units};
use crate::report::Outcome;

/// Tell whether two disks hold the same bytes, whatever their formats
///
/// Ends with 0 when they do and with 1 when they do not. Disks of different sizes are equal when the larger one
/// holds only zeros beyond the other.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint disk compare sql01.vhdx restored.vhdx
  refpoint disk compare sql01.vhdx sql01.img --second-raw")]
pub(crate) struct CompareArgs {
    /// A .vhdx, .avhdx or .vhd file, or any file with --first-raw
    first: PathBuf,
    /// A .vhdx, .avhdx or .vhd file, or any file with --second-raw
    second: PathBuf,
    /// Take the first file's bytes as the disk
    #[arg(long)]
    first_raw: bool,
    /// Take the second file's bytes as the disk
    #[arg(long)]
    second_raw: bool,
    /// A parent path as a child names it, and the file that is meant by it
    #[arg(long = "parent-map", value_name = "OLD=NEW")]
    parent_map: Vec<Mapping>,
}

/// What the comparison found.
#[derive(Debug, Serialize)]
struct CompareView {
    equal: bool,
    first_capacity_bytes: u64,
    second_capacity_bytes: u64,
    first_difference: Option<u64>,
    different_bytes: u64,
    different_ranges: u64,
}

/// Runs `refpoint disk compare`.
pub(super) async fn run(context: &Context, args: &CompareArgs) -> Outcome<Exit> {
    let first = args.open(&args.first, args.first_raw)?;
    let second = args.open(&args.second, args.second_raw)?;
    let (one, other) = (first.clone(), second.clone());
    let length = first.capacity().max(second.capacity());
    let compared =
        watched(context, length, "comparing", move |watch| vdisk::compare(&one, &other, watch)).await?;
    let view = CompareView::of(&first, &second, compared);
    context.output.show(&view);
    Ok(if view.equal { Exit::Done } else { Exit::Failed })
}

impl CompareArgs {
    fn open(&self, path: &Path, raw: bool) -> vdisk::Result<Disk> {
        if raw { open_raw(path) } else { Disk::open_local_with(path, &parent_map(&self.parent_map)) }
    }
}

impl CompareView {
    fn of(first: &Disk, second: &Disk, compared: Comparison) -> Self {
        Self {
            equal: compared.is_equal(),
            first_capacity_bytes: first.capacity(),
            second_capacity_bytes: second.capacity(),
            first_difference: compared.first_difference,
            different_bytes: compared.different_bytes,
            different_ranges: compared.different_ranges,
        }
    }
}

impl View for CompareView {
    fn text(&self) -> String {
        let mut text = match self.first_difference {
            None => "The disks hold the same bytes.\n".to_owned(),
            Some(at) => format!(
                "The disks differ in {} bytes, in {}; the first one is at {at}.\n",
                self.different_bytes,
                units::count(self.different_ranges, "range"),
            ),
        };
        let (first, second) = (self.first_capacity_bytes, self.second_capacity_bytes);
        if first != second {
            let (larger, by) =
                if first > second { ("first", first - second) } else { ("second", second - first) };
            let rest = if self.equal { " of zeros" } else { "" };
            text.push_str(&format!("The {larger} disk is larger, by {by} bytes{rest}.\n"));
        }
        text
    }
}
