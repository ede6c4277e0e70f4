//! Workers that overtake each other, fail, stop and panic.

use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};

use super::{WINDOW_BYTES, lock, run};
use crate::convert::{Placed, Target, write_image};
use crate::number::{MIB, index};
use crate::{CreateKind, Disk, DiskId, Error, FileIo, MemoryFile, Result};

/// Seven windows and a part of an eighth.
const CAPACITY: u64 = 7 * WINDOW_BYTES + 512;

/// What a read of a window meets: overtaken windows are read only after one behind them.
#[derive(Debug, PartialEq)]
enum Reads {
    EverySecondOvertaken,
    FailingAt(u64),
    PanickingAt(u64),
    InOrder,
}

/// A file whose reads meet what the test wants.
#[derive(Debug)]
struct OddFile {
    file: MemoryFile,
    reads: Reads,
    /// End of the window furthest behind that was read.
    read_end: Mutex<u64>,
    changed: Condvar,
}

impl FileIo for OddFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let (window, end) = (offset / WINDOW_BYTES, offset + buf.len() as u64);
        assert!(self.reads != Reads::PanickingAt(window), "the file panics");
        if self.reads == Reads::FailingAt(window) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let waits = self.reads == Reads::EverySecondOvertaken && window % 2 == 0 && end < CAPACITY;
        let read_end = self.changed.wait_while(lock(&self.read_end), |read_end| waits && *read_end <= end);
        let mut read_end = read_end.unwrap();
        *read_end = end.max(*read_end);
        self.changed.notify_all();
        self.file.read_at(offset, buf)
    }
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn name(&self) -> &'static str {
        "odd.raw"
    }
}

/// Data everywhere but in one unit.
fn content() -> MemoryFile {
    let mut bytes: Vec<u8> = (0..CAPACITY).map(|at| u8::try_from(at % 251).unwrap() + 1).collect();
    bytes[index(MIB + 65_536)..index(MIB + 131_072)].fill(0);
    MemoryFile::with_bytes("disk.raw", &bytes)
}

fn disk(reads: Reads) -> Disk {
    let file = OddFile { file: content(), reads, read_end: Mutex::new(0), changed: Condvar::new() };
    Disk::open_raw(Arc::new(file)).unwrap()
}

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn in_place(data: crate::ByteRange) -> Result<Vec<Placed>> {
    Ok(vec![Placed { data, file_offset: data.start }])
}

fn broken(what: &str) -> Error {
    Error::io(what, "reach", io::ErrorKind::StorageFull.into())
}

#[test]
fn places_are_asked_for_in_ascending_order_although_later_windows_are_read_first() {
    let mut asked = Vec::new();
    let mut place = |data| {
        asked.push(data);
        in_place(data)
    };
    let copy = MemoryFile::new("copy");
    let write = |offset, bytes: &[u8]| {
        copy.write_at(offset, bytes).unwrap();
        Ok(())
    };

    let data_bytes = run(&disk(Reads::EverySecondOvertaken), &mut place, &write, &go_on).unwrap();

    assert_eq!(data_bytes, CAPACITY - 65_536);
    assert!(asked.is_sorted() && asked.len() == 9, "{asked:?}");
    let (mut expected, mut found) = (vec![0; index(CAPACITY)], vec![0; index(CAPACITY)]);
    content().read_at(0, &mut expected).unwrap();
    copy.read_at(0, &mut found).unwrap();
    assert!(found == expected);
}

/// The bytes of a new file without those that are different in each file: the headers of a VHDX, which
/// fill its first MiB, and the footers of a VHD.
fn written(disk: &Disk, target: &Target) -> Vec<u8> {
    let file = MemoryFile::new("new");
    write_image(disk, &(Arc::new(file.clone()) as Arc<dyn FileIo>), target, &go_on).unwrap();
    let mut bytes = vec![0; index(file.len().unwrap())];
    file.read_at(0, &mut bytes).unwrap();
    match target {
        Target::Vhdx { .. } => bytes.split_off(index(MIB)),
        Target::Vhd { .. } => bytes[512..bytes.len() - 512].to_vec(),
        Target::Raw | Target::Qcow2 => bytes,
    }
}

#[test]
fn a_new_file_has_the_same_bytes_whatever_is_read_first() {
    let in_order = disk(Reads::InOrder);
    let disk_id = Some(DiskId::NIL);
    for kind in [CreateKind::Dynamic, CreateKind::Fixed] {
        let vhdx = Target::Vhdx { kind, block_bytes: Some(1 << 20), disk_id };
        for target in [vhdx, Target::Vhd { kind }, Target::Raw, Target::Qcow2] {
            let expected = written(&in_order, &target);
            assert!(written(&in_order, &target) == expected, "{target:?} differs from itself");
            let overtaken = disk(Reads::EverySecondOvertaken);
            assert!(written(&overtaken, &target) == expected, "{target:?} depends on timing");
        }
    }
}

#[test]
fn what_fails_in_one_worker_ends_them_all_and_is_told() {
    let ok = |_: u64, _: &[u8]| Ok(());
    let mut no_place = |data: crate::ByteRange| {
        if data.start > 2 * WINDOW_BYTES { Err(broken("no place")) } else { in_place(data) }
    };
    let no_write =
        |offset, _: &[u8]| if offset > 2 * WINDOW_BYTES { Err(broken("no write")) } else { Ok(()) };

    let read = run(&disk(Reads::FailingAt(2)), &mut in_place, &ok, &go_on).unwrap_err();
    let place = run(&disk(Reads::InOrder), &mut no_place, &ok, &go_on).unwrap_err();
    let write = run(&disk(Reads::InOrder), &mut in_place, &no_write, &go_on).unwrap_err();
    let stop = run(&disk(Reads::InOrder), &mut in_place, &ok, &|_| ControlFlow::Break(())).unwrap_err();

    for (error, file) in [(&read, "odd.raw"), (&place, "no place"), (&write, "no write")] {
        assert!(matches!(error, Error::Io { file: at, .. } if at == file), "{error:?}");
    }
    assert!(matches!(stop, Error::Stopped { .. }), "{stop:?}");
}

#[test]
fn a_panic_in_one_worker_is_passed_on_and_nobody_waits_for_its_turn() {
    let disk = disk(Reads::PanickingAt(2));

    let result = catch_unwind(AssertUnwindSafe(|| run(&disk, &mut in_place, &|_, _| Ok(()), &go_on)));

    assert!(result.is_err());
}
