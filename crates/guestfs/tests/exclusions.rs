//! What a backup leaves out of the disks of a Linux guest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

mod linux;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use guestfs::{ExclusionOptions, Exclusions, Layout, Source, plan_exclusions};
use linux::{noise, run, sized};
use vdisk::{ChangedRanges, Disk, LocalFile};

const MIB: u64 = 1 << 20;

fn layout(image: &Path) -> Layout {
    let disk = Disk::open_raw(Arc::new(LocalFile::open_read(image).unwrap())).unwrap();
    Layout::read(&[Arc::new(disk) as Arc<dyn Source>]).unwrap()
}

fn planned(image: &Path, free_space: bool) -> Exclusions {
    plan_exclusions(&layout(image), ExclusionOptions { free_space })
}

/// A swap area full of noise, as after use.
fn swap_file(path: &Path, bytes: u64) {
    fs::write(path, noise(1, usize::try_from(bytes).unwrap())).unwrap();
    run("mkswap", &["-q", path.to_str().unwrap()]);
}

/// An ext4 image with two swap files, one of them named by fstab, and a file that only has the usual name.
fn guest(folder: &Path) -> std::path::PathBuf {
    let (root, image) = (folder.join("root"), folder.join("image"));
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir(root.join("var")).unwrap();
    fs::write(root.join("etc/fstab"), "UUID=1 / ext4 defaults 0 1\n/var/swap none swap sw 0 0\n").unwrap();
    swap_file(&root.join("swapfile"), 8 * MIB);
    swap_file(&root.join("var/swap"), 5 * MIB);
    fs::write(root.join("swap.img"), noise(2, 300_000)).unwrap();
    fs::write(root.join("data"), noise(3, 3_000_000)).unwrap();
    sized(&image, 64 * MIB);
    run(
        "mke2fs",
        &["-q", "-F", "-t", "ext4", "-b", "4096", "-d", root.to_str().unwrap(), image.to_str().unwrap()],
    );
    image
}

/// The image as a restored disk would be: zeros where it was left out.
fn without(image: &Path, excluded: &ChangedRanges) -> std::path::PathBuf {
    let mut bytes = fs::read(image).unwrap();
    for range in excluded {
        bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].fill(0);
    }
    let restored = image.with_extension("restored");
    fs::write(&restored, bytes).unwrap();
    restored
}

#[test]
fn swap_files_are_left_out_and_the_restored_disk_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let image = guest(folder.path());

    let plan = planned(&image, false);

    let items: Vec<_> = plan.items.iter().map(|item| (item.what.as_str(), item.bytes)).collect();
    assert_eq!(items, [("/swapfile", 8 * MIB - 65_536), ("/var/swap", 5 * MIB - 65_536)]);
    let kept: Vec<_> = plan.kept.iter().map(|kept| kept.what.as_str()).collect();
    assert_eq!(kept, ["/swap.img"], "it has no signature");
    let restored = without(&image, &plan.disks[&0]);
    run("e2fsck", &["-f", "-n", restored.to_str().unwrap()]);
    let (before, after) =
        (linux::content_of(&*linux::open(&image)), linux::content_of(&*linux::open(&restored)));
    for (path, seen) in &before {
        let is_swap = ["/swapfile", "/var/swap"].contains(&path.as_str());
        assert_eq!(seen.content == after[path].content, !is_swap, "{path}");
        assert_eq!(seen.content.get(..65_536), after[path].content.get(..65_536), "{path}");
    }
}

#[test]
fn free_space_is_left_out_only_on_request_and_holds_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let image = guest(folder.path());

    let plan = planned(&image, true);

    assert_eq!(plan.items.last().unwrap().what, "free space");
    let restored = without(&image, &plan.disks[&0].minus(&planned(&image, false).disks[&0]));
    run("e2fsck", &["-f", "-n", restored.to_str().unwrap()]);
    let (before, after) =
        (linux::content_of(&*linux::open(&image)), linux::content_of(&*linux::open(&restored)));
    linux::assert_same(&after, &before, "free space zeroed");
}

#[test]
fn a_swap_area_keeps_its_first_pages_and_what_lies_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    swap_file(&image, 10 * MIB);
    fs::File::options().write(true).open(&image).unwrap().set_len(12 * MIB).unwrap();

    let plan = planned(&image, false);

    let excluded: Vec<_> = plan.disks[&0].iter().map(|range| (range.start, range.end)).collect();
    assert_eq!(
        excluded,
        [(73_728, 10 * MIB)],
        "what tells that it is one is kept, more than its first pages"
    );
    let kind = run(
        "blkid",
        &["-p", "-s", "TYPE", "-o", "value", without(&image, &plan.disks[&0]).to_str().unwrap()],
    );
    assert_eq!(kind.trim(), "swap");
}

#[test]
fn in_doubt_everything_is_kept_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let image = guest(folder.path());
    run("debugfs", &["-w", "-R", "ssv state 2", image.to_str().unwrap()]);

    let plan = planned(&image, true);

    assert!(plan.items.is_empty() && plan.disks.is_empty());
    assert_eq!(plan.kept.len(), 4);
    assert!(plan.kept.iter().all(|kept| kept.why.contains("found errors")), "{:?}", plan.kept);
}
