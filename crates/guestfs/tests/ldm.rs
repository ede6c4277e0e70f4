//! Windows dynamic disks: 19 disks made by Windows Server, MBR and GPT, with `ldmtool` as the judge of what they hold.
//!
//! The disks come from a project under the GPL and are read from the folder `shared/` beside the repository.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{extract, raw_disk, run, shared_specimen};
use guestfs::{Content, Layout, Source, VolumeMap};
use proptest::prelude::*;
use serde_json::Value;
use vdisk::{Disk, FileIo, MemoryFile};

/// The two groups of the specimens by what their files' names begin with.
const GROUPS: [(&str, &str); 2] = [
    ("ldm-2003r2", "03c0c4fc-8b6f-402b-9431-4be2e5823b1c"),
    ("ldm-2008r2", "06495a84-fbfd-11e1-8cf9-52540061f5db"),
];

/// Unpacks the disks of a group, in the order of their names.
fn unpack(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let archive = shared_specimen("ldm/ldm-data.tar.xz");
    run(
        Command::new("tar")
            .arg("--extract")
            .arg("--xz")
            .arg("--file")
            .arg(archive)
            .arg("--directory")
            .arg(folder),
        "",
    );
    let mut images: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    images.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    images.sort();
    images
}

fn layout_of(images: &[PathBuf]) -> Layout {
    let disks: Vec<Arc<dyn Source>> = images.iter().map(|path| raw_disk(path)).collect();
    Layout::read(&disks).unwrap()
}

/// `ldmtool show KIND GROUP NAME` over these disks.
fn show(images: &[PathBuf], what: &[&str]) -> Value {
    let mut command = Command::new("ldmtool");
    images.iter().for_each(|image| {
        command.arg("--device").arg(image);
    });
    serde_json::from_str(&run(command.arg("show").args(what), "")).unwrap()
}

/// The map of a volume after `ldmtool`: its kind, and its partitions with their disks.
fn map_of_ldmtool(images: &[PathBuf], group: &str, volume: &Value) -> VolumeMap {
    let names = volume["partitions"].as_array().unwrap();
    let mut pieces = names.iter().map(|name| {
        let partition = show(images, &["partition", group, name.as_str().unwrap()]);
        let disk = show(images, &["disk", group, partition["disk"].as_str().unwrap()]);
        let device = Path::new(disk["device"].as_str().unwrap());
        let number = images.iter().position(|image| image == device).unwrap();
        let start = disk["data-start"].as_u64().unwrap() + partition["start"].as_u64().unwrap();
        VolumeMap::linear(number, start * 512, partition["size"].as_u64().unwrap() * 512)
    });
    let length = volume["size"].as_u64().unwrap() * 512;
    let unit = volume["chunk-size"].as_u64().unwrap() * 512;
    match volume["type"].as_str().unwrap() {
        "simple" | "spanned" => VolumeMap::concat(pieces),
        "striped" => VolumeMap::striped(length, unit, pieces.collect()),
        "mirrored" => VolumeMap::mirrored(length, pieces.collect()),
        "RAID5" => VolumeMap::raid5(length, unit, pieces.collect()),
        other => pieces.next().filter(|_| other.is_empty()),
    }
    .unwrap()
}

#[test]
fn every_volume_lies_where_ldmtool_says() {
    let folder = tempfile::tempdir().unwrap();
    for (prefix, group) in GROUPS {
        let images = unpack(folder.path(), prefix);
        let layout = layout_of(&images);

        let names = show(&images, &["diskgroup", group])["volumes"].as_array().unwrap().clone();

        assert!(layout.gaps.is_empty(), "{:?}", layout.gaps);
        assert_eq!(
            layout.volumes.iter().filter(|volume| volume.name.starts_with("ldm/")).count(),
            names.len()
        );
        for name in names.iter().map(|name| name.as_str().unwrap()) {
            let told = show(&images, &["volume", group, name]);
            let volume = layout.volume(&format!("ldm/{name}")).unwrap();
            assert_eq!(volume.map(), &map_of_ldmtool(&images, group, &told), "{name}");
            assert_eq!(volume.label, told["hint"].as_str().unwrap(), "{name}");
            let kind = told["type"].as_str().unwrap().replace("RAID5", "RAID-5");
            assert!(volume.kind.starts_with(&kind), "{name}: {} against {kind}", volume.kind);
        }
    }
}

#[test]
fn the_file_systems_on_them_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for (prefix, _) in GROUPS {
        for volume in layout_of(&unpack(folder.path(), prefix)).volumes {
            seen.push(format!("{prefix} {}: {}, {}", volume.name, volume.kind, volume.detail));
        }
    }
    // Partitions that hold no file system of their own: of MBR and of GPT disks.
    seen.retain(|line| !line.ends_with(", dynamic disk member") && !line.ends_with(", reserved"));

    assert_eq!(
        seen,
        [
            "ldm-2003r2 ldm/Volume1: simple, NTFS",
            "ldm-2003r2 ldm/Volume2: spanned over 2, NTFS",
            "ldm-2003r2 ldm/Stripe1: striped over 2, NTFS",
            "ldm-2003r2 ldm/Volume3: mirrored, NTFS",
            "ldm-2003r2 ldm/Raid1: RAID-5 over 3, NTFS",
            "ldm-2003r2 ldm/Volume4: spanned over 2, NTFS",
            "ldm-2008r2 ldm/Volume1: spanned over 2, NTFS",
            "ldm-2008r2 ldm/Volume2: striped over 2, NTFS",
            "ldm-2008r2 ldm/Volume3: mirrored, NTFS",
            "ldm-2008r2 ldm/Volume4: RAID-5 over 3, NTFS",
            "ldm-2008r2 ldm/Volume5: spanned over 3, NTFS",
        ]
    );
}

/// The checker reads the table of files and its mirror, which lie on all the columns.
#[test]
fn ntfs_on_stripes_and_parity_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (prefix, _) in GROUPS {
        let layout = layout_of(&unpack(folder.path(), prefix));
        for volume in layout.volumes.iter().filter(|volume| volume.name.starts_with("ldm/")) {
            if volume.content == Content::Ntfs {
                run(Command::new("ntfsfix").arg("--no-action").arg(extract(volume, folder.path())), "");
            }
        }
    }
}

#[test]
fn raid5_and_mirrors_read_the_same_with_any_one_disk_missing() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, name) in [("raid5", "ldm/Volume4"), ("mirrored", "ldm/Volume3")] {
        let all = unpack(folder.path(), "ldm-2008r2");
        let images: Vec<PathBuf> =
            all.into_iter().filter(|path| path.to_str().unwrap().contains(kind)).collect();
        let whole = std::fs::read(extract(layout_of(&images).volume(name).unwrap(), folder.path())).unwrap();
        assert!(whole.iter().any(|&byte| byte != 0));
        for missing in 0..images.len() {
            let mut rest = images.clone();
            rest.remove(missing);

            let layout = layout_of(&rest);

            let read = std::fs::read(extract(layout.volume(name).unwrap(), folder.path())).unwrap();
            assert!(read == whole, "{name} without {missing}");
            assert!(layout.volume(name).unwrap().notes.is_empty());
        }
    }
}

#[test]
fn a_missing_disk_is_named_and_leaves_the_other_volumes_usable() {
    let folder = tempfile::tempdir().unwrap();
    let mut images = unpack(folder.path(), "ldm-2003r2");
    images.retain(|path| !path.to_str().unwrap().contains("striped-2"));

    let layout = layout_of(&images);

    let gaps: Vec<_> = layout.gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.why)).collect();
    assert_eq!(gaps, ["Disk5 of the dynamic disk group Red-nzv8x6obywgDg0: none of the disks given is it"]);
    let striped = layout.volume("ldm/Stripe1").unwrap();
    assert_eq!(
        striped.notes[0],
        "Some of it cannot be read: Disk5 of the group Red-nzv8x6obywgDg0 is missing."
    );
    assert!(striped.read_at(64 * 1024, &mut [0; 512]).is_err());
    assert_eq!(layout.volume("ldm/Volume1").unwrap().notes, Vec::<String>::new());
}

/// A disk in memory that can be changed.
fn in_memory(image: &Path) -> MemoryFile {
    let file = MemoryFile::new("dynamic.img");
    let bytes = std::fs::read(image).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (number, chunk) in bytes.chunks(64 * 1024).enumerate() {
        if chunk.iter().any(|&byte| byte != 0) {
            file.write_at(number as u64 * 64 * 1024, chunk).unwrap();
        }
    }
    file
}

fn layout_of_file(file: &MemoryFile) -> Layout {
    Layout::read(&[Arc::new(Disk::open_raw(Arc::new(file.clone())).unwrap())]).unwrap()
}

#[test]
fn damaged_headers_and_tables_are_read_from_their_copies() {
    let folder = tempfile::tempdir().unwrap();
    let image = unpack(folder.path(), "ldm-2003r2-simple").remove(0);
    let private = 102_400 - 2048;
    for sectors in
        [&[6][..], &[6, private + 2047], &[private + 1], &[private + 1, private + 2, private + 2046]]
    {
        let file = in_memory(&image);
        sectors.iter().for_each(|sector| file.write_at(sector * 512 + 100, b"damaged!").unwrap());

        let volume = layout_of_file(&file).volume("ldm/Volume1").cloned();

        assert_eq!(volume.unwrap().content, Content::Ntfs);
    }
    let file = in_memory(&image);
    [6, private + 1856, private + 2047]
        .iter()
        .for_each(|sector| file.write_at(sector * 512, b"damaged!").unwrap());
    assert_eq!(layout_of_file(&file).gaps[0].why, "its private header and the copies are damaged or missing");
}

#[test]
fn mutated_databases_are_answered_without_harm() {
    let folder = tempfile::tempdir().unwrap();
    let image = unpack(folder.path(), "ldm-2008r2-raid5").remove(0);
    let private = (102_400 - 2048) * 512u64;
    let change = (17 * 512u64..17 * 512 + 8192, any::<u8>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    let file = in_memory(&image);
    runner
        .run(&prop::collection::vec(change, 1..8), |changes| {
            let file = copy(&file);
            for (at, value) in changes {
                file.write_at(private + at, &[value]).unwrap();
            }
            for volume in layout_of_file(&file).volumes {
                let _ = volume.read_at(0, &mut [0; 512]);
            }
            Ok(())
        })
        .unwrap();
}

/// The private region and the first sectors of a disk in a file of its own.
fn copy(file: &MemoryFile) -> MemoryFile {
    let fresh = MemoryFile::new("mutated.img");
    fresh.set_len(102_400 * 512).unwrap();
    let mut buf = vec![0; 1 << 20];
    file.read_at((102_400 - 2048) * 512, &mut buf).unwrap();
    fresh.write_at((102_400 - 2048) * 512, &buf).unwrap();
    file.read_at(0, &mut buf[..4096]).unwrap();
    fresh.write_at(0, &buf[..4096]).unwrap();
    fresh
}
