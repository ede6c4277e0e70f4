//! A folder's index of names: a tree of sorted nodes.
//!
//! The top node stands in the record ($INDEX_ROOT), the others in blocks of $INDEX_ALLOCATION, each
//! with its own update sequence and number. A block is used only if it is whole, has the number it
//! was asked for, and $BITMAP says that it is in use; it is used once in a walk, and the depth is
//! bounded, so a damaged tree ends in an error and never in a circle or in old names. Source:
//! Microsoft's INDEX_ROOT and INDEX_ALLOCATION_BUFFER, linux-ntfs documentation (Index).

use std::collections::HashSet;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::attribute::code;
use super::fault::{Fault, Outcome, part, view};
use super::file::File;
use super::fixup;
use super::medium::{Medium, PieceCache};
use super::name::{FileName, UpCase, units};
use super::record::Reference;
use super::stream::Stream;
use crate::number::index;

/// Name of the attributes of a folder's index: `$I30`.
const NAME: &[u8] = b"$\0I\x003\x000\0";
/// Nodes from the top to a leaf: with a dozen names a node, ten levels hold more than any volume.
const DEPTH_MAX: usize = 16;
/// Blocks of an index: 16 GiB of names, which bounds the memory of its bitmap to 512 KiB.
const BLOCKS_MAX: u64 = 4 << 20;
/// Unit of block numbers where a cluster is larger than a block.
const SMALL_BLOCK_UNIT: u64 = 512;
/// Flag of an entry: a node lies below it.
const HAS_NODE: u16 = 1;
/// Flag of an entry: the last one of its node, without a name.
const LAST: u16 = 2;

/// The value of $INDEX_ROOT, before the node.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Root {
    indexed_code: U32,
    collation: U32,
    block_bytes: U32,
    clusters_per_block: u8,
    reserved: [u8; 3],
}
const _: () = assert!(size_of::<Root>() == 16);

/// What a block begins with, before the node.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Block {
    signature: [u8; 4],
    fixup_offset: U16,
    fixup_count: U16,
    log_sequence: U64,
    vcn: U64,
}
const _: () = assert!(size_of::<Block>() == 24);

/// What a node begins with; offsets count from here.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Node {
    entries_offset: U32,
    used_bytes: U32,
    allocated_bytes: U32,
    flags: u8,
    reserved: [u8; 3],
}
const _: () = assert!(size_of::<Node>() == 16);

/// What an entry begins with; the key follows, and the number of the node below ends it.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    file: U64,
    length: U16,
    key_length: U16,
    flags: U16,
    reserved: U16,
}
const _: () = assert!(size_of::<Header>() == 16);

/// An entry of a node.
struct Entry<'a> {
    file: Reference,
    /// The name; none in the last entry.
    key: Option<FileName<'a>>,
    /// Number of the node with the names before this one.
    below: Option<u64>,
    length: usize,
}

/// A folder's index.
pub(super) struct Index<'m> {
    medium: &'m Medium,
    folder: Reference,
    root: Vec<u8>,
    block_bytes: u64,
    blocks: Option<Stream>,
    bitmap: Vec<u8>,
    cache: PieceCache,
}

/// A node on the way of a walk.
struct Step {
    bytes: Vec<u8>,
    offset: usize,
    /// Whether what lies below the entry at `offset` was already visited.
    descended: bool,
}

impl<'m> Index<'m> {
    /// The index of a folder.
    pub(super) fn open(medium: &'m Medium, file: &File<'m>) -> Outcome<Self> {
        let root = file
            .stream(code::INDEX_ROOT, NAME)?
            .ok_or_else(|| {
                Fault::damaged(format!("record {} of the $MFT has no index", file.reference().number()))
            })?
            .read_all(medium, medium.geometry.record_bytes, "an index root")?;
        let block_bytes = u64::from(view::<Root>(&root, 0, "an index root")?.block_bytes.get());
        if !block_bytes.is_power_of_two() || !(512..=64 << 10).contains(&block_bytes) {
            return Err(Fault::damaged(format!("an index has blocks of {block_bytes} bytes")));
        }
        let blocks = file.stream(code::INDEX_ALLOCATION, NAME)?;
        let count = blocks.as_ref().map_or(0, |stream| stream.size / block_bytes);
        let bitmap = match file.stream(code::BITMAP, NAME)? {
            Some(bitmap) if count > 0 => bitmap.read_all(medium, BLOCKS_MAX / 8, "the bitmap of an index")?,
            _ => Vec::new(),
        };
        let folder = file.reference();
        Ok(Self { medium, folder, root, block_bytes, blocks, bitmap, cache: PieceCache::default() })
    }

    /// Calls `each` with every name in order.
    pub(super) fn walk(&self, mut each: impl FnMut(Reference, &FileName<'_>) -> Outcome<()>) -> Outcome<()> {
        let mut seen = HashSet::new();
        let mut way = vec![self.top()?];
        while let Some(step) = way.last_mut() {
            let entry = self.entry(&step.bytes, step.offset)?;
            if let Some(number) = entry.below.filter(|_| !step.descended) {
                step.descended = true;
                if way.len() > DEPTH_MAX || !seen.insert(number) {
                    return Err(self.broken("leads in a circle"));
                }
                way.push(self.node(number)?);
                continue;
            }
            match entry.key {
                Some(key) => {
                    each(entry.file, &key)?;
                    step.offset += entry.length;
                    step.descended = false;
                }
                None => {
                    way.pop();
                }
            }
        }
        Ok(())
    }

    /// The files that a name may mean: the one of exactly that name, or else all whose upper case is
    /// the same. Names that are equal but for case stand side by side, so they lie on the way down.
    pub(super) fn find(&self, name: &[u16], upcase: &UpCase) -> Outcome<Vec<Reference>> {
        let mut fitting = Vec::new();
        let mut step = self.top()?;
        for _ in 0..DEPTH_MAX {
            let below = loop {
                let entry = self.entry(&step.bytes, step.offset)?;
                let Some(key) = entry.key else { break entry.below };
                let held: Vec<u16> = units(key.name).collect();
                match upcase.order(&held, name) {
                    std::cmp::Ordering::Equal => return Ok(vec![entry.file]),
                    order => {
                        if upcase.same(&held, name) {
                            fitting.push(entry.file);
                        }
                        if order == std::cmp::Ordering::Greater {
                            break entry.below;
                        }
                    }
                }
                step.offset += entry.length;
            };
            match below {
                Some(number) => step = self.node(number)?,
                None => return Ok(fitting),
            }
        }
        Err(self.broken("leads in a circle"))
    }

    /// The node in the record.
    fn top(&self) -> Outcome<Step> {
        self.step(self.root.clone(), size_of::<Root>())
    }

    /// The node of a block.
    fn node(&self, number: u64) -> Outcome<Step> {
        let unit = match self.medium.geometry.cluster_bytes {
            cluster_bytes if cluster_bytes <= self.block_bytes => cluster_bytes,
            _ => SMALL_BLOCK_UNIT,
        };
        let offset = number.checked_mul(unit).filter(|offset| offset.is_multiple_of(self.block_bytes));
        let (Some(offset), Some(stream)) = (offset, &self.blocks) else {
            return Err(self.broken(&format!("has no block {number}")));
        };
        let block = offset / self.block_bytes;
        let used = usize::try_from(block / 8).ok().and_then(|byte| self.bitmap.get(byte));
        if used.is_none_or(|byte| byte & (1 << (block % 8)) == 0) {
            return Err(self.broken(&format!("leads to block {block}, which its bitmap says is not in use")));
        }
        let mut bytes = vec![0; index(self.block_bytes)];
        if self.cache.read(self.medium, stream, offset, &mut bytes)? < bytes.len() {
            return Err(self.broken(&format!("has no block {block}")));
        }
        fixup::restore(&mut bytes, *b"INDX").map_err(|fault| fault.inside(&self.place(block)))?;
        let held: &Block = view(&bytes, 0, "an index block")?;
        if held.vcn.get() != number {
            return Err(self.broken(&format!("has block {} where {number} belongs", held.vcn.get())));
        }
        self.step(bytes, size_of::<Block>())
    }

    /// A node that begins at `start` of `bytes`, cut to the part in use.
    fn step(&self, mut bytes: Vec<u8>, start: usize) -> Outcome<Step> {
        let node: &Node = view(&bytes, start, "a node")?;
        let (first, used) = (node.entries_offset.get() as usize, node.used_bytes.get() as usize);
        if first < size_of::<Node>() || first > used || used > bytes.len() - start {
            return Err(self.broken(&format!("has a node that says {used} bytes of it are in use")));
        }
        bytes.truncate(start + used);
        Ok(Step { bytes, offset: start + first, descended: false })
    }

    /// The entry at `offset` of a node.
    fn entry<'a>(&self, node: &'a [u8], offset: usize) -> Outcome<Entry<'a>> {
        let header: &Header = view(node, offset, "an index entry")?;
        let (length, flags) = (usize::from(header.length.get()), header.flags.get());
        let ends = size_of::<Header>() + if flags & HAS_NODE == 0 { 0 } else { 8 };
        if length < ends || !length.is_multiple_of(8) {
            return Err(self.broken(&format!("has an entry of {length} bytes")));
        }
        let whole = part(node, offset, length, "an index entry")?;
        let below = match flags & HAS_NODE {
            0 => None,
            _ => Some(view::<U64>(whole, length - 8, "an index entry")?.get()),
        };
        let key = if flags & LAST == 0 {
            let room = &whole[..length - (ends - size_of::<Header>())];
            let key = part(room, size_of::<Header>(), usize::from(header.key_length.get()), "an index key")?;
            let name = FileName::parse(key)?;
            if name.parent.number() != self.folder.number() {
                return Err(self.broken(&format!("holds a name of folder {}", name.parent.number())));
            }
            Some(name)
        } else {
            None
        };
        Ok(Entry { file: Reference(header.file.get()), key, below, length })
    }

    /// How a fault names a block.
    fn place(&self, block: u64) -> String {
        format!("block {block} of the index of record {}", self.folder.number())
    }

    /// The index breaks a rule.
    fn broken(&self, what: &str) -> Fault {
        Fault::damaged(format!("the index of record {} {what}", self.folder.number()))
    }
}
