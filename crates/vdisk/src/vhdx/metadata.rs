//! The metadata region: geometry and identity of the virtual disk (MS-VHDX 2.6).
//!
//! Items are found by (is-user, GUID). A strict reader that knows only the items of the
//! specification would refuse real disks, so the three extra ones that Microsoft's openvmm lists are
//! known too: CHS and persistent-memory labels are accepted, Incomplete is its own error.

use std::collections::BTreeMap;

use uuid::Uuid;
use zerocopy::FromBytes;
use zerocopy::little_endian::{U32, U64};

use super::format::{
    BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, CAPACITY_MAX, FileParameters, Guid, HAS_PARENT, ITEM_BYTES_MAX,
    ITEM_IS_REQUIRED, ITEM_IS_USER, LEAVE_BLOCKS_ALLOCATED, MetadataEntry, MetadataTableHeader,
    SECTORS_PER_CHUNK, TABLE_BYTES, TABLE_ENTRIES_MAX, guid,
};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::id::DiskId;
use crate::number::index;
use crate::parent::ParentLocator;
use crate::range::ByteRange;

/// Size and shape of a virtual disk, checked against the limits of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub capacity: u64,
    pub block_bytes: u32,
    pub logical_sector: u32,
    pub physical_sector: u32,
    pub has_parent: bool,
    pub leave_blocks_allocated: bool,
}

impl Geometry {
    /// Tells which rule of MS-VHDX 2.6.2 is broken, if any.
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, sector) in [("logical", self.logical_sector), ("physical", self.physical_sector)] {
            if sector != 512 && sector != 4096 {
                return Err(format!("the {name} sector size is {sector}, but must be 512 or 4096"));
            }
        }
        let block = self.block_bytes;
        if !block.is_power_of_two() || !(BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&block) {
            return Err(format!("the block size is {block}, but must be a power of two from 1 to 256 MiB"));
        }
        let capacity = self.capacity;
        if capacity == 0
            || capacity > CAPACITY_MAX
            || !capacity.is_multiple_of(u64::from(self.logical_sector))
        {
            return Err(format!("the disk size is {capacity}, but must be whole sectors and at most 64 TiB"));
        }
        Ok(())
    }

    /// Bytes of a payload block as file arithmetic.
    pub(super) fn block(&self) -> u64 {
        u64::from(self.block_bytes)
    }

    /// Number of payload blocks; the last may be partial.
    pub(super) fn payload_blocks(&self) -> u64 {
        self.capacity.div_ceil(self.block())
    }

    /// Payload blocks per sector bitmap block (MS-VHDX 2.5, "chunk ratio").
    pub(super) fn chunk_ratio(&self) -> u64 {
        SECTORS_PER_CHUNK * u64::from(self.logical_sector) / self.block()
    }

    /// Entries the BAT must have (MS-VHDX 2.5).
    pub(super) fn bat_entries(&self) -> u64 {
        let (blocks, ratio) = (self.payload_blocks(), self.chunk_ratio());
        if self.has_parent { blocks.div_ceil(ratio) * (ratio + 1) } else { blocks + (blocks - 1) / ratio }
    }

    /// Place of a payload block's entry in the BAT.
    pub(super) fn payload_entry(&self, block: u64) -> u64 {
        block + block / self.chunk_ratio()
    }

    /// Place of a chunk's sector bitmap entry in the BAT.
    pub(super) fn bitmap_entry(&self, chunk: u64) -> u64 {
        (chunk + 1) * self.chunk_ratio() + chunk
    }

    /// What an entry of the BAT is for; none behind the last block.
    pub(super) fn role_of(&self, entry: u64) -> Option<Role> {
        let (ratio, blocks) = (self.chunk_ratio(), self.payload_blocks());
        let (chunk, place) = (entry / (ratio + 1), entry % (ratio + 1));
        if place == ratio {
            return (chunk * ratio < blocks).then_some(Role::Bitmap(chunk));
        }
        let block = chunk * ratio + place;
        (block < blocks).then_some(Role::Payload(block))
    }

    /// The first payload block whose entry is at or behind a place in the BAT.
    pub(super) fn first_block_from(&self, entry: u64) -> u64 {
        let ratio = self.chunk_ratio();
        entry / (ratio + 1) * ratio + (entry % (ratio + 1)).min(ratio)
    }

    /// The part of the virtual disk that a payload block holds.
    pub(super) fn block_range(&self, block: u64) -> ByteRange {
        let start = block * self.block();
        ByteRange::new(start, (start + self.block()).min(self.capacity))
    }
}

/// What an entry of the BAT is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The payload block of that number.
    Payload(u64),
    /// The sector bitmap block of that chunk.
    Bitmap(u64),
}

/// What the metadata region says.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    pub geometry: Geometry,
    pub disk_id: DiskId,
    pub locator: Option<ParentLocator>,
    /// Items this version does not know; optional ones only.
    pub unknown: Vec<(Uuid, u32)>,
}

/// Items by GUID, system items only.
struct Items<'a> {
    name: &'a str,
    bytes: BTreeMap<Uuid, Vec<u8>>,
}

impl Metadata {
    /// Reads and checks the region.
    pub(super) fn read(file: &dyn FileIo, region: ByteRange) -> Result<Self> {
        let entries = read_table(file, region)?;
        let mut items = Items { name: file.name(), bytes: BTreeMap::new() };
        let mut unknown = Vec::new();
        for entry in &entries {
            let id = Uuid::from(entry.item_id);
            let flags = entry.flags.get();
            match id {
                _ if flags & ITEM_IS_USER != 0 => unknown.push((id, entry.length.get())),
                guid::INCOMPLETE => return Err(Error::Incomplete { file: file.name().to_owned() }),
                guid::FILE_PARAMETERS
                | guid::VIRTUAL_DISK_SIZE
                | guid::VIRTUAL_DISK_ID
                | guid::LOGICAL_SECTOR
                | guid::PHYSICAL_SECTOR
                | guid::PARENT_LOCATOR => {
                    items.bytes.insert(id, read_item(file, region, entry)?);
                }
                guid::CHS | guid::PMEM_LABELS => {}
                _ if flags & ITEM_IS_REQUIRED != 0 => {
                    return Err(Error::unsupported(file.name(), format!("the required metadata item {id}")));
                }
                _ => unknown.push((id, entry.length.get())),
            }
        }
        items.interpret(unknown)
    }
}

impl Items<'_> {
    fn interpret(&self, unknown: Vec<(Uuid, u32)>) -> Result<Metadata> {
        let parameters: FileParameters = self.fixed(guid::FILE_PARAMETERS, "file parameters")?;
        let capacity: U64 = self.fixed(guid::VIRTUAL_DISK_SIZE, "disk size")?;
        let logical: U32 = self.fixed(guid::LOGICAL_SECTOR, "logical sector size")?;
        let physical: U32 = self.fixed(guid::PHYSICAL_SECTOR, "physical sector size")?;
        let disk_id: Guid = self.fixed(guid::VIRTUAL_DISK_ID, "disk id")?;
        let flags = parameters.flags.get();
        let has_parent = flags & HAS_PARENT != 0;
        let geometry = Geometry {
            capacity: capacity.get(),
            block_bytes: parameters.block_size.get(),
            logical_sector: logical.get(),
            physical_sector: physical.get(),
            has_parent,
            leave_blocks_allocated: flags & LEAVE_BLOCKS_ALLOCATED != 0 && !has_parent,
        };
        geometry.check().map_err(|what| Error::damaged(self.name, what))?;
        let locator = if has_parent {
            let bytes = self.item(guid::PARENT_LOCATOR, "parent locator")?;
            Some(ParentLocator::parse(bytes).map_err(|what| Error::damaged(self.name, what))?)
        } else {
            None
        };
        Ok(Metadata { geometry, disk_id: DiskId::new(disk_id.into()), locator, unknown })
    }

    fn item(&self, id: Uuid, what: &str) -> Result<&[u8]> {
        let missing = || Error::damaged(self.name, format!("its metadata has no {what}"));
        Ok(self.bytes.get(&id).ok_or_else(missing)?)
    }

    fn fixed<T: FromBytes>(&self, id: Uuid, what: &str) -> Result<T> {
        let bytes = self.item(id, what)?;
        T::read_from_bytes(bytes)
            .map_err(|_| Error::damaged(self.name, format!("its {what} has {} bytes", bytes.len())))
    }
}

/// The entries of the metadata table, checked against each other and the region.
pub(super) fn read_table(file: &dyn FileIo, region: ByteRange) -> Result<Vec<MetadataEntry>> {
    let mut table = vec![0; TABLE_BYTES];
    file.read_at(region.start, &mut table)
        .map_err(|error| Error::io(file.name(), "read the metadata of", error))?;
    let damaged = |what: &str| Error::damaged(file.name(), format!("its metadata table {what}"));
    let (header, mut rest) =
        MetadataTableHeader::read_from_prefix(&table).map_err(|_| damaged("cannot be read"))?;
    let count = usize::from(header.entry_count.get());
    if header.signature != *b"metadata" || count > TABLE_ENTRIES_MAX {
        return Err(damaged("has a wrong signature or too many entries"));
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (entry, after) = MetadataEntry::read_from_prefix(rest).map_err(|_| damaged("cannot be read"))?;
        entries.push(entry);
        rest = after;
    }
    check_entries(&entries, region).map_err(|what| damaged(&what))?;
    Ok(entries)
}

/// Bounds, uniqueness and disjointness of the items.
fn check_entries(entries: &[MetadataEntry], region: ByteRange) -> Result<(), String> {
    let mut ids: Vec<_> =
        entries.iter().map(|entry| (Uuid::from(entry.item_id), entry.flags.get() & ITEM_IS_USER)).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("names item {} twice", twice[0].0));
    }
    let mut places = Vec::with_capacity(entries.len());
    for entry in entries {
        let (offset, length) = (entry.offset.get(), entry.length.get());
        let flags = entry.flags.get();
        let end = u64::from(offset) + u64::from(length);
        let empty = offset == 0 && length == 0;
        let inside = offset as usize >= TABLE_BYTES && length > 0 && end <= region.len();
        let user_and_required = flags & ITEM_IS_USER != 0 && flags & ITEM_IS_REQUIRED != 0;
        if !(empty || inside) || length > ITEM_BYTES_MAX || user_and_required {
            return Err(format!("has an item {} that cannot be", Uuid::from(entry.item_id)));
        }
        if !empty {
            places.push(ByteRange::new(offset.into(), end));
        }
    }
    places.sort_unstable();
    match places.windows(2).find(|pair| pair[0].end > pair[1].start) {
        Some(pair) => Err(format!("has two items that share the bytes at {}", pair[1].start)),
        None => Ok(()),
    }
}

fn read_item(file: &dyn FileIo, region: ByteRange, entry: &MetadataEntry) -> Result<Vec<u8>> {
    let mut bytes = vec![0; index(entry.length.get().into())];
    file.read_at(region.start + u64::from(entry.offset.get()), &mut bytes)
        .map_err(|error| Error::io(file.name(), "read the metadata of", error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // case 33
    #[test]
    fn payload_and_bitmap_entries_interleave_after_each_chunk() {
        const GIB: u64 = 1 << 30;
        for (logical_sector, chunk) in [(512, 4 * GIB), (4096, 32 * GIB)] {
            for block_bytes in [1 << 20, 2 << 20, 32 << 20, 256 << 20] {
                for chunks in [1, 2, 3, 100] {
                    for capacity in [chunks * chunk - 4096, chunks * chunk, chunks * chunk + 4096] {
                        let geometry = Geometry {
                            capacity,
                            block_bytes,
                            logical_sector,
                            physical_sector: 4096,
                            has_parent: true,
                            leave_blocks_allocated: false,
                        };
                        check_interleave(geometry, chunk);
                    }
                }
            }
        }
    }

    fn check_interleave(geometry: Geometry, chunk: u64) {
        let (blocks, ratio) = (geometry.capacity.div_ceil(geometry.block()), chunk / geometry.block());
        let alone = Geometry { has_parent: false, ..geometry };
        assert_eq!(geometry.chunk_ratio(), ratio);
        assert_eq!(alone.bat_entries(), blocks + (blocks - 1) / ratio);
        assert_eq!(geometry.bat_entries(), blocks.div_ceil(ratio) * (ratio + 1));
        for block in
            [0, 1, ratio - 1, ratio, ratio + 1, blocks - 1].into_iter().filter(|block| *block < blocks)
        {
            let entry = block + block / ratio;
            assert_eq!(geometry.payload_entry(block), entry);
            assert_eq!(geometry.role_of(entry), Some(Role::Payload(block)));
            assert_eq!(geometry.first_block_from(entry), block);
        }
        let bitmap = geometry.bitmap_entry(0);
        assert_eq!((bitmap, geometry.role_of(bitmap)), (ratio, Some(Role::Bitmap(0))));
        assert_eq!(geometry.first_block_from(bitmap), ratio, "the block behind the bitmap entry");
        assert_eq!(geometry.role_of(geometry.payload_entry(blocks)), None, "behind the last block");
    }
}
