//! $REPARSE_POINT: links, and files whose content another part of Windows provides.
//!
//! A link shows its target. A file whose data stream is not what the guest reads — compressed system
//! files (WOF), deduplicated files, files moved to other storage — is refused when read, with the
//! tag's name, because its stream would give zeros. Source: [MS-FSCC] 2.1.2 and Microsoft's ntifs.h.
//!
//! [MS-FSCC]: https://learn.microsoft.com/openspecs/windows_protocols/ms-fscc/

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::fault::{Fault, Outcome, part, view};
use crate::name::Name;
use crate::tree::NodeKind;

/// Junctions and mounted volumes.
const MOUNT_POINT: u32 = 0xA000_0003;
/// Symbolic links of Windows.
const SYMLINK: u32 = 0xA000_000C;
/// Symbolic links of the Windows Subsystem for Linux.
const LX_SYMLINK: u32 = 0xA000_001D;
/// Compressed by the Windows overlay filter: CompactOS and `compact /exe`.
const WOF: u32 = 0x8000_0017;
/// Deduplicated by Windows Server.
const DEDUP: u32 = 0x8000_0013;
/// Cloud files; bits 12 to 15 tell the provider's state.
const CLOUD: u32 = 0x9000_001A;
/// The bits of a cloud tag that differ.
const CLOUD_VARIANT: u32 = 0x0000_F000;
/// Bit of tags that stand for another object of the namespace.
const NAME_SURROGATE: u32 = 0x2000_0000;
/// `FILE_ATTRIBUTE_OFFLINE`, `_RECALL_ON_OPEN` and `_RECALL_ON_DATA_ACCESS`: the content is elsewhere.
const ELSEWHERE: u32 = 0x0000_1000 | 0x0004_0000 | 0x0040_0000;

/// Tags with a name; the flag says that the stream of such a file is what the guest reads.
const TAGS: &[(u32, &str, bool)] = &[
    (MOUNT_POINT, "IO_REPARSE_TAG_MOUNT_POINT", true),
    (SYMLINK, "IO_REPARSE_TAG_SYMLINK", true),
    (LX_SYMLINK, "IO_REPARSE_TAG_LX_SYMLINK", true),
    (0x8000_0023, "IO_REPARSE_TAG_AF_UNIX", true),
    (0x8000_0024, "IO_REPARSE_TAG_LX_FIFO", true),
    (0x8000_0025, "IO_REPARSE_TAG_LX_CHR", true),
    (0x8000_0026, "IO_REPARSE_TAG_LX_BLK", true),
    (0x8000_001B, "IO_REPARSE_TAG_APPEXECLINK", true),
    (0x8000_0014, "IO_REPARSE_TAG_NFS", true),
    (0x8000_000A, "IO_REPARSE_TAG_DFS", true),
    (0x8000_0012, "IO_REPARSE_TAG_DFSR", true),
    (0xA000_0019, "IO_REPARSE_TAG_GLOBAL_REPARSE", true),
    (0x8000_0021, "IO_REPARSE_TAG_ONEDRIVE", false),
    (WOF, "IO_REPARSE_TAG_WOF", false),
    (DEDUP, "IO_REPARSE_TAG_DEDUP", false),
    (0xC000_0004, "IO_REPARSE_TAG_HSM", false),
    (0x8000_0006, "IO_REPARSE_TAG_HSM2", false),
    (0x8000_0007, "IO_REPARSE_TAG_SIS", false),
    (0x8000_0008, "IO_REPARSE_TAG_WIM", false),
    (0x8000_0018, "IO_REPARSE_TAG_WCI", false),
    (0xA000_0027, "IO_REPARSE_TAG_WCI_LINK", false),
    (0x8000_0015, "IO_REPARSE_TAG_FILE_PLACEHOLDER", false),
    (0x8000_001E, "IO_REPARSE_TAG_STORAGE_SYNC", false),
    (0x9000_001C, "IO_REPARSE_TAG_PROJFS", false),
];

/// What every reparse point begins with.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    tag: U32,
    data_bytes: U16,
    reserved: U16,
}
const _: () = assert!(size_of::<Header>() == 8);

/// What the data of a link begins with; a symbolic link has flags before the names.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct LinkNames {
    substitute_offset: U16,
    substitute_bytes: U16,
    print_offset: U16,
    print_bytes: U16,
}
const _: () = assert!(size_of::<LinkNames>() == 8);

/// A reparse point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reparse {
    tag: u32,
    /// Where a link leads: the name shown to people where there is one.
    pub target: Option<Name>,
}

impl Reparse {
    /// Reads the value of a $REPARSE_POINT.
    pub(super) fn parse(value: &[u8]) -> Outcome<Self> {
        let header: &Header = view(value, 0, "a reparse point")?;
        let length = usize::from(header.data_bytes.get());
        let tag = header.tag.get();
        let target = match tag {
            MOUNT_POINT | SYMLINK | LX_SYMLINK => {
                Some(target(tag, part(value, size_of::<Header>(), length, "the data of a reparse point")?)?)
            }
            _ => None,
        };
        Ok(Self { tag, target })
    }

    /// What a node with this reparse point is, when it is more than a file or folder.
    pub(super) fn kind(&self) -> Option<NodeKind> {
        match self.tag {
            MOUNT_POINT | SYMLINK | LX_SYMLINK => Some(NodeKind::Link),
            WOF | DEDUP => None,
            0x8000_0023..=0x8000_0026 | 0x8000_001B => Some(NodeKind::Special),
            tag if tag & NAME_SURROGATE != 0 => Some(NodeKind::Special),
            _ => None,
        }
    }

    /// The tag's name, or its number where Microsoft publishes none.
    pub(super) fn tag_name(&self) -> String {
        match TAGS.iter().find(|(tag, _, _)| *tag == self.tag) {
            Some((_, name, _)) => (*name).to_owned(),
            None if self.is_cloud() => "IO_REPARSE_TAG_CLOUD".to_owned(),
            None => format!("{:#010x}", self.tag),
        }
    }

    /// Refuses to read the stream of a file whose content is not in it.
    pub(super) fn refuse_unreadable(&self, attributes: u32) -> Outcome<()> {
        let name = self.tag_name();
        let text = match self.tag {
            WOF => format!(
                "the file is compressed by Windows ({name}), and only Windows unpacks it: \
                 copy it in the guest, or run `compact /u /exe` on it there"
            ),
            DEDUP => format!(
                "the file is deduplicated by Windows Server ({name}): its content lies in the chunk store, \
                 and only a server with Data Deduplication puts it together"
            ),
            tag if TAGS.iter().any(|(known, _, plain)| *known == tag && *plain) => return Ok(()),
            _ if self.is_cloud() && attributes & ELSEWHERE == 0 => return Ok(()),
            _ if self.is_cloud() => {
                format!("the file's content is kept by a cloud provider ({name}), not on this disk")
            }
            _ => format!(
                "the file's content is provided by what wrote its reparse point ({name}), which must read it"
            ),
        };
        Err(Fault::Unsupported(text))
    }

    /// Whether it is a file of a cloud provider.
    const fn is_cloud(&self) -> bool {
        self.tag & !CLOUD_VARIANT == CLOUD
    }
}

/// Where a link leads.
fn target(tag: u32, data: &[u8]) -> Outcome<Name> {
    if tag == LX_SYMLINK {
        // Four bytes of version, then the target in UTF-8.
        return Ok(Name::from_bytes(part(data, 4, data.len().saturating_sub(4), "a link's target")?));
    }
    let names: &LinkNames = view(data, 0, "a link's names")?;
    let start = size_of::<LinkNames>() + if tag == SYMLINK { 4 } else { 0 };
    let (offset, length) = match names.print_bytes.get() {
        0 => (names.substitute_offset.get(), names.substitute_bytes.get()),
        shown => (names.print_offset.get(), shown),
    };
    Ok(Name::from_utf16_le(part(data, start + usize::from(offset), usize::from(length), "a link's target")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reparse point with this tag and data.
    fn point(tag: u32, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [&tag.to_le_bytes()[..], &length.to_le_bytes(), &[0, 0], data].concat()
    }

    #[test]
    fn a_junction_shows_its_printed_name_and_else_the_substitute() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let both = [&[0, 0, 8, 0, 10, 0, 4, 0][..], &utf16("\\??\\"), &[0, 0], &utf16("D:")].concat();
        let shown = Reparse::parse(&point(MOUNT_POINT, &both)).unwrap();
        assert_eq!(shown.target, Some(Name::from_utf16_le(&utf16("D:"))));

        let one = [&[0, 0, 8, 0, 0, 0, 0, 0][..], &utf16("\\??\\")].concat();
        let kept = Reparse::parse(&point(MOUNT_POINT, &one)).unwrap();
        assert_eq!(kept.target, Some(Name::from_utf16_le(&utf16("\\??\\"))));
    }

    #[test]
    fn a_link_that_points_outside_its_data_is_refused() {
        assert!(Reparse::parse(&point(SYMLINK, &[0, 0, 8, 0, 0xF0, 0xFF, 8, 0, 0, 0, 0, 0])).is_err());
    }

    #[test]
    fn files_whose_content_is_elsewhere_are_refused_by_name() {
        for (tag, words) in
            [(WOF, "compact"), (DEDUP, "chunk store"), (0x8000_7777, "0x80007777"), (0x9000_101A, "cloud")]
        {
            let reparse = Reparse::parse(&point(tag, &[])).unwrap();
            let Err(Fault::Unsupported(text)) = reparse.refuse_unreadable(0x0040_0000) else {
                panic!("{tag:#x}")
            };
            assert!(text.contains(words), "{text}");
        }
        assert!(
            Reparse::parse(&point(0x9000_101A, &[])).unwrap().refuse_unreadable(0).is_ok(),
            "cloud file kept here"
        );
    }
}
