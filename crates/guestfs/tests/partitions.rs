//! Partition tables made by `sfdisk` and `sgdisk`, which judge what we read; then damaged and hostile ones.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use common::{disk_of, empty_image, layout_of, raw_disk, run};
use guestfs::{Content, DiskTable, Layout, Role, TableKind};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

/// What `sfdisk --json` and we say of each partition: number, first sector, sectors, type.
type Rows = Vec<(u64, u64, u64, String)>;

fn rows_of_sfdisk(image: &Path) -> Rows {
    let said = run(Command::new("sfdisk").arg("--json").arg(image), "");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let rows = said["partitiontable"]["partitions"].as_array().unwrap().iter().map(|row| {
        let node = row["node"].as_str().unwrap();
        let number = node.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        let kind = format!("{:0>2}", row["type"].as_str().unwrap().to_uppercase());
        (number, row["start"].as_u64().unwrap(), row["size"].as_u64().unwrap(), kind)
    });
    rows.collect()
}

fn rows_of(table: &DiskTable) -> Rows {
    let sector = u64::from(table.sector_bytes);
    let rows = table.partitions.iter().map(|partition| {
        let (start, length) = (partition.start / sector, partition.length / sector);
        (u64::from(partition.number), start, length, partition.type_id.clone())
    });
    rows.collect()
}

/// An image with the table that this script of `sfdisk` makes.
fn scripted(folder: &Path, script: &str) -> std::path::PathBuf {
    let image = empty_image(folder, "disk.img", 64 * MIB);
    run(Command::new("sfdisk").arg("--quiet").arg(&image), script);
    image
}

fn table_of(image: &Path) -> DiskTable {
    layout_of(raw_disk(image)).disks.remove(0)
}

fn overwrite(image: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(image).unwrap().write_all_at(bytes, at).unwrap();
}

const GPT_SCRIPT: &str = "label: gpt
size=4M, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=\"EFI system\"
size=8M, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name=\"Größe\"
size=2M, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE
type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
";

#[test]
fn a_gpt_is_read_as_sfdisk_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let image = scripted(folder.path(), GPT_SCRIPT);

    let layout = layout_of(raw_disk(&image));

    let table = &layout.disks[0];
    assert_eq!(rows_of(table), rows_of_sfdisk(&image));
    assert_eq!((table.kind, table.notes.len()), (TableKind::Gpt, 0));
    let names: Vec<_> =
        layout.volumes.iter().map(|volume| (volume.name.as_str(), volume.label.as_str())).collect();
    assert_eq!(names[..2], [("disk0/part1", "EFI system"), ("disk0/part2", "Größe")]);
    assert_eq!(layout.volume("disk0/part3").unwrap().content, Content::Reserved);
}

#[test]
fn logical_partitions_are_read_as_sfdisk_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let script = "label: dos
size=4M, type=7, bootable\nsize=4M, type=83\nsize=40M, type=5\nsize=4M, type=c
size=3M, type=82\nsize=5M, type=83\nsize=7M, type=8e\n";
    let image = scripted(folder.path(), script);

    let table = table_of(&image);

    assert_eq!(table.kind, TableKind::Mbr);
    assert_eq!(rows_of(&table), rows_of_sfdisk(&image));
    assert_eq!(table.partitions.iter().filter(|partition| partition.role == Role::Extended).count(), 1);
    assert_eq!(layout_of(raw_disk(&image)).volumes.len(), 6, "the extended partition is no volume");
}

#[test]
fn a_hybrid_disk_is_read_by_its_gpt() {
    let folder = tempfile::tempdir().unwrap();
    let image = empty_image(folder.path(), "disk.img", 64 * MIB);
    let made = ["--new=1:2048:+8M", "--new=5:0:+8M", "--typecode=5:8e00", "--hybrid=1:5"];
    run(Command::new("sgdisk").args(made).arg(&image), "");

    let table = table_of(&image);

    assert_eq!(rows_of(&table), rows_of_sfdisk(&image));
    assert_eq!(table.partitions.iter().map(|partition| partition.number).collect::<Vec<_>>(), [1, 5]);
    assert!(table.notes[0].contains("hybrid"), "{:?}", table.notes);
}

#[test]
fn a_table_of_256_entries_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let image = empty_image(folder.path(), "disk.img", 64 * MIB);
    let made = ["--resize-table=256", "--new=200:4096:+1M", "--new=256:0:+1M"];
    run(Command::new("sgdisk").args(made).arg(&image), "");

    assert_eq!(rows_of(&table_of(&image)), rows_of_sfdisk(&image));
}

#[test]
fn a_damaged_gpt_is_read_from_its_backup() {
    let folder = tempfile::tempdir().unwrap();
    for (at, what) in [(512 + 24, "header"), (1024 + 56, "entries"), (512, "signature")] {
        let image = scripted(folder.path(), GPT_SCRIPT);
        let expected = rows_of(&table_of(&image));
        overwrite(&image, at, b"damaged!");

        let table = table_of(&image);

        assert_eq!(rows_of(&table), expected, "{what}");
        assert_eq!(
            table.notes,
            ["The partition table at the start of the disk is damaged; its backup is used."]
        );
        std::fs::remove_file(image).unwrap();
    }
}

/// The disk has grown: its last sector is empty, and only the first header or the MBR tells where the backup is.
#[test]
fn the_backup_is_found_on_a_disk_that_has_grown() {
    let folder = tempfile::tempdir().unwrap();
    for (at, note) in [(4096 * 1024, "has grown"), (512 + 24, "is damaged"), (512, "is damaged")] {
        let image = scripted(folder.path(), GPT_SCRIPT);
        let expected = rows_of(&table_of(&image));
        OpenOptions::new().write(true).open(&image).unwrap().set_len(100 * MIB).unwrap();
        overwrite(&image, at, b"damaged!");

        let table = table_of(&image);

        assert_eq!(rows_of(&table), expected);
        assert!(table.notes[0].contains(note), "{:?}", table.notes);
        std::fs::remove_file(image).unwrap();
    }
}

#[test]
fn a_gpt_with_both_tables_damaged_is_a_gap_and_not_an_empty_disk() {
    let folder = tempfile::tempdir().unwrap();
    let image = scripted(folder.path(), GPT_SCRIPT);
    overwrite(&image, 512, b"damaged!");
    overwrite(&image, 64 * MIB - 512, b"damaged!");

    let layout = layout_of(raw_disk(&image));

    assert!(layout.volumes.is_empty());
    assert_eq!(layout.gaps[0].what, "partitions of disk0");
    assert!(layout.gaps[0].why.contains("neither its table nor the backup is valid"));
}

#[test]
fn a_gpt_for_sectors_of_4096_bytes_is_read_with_either_sector_size() {
    let (small, large) = (gpt_image(512), gpt_image(4096));
    for (image, written_for) in [(&small, 512), (&large, 4096)] {
        for seen_with in [512, 4096] {
            let table = layout_of(disk_of(&[(0, image)], bytes(image), seen_with)).disks.remove(0);

            assert_eq!(table.kind, TableKind::Gpt);
            assert_eq!((table.partitions[0].start, table.partitions[0].length), (MIB, 2 * MIB));
            assert_eq!(table.notes.is_empty(), written_for == seen_with, "{:?}", table.notes);
        }
    }
}

#[test]
fn disks_without_a_table_are_volumes_themselves() {
    for (at, magic, content) in [
        (4086, b"SWAPSPACE2".as_slice(), Content::LinuxSwap),
        (3, b"NTFS    ", Content::Ntfs),
        (0, b"XFSB", Content::Xfs),
        (9, b"", Content::Empty),
    ] {
        // A boot sector of a file system ends like an MBR.
        let layout = layout_of(disk_of(&[(at, magic), (510, &[0x55, 0xaa])], MIB, 512));

        assert_eq!(layout.disks[0].kind, TableKind::None);
        assert_eq!((layout.volumes[0].name.as_str(), layout.volumes.len()), ("disk0", 1));
        if content != Content::Empty {
            assert_eq!(layout.volumes[0].content, content);
        }
    }
}

#[test]
fn a_chain_of_logical_partitions_that_runs_in_a_circle_ends() {
    let entry = |kind: u8, first: u32| {
        let mut entry = [0; 16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&first.to_le_bytes());
        entry[12] = 8;
        entry
    };
    let (extended, logical, back) = (entry(5, 64), entry(0x83, 1), entry(5, 0));
    let parts: &[(u64, &[u8])] = &[
        (446, &extended),
        (510, &[0x55, 0xaa]),
        (64 * 512 + 446, &logical),
        (64 * 512 + 462, &back),
        (64 * 512 + 510, &[0x55, 0xaa]),
    ];

    let table = layout_of(disk_of(parts, MIB, 512)).disks.remove(0);

    assert_eq!(table.partitions.len(), 2);
    assert_eq!(table.notes, ["The chain of logical partitions runs in a circle or is too long."]);
}

#[test]
fn a_partition_beyond_the_end_of_the_disk_is_told() {
    let mut entry = [0; 16];
    entry[4] = 7;
    entry[8..12].copy_from_slice(&1024u32.to_le_bytes());
    entry[12..].copy_from_slice(&8192u32.to_le_bytes());
    let mut beyond = entry;
    beyond[8..12].copy_from_slice(&9000u32.to_le_bytes());

    let layout = layout_of(disk_of(&[(446, &entry), (462, &beyond), (510, &[0x55, 0xaa])], MIB, 512));

    assert_eq!(
        layout.volumes[0].notes,
        ["Some of it cannot be read: the disk ends before the partition does."]
    );
    assert_eq!(layout.gaps[0].what, "disk0/part2");
    assert_eq!(layout.disks[0].notes.len(), 3, "overlapping, and both beyond the end");
}

fn bytes(image: &[u8]) -> u64 {
    image.len() as u64
}

/// A disk of 4 MiB with one partition, made by the rules of UEFI 5.3 and without our own reader.
fn gpt_image(sector: usize) -> Vec<u8> {
    let mut image = vec![0; 4 << 20];
    image[446 + 4] = 0xee;
    image[446 + 8..446 + 16].copy_from_slice(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    let sectors = image.len() / sector;
    let mut entries = vec![0; 128 * 128];
    entries[..16].copy_from_slice(&[
        0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7,
    ]);
    entries[16] = 1;
    entries[32..40].copy_from_slice(&((1 << 20) / sector as u64).to_le_bytes());
    entries[40..48].copy_from_slice(&((3 << 20) / sector as u64 - 1).to_le_bytes());
    let entry_sectors = entries.len() / sector;
    for (own, other, at) in [(1, sectors - 1, 2), (sectors - 1, 1, sectors - 1 - entry_sectors)] {
        let mut header = [0; 92];
        header[..12].copy_from_slice(b"EFI PART\0\0\x01\0");
        header[12] = 92;
        for (place, value) in [(24, own), (32, other), (40, 6), (48, sectors - 6), (72, at)] {
            header[place..place + 8].copy_from_slice(&(value as u64).to_le_bytes());
        }
        header[80..88].copy_from_slice(&[128, 0, 0, 0, 128, 0, 0, 0]);
        header[88..].copy_from_slice(&crc32(&entries).to_le_bytes());
        let sum = crc32(&header);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        image[own * sector..own * sector + 92].copy_from_slice(&header);
        image[at * sector..at * sector + entries.len()].copy_from_slice(&entries);
    }
    image
}

/// By another implementation than ours.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

/// Every volume of a layout can be read at its start or says why not.
fn look_at_everything(layout: &Layout) {
    for volume in &layout.volumes {
        let mut buf = [0; 512];
        let _ = guestfs::Source::read_at(volume, 0, &mut buf);
        let _ = volume.open().map(|_| ()).map_err(|error| error.to_string());
        assert!(!volume.sentence().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn mutated_tables_are_answered_without_harm(
        sector in prop::sample::select(vec![512usize, 4096]),
        hits in prop::collection::vec((0usize..20_000, any::<u8>()), 1..20),
        at_end in any::<bool>(),
        wipe in any::<bool>(),
    ) {
        let mut image = gpt_image(sector);
        let end = image.len();
        for (at, value) in hits {
            let at = if at_end { end - 1 - at } else { at };
            image[at] = value;
        }
        if wipe {
            image[450] = 5;
        }
        look_at_everything(&layout_of(disk_of(&[(0, &image)], bytes(&image), 512)));
    }

    #[test]
    fn random_records_are_answered_without_harm(noise in prop::collection::vec(any::<u8>(), 2048), size in 0u64..8192) {
        let mut noise = noise;
        for link in noise.chunks_mut(512) {
            link[510..].copy_from_slice(&[0x55, 0xaa]);
            for entry in [446, 462, 478, 494] {
                link[entry] = 0;
                link[entry + 4] = if link[entry + 4] < 128 { 5 } else { 7 };
                link[entry + 9..entry + 12].fill(0);
            }
        }
        look_at_everything(&layout_of(disk_of(&[(0, &noise)], size.max(2048), 512)));
    }
}
