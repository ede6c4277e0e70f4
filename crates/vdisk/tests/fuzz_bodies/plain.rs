//! VHDX files put together by hand: from the specification, with nothing of this crate's writer.
//!
//! A second, simpler maker keeps a mistake that reader and writer share from going unseen. It also makes what
//! our writer never would: blocks in any order and in any state.

use std::sync::Arc;

use uuid::{Uuid, uuid};
use vdisk::{FileIo, MemoryFile};

pub const MIB: u64 = 1 << 20;
pub const HEADERS: [u64; 2] = [0x1_0000, 0x2_0000];
pub const REGION_TABLES: [u64; 2] = [0x3_0000, 0x4_0000];
pub const LOG: u64 = MIB;
pub const METADATA: u64 = 2 * MIB;
/// Where the metadata items lie, packed: parameters, size, sectors, id, locator.
pub const ITEMS: u64 = METADATA + 0x1_0000;
pub const BAT: u64 = 3 * MIB;

const REGION_BAT: Uuid = uuid!("2DC27766-F623-4200-9D64-115E9BFD4A08");
const REGION_METADATA: Uuid = uuid!("8B7CA206-4790-4B9A-B8FE-575F050F886E");
const FILE_PARAMETERS: Uuid = uuid!("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
const DISK_SIZE: Uuid = uuid!("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
const LOGICAL_SECTOR: Uuid = uuid!("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");
const PHYSICAL_SECTOR: Uuid = uuid!("CDA348C7-445D-4471-9CC9-E9885251C556");
const DISK_ID: Uuid = uuid!("BECA12AB-B2E6-4523-93EF-C309E000C746");
const LOCATOR: Uuid = uuid!("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C");
const LOCATOR_VHDX: Uuid = uuid!("B04AEFB7-D19E-4A81-B789-25B8E9445913");

/// A file to be made.
#[derive(Debug, Clone)]
pub struct Plain {
    /// Size of the virtual disk.
    pub capacity: u64,
    pub block_bytes: u64,
    pub logical_sector: u32,
    pub physical_sector: u32,
    /// Told apart from other files by this number.
    pub file_guid: u128,
    /// What children compare.
    pub data_guid: u128,
    /// A log in use, if not zero.
    pub log_guid: u128,
    /// The parent locator item, of a differencing file.
    pub locator: Option<Vec<u8>>,
    /// Entries of the block table: (index, value).
    pub table: Vec<(u64, u64)>,
    /// Payload and bitmaps: (place in the file, bytes).
    pub parts: Vec<(u64, Vec<u8>)>,
    /// Length of the file; grown to what the parts need.
    pub length: u64,
}

impl Plain {
    /// A dynamic disk without any block.
    pub fn new(capacity: u64, block_bytes: u64) -> Self {
        Self {
            capacity,
            block_bytes,
            logical_sector: 512,
            physical_sector: 4096,
            file_guid: 0xf11e,
            data_guid: 0xda7a,
            log_guid: 0,
            locator: None,
            table: Vec::new(),
            parts: Vec::new(),
            length: 0,
        }
    }

    /// Payload blocks that one bitmap block serves.
    pub const fn chunk_ratio(&self) -> u64 {
        (1 << 23) * self.logical_sector as u64 / self.block_bytes
    }

    pub const fn blocks(&self) -> u64 {
        self.capacity.div_ceil(self.block_bytes)
    }

    /// Place in the table of the entry of a payload block.
    pub const fn payload_entry(&self, block: u64) -> u64 {
        block + block / self.chunk_ratio()
    }

    /// Place in the table of the entry of a chunk's bitmap.
    pub const fn bitmap_entry(&self, chunk: u64) -> u64 {
        (chunk + 1) * self.chunk_ratio() + chunk
    }

    /// Bytes of the table's region.
    pub const fn table_bytes(&self) -> u64 {
        let chunks = self.blocks().div_ceil(self.chunk_ratio());
        let entries = match self.locator {
            Some(_) => chunks * (self.chunk_ratio() + 1),
            None => self.blocks() + (self.blocks() - 1) / self.chunk_ratio(),
        };
        (entries * 8).next_multiple_of(MIB)
    }

    /// Where payload may begin.
    pub const fn payload_start(&self) -> u64 {
        BAT + self.table_bytes()
    }

    /// Everything in the file that is not zero, and the file's length.
    pub fn pieces(&self) -> (Vec<(u64, Vec<u8>)>, u64) {
        let mut pieces = vec![(0, b"vhdxfile".to_vec()), (METADATA, self.metadata())];
        for (at, sequence) in HEADERS.into_iter().zip(1..) {
            pieces.push((at, self.header(sequence)));
        }
        for at in REGION_TABLES {
            pieces.push((at, self.regions()));
        }
        pieces
            .extend(self.table.iter().map(|(entry, value)| (BAT + entry * 8, value.to_le_bytes().to_vec())));
        pieces.extend(self.parts.iter().cloned());
        let ends = self.parts.iter().map(|(at, bytes)| at + bytes.len() as u64);
        (pieces, ends.max().unwrap_or(0).max(self.payload_start()).max(self.length))
    }

    /// The file in memory.
    pub fn file(&self, name: &str) -> MemoryFile {
        let (pieces, length) = self.pieces();
        let file = MemoryFile::new(name);
        for (at, bytes) in &pieces {
            file.write_at(*at, bytes).unwrap();
        }
        file.set_len(length).unwrap();
        file
    }

    /// As [`Plain::file`], for a chain.
    pub fn shared(&self, name: &str) -> Arc<dyn FileIo> {
        Arc::new(self.file(name))
    }

    fn header(&self, sequence: u64) -> Vec<u8> {
        let mut bytes = b"head\0\0\0\0".to_vec();
        bytes.extend(sequence.to_le_bytes());
        for id in [self.file_guid, self.data_guid, self.log_guid] {
            bytes.extend(Uuid::from_u128(id).to_bytes_le());
        }
        bytes.extend([0, 0, 1, 0]);
        bytes.extend((MIB as u32).to_le_bytes());
        bytes.extend(LOG.to_le_bytes());
        bytes.resize(4096, 0);
        seal(&mut bytes);
        bytes
    }

    fn regions(&self) -> Vec<u8> {
        let mut bytes = b"regi\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
        for (id, at, length) in [(REGION_BAT, BAT, self.table_bytes()), (REGION_METADATA, METADATA, MIB)] {
            bytes.extend(id.to_bytes_le());
            bytes.extend(at.to_le_bytes());
            bytes.extend((length as u32).to_le_bytes());
            bytes.extend([1, 0, 0, 0]);
        }
        bytes.resize(0x1_0000, 0);
        seal(&mut bytes);
        bytes
    }

    fn metadata(&self) -> Vec<u8> {
        let mut parameters = (self.block_bytes as u32).to_le_bytes().to_vec();
        parameters.extend([if self.locator.is_some() { 2 } else { 0 }, 0, 0, 0]);
        let mut items = vec![
            (FILE_PARAMETERS, 4, parameters),
            (DISK_SIZE, 6, self.capacity.to_le_bytes().to_vec()),
            (LOGICAL_SECTOR, 6, self.logical_sector.to_le_bytes().to_vec()),
            (PHYSICAL_SECTOR, 6, self.physical_sector.to_le_bytes().to_vec()),
            (DISK_ID, 6, Uuid::from_u128(0xd15c).to_bytes_le().to_vec()),
        ];
        items.extend(self.locator.clone().map(|locator| (LOCATOR, 4, locator)));
        let mut bytes = b"metadata\0\0".to_vec();
        bytes.extend([items.len() as u8, 0]);
        bytes.resize(32, 0);
        let mut at = 0x1_0000_u32;
        for (id, flags, item) in &items {
            bytes.extend(id.to_bytes_le());
            bytes.extend(at.to_le_bytes());
            bytes.extend((item.len() as u32).to_le_bytes());
            bytes.extend([*flags, 0, 0, 0, 0, 0, 0, 0]);
            at += item.len() as u32;
        }
        bytes.resize(0x1_0000, 0);
        bytes.extend(items.into_iter().flat_map(|(_, _, item)| item));
        bytes
    }
}

/// A parent locator item with these pairs.
pub fn locator(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = LOCATOR_VHDX.to_bytes_le().to_vec();
    bytes.extend([0, 0, pairs.len() as u8, 0]);
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut strings = Vec::new();
    let start = 20 + 12 * pairs.len();
    for (key, value) in pairs {
        let (key, value) = (utf16(key), utf16(value));
        let at = start + strings.len();
        bytes.extend((at as u32).to_le_bytes());
        bytes.extend(((at + key.len()) as u32).to_le_bytes());
        bytes.extend((key.len() as u16).to_le_bytes());
        bytes.extend((value.len() as u16).to_le_bytes());
        strings.extend(key);
        strings.extend(value);
    }
    bytes.extend(strings);
    bytes
}

/// The locator of a child of the file with this data GUID.
pub fn locator_of(parent_data_guid: u128, path: &str) -> Vec<u8> {
    let linkage = Uuid::from_u128(parent_data_guid).braced().to_string();
    locator(&[("parent_linkage", &linkage), ("relative_path", path)])
}

/// Makes the checksum of a header, a region table or a log entry right.
pub fn seal(bytes: &mut [u8]) {
    bytes[4..8].fill(0);
    let sum = crc32c::crc32c(bytes);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// Makes the checksum of a structure in a file right.
pub fn seal_in(file: &MemoryFile, at: u64, length: usize) {
    let mut bytes = vec![0; length];
    if file.read_at(at, &mut bytes).is_ok() {
        seal(&mut bytes);
        file.write_at(at, &bytes).unwrap();
    }
}
