//! Makes random chains beside their model.
//!
//! Half of them are VHDX as a closed disk leaves it, a quarter VHDX whose log holds changes that are not in place
//! yet, a fifth VHD. The rest are chains of both formats: Windows makes none, but one whose identities fit is
//! read (case 50), so what is read must be right.

use std::sync::Arc;

use vdisk::{
    ByteRange, CreateKind, CreateOptions, Disk, FileIo, LogState, MemoryFile, VhdOptions, VhdWriter,
    WritableDisk,
};

use crate::common::power_cut::RecordingFile;
use crate::dirty;
use crate::model::{Chance, Model};
use crate::plain::MIB;

const GIB: u64 = 1 << 30;
/// Largest disk that is made fixed, or filled by its geometry.
pub(crate) const SMALL: u64 = 8 * MIB;
/// The largest disk whose size a VHD's geometry can tell (65535 × 16 × 255 sectors).
const GEOMETRY_ENDS: u64 = 65_535 * 16 * 255 * 512;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Vhdx,
    Vhd,
}

/// What a chain is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Clean,
    Dirty,
    Vhd,
    /// The lower files have this format, the upper ones the other.
    Mixed(Format),
}

/// The lower files of a chain of both formats, all of one, and what they show.
pub(crate) struct Lower {
    pub(crate) files: Vec<MemoryFile>,
    pub(crate) model: Model,
    pub(crate) size_by_geometry: bool,
}

/// A chain and what it must show.
pub(crate) struct Made {
    /// Leaf first; each file is named `layerN.vhdx` or `.vhd`, N counting from the root.
    pub(crate) files: Vec<MemoryFile>,
    /// Leaf first.
    pub(crate) formats: Vec<Format>,
    /// Leaf first: whether the file's log holds changes.
    pub(crate) dirty: Vec<bool>,
    pub(crate) model: Model,
    pub(crate) lower: Option<Lower>,
    /// Some block or footer is of a kind that wxtla takes for another or refuses.
    pub(crate) wxtla_differs: bool,
    /// The same of QEMU.
    pub(crate) qemu_differs: bool,
    /// The leaf is a VHD whose size is told by its geometry, and by another number too.
    pub(crate) size_by_geometry: bool,
}

/// Everything about the chain of this seed.
pub(crate) fn make(seed: u64) -> Made {
    let mut chance = Chance::new(seed);
    let family = match chance.below(20) {
        0..10 => Family::Clean,
        10..15 => Family::Dirty,
        15..19 => Family::Vhd,
        _ => Family::Mixed(chance.pick(&[Format::Vhd, Format::Vhd, Format::Vhdx])),
    };
    let is_vhdx = matches!(family, Family::Clean | Family::Dirty);
    let sector = if is_vhdx && chance.one_in(4) { 4096 } else { 512 };
    let capacity = match family {
        Family::Clean | Family::Dirty => capacity(&mut chance, sector),
        Family::Vhd if chance.one_in(16) => GEOMETRY_ENDS - 2048 + 512 * chance.below(8),
        Family::Vhd | Family::Mixed(_) => capacity_of_vhd(&mut chance),
    };
    let mut layers: u64 = chance.pick(&[1, 1, 1, 2, 2, 3, 4]);
    if matches!(family, Family::Mixed(_)) {
        layers = layers.max(2);
    }
    let turn = 1 + chance.below(layers.saturating_sub(1));
    let must_be_dirty = chance.below(layers);
    let mut made = Made::new(capacity);
    for layer in 0..layers {
        let id = seed << 8 | layer;
        let is_dirty = family == Family::Dirty && (layer == must_be_dirty || chance.one_in(3));
        let format = match family {
            Family::Clean | Family::Dirty => Format::Vhdx,
            Family::Vhd => Format::Vhd,
            Family::Mixed(lower) if layer < turn => lower,
            Family::Mixed(lower) => lower.other(),
        };
        made.add_layer(&mut chance, format, sector as u32, is_dirty, id);
    }
    made
}

/// Mostly a few blocks with a last one in part; some around the borders of chunks.
fn capacity(chance: &mut Chance, sector: u64) -> u64 {
    let chunk = (1 << 23) * sector;
    let bytes = match chance.below(12) {
        0 => sector * (1 + chance.below(20)),
        1 => chunk + sector * chance.below(8),
        2 => chunk + chance.below(GIB),
        3 => 2 * chunk + sector,
        4 => MIB * (1 + chance.below(6)),
        _ => 1 + chance.below(5 * MIB),
    };
    bytes.next_multiple_of(sector)
}

/// The same for VHD, which has no chunks; some of what a geometry can tell.
fn capacity_of_vhd(chance: &mut Chance) -> u64 {
    let bytes = match chance.below(16) {
        0 => 512 * (1 + chance.below(20)),
        1 => GIB + chance.below(30 * GIB),
        3 => MIB * (1 + chance.below(6)),
        4..6 => 512 * (1 + chance.below(16)) * (1 + chance.below(63)) * (1 + chance.below(16)),
        _ => 1 + chance.below(7 * MIB),
    };
    bytes.next_multiple_of(512)
}

impl Format {
    const fn other(self) -> Self {
        match self {
            Self::Vhdx => Self::Vhd,
            Self::Vhd => Self::Vhdx,
        }
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Vhdx => "vhdx",
            Self::Vhd => "vhd",
        }
    }
}

/// The writer of either format.
enum Writer {
    Vhdx(WritableDisk),
    Vhd(VhdWriter),
}

impl Writer {
    fn create(
        chance: &mut Chance,
        file: Arc<dyn FileIo>,
        format: Format,
        capacity: u64,
        sector: u32,
    ) -> Self {
        let kind =
            if capacity <= SMALL && chance.one_in(4) { CreateKind::Fixed } else { CreateKind::Dynamic };
        match format {
            Format::Vhdx => {
                let options = CreateOptions {
                    capacity,
                    block_bytes: chance.pick(&[1, 1, 2, 4]) << 20,
                    logical_sector: sector,
                    physical_sector: 4096,
                    disk_id: None,
                    kind,
                };
                Self::Vhdx(WritableDisk::create(file, &options).unwrap())
            }
            Format::Vhd => {
                let block_bytes = chance.pick(&[128, 512, 2048]) << 10;
                let options = VhdOptions { block_bytes, kind, ..VhdOptions::dynamic(capacity) };
                Self::Vhd(VhdWriter::create(file, &options).unwrap())
            }
        }
    }

    fn create_child(file: Arc<dyn FileIo>, format: Format, parent: &Disk, path: &str) -> Self {
        match format {
            Format::Vhdx => Self::Vhdx(WritableDisk::create_child(file, parent, path, None).unwrap()),
            Format::Vhd => Self::Vhd(VhdWriter::create_child(file, parent, path, None).unwrap()),
        }
    }

    fn open(format: Format, files: Vec<Arc<dyn FileIo>>) -> Self {
        match format {
            Format::Vhdx => Self::Vhdx(WritableDisk::open_chain(files).unwrap()),
            Format::Vhd => Self::Vhd(VhdWriter::open_chain(files).unwrap()),
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

    fn flush(&mut self) {
        match self {
            Self::Vhdx(disk) => disk.flush().unwrap(),
            Self::Vhd(disk) => disk.flush().unwrap(),
        }
    }

    fn close(self) {
        match self {
            Self::Vhdx(disk) => disk.close().unwrap(),
            Self::Vhd(disk) => disk.close().unwrap(),
        }
    }
}

impl Made {
    const fn new(capacity: u64) -> Self {
        Self {
            files: Vec::new(),
            formats: Vec::new(),
            dirty: Vec::new(),
            model: Model::new(capacity),
            lower: None,
            wxtla_differs: false,
            qemu_differs: false,
            size_by_geometry: false,
        }
    }

    fn add_layer(&mut self, chance: &mut Chance, format: Format, sector: u32, is_dirty: bool, id: u64) {
        let name = format!("layer{}.{}", self.files.len(), format.ending());
        let turns = self.formats.first().is_some_and(|below| *below != format);
        if turns {
            let (files, model) = (self.files.clone(), self.model.clone());
            self.lower = Some(Lower { files, model, size_by_geometry: self.size_by_geometry });
        }
        self.size_by_geometry = false;
        // Our writers make no chain of both formats.
        let file = if !turns && chance.one_in(2) {
            self.written(chance, &name, format, sector, is_dirty)
        } else if format == Format::Vhdx {
            self.plain_vhdx(chance, &name, sector, is_dirty, id)
        } else {
            self.plain_vhd(chance, &name, id)
        };
        self.files.insert(0, file);
        self.formats.insert(0, format);
        let is_dirty = format == Format::Vhdx
            && matches!(self.open().layers().next().unwrap().log, LogState::ReplayedInMemory { .. });
        self.dirty.insert(0, is_dirty);
    }

    /// The files so far, leaf first.
    pub(crate) fn shared(&self) -> Vec<Arc<dyn FileIo>> {
        self.files.iter().map(|file| Arc::new(file.clone()) as Arc<dyn FileIo>).collect()
    }

    pub(crate) fn open(&self) -> Disk {
        Disk::open_chain(self.shared()).unwrap()
    }

    /// A layer of our writer: writes and clearings, with closing and opening between. A dirty one is cut off
    /// after a flush.
    fn written(
        &mut self,
        chance: &mut Chance,
        name: &str,
        format: Format,
        sector: u32,
        is_dirty: bool,
    ) -> MemoryFile {
        let (memory, record) = (MemoryFile::new(name), RecordingFile::new(name));
        let file: Arc<dyn FileIo> = if is_dirty { record.io() } else { Arc::new(memory.clone()) };
        let mut disk = match self.files.first() {
            None => Writer::create(chance, Arc::clone(&file), format, self.model.capacity, sector),
            Some(parent) => {
                let path = format!(".\\{}", parent.name());
                Writer::create_child(Arc::clone(&file), format, &self.open(), &path)
            }
        };
        for _ in 0..chance.below(12) + u64::from(is_dirty) {
            self.change(chance, &mut disk);
            if chance.one_in(8) {
                disk.close();
                disk = Writer::open(format, [vec![Arc::clone(&file)], self.shared()].concat());
            } else if is_dirty && chance.one_in(3) {
                disk.flush();
            }
        }
        if is_dirty {
            disk.flush();
            return dirty::cut_off(chance, name, &record.ops());
        }
        disk.close();
        memory
    }

    fn change(&mut self, chance: &mut Chance, disk: &mut Writer) {
        let capacity = self.model.capacity;
        let length = match chance.below(6) {
            0 => 512,
            1 => 4096,
            2 => 1 + chance.below(3000),
            3 => MIB,
            4 => 2 * MIB,
            _ => 512 * (1 + chance.below(300)),
        };
        let length = length.min(capacity);
        let place = match chance.below(4) {
            0 => chance.below(capacity),
            1 => chance.below(capacity / 512 + 1) * 512,
            2 => chance.below(capacity.div_ceil(MIB)) * MIB,
            // Around the border of a chunk, or the end.
            _ => (4 * GIB).min(capacity).saturating_sub(length / 2),
        };
        let offset = place.min(capacity - length);
        if chance.one_in(4) {
            self.model.zero(offset, length);
            disk.write_zeroes(ByteRange::at(offset, length));
        } else {
            let data = chance.bytes(length);
            self.model.write(offset, &data);
            disk.write_at(offset, &data);
        }
    }
}
