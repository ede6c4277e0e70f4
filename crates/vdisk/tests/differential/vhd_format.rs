//! VHD files put together by hand: from the format's specification, with nothing of this crate's writer.

use uuid::Uuid;
use vdisk::{FileIo, MemoryFile};

pub(crate) const SECTOR: u64 = 512;
const FOOTER_BYTES: u64 = 512;
const HEADER_BYTES: u64 = 1024;
/// Space for one path.
const PATH_BYTES: u64 = 512;

/// Where a differencing file says that its parent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Under `W2ru`.
    Relative,
    /// Under `W2ku`, in a folder that is not there.
    Absolute,
    /// Under both.
    Both,
    /// Only in the header's name field.
    Name,
}

/// A file to be made.
#[derive(Debug, Clone)]
pub(crate) struct PlainVhd {
    /// What the Current Size field says.
    pub(crate) current_size: u64,
    /// Cylinders, heads, sectors.
    pub(crate) geometry: (u16, u8, u8),
    pub(crate) creator: [u8; 4],
    pub(crate) id: Uuid,
    /// Identity and file name of the parent, and where that is told.
    pub(crate) parent: Option<(Uuid, String, Hint)>,
    /// `None` makes a fixed disk.
    pub(crate) block_bytes: Option<u64>,
    pub(crate) header_at: u64,
    pub(crate) table_at: u64,
    /// (block, place of its bitmap).
    pub(crate) table: Vec<(u64, u64)>,
    /// Bitmaps and payload, or the content of a fixed disk: (place in the file, bytes).
    pub(crate) parts: Vec<(u64, Vec<u8>)>,
    /// Where the footer stands, at least.
    pub(crate) end: u64,
}

impl PlainVhd {
    /// A dynamic disk of Windows without any block.
    pub(crate) fn new(capacity: u64, block_bytes: u64, id: Uuid) -> Self {
        Self {
            current_size: capacity,
            geometry: (65535, 16, 255),
            creator: *b"win ",
            id,
            parent: None,
            block_bytes: Some(block_bytes),
            header_at: FOOTER_BYTES,
            table_at: FOOTER_BYTES + HEADER_BYTES,
            table: Vec::new(),
            parts: Vec::new(),
            end: 0,
        }
    }

    /// Bytes of the bitmap before each block.
    pub(crate) const fn bitmap_bytes(block_bytes: u64) -> u64 {
        (block_bytes / SECTOR).div_ceil(8).next_multiple_of(SECTOR)
    }

    fn blocks(&self) -> u64 {
        self.block_bytes.map_or(0, |bytes| self.current_size.div_ceil(bytes))
    }

    fn paths_at(&self) -> u64 {
        (self.table_at + self.blocks() * 4).next_multiple_of(SECTOR)
    }

    /// Where blocks may begin.
    pub(crate) fn payload_start(&self) -> u64 {
        self.paths_at() + if self.parent.is_some() { 2 * PATH_BYTES } else { 0 }
    }

    /// The file in memory.
    pub(crate) fn file(&self, name: &str) -> MemoryFile {
        let file = MemoryFile::new(name);
        let put = |at: u64, bytes: &[u8]| file.write_at(at, bytes).unwrap();
        let footer = self.footer();
        let mut end = self.end;
        if let Some(block_bytes) = self.block_bytes {
            put(0, &footer);
            put(self.header_at, &self.header(block_bytes));
            put(self.table_at, &vec![0xFF; (self.paths_at() - self.table_at) as usize]);
            for (block, place) in &self.table {
                put(self.table_at + block * 4, &((place / SECTOR) as u32).to_be_bytes());
            }
            for (_, at, path) in self.paths() {
                put(at, &path);
            }
            end = end.max(self.payload_start());
        } else {
            end = self.current_size;
        }
        for (at, bytes) in &self.parts {
            put(*at, bytes);
            end = end.max(at + bytes.len() as u64);
        }
        put(end.next_multiple_of(SECTOR), &footer);
        file
    }

    fn footer(&self) -> Vec<u8> {
        let (kind, header_at) = match (self.block_bytes, &self.parent) {
            (None, _) => (2_u32, u64::MAX),
            (Some(_), None) => (3, self.header_at),
            (Some(_), Some(_)) => (4, self.header_at),
        };
        let mut bytes = b"conectix\0\0\0\x02\0\x01\0\0".to_vec();
        bytes.extend(header_at.to_be_bytes());
        bytes.extend(700_000_000_u32.to_be_bytes());
        bytes.extend(self.creator);
        bytes.extend(b"\0\x06\0\x03Wi2k");
        bytes.extend(self.current_size.to_be_bytes());
        bytes.extend(self.current_size.to_be_bytes());
        bytes.extend(self.geometry.0.to_be_bytes());
        bytes.extend([self.geometry.1, self.geometry.2]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.id.into_bytes());
        bytes.resize(FOOTER_BYTES as usize, 0);
        seal(&mut bytes, 64);
        bytes
    }

    fn header(&self, block_bytes: u64) -> Vec<u8> {
        let mut bytes = b"cxsparse".to_vec();
        bytes.extend(u64::MAX.to_be_bytes());
        bytes.extend(self.table_at.to_be_bytes());
        bytes.extend([0, 1, 0, 0]);
        bytes.extend((self.blocks() as u32).to_be_bytes());
        bytes.extend((block_bytes as u32).to_be_bytes());
        bytes.extend([0; 4]);
        if let Some((id, name, _)) = &self.parent {
            bytes.extend(id.into_bytes());
            bytes.resize(64, 0);
            bytes.extend(name.encode_utf16().flat_map(u16::to_be_bytes));
            bytes.resize(576, 0);
            for (code, at, path) in self.paths() {
                bytes.extend(code);
                bytes.extend((PATH_BYTES as u32).to_be_bytes());
                bytes.extend((path.len() as u32).to_be_bytes());
                bytes.extend([0; 4]);
                bytes.extend(at.to_be_bytes());
            }
        }
        bytes.resize(HEADER_BYTES as usize, 0);
        seal(&mut bytes, 36);
        bytes
    }

    /// Code, place and bytes of each path of the parent.
    fn paths(&self) -> Vec<(&'static [u8], u64, Vec<u8>)> {
        let Some((_, name, hint)) = &self.parent else { return Vec::new() };
        let utf16 = |text: String| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let first = self.paths_at();
        let relative: (&[u8], _, _) = (b"W2ru", first, utf16(format!(".\\{name}")));
        let absolute: (&[u8], _, _) = (b"W2ku", first + PATH_BYTES, utf16(format!("V:\\gone\\{name}")));
        match hint {
            Hint::Relative => vec![relative],
            Hint::Absolute => vec![absolute],
            Hint::Both => vec![absolute, relative],
            Hint::Name => Vec::new(),
        }
    }
}

/// The checksum of a footer or header: the sum of all other bytes, inverted.
fn seal(bytes: &mut [u8], field: usize) {
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    bytes[field..field + 4].copy_from_slice(&(!sum).to_be_bytes());
}
