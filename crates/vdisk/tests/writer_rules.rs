//! What a writer must keep: identities, the other blocks, and a readable chain wherever it is cut.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::{MIB, bytes_of, content, copy_of, pattern, small_disk};
use vdisk::{
    ByteRange, CreateOptions, Disk, DiskId, Error, FileIo, MemoryFile, WritableDisk, merge_into_parent,
    relink_to_parent,
};

fn data_guid(file: &Arc<dyn FileIo>) -> uuid::Uuid {
    Disk::open(Arc::clone(file)).unwrap().layers().next().unwrap().data_write_guid
}

/// A parent of 8 MiB with data in its first 3 MiB, and a child that changes parts of it.
fn parent_and_child() -> (Arc<dyn FileIo>, Arc<dyn FileIo>, Vec<u8>) {
    let (parent, mut disk) = small_disk(8 * MIB);
    disk.write_at(0, &pattern(1, 3 * MIB)).unwrap();
    disk.close().unwrap();
    let parent: Arc<dyn FileIo> = Arc::new(parent);
    let child: Arc<dyn FileIo> = Arc::new(MemoryFile::new("child.avhdx"));
    let below = Disk::open(Arc::clone(&parent)).unwrap();
    let mut disk = WritableDisk::create_child(Arc::clone(&child), &below, "disk.vhdx", None).unwrap();
    disk.write_at(MIB + 512, &pattern(2, 1024)).unwrap();
    disk.write_at(6 * MIB, &pattern(3, 2 * MIB)).unwrap();
    disk.write_zeroes(ByteRange::new(2 * MIB, 4 * MIB)).unwrap();
    let expected = content(&disk.as_disk());
    disk.close().unwrap();
    (parent, child, expected)
}

// case 63
#[test]
fn opening_for_writing_changes_nothing_until_the_first_write() {
    let (file, disk) = small_disk(4 * MIB);
    disk.close().unwrap();
    let (file, before): (Arc<dyn FileIo>, _) = (Arc::new(file.clone()), bytes_of(&file));
    let guid = data_guid(&file);

    WritableDisk::open(Arc::clone(&file)).unwrap().close().unwrap();
    assert!(bytes_of(&*file) == before);

    let mut disk = WritableDisk::open(Arc::clone(&file)).unwrap();
    disk.write_at(512, b"x").unwrap();
    let renewed = data_guid(&file);
    disk.write_at(1024, b"y").unwrap();
    disk.close().unwrap();
    assert_ne!(renewed, guid);
    assert_eq!(data_guid(&file), renewed, "renewed once for each opening");
}

/// The number of the current header cannot grow any more: reading is fine, writing would wrap it.
// case 8
#[test]
fn a_file_with_the_largest_sequence_number_is_read_but_not_written() {
    let (file, disk) = small_disk(MIB);
    disk.close().unwrap();
    let mut header = bytes_of(&file)[0x2_0000..0x2_1000].to_vec();
    header[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    header[4..8].fill(0);
    let sum = crc32c::crc32c(&header);
    header[4..8].copy_from_slice(&sum.to_le_bytes());
    file.write_at(0x2_0000, &header).unwrap();
    let before = bytes_of(&file);

    let mut disk = WritableDisk::open(Arc::new(file.clone())).unwrap();
    assert!(content(&disk.as_disk()).iter().all(|byte| *byte == 0));
    let error = disk.write_at(0, b"x").unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    drop(disk);
    assert!(bytes_of(&file) == before);
}

/// Readers see each block before or after its allocation, never the table without the bytes.
#[test]
fn a_reader_beside_the_writer_sees_zeros_or_what_was_written() {
    let (_, mut writer) = small_disk(64 * MIB);
    let reader = writer.as_disk();
    std::thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let mut sector = [0; 512];
            let mut seen = 0;
            while seen < 64 {
                reader.read_at(seen * MIB, &mut sector).unwrap();
                assert!(sector.iter().all(|byte| *byte == sector[0]), "block {seen} is mixed");
                seen += u64::from(sector[0] != 0);
            }
        });
        for block in 0..64 {
            writer.write_at(block * MIB, &[7; 512]).unwrap();
        }
        watch.join().unwrap();
    });
}

#[test]
fn a_child_refuses_a_parent_that_was_written_since() {
    let (parent, child, _) = parent_and_child();
    let mut disk = WritableDisk::open(Arc::clone(&parent)).unwrap();
    disk.write_at(0, b"x").unwrap();
    disk.close().unwrap();

    let error = Disk::open_chain(vec![child, parent]).unwrap_err();

    assert!(matches!(error, Error::ParentMismatch { .. }), "{error}");
}

#[test]
fn a_child_alone_names_the_parent_it_needs() {
    let (_, child, _) = parent_and_child();
    let error = Disk::open(child).unwrap_err();
    assert_eq!(error.to_string(), "child.avhdx is a differencing disk and needs its parent (disk.vhdx).");
}

#[test]
fn a_child_has_the_identity_and_sectors_of_its_parent_and_blocks_of_2_mib() {
    let id = DiskId::random();
    let file: Arc<dyn FileIo> = Arc::new(MemoryFile::new("p.vhdx"));
    let options =
        CreateOptions { logical_sector: 4096, disk_id: Some(id), ..CreateOptions::dynamic(40 * MIB) };
    WritableDisk::create(Arc::clone(&file), &options).unwrap().close().unwrap();
    let parent = Disk::open(file).unwrap();
    let child = Arc::new(MemoryFile::new("c.avhdx"));
    let disk =
        WritableDisk::create_child(child, &parent, "p.vhdx", Some(r"\\?\C:\p.vhdx")).unwrap().as_disk();

    assert_eq!((disk.virtual_disk_id(), disk.logical_sector(), disk.block_bytes()), (id, 4096, 2 << 20));
    let locator = disk.layers().next().unwrap().parent.unwrap();
    assert_eq!(locator.absolute_path.as_deref(), Some(r"\\?\C:\p.vhdx"));
}

#[test]
fn a_chain_with_a_loop_or_with_a_file_too_many_is_refused() {
    let (parent, child, _) = parent_and_child();
    let error = Disk::open_chain(vec![Arc::clone(&child), Arc::clone(&parent), Arc::clone(&parent)]);
    assert!(matches!(error, Err(Error::BadChain { .. })));

    // A file that names itself: its locator's linkage is replaced by its own data identity.
    let mut bytes = bytes_of(&*child);
    let layer = Disk::open_chain(vec![child, parent]).unwrap().layers().next().unwrap();
    let wide = |id: uuid::Uuid| -> Vec<u8> {
        id.hyphenated().to_string().encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let (old, new) = (wide(layer.parent.unwrap().linkage), wide(layer.data_write_guid));
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    bytes[at..at + new.len()].copy_from_slice(&new);
    let itself: Arc<dyn FileIo> = Arc::new(MemoryFile::with_bytes("loop.avhdx", &bytes));
    let error = Disk::open_with(Arc::clone(&itself), &mut |_| Ok(Arc::clone(&itself))).unwrap_err();
    assert_eq!(error.to_string(), "loop.avhdx cannot be used in this chain: it is its own ancestor.");
}

#[test]
fn creating_refuses_what_the_format_cannot_hold_and_files_with_content() {
    let good = CreateOptions::dynamic(MIB);
    for (options, words) in [
        (CreateOptions { capacity: 0, ..good.clone() }, "disk size is 0"),
        (CreateOptions { capacity: 1000, ..good.clone() }, "whole sectors"),
        (CreateOptions { capacity: (64 << 40) + 512, ..good.clone() }, "at most 64 TiB"),
        (CreateOptions { block_bytes: 3 << 20, ..good.clone() }, "power of two"),
        (CreateOptions { logical_sector: 2048, ..good.clone() }, "512 or 4096"),
    ] {
        let error = WritableDisk::create(Arc::new(MemoryFile::new("n.vhdx")), &options).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let used = Arc::new(MemoryFile::with_bytes("used.vhdx", b"precious"));
    let error = WritableDisk::create(used.clone(), &good).unwrap_err();
    assert_eq!(error.to_string(), "Cannot create used.vhdx: there are already 8 bytes in it.");
    assert_eq!(bytes_of(&*used), b"precious");
}

#[test]
fn access_beyond_the_end_is_refused_and_changes_nothing() {
    let (_, mut disk) = small_disk(MIB);
    for (offset, length) in [(MIB, 1), (MIB - 1, 2), (u64::MAX, 1)] {
        let error = disk.write_at(offset, &vec![1; length]).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
        assert!(disk.read_at(offset, &mut vec![0; length]).is_err());
    }
    disk.read_at(MIB, &mut []).unwrap();
    assert!(disk.as_disk().allocated().unwrap().is_empty());
}

/// A file whose writes fail after a number of them, as if power were cut.
#[derive(Debug)]
struct CutFile {
    inner: Arc<dyn FileIo>,
    left: AtomicI64,
}

impl CutFile {
    fn spend(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            Ok(())
        } else {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
}

impl FileIo for CutFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.spend()?;
        self.inner.write_at(offset, data)
    }
    fn flush(&self) -> io::Result<()> {
        self.inner.flush()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.spend()?;
        self.inner.set_len(len)
    }
    fn name(&self) -> &str {
        self.inner.name()
    }
}

/// Wherever a merge is cut, either the chain still shows the child's content and the merge can be
/// run again, or the parent alone shows it.
#[test]
fn a_merge_cut_at_any_write_loses_nothing() {
    let (parent, child, expected) = parent_and_child();
    let mut runs_to_the_end = false;
    for writes in 0.. {
        let cut_parent = copy_of(&*parent);
        let cut = Arc::new(CutFile { inner: Arc::clone(&cut_parent), left: AtomicI64::new(writes) });
        runs_to_the_end = merge_into_parent(vec![Arc::clone(&child), cut]).is_ok();

        let chain = vec![Arc::clone(&child), Arc::clone(&cut_parent)];
        match Disk::open_chain(chain.clone()) {
            Ok(disk) => {
                assert!(content(&disk) == expected, "the chain differs after {writes} writes");
                assert!(!runs_to_the_end, "a merged parent no longer fits the child");
                merge_into_parent(chain).unwrap();
            }
            Err(Error::ParentMismatch { .. }) => {}
            Err(error) => panic!("after {writes} writes: {error}"),
        }
        assert!(content(&Disk::open(cut_parent).unwrap()) == expected, "after {writes} writes");
        if runs_to_the_end {
            assert!(writes >= 8, "the merge took {writes} writes");
            break;
        }
    }
    assert!(runs_to_the_end);
}

#[test]
fn a_full_volume_during_writes_leaves_what_was_durable() {
    let (file, mut disk) = small_disk(8 * MIB);
    disk.write_at(0, &pattern(1, 2 * MIB)).unwrap();
    disk.close().unwrap();
    for writes in 0..12 {
        let inner = copy_of(&file);
        let cut = Arc::new(CutFile { inner: Arc::clone(&inner), left: AtomicI64::new(writes) });
        let mut disk = WritableDisk::open(cut).unwrap();
        for block in 2..8 {
            let _ = disk.write_at(block * MIB + 4096, &pattern(block, 4096)).and_then(|()| disk.flush());
        }
        drop(disk);

        let read = content(&Disk::open(inner).unwrap());
        assert!(read[..2 * MIB as usize] == pattern(1, 2 * MIB), "after {writes} writes");
        for block in 2..8u64 {
            let at = (block * MIB + 4096) as usize;
            let found = &read[at..at + 4096];
            assert!(found == pattern(block, 4096) || found.iter().all(|byte| *byte == 0));
        }
    }
}

// case 63
#[test]
fn after_a_middle_file_is_merged_the_leaf_is_linked_to_the_root() {
    let (root, middle, _) = parent_and_child();
    let below = Disk::open_chain(vec![Arc::clone(&middle), Arc::clone(&root)]).unwrap();
    let leaf: Arc<dyn FileIo> = Arc::new(MemoryFile::new("leaf.avhdx"));
    let mut disk = WritableDisk::create_child(Arc::clone(&leaf), &below, "child.avhdx", None).unwrap();
    disk.write_at(5 * MIB, &pattern(8, 700)).unwrap();
    let expected = content(&disk.as_disk());
    disk.close().unwrap();
    let top = vec![Arc::clone(&leaf), Arc::clone(&middle), Arc::clone(&root)];
    let leaf_guid = Disk::open_chain(top).unwrap().layers().next().unwrap().data_write_guid;

    merge_into_parent(vec![middle, Arc::clone(&root)]).unwrap();
    for name in [r"..\a much longer folder name\disk.vhdx", "disk.vhdx", r".\disk.vhdx"] {
        relink_to_parent(Arc::clone(&leaf), &Disk::open(Arc::clone(&root)).unwrap(), name, None).unwrap();
        let disk = Disk::open_chain(vec![Arc::clone(&leaf), Arc::clone(&root)]).unwrap();
        let layer = disk.layers().next().unwrap();
        assert_eq!(layer.parent.unwrap().relative_path.as_deref(), Some(name));
        assert_eq!(layer.data_write_guid, leaf_guid, "files above keep finding it");
        assert!(content(&disk) == expected);
    }
}
