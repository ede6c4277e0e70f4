//! The one extended attribute that matters here: `system.data`, the rest of content kept inside an inode.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/attributes`: after the inode's fields stands a magic number,
//! then entries of 16 bytes and a name, whose values lie at offsets from the first entry.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::format::SMALL_INODE_BYTES;

/// `h_magic`.
const MAGIC: u32 = 0xEA02_0000;
/// `e_name_index` of names that begin with `system.`.
const SYSTEM: u8 = 7;

/// Head of an entry; the name follows.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct EntryHead {
    name_length: u8,
    name_index: u8,
    value_offset: U16,
    value_inode: U32,
    value_size: U32,
    hash: U32,
}
const _: () = assert!(size_of::<EntryHead>() == 16);

/// The value of `system.data` in an inode's bytes; empty when there is none or it does not fit into the inode.
pub(super) fn inline_data(stored: &[u8], extra_size: u16) -> &[u8] {
    find(stored, extra_size).unwrap_or_default()
}

fn find(stored: &[u8], extra_size: u16) -> Option<&[u8]> {
    let area = stored.get(SMALL_INODE_BYTES + usize::from(extra_size)..)?;
    let (magic, entries) = U32::read_from_prefix(area).ok()?;
    if magic.get() != MAGIC {
        return None;
    }
    let mut rest = entries;
    loop {
        let (head, after) = EntryHead::read_from_prefix(rest).ok()?;
        if (head.name_length, head.name_index, head.value_offset.get()) == (0, 0, 0) {
            return None;
        }
        let name = after.get(..usize::from(head.name_length))?;
        if head.name_index == SYSTEM && name == b"data" && head.value_inode.get() == 0 {
            let start = usize::from(head.value_offset.get());
            return entries.get(start..start.checked_add(usize::try_from(head.value_size.get()).ok()?)?);
        }
        rest = after.get(name.len().next_multiple_of(4)..)?;
    }
}
