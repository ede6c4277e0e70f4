//! `refpoint disk create`: a new, empty disk, or a child over a parent.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use vdisk::{
    CreateKind, CreateOptions, Disk, DiskWriter, FileIo, LocalFile, VhdOptions, VhdWriter, WritableDisk,
};

use super::{format_name, kind_name};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{View, units};
use crate::report::Outcome;

/// Make a new, empty disk, or a differencing one over a parent
///
/// It is a VHDX, or a VHD if its name ends in .vhd; a child has the format of its parent.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint disk create data01.vhdx --size 100G
  refpoint disk create data01.vhdx --size 100G --fixed --sector 4096
  refpoint disk create test.avhdx --parent data01.vhdx")]
pub(crate) struct CreateArgs {
    /// The file to make; it must not exist
    file: PathBuf,
    /// Size of the disk, such as 100G or 512M
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes, required_unless_present = "parent")]
    size: Option<u64>,
    /// Make a differencing disk over this file, with its size and sectors
    #[arg(long, value_name = "FILE", conflicts_with_all = ["size", "fixed", "sector", "block_size"])]
    parent: Option<PathBuf>,
    /// Give every block its space at once
    #[arg(long)]
    fixed: bool,
    /// Bytes of a block, such as 2M [default: 32M, or 2M for VHD]
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    block_size: Option<u64>,
    /// Bytes of a logical sector: 512 or 4096
    #[arg(long, value_name = "BYTES", default_value_t = 512)]
    sector: u32,
}

#[derive(Debug, Serialize)]
struct CreateView {
    file: String,
    format: &'static str,
    kind: &'static str,
    capacity_bytes: u64,
    block_bytes: u32,
    logical_sector_bytes: u32,
    virtual_disk_id: String,
}

/// Runs `refpoint disk create`.
pub(super) fn run(context: &Context, args: &CreateArgs) -> Outcome<Exit> {
    // The parent is opened first: without it nothing is to be made.
    let parent = args.parent.as_ref().map(Disk::open_local).transpose()?;
    let failed =
        |source| vdisk::Error::Io { file: args.file.display().to_string(), action: "create", source };
    let file: Arc<dyn FileIo> = Arc::new(LocalFile::create_new(&args.file).map_err(failed)?);
    let made = args.create(file, parent.as_ref());
    let view = made.inspect_err(|_| {
        // It was made by this call, and is not a disk.
        let _ = std::fs::remove_file(&args.file);
    })?;
    context.output.show(&view);
    Ok(Exit::Done)
}

impl CreateArgs {
    fn create(&self, file: Arc<dyn FileIo>, parent: Option<&Disk>) -> vdisk::Result<CreateView> {
        let below = parent.zip(self.parent.as_deref());
        let below = below.map(|(parent, path)| (parent, relative_path(&self.file, path)));
        let disk: DiskWriter = match &below {
            Some((parent, path)) => DiskWriter::create_child(file, parent, path, None)?,
            None if self.is_vhd() => VhdWriter::create(file, &self.vhd_options()?)?.into(),
            None => WritableDisk::create(file, &self.options())?.into(),
        };
        let made = disk.as_disk();
        disk.close()?;
        Ok(self.view(&made))
    }

    fn view(&self, made: &Disk) -> CreateView {
        let leaf = made.layers().next();
        CreateView {
            file: self.file.display().to_string(),
            format: leaf.as_ref().map_or("", |layer| format_name(layer.format)),
            kind: leaf.map_or("", |layer| kind_name(layer.kind)),
            capacity_bytes: made.capacity(),
            block_bytes: made.block_bytes(),
            logical_sector_bytes: made.logical_sector(),
            virtual_disk_id: made.virtual_disk_id().to_string(),
        }
    }

    /// Whether a disk without a parent is to be a VHD; a child is what its parent is.
    fn is_vhd(&self) -> bool {
        self.file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("vhd"))
    }

    fn kind(&self) -> CreateKind {
        if self.fixed { CreateKind::Fixed } else { CreateKind::Dynamic }
    }

    fn vhd_options(&self) -> vdisk::Result<VhdOptions> {
        if self.sector != 512 {
            let what = format!("a VHD has sectors of 512 bytes, not {}", self.sector);
            return Err(vdisk::Error::BadOptions { file: self.file.display().to_string(), what });
        }
        let defaults = VhdOptions::dynamic(self.size.unwrap_or(0));
        let block_bytes = self.block_bytes().unwrap_or(defaults.block_bytes);
        Ok(VhdOptions { block_bytes, kind: self.kind(), ..defaults })
    }

    /// What does not fit is refused by the format's own rule.
    fn block_bytes(&self) -> Option<u32> {
        self.block_size.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    fn options(&self) -> CreateOptions {
        let defaults = CreateOptions::dynamic(self.size.unwrap_or(0));
        CreateOptions {
            block_bytes: self.block_bytes().unwrap_or(defaults.block_bytes),
            logical_sector: self.sector,
            kind: self.kind(),
            ..defaults
        }
    }
}

/// The parent's path from the child's folder, as Windows writes it.
fn relative_path(child: &Path, parent: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (child, parent) = (absolute(child), absolute(parent));
    let from: Vec<Component<'_>> = child.parent().unwrap_or(&child).components().collect();
    let to: Vec<Component<'_>> = parent.components().collect();
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = from[shared..].iter().map(|_| "..".to_owned());
    let down = to[shared..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let path = up.chain(down).collect::<Vec<_>>().join("\\");
    if shared == from.len() { format!(".\\{path}") } else { path }
}

impl View for CreateView {
    fn text(&self) -> String {
        let size = units::bytes(self.capacity_bytes);
        format!(
            "Made {}: {} {} of {size}, disk id {}\n",
            self.file, self.kind, self.format, self.virtual_disk_id
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_named_from_the_childs_folder() {
        for (child, parent, expected) in [
            ("/vms/a.avhdx", "/vms/base.vhdx", r".\base.vhdx"),
            ("/vms/a.avhdx", "/vms/old/base.vhdx", r".\old\base.vhdx"),
            ("/vms/x/a.avhdx", "/vms/base.vhdx", r"..\base.vhdx"),
            ("/vms/x/a.avhdx", "/disks/base.vhdx", r"..\..\disks\base.vhdx"),
        ] {
            assert_eq!(relative_path(Path::new(child), Path::new(parent)), expected);
        }
    }
}
