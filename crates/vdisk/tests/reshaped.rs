//! Disks that become smaller or larger, and chains that are merged: what the guest sees, and what a cut leaves.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::sync::Arc;

use common::guest::Guest;
use common::power_cut::{Bytes, RecordingFile, cut_everywhere};
use common::{MIB, bytes_of, content, pattern, small_disk};
use vdisk::{
    ByteRange, CreateKind, CreateOptions, Disk, Error, FileIo, MemoryFile, Shrinking, WritableDisk,
    merge_into_parent,
};

fn guid_of(file: &dyn FileIo) -> uuid::Uuid {
    Disk::open(common::copy_of(file)).unwrap().layers().next().unwrap().data_write_guid
}

/// A closed child of 2 MiB blocks over a closed parent, the sizes as given, and what the chain shows.
fn chain_of(parent_size: u64, child_size: u64) -> (Arc<dyn FileIo>, Arc<dyn FileIo>, Vec<u8>) {
    let (parent, mut disk) = small_disk(parent_size);
    disk.write_at(0, &pattern(1, parent_size)).unwrap();
    disk.close().unwrap();
    let parent: Arc<dyn FileIo> = Arc::new(parent);
    let child: Arc<dyn FileIo> = Arc::new(MemoryFile::new("child.avhdx"));
    let below = Disk::open(Arc::clone(&parent)).unwrap();
    let mut disk = WritableDisk::create_child(Arc::clone(&child), &below, "disk.vhdx", None).unwrap();
    drop(below);
    disk.resize(child_size, Shrinking::CutOff).unwrap();
    disk.write_at(child_size - 1536, &pattern(2, 1536)).unwrap();
    disk.write_zeroes(ByteRange::at(MIB + 512, 1024)).unwrap();
    let expected = content(&disk.as_disk());
    disk.close().unwrap();
    (parent, child, expected)
}

// case 54
#[test]
fn a_child_that_was_resized_shows_zeros_where_its_parent_ends() {
    let (parent, child, expected) = chain_of(5 * MIB, 8 * MIB + 512);
    let disk = Disk::open_chain(vec![child, parent]).unwrap();
    assert!(content(&disk) == expected);
    assert!(expected[5 * MIB as usize..8 * MIB as usize - 1024].iter().all(|byte| *byte == 0));
    assert!(expected[..MIB as usize] == pattern(1, MIB));
}

// case 66
#[test]
fn a_merge_cut_at_any_point_leaves_the_chain_or_the_merged_disk_also_when_sizes_differ() {
    for (parent_size, child_size) in [(4 * MIB, 4 * MIB), (3 * MIB, 6 * MIB), (6 * MIB, 3 * MIB + 512)] {
        let (parent, child, expected) = chain_of(parent_size, child_size);
        let start = Bytes::of(&*parent);
        let record = RecordingFile::over("disk.vhdx", start.clone());
        merge_into_parent(vec![Arc::clone(&child), record.io()]).unwrap();

        let images = cut_everywhere(&start, &record.ops(), 66, |position, image| {
            let cut = RecordingFile::over("disk.vhdx", image);
            let chain = vec![Arc::clone(&child), cut.io()];
            match Disk::open_chain(chain.clone()) {
                Ok(disk) => {
                    assert!(content(&disk) == expected, "the chain differs, cut after {position}");
                    drop(disk);
                    merge_into_parent(chain).unwrap();
                }
                Err(Error::ParentMismatch { .. }) => {}
                Err(error) => panic!("cut after {position}: {error}"),
            }
            assert!(content(&Disk::open(cut.io()).unwrap()) == expected, "merged, cut after {position}");
        });
        assert!(images > 25, "{images}");
    }
}

// cases 61, 62, 63
#[test]
fn compacting_keeps_what_the_guest_sees_and_the_identity_wherever_it_is_cut() {
    let mut guest = Guest::new(8 * MIB);
    guest.write(0, 8 * MIB);
    guest.zero(0, MIB);
    guest.zero(3 * MIB, MIB / 2);
    guest.zero(3 * MIB + MIB / 2, MIB / 2);
    guest.zero(5 * MIB, MIB);
    guest.close();
    let identity = guid_of(&*guest.file.io());
    guest.disk = Some(WritableDisk::open(guest.file.io()).unwrap());
    let (start, from) = (guest.file.bytes(), guest.file.position());

    let report = guest.disk().compact().unwrap();
    guest.close();

    assert_eq!((report.zero_blocks, report.moved_blocks), (1, 2));
    assert_eq!((report.bytes_before, report.bytes_after), (12 * MIB, 9 * MIB));
    assert_eq!(guid_of(&*guest.file.io()), identity, "children keep finding it");
    let images = guest.check_all_cuts(&start, from, 7);
    assert!(images > 30, "{images}");
}

/// Sector bitmaps move too, and blocks of the child lie where its bitmap was.
// cases 61, 62, 63
#[test]
fn a_compacted_child_keeps_its_bitmaps_and_its_identity_wherever_it_is_cut() {
    let mut parent = Guest::new(9 * MIB);
    parent.write(0, 64 * 1024);
    let mut guest = parent.into_child();
    guest.write(0, 2 * MIB);
    guest.write(2 * MIB, 2 * MIB);
    guest.write(4 * MIB + 512, 4096);
    guest.write(6 * MIB + 1024, 2 * MIB);
    guest.zero(0, 4 * MIB);
    guest.close();
    let identity = Disk::open_chain(vec![guest.file.io(), guest.below[0].io()]).unwrap();
    let identity = identity.layers().next().unwrap().data_write_guid;
    guest.disk = Some(WritableDisk::open_chain(vec![guest.file.io(), guest.below[0].io()]).unwrap());
    let (start, from) = (guest.file.bytes(), guest.file.position());

    let report = guest.disk().compact().unwrap();
    guest.close();

    assert!(report.moved_blocks >= 2 && report.bytes_after + 4 * MIB == report.bytes_before, "{report:?}");
    let disk = Disk::open_chain(vec![guest.file.io(), guest.below[0].io()]).unwrap();
    assert_eq!(disk.layers().next().unwrap().data_write_guid, identity);
    let images = guest.check_all_cuts(&start, from, 8);
    assert!(images > 30, "{images}");
}

#[test]
fn compacting_again_changes_nothing_and_a_view_of_the_writer_forbids_it() {
    let (_, mut disk) = small_disk(4 * MIB);
    disk.write_at(MIB, &pattern(1, MIB)).unwrap();
    let view = disk.as_disk();
    assert!(matches!(disk.compact(), Err(Error::HasReaders { .. })));
    drop(view);

    let first = disk.compact().unwrap();
    assert_eq!((first.bytes_before, first.bytes_after, first.moved_blocks), (5 * MIB, 5 * MIB, 0));
    assert_eq!(disk.compact().unwrap(), first);
}

/// The last block keeps old bytes behind the end of the disk; growing must not show them.
// case 61
#[test]
fn a_disk_resized_and_cut_anywhere_has_the_old_size_or_the_new_one_and_zeros_in_between() {
    for (before, after) in [(3 * MIB + 512, 7 * MIB), (5 * MIB, 2 * MIB + 1024)] {
        let mut guest = Guest::new(5 * MIB);
        guest.write(0, 3 * MIB + 4096);
        if before < 5 * MIB {
            guest.disk().resize(before, Shrinking::CutOff).unwrap();
            guest.written.retain(|sector, _| *sector < before / 512);
            guest.capacities = vec![before];
        }
        guest.close();
        guest.capacities.push(after);
        guest.disk = Some(WritableDisk::open(guest.file.io()).unwrap());
        let (start, from) = (guest.file.bytes(), guest.file.position());

        guest.disk().resize(after, Shrinking::CutOff).unwrap();
        guest.write(MIB, 512);
        guest.close();

        assert_eq!(Disk::open(guest.file.io()).unwrap().capacity(), after);
        let images = guest.check_all_cuts(&start, from, after);
        assert!(images > 50, "{images}");
    }
}

/// 512 GiB in 1 MiB blocks need a table of 4 MiB where the file has room for 1 MiB.
// cases 48, 61
#[test]
fn a_table_that_grows_out_of_its_place_moves_and_a_cut_leaves_one_that_counts() {
    let large = 512 << 30;
    let mut guest = Guest::new(5 * MIB);
    guest.write(4096, 4096);
    guest.write(3 * MIB, 512);
    guest.flush();
    let (start, from) = (guest.file.bytes(), guest.file.position());
    guest.capacities.push(large);

    guest.disk().resize(large, Shrinking::KeepData).unwrap();
    guest.write(4 * MIB, 512);
    guest.write(large - 512, 512);
    guest.close();

    let images = guest.check_all_cuts(&start, from, 48);
    assert!(images > 50, "{images}");
}

#[test]
fn a_fixed_disk_grows_with_space_for_its_new_blocks() {
    let file = MemoryFile::new("fixed.vhdx");
    let options = CreateOptions { block_bytes: 1 << 20, ..CreateOptions::fixed(2 * MIB + 512) };
    let mut disk = WritableDisk::create(Arc::new(file.clone()), &options).unwrap();
    disk.write_at(MIB, &pattern(1, MIB + 512)).unwrap();

    disk.resize(6 * MIB, Shrinking::KeepData).unwrap();
    disk.write_at(5 * MIB, &pattern(2, MIB)).unwrap();
    let expected = content(&disk.as_disk());
    disk.close().unwrap();

    assert!(expected[2 * MIB as usize + 512..5 * MIB as usize].iter().all(|byte| *byte == 0));
    let disk = Disk::open(Arc::new(file.clone())).unwrap();
    assert!(content(&disk) == expected);
    assert_eq!((disk.block_usage().unwrap()[0].allocated_blocks, file.len().unwrap()), (6, 10 * MIB));
}

#[test]
fn shrinking_refuses_to_lose_data_unless_it_is_told_to() {
    let (file, mut disk) = small_disk(8 * MIB);
    disk.write_at(MIB, &pattern(1, 1024)).unwrap();
    disk.write_at(5 * MIB, &[0; 4096]).unwrap();
    disk.flush().unwrap();
    let identity = guid_of(&file);
    let error = disk.resize(MIB + 512, Shrinking::KeepData).unwrap_err();
    assert!(error.to_string().contains(&format!("there is data up to {}", MIB + 1024)), "{error}");
    assert!(disk.resize(1000, Shrinking::CutOff).unwrap_err().to_string().contains("whole sectors"));

    disk.resize(MIB + 1024, Shrinking::KeepData).unwrap();
    assert_eq!(disk.capacity(), MIB + 1024);
    disk.resize(MIB + 512, Shrinking::CutOff).unwrap();
    disk.resize(8 * MIB, Shrinking::KeepData).unwrap();

    let mut expected = vec![0; 8 * MIB as usize];
    expected[MIB as usize..MIB as usize + 512].copy_from_slice(&pattern(1, 512));
    assert!(content(&disk.as_disk()) == expected);
    disk.close().unwrap();
    assert_eq!(guid_of(&file), identity, "it was new in this session");
}

/// A child that grows beyond the end it had must not show what a larger parent has there.
#[test]
fn a_grown_child_shows_zeros_where_its_parent_goes_on() {
    let (parent, mut disk) = small_disk(9 * MIB);
    disk.write_at(0, &pattern(1, 9 * MIB)).unwrap();
    disk.close().unwrap();
    for end in [3 * MIB + 512, 4 * MIB] {
        let below = Disk::open(Arc::new(parent.clone())).unwrap();
        let child = Arc::new(MemoryFile::new("child.avhdx"));
        let mut disk = WritableDisk::create_child(child, &below, "disk.vhdx", None).unwrap();
        disk.resize(end, Shrinking::CutOff).unwrap();

        disk.resize(8 * MIB, Shrinking::KeepData).unwrap();

        let mut expected = pattern(1, end);
        expected.resize(8 * MIB as usize, 0);
        assert!(content(&disk.as_disk()) == expected, "{end}");
    }
    assert!(bytes_of(&parent).len() > 9 * MIB as usize);
}

#[test]
fn fixed_disks_keep_their_blocks_when_compacted() {
    let file = MemoryFile::new("fixed.vhdx");
    let options =
        CreateOptions { kind: CreateKind::Fixed, block_bytes: 1 << 20, ..CreateOptions::dynamic(3 * MIB) };
    let mut disk = WritableDisk::create(Arc::new(file), &options).unwrap();
    let report = disk.compact().unwrap();
    assert_eq!((report.zero_blocks, report.moved_blocks, report.bytes_after), (0, 0, 7 * MIB));
}
