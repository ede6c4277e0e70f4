//! Opening a file for writing whose log was not replayed: the log's changes are put in place for good.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::io::Read;
use std::sync::Arc;

use common::log::{BLOCK, Change, Entry, dirty, raise, sector};
use common::power_cut::{Bytes, RecordingFile, cut_everywhere};
use common::{MIB, content};
use vdisk::{Disk, FileIo, LogState, MemoryFile, WritableDisk};

/// Three entries: a sector, a cleared range over it and beyond the end of the file, and other sectors.
fn dirty_file() -> Bytes {
    let mut file = dirty();
    let length = file.bytes.len() as u64;
    let second = file.place(250, &raise(&file, 7, 250));
    let changes = vec![Change::Zero(BLOCK, 8192), Change::Zero(length, MIB)];
    let third = file.place(second, &Entry { changes, last: length + 2 * MIB, ..file.entry(8, 250) });
    let changes = (1..4).map(|at| Change::Data(BLOCK + at * 4096, sector(9))).collect();
    file.place(third, &Entry { changes, last: length + 2 * MIB, ..file.entry(9, 250) });
    Bytes::of(&MemoryFile::with_bytes("x.vhdx", &file.bytes))
}

/// The disk of a real Hyper-V host whose partition table is only in the log.
fn dirty_disk_of_windows() -> Bytes {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/vhdx-log-replay.vhdx.gz");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut unpacked).unwrap();
    Bytes::of(&MemoryFile::with_bytes("w.vhdx", &unpacked))
}

fn log_of(file: &RecordingFile) -> LogState {
    Disk::open(file.io()).unwrap().layers().next().unwrap().log
}

#[test]
fn opening_for_writing_replays_the_log_and_keeps_what_the_disk_shows() {
    let file = RecordingFile::over("x.vhdx", dirty_file());
    let before = Disk::open(file.io()).unwrap();
    let (expected, old) = (content(&before), before.layers().next().unwrap());

    WritableDisk::open(file.io()).unwrap().close().unwrap();

    let disk = Disk::open(file.io()).unwrap();
    assert!(content(&disk) == expected);
    let new = disk.layers().next().unwrap();
    assert_eq!((log_of(&file), new.data_write_guid), (LogState::Clean, old.data_write_guid));
    assert_ne!(new.file_write_guid, old.file_write_guid, "the file changed, the data did not");
    assert_eq!(file.io().len().unwrap(), 7 * MIB, "as long as the log's last entry says");
}

// case 49
#[test]
fn a_replay_cut_at_any_write_is_run_again_and_comes_to_the_same_file() {
    for start in [dirty_file(), dirty_disk_of_windows()] {
        let file = RecordingFile::over("x.vhdx", start.clone());
        WritableDisk::open(file.io()).unwrap().close().unwrap();
        let first = |file: &RecordingFile| {
            let disk = Disk::open(file.io()).unwrap();
            let mut bytes = vec![0; 64 * 1024];
            disk.read_at(0, &mut bytes).unwrap();
            bytes
        };
        let expected = first(&file);

        let images = cut_everywhere(&start, &file.ops(), 49, |position, image| {
            let cut = RecordingFile::over("cut.vhdx", image);
            assert!(first(&cut) == expected, "read only, cut after {position}");
            WritableDisk::open(cut.io()).unwrap().close().unwrap();
            assert!(first(&cut) == expected, "replayed, cut after {position}");
            assert_eq!(log_of(&cut), LogState::Clean);
        });
        assert!(images > 20, "{images}");
    }
}

#[test]
fn a_log_that_cannot_be_replayed_leaves_the_file_untouched() {
    let mut file = dirty();
    file.place(0, &Entry { changes: vec![Change::Data(0x1_0000, sector(1))], ..file.entry(7, 0) });
    let file = RecordingFile::over("x.vhdx", Bytes::of(&MemoryFile::with_bytes("x.vhdx", &file.bytes)));

    let error = WritableDisk::open(file.io()).unwrap_err();

    assert_eq!((error.code(), file.position()), ("VD-004", 0), "{error}");
}

/// The files of a chain are checked as they will be, before the leaf is changed.
#[test]
fn a_leaf_that_does_not_fit_its_parent_is_not_replayed() {
    let leaf = RecordingFile::over("x.vhdx", dirty_file());
    let extra: Arc<dyn FileIo> = common::copy_of(&*RecordingFile::over("y.vhdx", dirty_file()).io());

    assert!(WritableDisk::open_chain(vec![leaf.io(), extra]).is_err());

    assert_eq!(leaf.position(), 0);
}
