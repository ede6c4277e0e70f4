//! The records of the database of dynamic disks: a head, blocks of equal size, and records of one or more blocks.
//!
//! Layout after the Linux kernel's `block/partitions/ldm.c` and the LDM documentation of the Linux-NTFS project.
//! Within a record most fields have a length before them, so a record is read from front to back.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::size_of;

use uuid::Uuid;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::header::text;

/// Blocks of one record at most.
const FRAGMENTS_MAX: u16 = 64;

/// Kernel `ldm.h`, "VMDB"; what follows the group is known from disks of Windows.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHead {
    magic: [u8; 4],
    last_sequence: U32,
    block_bytes: U32,
    first_block: U32,
    update_status: U16,
    version_major: U16,
    version_minor: U16,
    group_name: [u8; 31],
    group_id: [u8; 64],
    committed: U64,
    pending: U64,
    counts: [U32; 4],
}
const _: () = assert!(size_of::<RawHead>() == 149);

/// The head of each block, kernel `ldm.c`, `ldm_frag_add`.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawBlock {
    magic: [u8; 4],
    sequence: U32,
    group: U32,
    fragment: U16,
    fragments: U16,
}
const _: () = assert!(size_of::<RawBlock>() == 16);

/// Everything that a group of dynamic disks says about its volumes.
#[derive(Debug, Clone, Default)]
pub(super) struct Database {
    /// Number of the last change.
    pub(super) committed: u64,
    /// Whether a change was being made.
    pub(super) is_changing: bool,
    pub(super) volumes: BTreeMap<u64, VolumeRecord>,
    /// By the volume that they belong to.
    pub(super) components: BTreeMap<u64, Vec<Component>>,
    /// Two components of one identity would share their pieces, and many would make maps without end.
    component_ids: BTreeSet<u64>,
    /// By the component that they belong to.
    pub(super) partitions: BTreeMap<u64, Vec<PartitionRecord>>,
    pub(super) disks: BTreeMap<u64, DiskRecord>,
}

/// A volume.
#[derive(Debug, Clone)]
pub(super) struct VolumeRecord {
    pub(super) name: String,
    pub(super) components: u64,
    pub(super) sectors: u64,
    /// Drive letter, as a hint.
    pub(super) hint: String,
}

/// One copy of a volume.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) id: u64,
    pub(super) state: String,
    pub(super) kind: u8,
    pub(super) partitions: u64,
    /// Sectors of a stripe's unit; 0 without stripes.
    pub(super) stripe_sectors: u64,
}

/// A piece of a disk.
#[derive(Debug, Clone)]
pub(super) struct PartitionRecord {
    /// First sector, counted from the start of the disk's data.
    pub(super) start: u64,
    /// First sector in the component.
    pub(super) offset: u64,
    pub(super) sectors: u64,
    pub(super) disk: u64,
    /// Number of the column.
    pub(super) column: u64,
}

/// A disk of the group.
#[derive(Debug, Clone)]
pub(super) struct DiskRecord {
    pub(super) name: String,
    pub(super) id: Option<Uuid>,
}

/// Component that is in stripes, in pieces one behind the other, or with parity.
pub(super) const STRIPED: u8 = 1;
/// Pieces one behind the other.
pub(super) const SPANNED: u8 = 2;
/// Stripes with parity.
pub(super) const RAID5: u8 = 3;

impl Database {
    /// Parses a copy of the database; the error completes "… is damaged:".
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (head, _) = RawHead::read_from_prefix(bytes).map_err(|_| "the head of the database is cut")?;
        if &head.magic != b"VMDB" || head.version_major.get() != 4 {
            return Err("the head of the database is not one of version 4".into());
        }
        let mut database = Self {
            committed: head.committed.get(),
            is_changing: head.update_status.get() != 1 || head.committed.get() != head.pending.get(),
            ..Self::default()
        };
        for record in records(&head, bytes)? {
            database.add(&record)?;
        }
        Ok(database)
    }

    /// Files a record by its type; kernel `ldm_parse_vblk`.
    fn add(&mut self, record: &[u8]) -> Result<(), String> {
        let mut fields = Fields { bytes: record };
        let Some((flags, kind)) = fields.record_head() else { return Err("a record is cut".into()) };
        let added = match kind {
            0x51 => self.add_volume(&mut fields, flags),
            0x32 => self.add_component(&mut fields, flags),
            0x33 => self.add_partition(&mut fields, flags),
            0x34 => self.add_disk(&mut fields, false),
            0x44 => self.add_disk(&mut fields, true),
            // Groups say nothing that the private header does not; 0 is an unused record.
            0 | 0x35 | 0x45 => Some(()),
            other => return Err(format!("a record has the unknown type {other:#04x}")),
        };
        added.ok_or_else(|| format!("a record of type {kind:#04x} breaks its layout"))
    }

    /// Kernel `ldm_parse_vol5`.
    fn add_volume(&mut self, fields: &mut Fields<'_>, flags: u8) -> Option<()> {
        let id = fields.number()?;
        let name = fields.text()?;
        let _kind = fields.text()?;
        let _unknown = fields.text()?;
        // State, kind, number, flags.
        fields.skip(21)?;
        let components = fields.number()?;
        // Identity of the change, and 8 bytes of unknown use.
        fields.skip(16)?;
        let sectors = fields.number()?;
        // Zeros, the type of an MBR partition, the volume's GUID.
        fields.skip(4 + 1 + 16)?;
        for flag in [0x08, 0x20, 0x80] {
            if flags & flag != 0 {
                fields.text()?;
            }
        }
        let hint = if flags & 0x02 == 0 { String::new() } else { fields.text()? };
        self.volumes.insert(id, VolumeRecord { name, components, sectors, hint });
        Some(())
    }

    /// Kernel `ldm_parse_cmp3`.
    fn add_component(&mut self, fields: &mut Fields<'_>, flags: u8) -> Option<()> {
        let id = fields.number()?;
        let _name = fields.text()?;
        let state = fields.text()?;
        let kind = fields.byte()?;
        fields.skip(4)?;
        let partitions = fields.number()?;
        fields.skip(16)?;
        let volume = fields.number()?;
        fields.skip(1)?;
        let stripe_sectors = if flags & 0x10 == 0 { 0 } else { fields.number()? };
        if !self.component_ids.insert(id) {
            return None;
        }
        let component = Component { id, state, kind, partitions, stripe_sectors };
        self.components.entry(volume).or_default().push(component);
        Some(())
    }

    /// Kernel `ldm_parse_prt3`.
    fn add_partition(&mut self, fields: &mut Fields<'_>, flags: u8) -> Option<()> {
        let _id = fields.number()?;
        let _name = fields.text()?;
        fields.skip(12)?;
        let (start, offset) = (fields.long()?, fields.long()?);
        let sectors = fields.number()?;
        let component = fields.number()?;
        let disk = fields.number()?;
        let column = if flags & 0x08 == 0 { 0 } else { fields.number()? };
        let partition = PartitionRecord { start, offset, sectors, disk, column };
        self.partitions.entry(component).or_default().push(partition);
        Some(())
    }

    /// Kernel `ldm_parse_dsk3` and `ldm_parse_dsk4`: the identity is text in the older one.
    fn add_disk(&mut self, fields: &mut Fields<'_>, is_binary: bool) -> Option<()> {
        let id = fields.number()?;
        let name = fields.text()?;
        let disk_id = if is_binary {
            Some(Uuid::from_bytes(*fields.take(16)?.first_chunk()?))
        } else {
            Uuid::parse_str(&fields.text()?).ok()
        };
        self.disks.insert(id, DiskRecord { name, id: disk_id });
        Some(())
    }
}

/// The records, each put together from its blocks.
fn records(head: &RawHead, bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let size = usize::try_from(head.block_bytes.get()).unwrap_or(usize::MAX);
    let first = usize::try_from(head.first_block.get()).unwrap_or(usize::MAX);
    let blocks = bytes.get(first..).filter(|_| (64..=4096).contains(&size) && first >= size_of::<RawHead>());
    let blocks = blocks.ok_or("the blocks of the database have an impossible place or size")?;
    let mut parts = BTreeMap::<u32, (u16, BTreeMap<u16, &[u8]>)>::new();
    for block in blocks.chunks_exact(size) {
        let Ok((raw, body)) = RawBlock::read_from_prefix(block) else { break };
        if &raw.magic != b"VBLK" {
            break;
        }
        let (fragment, count) = (raw.fragment.get(), raw.fragments.get());
        if count == 0 {
            continue;
        }
        if fragment >= count || count > FRAGMENTS_MAX {
            return Err("a block of the database has an impossible number".into());
        }
        let (expected, fragments) = parts.entry(raw.group.get()).or_insert_with(|| (count, BTreeMap::new()));
        if *expected != count || fragments.insert(fragment, body).is_some() {
            return Err("two blocks of the database contradict each other".into());
        }
    }
    let whole = parts.values().all(|(count, fragments)| fragments.len() == usize::from(*count));
    if !whole {
        return Err("a block of the database is missing".into());
    }
    Ok(parts
        .values()
        .map(|(_, fragments)| fragments.values().copied().flatten().copied().collect())
        .collect())
}

/// The rest of a record.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Status, flags, type and length; the rest is cut to the length. Returns flags and type.
    fn record_head(&mut self) -> Option<(u8, u8)> {
        self.skip(2)?;
        let (flags, kind) = (self.byte()?, self.byte()?);
        let length = usize::try_from(u32::from_be_bytes(*self.take(4)?.first_chunk()?)).ok()?;
        if kind != 0 {
            self.bytes = self.bytes.get(..length)?;
        }
        Some((flags, kind))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn long(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A number of up to 8 bytes behind its length.
    fn number(&mut self) -> Option<u64> {
        let length = usize::from(self.byte()?);
        let bytes = self.take(length).filter(|_| length <= 8)?;
        Some(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A text behind its length.
    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        self.take(length).map(text)
    }
}
