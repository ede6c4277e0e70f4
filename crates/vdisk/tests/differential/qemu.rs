//! `qemu-img` as a judge of what is made here, and as a maker of what is read here.
//!
//! QEMU reads no child and no sectors of 4096 bytes, and takes each sector of a VHD's block for present. It replays
//! a log only where it may write, so it repairs its copy before it compares. The replay of QEMU 10.0.2 has two faults,
//! and images that show them are not judged by it: it lengthens a file only where the log tells a length that is no
//! whole number of MiB, which no file of blocks has; and it begins with the first entry of the sequence where the last
//! one's Tail says which are retired (MS-VHDX 2.3.1.1).

use std::path::Path;

use vdisk::{Disk, FileIo, LocalFile, MemoryFile};

use crate::chain::{Format, Made};
use crate::common::qemu_img::qemu_img;
use crate::judges::{by_us, copy_into};
use crate::model::Model;

/// Larger disks take QEMU long, though nothing is in them.
const CAPACITY_MAX: u64 = 10 << 30;
/// A disk of this size it compares in no time; of the larger ones, which take seconds, it gets one in so many.
const SMALL_MAX: u64 = 64 << 20;
const LARGE_EVERY: u64 = 60;

/// Whether QEMU reads the file of this seed, in reasonable time.
pub(crate) fn can_judge(made: &Made, disk: &Disk, seed: u64) -> bool {
    let is_readable = made.files.len() == 1 && disk.logical_sector() == 512 && !made.qemu_differs;
    let is_quick = disk.capacity() <= SMALL_MAX || seed % LARGE_EVERY == 1;
    is_readable && is_quick && can_make(&made.model)
}

/// Whether QEMU makes such a disk in reasonable time.
pub(crate) const fn can_make(model: &Model) -> bool {
    model.capacity <= CAPACITY_MAX
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Checks and compares a file without parents.
pub(crate) fn judge(made: &Made) {
    let folder = tempfile::tempdir().unwrap();
    let (image, raw) = (folder.path().join("disk.image"), folder.path().join("disk.raw"));
    save(&made.files[0], &image);
    save(&made.model.raw(), &raw);
    let format = match made.formats[0] {
        Format::Vhdx => "vhdx",
        Format::Vhd => "vpc",
    };
    if made.dirty[0] {
        qemu_img(&["check", "-r", "all", "-f", format, text(&image)]);
    }
    // It has no check for VHD.
    if format == "vhdx" {
        qemu_img(&["check", "-f", format, text(&image)]);
    }
    qemu_img(&["compare", "-f", "raw", "-F", format, text(&raw), text(&image)]);
}

/// Has QEMU write the model as VHDX or VHD, and reads that.
pub(crate) fn make(turn: u64, format: Format, model: &Model) {
    let folder = tempfile::tempdir().unwrap();
    let (image, raw) = (folder.path().join("disk.image"), folder.path().join("disk.raw"));
    save(&model.raw(), &raw);
    let (format, options): (_, &[&str]) = match format {
        Format::Vhdx => (
            "vhdx",
            &["block_size=1M", "block_size=16M", "block_size=1M,block_state_zero=off", "log_size=3M"],
        ),
        Format::Vhd => (
            "vpc",
            &["subformat=dynamic", "subformat=dynamic,force_size=on", "subformat=fixed,force_size=on"],
        ),
    };
    let options = options[turn as usize % options.len()];
    qemu_img(&["convert", "-f", "raw", "-O", format, "-o", options, text(&raw), text(&image)]);
    let disk = Disk::open_local(&image).unwrap();
    // Without `force_size` a VHD grows to what a geometry can tell.
    let may_grow = options == "subformat=dynamic";
    let model = if may_grow { &model.grown(disk.capacity()) } else { model };
    by_us(&disk, model);
}

/// Writes what is not zero; the rest stays a hole.
fn save(file: &MemoryFile, path: &Path) {
    let local = LocalFile::create_new(path).unwrap();
    copy_into(file, &local);
    local.flush().unwrap();
}
