//! Who judges which image: this crate, `wxtla`, and `qemu-img`.

use std::ops::ControlFlow;
use std::sync::Arc;

use vdisk::{ByteRange, CreateKind, Disk, ExtentKind, FileIo, MemoryFile, Target, WritableDisk, write_image};

use crate::chain::{Format, Made};
use crate::dirty::without_log;
use crate::model::Model;
use crate::tally::{Judge, Kind, Tally};
use crate::{qemu, wxtla_reader};

/// One image in so many goes to a process of QEMU, each of which takes longer than everything else.
const QEMU_EVERY: u64 = 10;
/// The same of VHD and of dirty VHDX, of which there are fewer.
const QEMU_EVERY_OF_FEW: u64 = 3;
const REWRITE_EVERY: u64 = 4;
const REPLAY_EVERY: u64 = 4;
/// Most bytes compared at a time.
const PIECE: u64 = 1 << 20;
/// Largest disk that is written anew as qcow2: the tables of a larger one take longer than its data.
const QCOW2_MAX: u64 = 1 << 40;

/// Lets every judge that fits read the image.
pub(crate) fn judge(seed: u64, made: &Made, tally: &mut Tally) {
    let kind = Kind::of(made);
    let disk = made.open();
    by_us(&disk, &made.model);
    tally.count(kind, Judge::Us);
    if wxtla_reader::can_judge(made) {
        wxtla_reader::judge(made);
        tally.count(kind, Judge::Wxtla);
    }
    if seed.is_multiple_of(REWRITE_EVERY) {
        written_anew(seed / REWRITE_EVERY, &disk, &made.model);
        tally.count(kind, Judge::Anew);
    }
    if made.dirty[0] && log_counts(made) {
        tally.count(kind, Judge::LogCounts);
    }
    if made.dirty[0] && seed % REPLAY_EVERY == 1 && wxtla_reader::can_judge(made) {
        replayed(made);
        tally.count(kind, Judge::Replayed);
    }
    let every = if kind == Kind::Vhdx { QEMU_EVERY } else { QEMU_EVERY_OF_FEW };
    if seed % every == 1 && qemu::can_judge(made, &disk, seed) {
        qemu::judge(made);
        tally.count(kind, Judge::Qemu);
    } else if seed % every == 2 && matches!(kind, Kind::Vhdx | Kind::Vhd) && qemu::can_make(&made.model) {
        qemu::make(seed / every, made.formats[0], &made.model);
        tally.count(kind, Judge::MadeByQemu);
    }
}

/// Reads agree with the model wherever it was written and wherever the disk says that data is; the rest of
/// the disk is said to be nothing.
pub(crate) fn by_us(disk: &Disk, model: &Model) {
    assert_eq!(disk.capacity(), model.capacity);
    let mut at = 0;
    for extent in disk.extents(ByteRange::new(0, u64::MAX)) {
        let extent = extent.unwrap();
        assert_eq!(extent.range.start, at);
        at = extent.range.end;
        if matches!(extent.kind, ExtentKind::Data { .. }) {
            compare("vdisk", extent.range, model, &mut |offset, buf| disk.read_at(offset, buf).unwrap());
        }
    }
    assert_eq!(at, model.capacity);
    for (start, end) in model.touched() {
        let range = ByteRange::new(start, end);
        compare("vdisk", range, model, &mut |offset, buf| disk.read_at(offset, buf).unwrap());
    }
}

/// Stops at the first byte that the judge reads otherwise.
pub(crate) fn compare(judge: &str, range: ByteRange, model: &Model, read: &mut dyn FnMut(u64, &mut [u8])) {
    let mut buf = vec![0xEE; range.len().min(PIECE) as usize];
    let mut at = range.start;
    while at < range.end {
        let part = &mut buf[..(range.end - at).min(PIECE) as usize];
        read(at, part);
        let expected = model.read(at, part.len() as u64);
        if *part != expected {
            let first = part.iter().zip(&expected).position(|(one, other)| one != other);
            panic!("{judge} reads something else at {}", at + first.unwrap_or(0) as u64);
        }
        at += part.len() as u64;
    }
}

/// The whole chain as one new file, of each format in turn.
fn written_anew(turn: u64, disk: &Disk, model: &Model) {
    let file = MemoryFile::new("anew");
    let write = |target| {
        let shared: Arc<dyn FileIo> = Arc::new(file.clone());
        write_image(disk, &shared, &target, &|_| ControlFlow::Continue(())).unwrap();
        shared
    };
    let is_vhd = turn % 4 == 1 && disk.logical_sector() == 512;
    if turn % 4 == 2 && model.capacity <= QCOW2_MAX {
        write(Target::Qcow2);
        wxtla_reader::judge_qcow2(&file, model);
    } else {
        let (target, format) = if is_vhd {
            (Target::Vhd { kind: CreateKind::Dynamic }, Format::Vhd)
        } else {
            let (kind, block_bytes) = (CreateKind::Dynamic, Some(2 << 20));
            (Target::Vhdx { kind, block_bytes, disk_id: None }, Format::Vhdx)
        };
        by_us(&Disk::open(write(target)).unwrap(), model);
        wxtla_reader::judge_files(&[file], format, model);
    }
}

/// Whether a reader that knows nothing of the leaf's log would read something else.
fn log_counts(made: &Made) -> bool {
    let leaf: Arc<dyn FileIo> = Arc::new(without_log(&made.files[0]));
    let files = std::iter::once(leaf).chain(made.shared().into_iter().skip(1)).collect();
    let Ok(disk) = Disk::open_chain(files) else { return true };
    made.model.touched().into_iter().any(|(start, end)| {
        let mut bytes = vec![0; (end - start) as usize];
        disk.read_at(start, &mut bytes).is_err() || bytes != made.model.read(start, end - start)
    })
}

/// Opening for writing puts what the log holds in place; then everybody reads it without a log.
fn replayed(made: &Made) {
    let leaf = copy_of(&made.files[0]);
    let files: Vec<_> = std::iter::once(leaf).chain(made.files[1..].iter().cloned()).collect();
    let shared: Vec<Arc<dyn FileIo>> =
        files.iter().map(|file| Arc::new(file.clone()) as Arc<dyn FileIo>).collect();
    WritableDisk::open_chain(shared.clone()).unwrap().close().unwrap();
    let disk = Disk::open_chain(shared).unwrap();
    assert_eq!(disk.layers().next().unwrap().log, vdisk::LogState::Clean);
    by_us(&disk, &made.model);
    wxtla_reader::judge_files(&files, Format::Vhdx, &made.model);
}

/// A file of its own with the same bytes.
pub(crate) fn copy_of(file: &MemoryFile) -> MemoryFile {
    let copy = MemoryFile::new(file.name());
    copy_into(file, &copy);
    copy
}

/// Copies what is not zero.
pub(crate) fn copy_into(file: &MemoryFile, to: &dyn FileIo) {
    let length = file.len().unwrap();
    to.set_len(length).unwrap();
    let mut at = 0;
    while at < length {
        let run = file.run_at(at).unwrap();
        let end = run.end.min(at + PIECE);
        if run.is_hole {
            at = run.end;
            continue;
        }
        let mut bytes = vec![0; (end - at) as usize];
        file.read_at(at, &mut bytes).unwrap();
        if !vdisk::is_zero(&bytes) {
            to.write_at(at, &bytes).unwrap();
        }
        at = end;
    }
}
