//! Chains of differencing files against a plain byte array: whatever is written, in whatever order,
//! with merges and reopening between, the disk reads as the array says.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

use std::sync::Arc;

use proptest::prelude::*;
use vdisk::{
    ByteRange, CreateOptions, Disk, ExtentKind, FileIo, MemoryFile, VhdOptions, VhdWriter, WritableDisk,
    merge_into_parent,
};

const MIB: u64 = 1 << 20;
/// Three blocks of 2 MiB and a partial one.
const CAPACITY: u64 = 6 * MIB + 512 * 3;

#[derive(Debug, Clone)]
enum Action {
    Write { offset: u64, length: u64, value: u8 },
    Zero { offset: u64, length: u64 },
    AddChild,
    Merge,
    Reopen,
}

fn any_range() -> impl Strategy<Value = (u64, u64)> {
    let offset = prop_oneof![0..CAPACITY, (0..CAPACITY / 512).prop_map(|sector| sector * 512), Just(2 * MIB)];
    let length = prop_oneof![1..5000u64, Just(512), Just(2 * MIB), 1..CAPACITY];
    (offset, length).prop_map(|(offset, length)| (offset, length.min(CAPACITY - offset)))
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (any_range(), 1u8..).prop_map(|((offset, length), value)| Action::Write { offset, length, value }),
        2 => any_range().prop_map(|(offset, length)| Action::Zero { offset, length }),
        2 => Just(Action::AddChild),
        1 => Just(Action::Merge),
        1 => Just(Action::Reopen),
    ]
}

/// What the chain is made of.
#[derive(Debug, Clone, Copy)]
enum Format {
    Vhdx { logical_sector: u32 },
    Vhd { is_fixed: bool },
}

/// The writer of either format.
enum Writer {
    Vhdx(WritableDisk),
    Vhd(VhdWriter),
}

impl Writer {
    fn create(format: Format, file: Arc<dyn FileIo>) -> Self {
        match format {
            Format::Vhdx { logical_sector } => {
                let capacity = CAPACITY - CAPACITY % u64::from(logical_sector);
                let options = CreateOptions {
                    block_bytes: 2 << 20,
                    logical_sector,
                    ..CreateOptions::dynamic(capacity)
                };
                Self::Vhdx(WritableDisk::create(file, &options).unwrap())
            }
            Format::Vhd { is_fixed: true } => {
                Self::Vhd(VhdWriter::create(file, &VhdOptions::fixed(CAPACITY)).unwrap())
            }
            Format::Vhd { is_fixed: false } => {
                let options = VhdOptions { block_bytes: 512 << 10, ..VhdOptions::dynamic(CAPACITY) };
                Self::Vhd(VhdWriter::create(file, &options).unwrap())
            }
        }
    }

    fn create_child(format: Format, file: Arc<dyn FileIo>, parent: &Disk) -> Self {
        match format {
            Format::Vhdx { .. } => {
                Self::Vhdx(WritableDisk::create_child(file, parent, "parent", None).unwrap())
            }
            Format::Vhd { .. } => Self::Vhd(VhdWriter::create_child(file, parent, "parent", None).unwrap()),
        }
    }

    fn open(format: Format, files: Vec<Arc<dyn FileIo>>) -> Self {
        match format {
            Format::Vhdx { .. } => Self::Vhdx(WritableDisk::open_chain(files).unwrap()),
            Format::Vhd { .. } => Self::Vhd(VhdWriter::open_chain(files).unwrap()),
        }
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) {
        match self {
            Self::Vhdx(disk) => disk.write_at(offset, data).unwrap(),
            Self::Vhd(disk) => disk.write_at(offset, data).unwrap(),
        }
    }

    fn write_zeroes(&mut self, range: ByteRange) {
        match self {
            Self::Vhdx(disk) => disk.write_zeroes(range).unwrap(),
            Self::Vhd(disk) => disk.write_zeroes(range).unwrap(),
        }
    }

    fn close(self) {
        match self {
            Self::Vhdx(disk) => disk.close().unwrap(),
            Self::Vhd(disk) => disk.close().unwrap(),
        }
    }

    fn as_disk(&self) -> Disk {
        match self {
            Self::Vhdx(disk) => disk.as_disk(),
            Self::Vhd(disk) => disk.as_disk(),
        }
    }
}

/// The disk under test beside the array that tells what it must hold.
struct Bench {
    /// Leaf first.
    files: Vec<Arc<dyn FileIo>>,
    disk: Option<Writer>,
    model: Vec<u8>,
    format: Format,
}

impl Bench {
    fn new(format: Format) -> Self {
        let file: Arc<dyn FileIo> = Arc::new(MemoryFile::new("root"));
        let disk = Writer::create(format, Arc::clone(&file));
        let model = vec![0; disk.as_disk().capacity() as usize];
        Self { files: vec![file], disk: Some(disk), model, format }
    }

    fn run(&mut self, action: &Action) {
        let capacity = self.model.len() as u64;
        match *action {
            Action::Write { offset, length, value } if offset + length <= capacity => {
                let (at, length) = (offset as usize, length as usize);
                let data: Vec<u8> = (0..length).map(|i| value.wrapping_add((i / 512) as u8) | 1).collect();
                self.model[at..at + length].copy_from_slice(&data);
                self.disk.as_mut().unwrap().write_at(offset, &data);
            }
            Action::Zero { offset, length } if offset + length <= capacity => {
                self.model[offset as usize..(offset + length) as usize].fill(0);
                self.disk.as_mut().unwrap().write_zeroes(ByteRange::at(offset, length));
            }
            Action::AddChild if self.files.len() < 4 => self.add_child(),
            Action::Merge if self.files.len() > 1 => {
                self.disk.take().unwrap().close();
                merge_into_parent(self.files.clone()).unwrap();
                self.files.remove(0);
                self.open();
            }
            Action::Reopen => {
                self.disk.take().unwrap().close();
                self.open();
            }
            _ => {}
        }
    }

    fn add_child(&mut self) {
        self.disk.take().unwrap().close();
        let parent = Disk::open_chain(self.files.clone()).unwrap();
        let child: Arc<dyn FileIo> = Arc::new(MemoryFile::new("child"));
        let disk = Writer::create_child(self.format, Arc::clone(&child), &parent);
        self.files.insert(0, child);
        self.disk = Some(disk);
    }

    fn open(&mut self) {
        self.disk = Some(Writer::open(self.format, self.files.clone()));
    }

    fn check(&self, disk: &Disk) {
        let mut bytes = vec![0xEE; self.model.len()];
        disk.read_at(0, &mut bytes).unwrap();
        assert!(
            bytes == self.model,
            "the disk differs from the model at {:?}",
            first_difference(&bytes, &self.model)
        );
        check_extents(disk, &self.files, &bytes);
    }
}

fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    a.iter().zip(b).position(|(a, b)| a != b)
}

/// Extents cover the disk without gaps, alternate, and lead to the bytes that reads return.
fn check_extents(disk: &Disk, files: &[Arc<dyn FileIo>], bytes: &[u8]) {
    let mut at = 0;
    let mut last = None;
    for extent in disk.extents(ByteRange::new(0, u64::MAX)) {
        let extent = extent.unwrap();
        assert_eq!(extent.range.start, at);
        let expected = &bytes[at as usize..extent.range.end as usize];
        match extent.kind {
            ExtentKind::Data { layer, file_offset } => {
                let mut found = vec![0; expected.len()];
                files[layer].read_at(file_offset, &mut found).unwrap();
                assert!(found == expected, "extent {extent:?} leads to other bytes");
            }
            kind => {
                assert!(expected.iter().all(|byte| *byte == 0), "{extent:?} is not zero");
                assert_ne!(last, Some(kind), "neighbours are not joined");
            }
        }
        last = Some(extent.kind);
        at = extent.range.end;
    }
    assert_eq!(at, disk.capacity());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_reads_as_the_model_says_after_any_actions(
        actions in prop::collection::vec(any_action(), 1..14),
        format in prop::sample::select(vec![
            Format::Vhdx { logical_sector: 512 },
            Format::Vhdx { logical_sector: 4096 },
            Format::Vhd { is_fixed: false },
            Format::Vhd { is_fixed: true },
        ]),
    ) {
        let mut bench = Bench::new(format);
        for action in &actions {
            bench.run(action);
        }
        // The writer's own view sees what is not flushed yet.
        let mut bytes = vec![0xEE; bench.model.len()];
        bench.disk.as_ref().unwrap().as_disk().read_at(0, &mut bytes).unwrap();
        prop_assert!(bytes == bench.model);

        bench.disk.take().unwrap().close();
        bench.check(&Disk::open_chain(bench.files.clone()).unwrap());

        while bench.files.len() > 1 {
            merge_into_parent(bench.files.clone()).unwrap();
            bench.files.remove(0);
        }
        bench.check(&Disk::open_chain(bench.files.clone()).unwrap());
    }
}
