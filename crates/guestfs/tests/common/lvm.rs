//! Physical volumes of LVM2 made by the documented layout, without our own reader.

use std::sync::Arc;

use guestfs::{Layout, Source, Volume};

use super::disk_of;

/// Bytes of an extent.
pub const EXTENT: u64 = 64 * 1024;

/// First extent of each physical volume.
const DATA_START: usize = 1 << 20;

/// Metadata area.
const AREA: usize = 4096;
const AREA_BYTES: usize = 32 * 1024;

/// A group of two physical volumes `pv0` and `pv1` of eight extents, each marked by its first byte.
pub struct Group {
    pub text: String,
    pub volumes: Vec<PhysicalVolume>,
}

/// One physical volume.
#[derive(Clone)]
pub struct PhysicalVolume {
    number: u8,
    text: String,
    text_at: usize,
    changes: Vec<(usize, Vec<u8>)>,
}

fn uuid(number: u8) -> String {
    format!("{number:0>32}")
}

fn dashed(uuid: &str) -> String {
    [&uuid[..6], &uuid[6..10], &uuid[10..14], &uuid[14..18], &uuid[18..22], &uuid[22..26], &uuid[26..]]
        .join("-")
}

impl Group {
    pub fn of_two(logical: &str) -> Self {
        let volume = |number: u8, device: &str| {
            let id = dashed(&uuid(number));
            format!("pv{number} {{ id = \"{id}\" device = \"{device}\" pe_start = 2048 pe_count = 8 }}")
        };
        let text = format!(
            "vg0 {{\nid = \"aaaaaa-bbbb\" seqno = 7 format = \"lvm2\" extent_size = 128 # 64 KiB\n\
             physical_volumes {{ {} {} }}\nlogical_volumes {{ {logical} }}\n}}\ncontents = \"Text Format\"\n\0",
            volume(0, "/dev/sda"),
            volume(1, "/dev/sdb"),
        );
        let volumes = (0..2).map(|number| PhysicalVolume::new(number, &text)).collect();
        Self { text, volumes }
    }

    /// What the first byte of an extent is.
    pub fn mark(&self, volume: u8, extent: u8) -> u8 {
        0x80 + volume * 16 + extent
    }

    pub fn disks(&self) -> Vec<Arc<dyn Source>> {
        self.volumes.iter().map(PhysicalVolume::disk).collect()
    }

    pub fn layout(&self) -> Layout {
        Layout::read(&self.disks()).unwrap()
    }

    /// The first byte of each extent of a volume.
    pub fn first_bytes(&self, volume: &Volume) -> Vec<u8> {
        let mut byte = [0];
        let extents = 0..volume.len() / EXTENT;
        extents
            .map(|extent| {
                volume.read_at(extent * EXTENT, &mut byte).unwrap();
                byte[0]
            })
            .collect()
    }
}

impl PhysicalVolume {
    pub fn new(number: u8, text: &str) -> Self {
        Self { number, text: text.to_owned(), text_at: 4096, changes: Vec::new() }
    }

    /// The same with a text that starts close to the end of its area.
    pub fn wrapped(self) -> Self {
        Self { text_at: AREA_BYTES - 100, ..self }
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.changes.push((at, bytes.to_vec()));
    }

    pub fn damage(&mut self, at: usize) {
        self.put(at, b"damaged!");
    }

    pub fn disk(&self) -> Arc<dyn Source> {
        let bytes = self.bytes();
        disk_of(&[(0, &bytes)], bytes.len() as u64, 512)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let extent = usize::try_from(EXTENT).unwrap();
        let mut disk = vec![0; DATA_START + 8 * extent];
        for number in 0..8u8 {
            let at = DATA_START + usize::from(number) * extent;
            disk[at..at + extent].fill(0x80 + self.number * 16 + number);
        }
        let size = disk.len() as u64;
        self.put_label(&mut disk, size);
        self.put_area(&mut disk);
        for (at, bytes) in &self.changes {
            disk[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        disk
    }

    fn put_label(&self, disk: &mut [u8], size: u64) {
        let label = &mut disk[512..1024];
        label[..8].copy_from_slice(b"LABELONE");
        label[8] = 1;
        label[20] = 32;
        label[24..32].copy_from_slice(b"LVM2 001");
        label[32..64].copy_from_slice(uuid(self.number).as_bytes());
        let lists = [size, DATA_START as u64, 0, 0, 0, AREA as u64, AREA_BYTES as u64, 0, 0, 2];
        for (number, word) in lists.iter().enumerate() {
            label[64 + number * 8..72 + number * 8].copy_from_slice(&word.to_le_bytes());
        }
        let sum = crc(&label[20..]);
        label[16..20].copy_from_slice(&sum.to_le_bytes());
    }

    fn put_area(&self, disk: &mut [u8]) {
        let area = &mut disk[AREA..AREA + AREA_BYTES];
        for (number, byte) in self.text.bytes().enumerate() {
            let at = self.text_at + number;
            area[if at < AREA_BYTES { at } else { at - AREA_BYTES + 512 }] = byte;
        }
        area[4..20].copy_from_slice(b" LVM2 x[5A%r0N*>");
        area[20] = 1;
        for (at, word) in [(24, AREA), (32, AREA_BYTES), (40, self.text_at), (48, self.text.len())] {
            area[at..at + 8].copy_from_slice(&(word as u64).to_le_bytes());
        }
        area[56..60].copy_from_slice(&crc(self.text.as_bytes()).to_le_bytes());
        let sum = crc(&area[4..512]);
        area[..4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// LVM's checksum, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0xf597_a6cf, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}
