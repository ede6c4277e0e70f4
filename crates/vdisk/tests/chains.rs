//! Chains: which files belong together, which paths are followed, and what mixed chains show.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::chain_files::{code, memory, seal_footer, seal_header, vhd_base, vhd_child, vhdx_child};
use common::{MIB, bytes_of, content, copy_of, pattern, small_disk};
use vdisk::{
    CreateOptions, Disk, DiskFormat, FileIo, LocalFile, MAX_CHAIN_DEPTH, MemoryFile, VhdWriter, WritableDisk,
};

// case 50
#[test]
fn chains_of_two_three_and_256_files_are_read_and_longer_ones_refused() {
    let mut files = vec![vhd_base()];
    let mut expected = pattern(1, MIB);
    expected.resize(4 * MIB as usize, 0);
    for seed in 2..=MAX_CHAIN_DEPTH as u64 {
        files.insert(0, vhd_child(&files, seed));
        expected[seed as usize * 512..][..512].copy_from_slice(&pattern(seed, 512));
        if [2, 3, MAX_CHAIN_DEPTH as u64].contains(&seed) {
            assert!(content(&Disk::open_chain(files.clone()).unwrap()) == expected, "{seed} files");
        }
    }
    let error = Disk::open_chain([vec![vhd_child(&files, 300)], files].concat()).map(drop).unwrap_err();
    assert!(error.to_string().contains("more than 256 files"), "{error}");
}

/// Windows makes no such chain. Where the identities fit it is read, else it is refused.
// case 50
#[test]
fn a_vhdx_child_of_a_vhd_is_read_only_if_it_names_that_disk() {
    let base = vhd_base();
    let id = Disk::open(Arc::clone(&base)).unwrap().virtual_disk_id();
    let (parent, mut disk) = small_disk(4 * MIB);
    disk.write_at(0, &[5; 512]).unwrap();
    disk.close().unwrap();
    let child = MemoryFile::new("child.avhdx");
    vhdx_child(Arc::new(child.clone()), &[Arc::new(parent.clone())], "base.vhd", None);
    assert_eq!(code(Disk::open_chain(vec![Arc::new(child.clone()), Arc::clone(&base)])), "VD-011");

    let noted = Disk::open(Arc::new(parent)).unwrap().layers().next().unwrap().data_write_guid;
    replace_text(
        &child,
        &format!("{{{}}}", noted.hyphenated()),
        &format!("{{{}}}", id.as_uuid().hyphenated()),
    );

    let disk = Disk::open_chain(vec![Arc::new(child), base]).unwrap();
    assert!(content(&disk)[..MIB as usize] == pattern(1, MIB));
    let formats: Vec<_> = disk.layers().map(|layer| layer.format).collect();
    assert_eq!(formats, [DiskFormat::Vhdx, DiskFormat::Vhd]);
}

#[test]
fn no_chain_of_both_formats_is_made() {
    let base = Disk::open(vhd_base()).unwrap();
    assert_eq!(code(WritableDisk::create_child(memory("c.avhdx"), &base, "base.vhd", None)), "VD-012");
    let base = small_disk(4 * MIB).1.as_disk();
    assert_eq!(code(VhdWriter::create_child(memory("c.avhd"), &base, "base.vhdx", None)), "VD-012");
}

// case 51
#[test]
fn a_file_that_is_its_own_ancestor_is_refused_by_whatever_name() {
    let base = vhd_base();
    let child = vhd_child(&[Arc::clone(&base)], 2);
    // The child says that its parent is itself: its own UUID stands where the parent's was.
    let looped = copy_of(&*child);
    let bytes = bytes_of(&*looped);
    looped.write_at(512 + 40, &bytes[68..84]).unwrap();
    seal_header(&*looped);
    assert_eq!(code(Disk::open_with(Arc::clone(&looped), &mut |_| Ok(Arc::clone(&looped)))), "VD-012");

    // Two files that name each other.
    let other = copy_of(&*looped);
    other.write_at(512 + 40, &bytes[68..84]).unwrap();
    for at in [0, bytes.len() as u64 - 512] {
        other.write_at(at + 68, &[7; 16]).unwrap();
        seal_footer(&*other, at);
    }
    looped.write_at(512 + 40, &[7; 16]).unwrap();
    seal_header(&*looped);
    let pair = [other, Arc::clone(&looped)];
    let mut turn = 0;
    let mut next = |_: &vdisk::ParentLocator| {
        turn += 1;
        Ok(Arc::clone(&pair[(turn + 1) % 2]))
    };
    assert_eq!(code(Disk::open_with(looped, &mut next)), "VD-012");
}

// case 51
#[test]
fn a_loop_through_links_is_refused() {
    let links: [fn(&Path, &Path) -> std::io::Result<()>; 2] =
        [|from, to| std::os::unix::fs::symlink(from, to), |from, to| std::fs::hard_link(from, to)];
    for link in links {
        let folder = tempfile::tempdir().unwrap();
        let (leaf, alias) = (folder.path().join("leaf.avhd"), folder.path().join("below.vhd"));
        let bytes = bytes_of(&*vhd_child(&[vhd_base()], 2));
        let file = LocalFile::create_new(&leaf).unwrap();
        file.write_at(0, &bytes).unwrap();
        file.write_at(512 + 40, &bytes[68..84]).unwrap();
        seal_header(&file);
        link(&leaf, &alias).unwrap();
        let error = Disk::open_local(&leaf).unwrap_err();
        assert!(error.to_string().contains("its own ancestor"), "{error}");
    }
}

// cases 52, 71
#[test]
fn another_disk_is_not_taken_for_the_parent() {
    let base = vhd_base();
    let child = vhd_child(&[base], 2);
    assert_eq!(code(Disk::open_chain(vec![Arc::clone(&child), vhd_base()])), "VD-011");
    let (other, disk) = small_disk(4 * MIB);
    disk.close().unwrap();
    assert_eq!(code(Disk::open_chain(vec![child, Arc::new(other)])), "VD-011");
}

// case 53
#[test]
fn a_vhdx_parent_that_was_written_no_longer_fits_and_one_that_was_only_opened_does() {
    let (parent, mut disk) = small_disk(4 * MIB);
    disk.write_at(0, &[5; 512]).unwrap();
    disk.close().unwrap();
    let (parent, child): (Arc<dyn FileIo>, _) = (Arc::new(parent), memory("child.avhdx"));
    vhdx_child(Arc::clone(&child), &[Arc::clone(&parent)], "disk.vhdx", None);

    WritableDisk::open(Arc::clone(&parent)).unwrap().close().unwrap();
    assert!(Disk::open_chain(vec![Arc::clone(&child), Arc::clone(&parent)]).is_ok());
    let mut writer = WritableDisk::open(Arc::clone(&parent)).unwrap();
    writer.write_at(0, &[6; 512]).unwrap();
    writer.close().unwrap();
    assert_eq!(code(Disk::open_chain(vec![child, parent])), "VD-011");
}

/// Sizes are in the footers, which are sealed again after the change.
// case 54
#[test]
fn beyond_the_end_of_a_shorter_parent_are_zeros_and_a_longer_one_is_cut() {
    for (capacity, expected) in [(MIB / 2, MIB / 2), (8 * MIB, MIB)] {
        let base = vhd_base();
        let child = vhd_child(&[Arc::clone(&base)], 5000);
        let end = base.len().unwrap() - 512;
        let small = capacity.min(4 * MIB);
        for at in [0, end] {
            base.write_at(at + 48, &small.to_be_bytes()).unwrap();
            seal_footer(&*base, at);
        }
        if capacity > 4 * MIB {
            // A child that is shorter than its parent is the same the other way round.
            for at in [0, child.len().unwrap() - 512] {
                child.write_at(at + 48, &(3 * MIB).to_be_bytes()).unwrap();
                seal_footer(&*child, at);
            }
        }
        let disk = Disk::open_chain(vec![child, base]).unwrap();
        let bytes = content(&disk);
        assert!(bytes[..expected as usize] == pattern(1, MIB)[..expected as usize], "{capacity}");
        let rest = &bytes[expected as usize..2 * MIB as usize];
        assert!(rest.iter().all(|byte| *byte == 0), "{capacity}");
    }
}

// case 54
#[test]
fn a_parent_with_other_sectors_is_refused() {
    let child = MemoryFile::new("child.avhdx");
    let (parent, disk) = small_disk(4 * MIB);
    disk.close().unwrap();
    let parent: Arc<dyn FileIo> = Arc::new(parent);
    vhdx_child(Arc::new(child.clone()), &[Arc::clone(&parent)], "p", None);
    let noted = Disk::open(Arc::clone(&parent)).unwrap().layers().next().unwrap().data_write_guid;
    let other = memory("other.vhdx");
    let options = CreateOptions { logical_sector: 4096, ..CreateOptions::dynamic(4 * MIB) };
    let disk = WritableDisk::create(Arc::clone(&other), &options).unwrap();
    let found = disk.as_disk().layers().next().unwrap().data_write_guid;
    disk.close().unwrap();
    replace_text(&child, &format!("{{{}}}", noted.hyphenated()), &format!("{{{}}}", found.hyphenated()));

    let error = Disk::open_chain(vec![Arc::new(child), other]).map(drop).unwrap_err();
    assert!(error.to_string().contains("its logical sectors have 4096 bytes"), "{error}");
}

/// Replaces UTF-16 text by other text of the same length, everywhere in a file.
fn replace_text(file: &MemoryFile, old: &str, new: &str) {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let (bytes, old, new) = (bytes_of(file), wide(old), wide(new));
    let places: Vec<_> = (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(&old)).collect();
    assert!(!places.is_empty() && old.len() == new.len());
    places.into_iter().for_each(|at| file.write_at(at as u64, &new).unwrap());
}
