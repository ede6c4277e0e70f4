//! Chains: which files belong together, which paths are followed, and what mixed chains show.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use common::{MIB, bytes_of, content, copy_of, pattern, small_disk};
use vdisk::{
    CreateOptions, Disk, DiskFormat, Error, FileIo, LocalFile, MAX_CHAIN_DEPTH, MemoryFile, ParentMap,
    VhdOptions, VhdWriter, WritableDisk,
};

/// Table entry of the only chunk's bitmap, after those of 2048 payload blocks of 2 MiB.
const BITMAP_ENTRY: u64 = 3 * MIB + 2048 * 8;

/// Places of the sector bitmap and of payload block 0 of a small child.
fn bitmap_and_first_block(file: &MemoryFile) -> (u64, u64) {
    let entry = |at: u64| {
        let mut bytes = [0; 8];
        file.read_at(at, &mut bytes).unwrap();
        u64::from_le_bytes(bytes) & !(MIB - 1)
    };
    (entry(BITMAP_ENTRY), entry(3 * MIB))
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.unwrap_err().code()
}

fn memory(name: &str) -> Arc<dyn FileIo> {
    Arc::new(MemoryFile::new(name))
}

/// A VHD of 4 MiB whose first MiB has data.
fn vhd_base() -> Arc<dyn FileIo> {
    let file = memory("base.vhd");
    let mut disk = VhdWriter::create(Arc::clone(&file), &VhdOptions::dynamic(4 * MIB)).unwrap();
    disk.write_at(0, &pattern(1, MIB)).unwrap();
    disk.close().unwrap();
    file
}

/// A child of these files, leaf first, with one sector of its own.
fn vhd_child(below: &[Arc<dyn FileIo>], seed: u64) -> Arc<dyn FileIo> {
    let file = memory(&format!("child{seed}.avhd"));
    let parent = Disk::open_chain(below.to_vec()).unwrap();
    let mut disk = VhdWriter::create_child(Arc::clone(&file), &parent, "below.vhd", None).unwrap();
    disk.write_at(seed * 512, &pattern(seed, 512)).unwrap();
    disk.close().unwrap();
    file
}

fn vhdx_child(file: Arc<dyn FileIo>, below: &[Arc<dyn FileIo>], path: &str, absolute: Option<&str>) {
    let parent = Disk::open_chain(below.to_vec()).unwrap();
    WritableDisk::create_child(file, &parent, path, absolute).unwrap().close().unwrap();
}

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

/// What an image says of its parent's place is a stranger's word.
// case 55
#[test]
fn paths_out_of_the_childs_folder_lead_nowhere_unless_the_caller_maps_them() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.vhdx");
    let file: Arc<dyn FileIo> = Arc::new(LocalFile::create_new(&base).unwrap());
    WritableDisk::create(Arc::clone(&file), &CreateOptions::dynamic(4 * MIB)).unwrap().close().unwrap();
    std::fs::create_dir(folder.path().join("child")).unwrap();
    for (number, path) in [
        r"..\base.vhdx",
        r"\\server\share\base.vhdx",
        r"\\.\PhysicalDrive0",
        r"C:\VMs\base.vhdx",
        "/etc/base.vhdx",
        r"aux\base.vhdx",
        &"a".repeat(29_000),
    ]
    .into_iter()
    .enumerate()
    {
        let leaf = folder.path().join(format!("child/{number}.avhdx"));
        vhdx_child(Arc::new(LocalFile::create_new(&leaf).unwrap()), &[Arc::clone(&file)], path, None);
        assert_eq!(code(Disk::open_local(&leaf)), "VD-016", "{number}");
        let mut parents = ParentMap::new();
        parents.insert(&path.to_uppercase(), &base);
        assert_eq!(Disk::open_local_with(&leaf, &parents).unwrap().layers().len(), 2, "{number}");
    }
}

/// Without any path, with an absolute one only, and with text that is none.
// case 55
#[test]
fn a_child_without_a_usable_path_says_that_it_needs_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let leaf = folder.path().join("leaf.avhd");
    let bytes = bytes_of(&*vhd_child(&[vhd_base()], 2));
    let locators = 512 + 576;
    let write = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        std::fs::write(&leaf, &bytes).unwrap();
        seal_header(&LocalFile::open_read_write(&leaf).unwrap());
        code(Disk::open_local(&leaf))
    };
    let path_at = |bytes: &[u8]| u64::from_be_bytes(bytes[locators + 16..][..8].try_into().unwrap()) as usize;
    assert_eq!(write(&|b| b[locators..locators + 4].fill(0)), "VD-010", "the name is a path too");
    assert_eq!(
        write(&|b| {
            b[locators..locators + 4].fill(0);
            b[512 + 64..512 + 576].fill(0);
        }),
        "VD-009"
    );
    assert_eq!(write(&|b| b[locators..locators + 4].copy_from_slice(b"W2ku")), "VD-016");
    assert_eq!(
        write(&|b| {
            let at = path_at(b);
            b[at + 2..at + 4].fill(0);
        }),
        "VD-004",
        "a NUL inside"
    );
    assert_eq!(
        write(&|b| {
            let at = path_at(b);
            b[at + 1] = 0xd8;
        }),
        "VD-004",
        "an unpaired surrogate"
    );
    assert_eq!(write(&|b| b[locators + 8..locators + 12].fill(0xff)), "VD-004", "4 GiB of path");
    assert_eq!(write(&|b| b[locators + 16..locators + 24].fill(0xfe)), "VD-003", "a path past the end");
}

/// Space told in sectors, as the specification says and Virtual PC wrote.
// case 71
#[test]
fn the_space_of_a_path_may_be_told_in_sectors() {
    let base = vhd_base();
    let child = vhd_child(&[Arc::clone(&base)], 2);
    child.write_at(512 + 576 + 4, &128u32.to_be_bytes()).unwrap();
    seal_header(&*child);
    let disk = Disk::open_chain(vec![child, base]).unwrap();
    let parent = disk.layers().next().unwrap().parent.unwrap();
    assert_eq!(parent.relative_path.as_deref(), Some("below.vhd"));
}

// case 56
#[test]
fn a_child_alone_shows_its_own_sectors_and_no_others() {
    let disk = Disk::open_leaf(vhd_child(&[vhd_base()], 2)).unwrap();
    let mut sector = [0; 512];
    disk.read_at(1024, &mut sector).unwrap();
    assert!(sector == *pattern(2, 512));
    assert_eq!((disk.capacity(), disk.layers().len()), (4 * MIB, 1));
    assert_eq!(code(disk.read_at(0, &mut sector)), "VD-009");
    assert_eq!(code(disk.allocated()), "VD-009");
}

/// In a VHD set the data files end in .avhdx, and some have no parent.
/// A block of a child whose sectors alternate between child and parent, and one whose bits are all
/// ones though its state says "partly".
// case 57
#[test]
fn every_sector_comes_from_the_file_that_its_bit_names() {
    let (parent, mut disk) = small_disk(4 * MIB);
    disk.write_at(0, &pattern(1, 4 * MIB)).unwrap();
    disk.close().unwrap();
    let (parent, child): (Arc<dyn FileIo>, _) = (Arc::new(parent), Arc::new(MemoryFile::new("child.avhdx")));
    let mut disk =
        WritableDisk::create_child(child.clone(), &Disk::open(Arc::clone(&parent)).unwrap(), "p", None)
            .unwrap();
    disk.write_at(0, &pattern(2, 512)).unwrap();
    disk.write_at(2 * MIB, &pattern(2, 512)).unwrap();
    disk.close().unwrap();
    let (bitmap, first) = bitmap_and_first_block(&child);
    child.write_at(first, &pattern(2, 2 * MIB)).unwrap();
    child.write_at(bitmap, &[0xaa; 512]).unwrap();
    child.write_at(bitmap + 512, &[0xff; 512]).unwrap();
    child.write_at(first + 2 * MIB, &pattern(3, 2 * MIB)).unwrap();

    let bytes = content(&Disk::open_chain(vec![child, parent]).unwrap());

    let (of_parent, of_child) = (pattern(1, 2 * MIB), pattern(2, 2 * MIB));
    for at in (0..2 * MIB as usize).step_by(512) {
        let expected = if at / 512 % 2 == 1 { &of_child } else { &of_parent };
        assert!(bytes[at..at + 512] == expected[at..at + 512], "the sector at {at}");
    }
    assert!(bytes[2 * MIB as usize..] == pattern(3, 2 * MIB));
}

/// A partly present block needs its chunk's bitmap, inside the file.
// case 57
#[test]
fn a_partly_present_block_without_its_bitmap_is_an_error() {
    let (parent, disk) = small_disk(4 * MIB);
    disk.close().unwrap();
    let parent: Arc<dyn FileIo> = Arc::new(parent);
    let child = MemoryFile::new("child.avhdx");
    let below = Disk::open(Arc::clone(&parent)).unwrap();
    let mut disk = WritableDisk::create_child(Arc::new(child.clone()), &below, "p", None).unwrap();
    disk.write_at(0, &[1; 512]).unwrap();
    disk.close().unwrap();
    for (entry, expected) in [(0u64, "VD-008"), (6 | 1 << 40, "VD-003")] {
        child.write_at(BITMAP_ENTRY, &entry.to_le_bytes()).unwrap();
        let disk = Disk::open_chain(vec![Arc::new(child.clone()), Arc::clone(&parent)]);
        let read = disk.and_then(|disk| disk.read_at(0, &mut [0; 512]));
        assert_eq!(code(read), expected, "{entry:#x}");
    }
}

// case 58
#[test]
fn a_file_is_differencing_by_its_content_and_not_by_its_name() {
    let file = memory("set_9F0F1C7E-0000-4000-8000-000000000001.avhdx");
    let mut disk = WritableDisk::create(Arc::clone(&file), &CreateOptions::dynamic(4 * MIB)).unwrap();
    disk.write_at(0, &pattern(1, 512)).unwrap();
    disk.close().unwrap();
    assert!(content(&Disk::open(file).unwrap()).starts_with(&pattern(1, 512)));
}

#[test]
fn a_vhd_set_is_never_read_whatever_its_bytes_look_like() {
    let (disk, _writer) = small_disk(4 * MIB);
    for bytes in [bytes_of(&disk), bytes_of(&*vhd_base()), vec![0; 4096], Vec::new()] {
        let error = Disk::open(Arc::new(MemoryFile::with_bytes("Cluster.VHDS", &bytes))).unwrap_err();
        assert!(matches!(error, Error::VhdSet { .. }) && error.next_step().contains(".avhdx"), "{error}");
    }
}

// case 74
#[test]
fn reads_may_be_empty_or_unaligned_and_end_with_the_disk() {
    let disk = Disk::open(vhd_base()).unwrap();
    let mut odd = [0; 1025];
    disk.read_at(511, &mut odd).unwrap();
    assert!(odd[..] == pattern(1, MIB)[511..1536]);
    assert!(disk.read_at(4 * MIB, &mut []).is_ok() && disk.read_at(0, &mut []).is_ok());
    for (offset, length) in [(4 * MIB, 1), (4 * MIB - 1, 2), (4 * MIB + 1, 0), (u64::MAX, 1), (u64::MAX, 0)] {
        assert_eq!(code(disk.read_at(offset, &mut vec![0; length])), "VD-013", "{offset} {length}");
    }
    assert_eq!(disk.extents(vdisk::ByteRange::new(4 * MIB, u64::MAX)).count(), 0);
}

/// An open disk is the file that was opened: a new file of its name does not show, one that became
/// shorter is an error, and one that grew shows nothing new.
// case 74
#[test]
fn a_file_that_changes_under_an_open_disk_gives_its_bytes_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"disk\xff.vhd"));
    std::fs::write(&path, bytes_of(&*vhd_base())).unwrap();
    let disk = Disk::open_local(&path).unwrap();
    std::fs::write(folder.path().join("new"), [0; 512]).unwrap();
    std::fs::rename(&path, folder.path().join("old")).unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    assert!(content(&disk)[..MIB as usize] == pattern(1, MIB));

    let old = std::fs::OpenOptions::new().write(true).open(folder.path().join("old")).unwrap();
    old.set_len(64 * MIB).unwrap();
    assert!(content(&disk)[..MIB as usize] == pattern(1, MIB));
    old.set_len(4096).unwrap();
    let error = disk.read_at(MIB / 2, &mut [0; 512]).unwrap_err();
    assert_eq!(error.code(), "VD-001");
    assert!(error.next_step().contains("became shorter"), "{}", error.next_step());
}

/// Replaces UTF-16 text by other text of the same length, everywhere in a file.
fn replace_text(file: &MemoryFile, old: &str, new: &str) {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let (bytes, old, new) = (bytes_of(file), wide(old), wide(new));
    let places: Vec<_> = (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(&old)).collect();
    assert!(!places.is_empty() && old.len() == new.len());
    places.into_iter().for_each(|at| file.write_at(at as u64, &new).unwrap());
}

fn seal(file: &dyn FileIo, start: u64, length: usize, field: u64) {
    file.write_at(start + field, &[0; 4]).unwrap();
    let mut bytes = vec![0; length];
    file.read_at(start, &mut bytes).unwrap();
    let sum = bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    file.write_at(start + field, &(!sum).to_be_bytes()).unwrap();
}

fn seal_footer(file: &dyn FileIo, at: u64) {
    seal(file, at, 512, 64);
}

fn seal_header(file: &dyn FileIo) {
    seal(file, 512, 1024, 36);
}
