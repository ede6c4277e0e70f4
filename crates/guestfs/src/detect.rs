//! What lies on a volume, by its signatures.
//!
//! Containers come before file systems, since a member of a mirror looks like the file system inside it, and
//! what is at the end of a volume (RAID of Linux) before what is at its start. A signature alone is not believed
//! where its format has more to check. Sources: the kernel's headers for each format, [MS-FSCC], libblkid's manual.

use std::io;

use crate::content::Content;
use crate::number::{bytes, index};
use crate::source::Source;

/// Bytes read from the start of a volume: the signature of btrfs at 64 KiB is the last one.
const HEAD_BYTES: u64 = 72 * 1024;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) content: Content,
    /// The kind more exactly.
    pub(crate) detail: String,
}

impl Found {
    fn new(content: Content, detail: impl Into<String>) -> Self {
        Self { content, detail: detail.into() }
    }
}

/// The start of a volume, zeros beyond its end.
struct Head(Vec<u8>);

/// Looks at a volume.
pub(crate) fn detect(source: &dyn Source) -> io::Result<Found> {
    let length = source.len().min(HEAD_BYTES);
    let mut head = vec![0; index(HEAD_BYTES)];
    source.read_at(0, &mut head[..index(length)])?;
    let head = Head(head);
    Ok(linux_raid(source, &head)
        .or_else(|| encrypted(&head))
        .or_else(|| lvm(&head))
        .or_else(|| swap(&head))
        .or_else(|| windows(&head))
        .or_else(|| linux(&head))
        .or_else(|| fat(&head))
        .or_else(|| others(&head))
        .unwrap_or_else(|| nothing(&head)))
}

impl Head {
    /// Whether `magic` stands at `offset`.
    fn has(&self, offset: usize, magic: &[u8]) -> bool {
        self.0.get(offset..offset + magic.len()).is_some_and(|found| found == magic)
    }

    fn byte(&self, offset: usize) -> u8 {
        self.0.get(offset).copied().unwrap_or_default()
    }

    fn u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.byte(offset), self.byte(offset + 1)])
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from(self.u16(offset)) | u32::from(self.u16(offset + 2)) << 16
    }
}

/// Bytes 0xA0 or 0x1A8 of the first sector: 4967D63B-2E29-4AD8-8399-F6A339E3D001 as Windows writes GUIDs.
const BITLOCKER_ID: [u8; 16] =
    [0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01];

fn encrypted(head: &Head) -> Option<Found> {
    if head.has(3, b"-FVE-FS-") || head.has(0xa0, &BITLOCKER_ID) {
        return Some(Found::new(Content::BitLocker, "BitLocker"));
    }
    if head.has(0x1a8, &BITLOCKER_ID) {
        return Some(Found::new(Content::BitLocker, "BitLocker To Go"));
    }
    // Version 1 and 2 share the magic; the version is big-endian.
    let version = u16::from_be_bytes([head.byte(6), head.byte(7)]);
    (head.has(0, b"LUKS\xba\xbe") && (1..=2).contains(&version))
        .then(|| Found::new(Content::Luks, format!("LUKS{version}")))
}

/// The label of a physical volume is in one of the first four sectors of 512 bytes.
fn lvm(head: &Head) -> Option<Found> {
    (0..4)
        .any(|sector| head.has(sector * 512, b"LABELONE") && head.has(sector * 512 + 24, b"LVM2 001"))
        .then(|| Found::new(Content::LvmMember, "LVM2 physical volume"))
}

/// Magic number of a superblock of Linux RAID (`md_p.h`).
const MD_MAGIC: u32 = 0xa92b_4efc;

/// Version 1.1 at the start, 1.2 at 4 KiB, 1.0 and 0.90 near the end. An end that cannot be read has no superblock.
fn linux_raid(source: &dyn Source, head: &Head) -> Option<Found> {
    let found = |version: &str| Some(Found::new(Content::MdRaid, format!("Linux RAID {version} member")));
    for (at, version) in [(0, "1.1"), (4096, "1.2")] {
        if head.u32(at) == MD_MAGIC && head.u32(at + 4) == 1 {
            return found(version);
        }
    }
    let size = source.len();
    let words_at = |at: u64| {
        let mut words = [0; 8];
        source.read_at(at, &mut words).ok().map(|()| words)
    };
    // 8 KiB from the end, down to a multiple of 4 KiB.
    let new = size.checked_sub(8192).and_then(|at| words_at(at - at % 4096));
    if new.is_some_and(|words| is_md(words, 1)) {
        return found("1.0");
    }
    // The last whole 64 KiB, in the byte order of the machine that wrote it.
    let mut old = (size - size % 65536).checked_sub(65536).and_then(words_at)?;
    let little = is_md(old, 0);
    old.chunks_mut(4).for_each(<[u8]>::reverse);
    if little || is_md(old, 0) { found("0.90") } else { None }
}

fn is_md(words: [u8; 8], version: u32) -> bool {
    let head = Head(words.to_vec());
    head.u32(0) == MD_MAGIC && head.u32(4) == version
}

/// The magic ends the first page, whose size is the one of the guest's processor.
fn swap(head: &Head) -> Option<Found> {
    [4u64, 8, 16, 64].into_iter().find_map(|kib| {
        let at = index(kib) * 1024 - 10;
        let is_swap = head.has(at, b"SWAPSPACE2") || head.has(at, b"SWAP-SPACE");
        is_swap.then(|| Found::new(Content::LinuxSwap, format!("Linux swap, pages of {kib} KiB")))
    })
}

fn windows(head: &Head) -> Option<Found> {
    if head.has(3, b"NTFS    ") {
        Some(Found::new(Content::Ntfs, "NTFS"))
    } else if head.has(3, b"EXFAT   ") {
        Some(Found::new(Content::ExFat, "exFAT"))
    } else if head.has(3, b"ReFS\0\0\0\0") && head.has(16, b"FSRS") {
        let version = format!("ReFS {}.{}", head.byte(40), head.byte(41));
        Some(Found::new(Content::Refs, version))
    } else {
        None
    }
}

fn linux(head: &Head) -> Option<Found> {
    if head.has(0, b"XFSB") {
        return Some(Found::new(Content::Xfs, "XFS"));
    }
    if head.has(0x10040, b"_BHRfS_M") {
        return Some(Found::new(Content::Btrfs, "btrfs"));
    }
    if head.u16(0x438) != 0xef53 || head.u32(0x404) == 0 {
        return None;
    }
    // Feature words of the superblock; extents, 64-bit and flexible groups came with ext4, the journal with ext3.
    let (compatible, incompatible) = (head.u32(0x45c), head.u32(0x460));
    let name = if incompatible & 0x8 != 0 {
        return Some(Found::new(Content::Other, "external journal of ext"));
    } else if incompatible & 0x2c0 != 0 {
        "ext4"
    } else if compatible & 0x4 != 0 {
        "ext3"
    } else {
        "ext2"
    };
    Some(Found::new(Content::Ext, name))
}

/// A boot sector that makes sense as FAT; its kind follows from the number of clusters (FAT specification 1.03).
fn fat(head: &Head) -> Option<Found> {
    let sector = u32::from(head.u16(11));
    let cluster = u32::from(head.byte(13));
    let (reserved, copies, root_entries) =
        (u32::from(head.u16(14)), u32::from(head.byte(16)), u32::from(head.u16(17)));
    let jumps = (head.byte(0) == 0xeb && head.byte(2) == 0x90) || head.byte(0) == 0xe9;
    let makes_sense = jumps
        && head.has(510, &[0x55, 0xaa])
        && matches!(sector, 512 | 1024 | 2048 | 4096)
        && cluster.is_power_of_two()
        && reserved > 0
        && matches!(copies, 1 | 2)
        && (head.byte(21) == 0xf0 || head.byte(21) >= 0xf8);
    if !makes_sense {
        return None;
    }
    let either = |small: u16, large: u32| if small == 0 { large } else { u32::from(small) };
    let table = either(head.u16(22), head.u32(36));
    let total = either(head.u16(19), head.u32(32));
    let root = (root_entries * 32).div_ceil(sector);
    let overhead = copies.checked_mul(table)?.checked_add(reserved)?.checked_add(root)?;
    let clusters = total.checked_sub(overhead)? / cluster;
    let name = match clusters {
        0 => return None,
        _ if root_entries == 0 => "FAT32",
        1..4085 => "FAT12",
        _ => "FAT16",
    };
    Some(Found::new(Content::Fat, name))
}

/// Offset, magic, and what it means. Only recognised, so that an operator is told what it is.
const OTHERS: [(usize, &[u8], Content, &str); 12] = [
    (0x8001, b"CD001", Content::Optical, "ISO 9660"),
    (0x8001, b"BEA01", Content::Optical, "UDF"),
    (0x9001, b"BEA01", Content::Optical, "UDF"),
    (0x400, &[0x10, 0x20, 0xf5, 0xf2], Content::Other, "F2FS"),
    (0x400, b"H+\0\x04", Content::Other, "HFS+"),
    (0x20, b"NXSB", Content::Other, "APFS"),
    (0x8000, b"JFS1", Content::Other, "JFS"),
    (0x10034, b"ReIsErFs", Content::Other, "ReiserFS"),
    (0x10034, b"ReIsEr2Fs", Content::Other, "ReiserFS"),
    (0x10034, b"ReIsEr3Fs", Content::Other, "ReiserFS"),
    (0, b"hsqs", Content::Other, "SquashFS"),
    (0x1018, &[0xf6, 0x73, 0xc6, 0x85, 0xf0, 0x4e, 0x05, 0xc9], Content::Other, "bcachefs or bcache"),
];

fn others(head: &Head) -> Option<Found> {
    let (.., content, name) = OTHERS.iter().find(|(at, magic, ..)| head.has(*at, magic))?;
    Some(Found::new(*content, *name))
}

fn nothing(head: &Head) -> Found {
    let content = if head.0.iter().all(|&byte| byte == 0) { Content::Empty } else { Content::Unknown };
    debug_assert_eq!(bytes(head.0.len()), HEAD_BYTES);
    Found::new(content, content.to_string())
}

#[cfg(test)]
#[path = "detect_tests.rs"]
mod tests;
