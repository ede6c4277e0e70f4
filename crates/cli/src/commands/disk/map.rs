//! `refpoint disk map`: where the content of a disk comes from.

use clap::{Args, ValueEnum};
use serde::Serialize;
use vdisk::{ByteRange, Disk, Extent, ExtentKind};

use super::source::Source;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Table, View, units};
use crate::report::Outcome;

/// Show which bytes of a disk are data, zeros or absent, and in which file they lie
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint disk map sql01.vhdx
  refpoint disk map sql01_7F1B9E63.avhdx --only data --output json")]
pub(crate) struct MapArgs {
    #[command(flatten)]
    source: Source,
    /// Show extents of one kind only
    #[arg(long, value_enum, value_name = "data|zero|absent", hide_possible_values = true)]
    only: Option<Kind>,
}

/// What an extent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Bytes in a file.
    Data,
    /// Zeros by declaration.
    Zero,
    /// Never written.
    Absent,
}

/// All extents of a disk.
#[derive(Debug, Serialize)]
struct MapView {
    capacity_bytes: u64,
    /// The file named first, its parents after it; `layer` counts from 0 in it.
    files: Vec<String>,
    extents: Vec<ExtentView>,
}

#[derive(Debug, Serialize)]
struct ExtentView {
    offset: u64,
    length: u64,
    kind: Kind,
    layer: Option<usize>,
    file_offset: Option<u64>,
}

/// Runs `refpoint disk map`.
pub(super) fn run(context: &Context, args: &MapArgs) -> Outcome<Exit> {
    let disk = args.source.open()?;
    context.output.show(&MapView::of(&disk, args.only)?);
    Ok(Exit::Done)
}

impl MapView {
    fn of(disk: &Disk, only: Option<Kind>) -> vdisk::Result<Self> {
        let mut extents = Vec::new();
        for extent in disk.extents(ByteRange::new(0, disk.capacity())) {
            let view = ExtentView::of(extent?);
            if only.is_none_or(|only| only == view.kind) {
                extents.push(view);
            }
        }
        let files = disk.layers().map(|layer| layer.name).collect();
        Ok(Self { capacity_bytes: disk.capacity(), files, extents })
    }
}

impl ExtentView {
    fn of(extent: Extent) -> Self {
        let (kind, layer, file_offset) = match extent.kind {
            ExtentKind::Data { layer, file_offset } => (Kind::Data, Some(layer), Some(file_offset)),
            ExtentKind::Zero => (Kind::Zero, None, None),
            ExtentKind::Absent => (Kind::Absent, None, None),
        };
        let (offset, length) = (extent.range.start, extent.range.len());
        Self { offset, length, kind, layer, file_offset }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Zero => "zero",
            Self::Absent => "absent",
        }
    }
}

impl View for MapView {
    fn text(&self) -> String {
        let mut table = Table::new(&[">OFFSET", ">LENGTH", ">SIZE", "KIND", ">FILE OFFSET", "FILE"]);
        for extent in &self.extents {
            table.row([
                extent.offset.to_string(),
                extent.length.to_string(),
                units::bytes(extent.length),
                extent.kind.name().to_owned(),
                extent.file_offset.map(|offset| offset.to_string()).unwrap_or_default(),
                extent.layer.map(|layer| self.files[layer].clone()).unwrap_or_default(),
            ]);
        }
        table.render()
    }
}
