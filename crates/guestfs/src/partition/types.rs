//! Types of partitions in the field's words.
//!
//! From the UEFI specification 5.3.3, Microsoft's list of `PARTITION_*_GUID` and the Discoverable Partitions
//! Specification. A type is a hint for people; what lies there is told by its signature, except for the few types
//! whose content is not to be taken for what it looks like.

use uuid::{Uuid, uuid};

use super::Role;
use crate::content::Content;

/// The data partition of dynamic disks.
const LDM_DATA: Uuid = uuid!("AF9B60A0-1431-4F62-BC68-3311714A69AD");
/// The metadata partition of dynamic disks.
pub(crate) const LDM_METADATA: Uuid = uuid!("5808C8AA-7E8F-42E0-85D2-E1E90434CFB3");

const MBR_TYPES: [(u8, &str); 27] = [
    (0x01, "FAT12"),
    (0x04, "FAT16"),
    (0x05, "Extended"),
    (0x06, "FAT16"),
    (0x07, "NTFS or exFAT"),
    (0x0b, "FAT32"),
    (0x0c, "FAT32"),
    (0x0e, "FAT16"),
    (0x0f, "Extended"),
    (0x11, "Hidden FAT12"),
    (0x14, "Hidden FAT16"),
    (0x16, "Hidden FAT16"),
    (0x17, "Hidden NTFS"),
    (0x1b, "Hidden FAT32"),
    (0x1c, "Hidden FAT32"),
    (0x1e, "Hidden FAT16"),
    (0x27, "Windows recovery"),
    (0x42, "Windows dynamic disk"),
    (0x82, "Linux swap"),
    (0x83, "Linux"),
    (0x85, "Linux extended"),
    (0x8e, "Linux LVM"),
    (0xa5, "FreeBSD"),
    (0xa8, "macOS"),
    (0xee, "GPT protective"),
    (0xef, "EFI system"),
    (0xfd, "Linux RAID"),
];

/// Name and role of an MBR type.
pub(crate) fn mbr_type(kind: u8) -> (&'static str, Role) {
    let name = MBR_TYPES.iter().find(|(known, _)| *known == kind).map_or("Unknown type", |(_, name)| name);
    let role = if kind == 0x42 { Role::Holds(Content::LdmMember) } else { Role::Volume };
    (name, role)
}

const GPT_TYPES: [(Uuid, &str, Role); 24] = [
    (uuid!("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"), "EFI system", Role::Volume),
    (uuid!("21686148-6449-6E6F-744E-656564454649"), "BIOS boot", Role::Holds(Content::Reserved)),
    (uuid!("9E1A2D38-C612-4316-AA26-8B49521E5A8B"), "PowerPC boot", Role::Holds(Content::Reserved)),
    (uuid!("E3C9E316-0B5C-4DB8-817D-F92DF00215AE"), "Microsoft reserved", Role::Holds(Content::Reserved)),
    (uuid!("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"), "Basic data", Role::Volume),
    (uuid!("DE94BBA4-06D1-4D40-A16A-BFD50179D6AC"), "Windows recovery", Role::Volume),
    (LDM_METADATA, "Windows dynamic disk database", Role::Holds(Content::LdmMember)),
    (LDM_DATA, "Windows dynamic disk data", Role::Holds(Content::LdmMember)),
    (uuid!("E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D"), "Storage Spaces", Role::Holds(Content::StorageSpaces)),
    (uuid!("558D43C5-A1AC-43C0-AAC8-D1472B2923D1"), "Storage Replica", Role::Volume),
    (uuid!("0FC63DAF-8483-4772-8E79-3D69D8477DE4"), "Linux", Role::Volume),
    (uuid!("44479540-F297-41B2-9AF7-D131D5F0458A"), "Linux root (x86)", Role::Volume),
    (uuid!("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"), "Linux root (x86-64)", Role::Volume),
    (uuid!("B921B045-1DF0-41C3-AF44-4C6F280D3FAE"), "Linux root (ARM64)", Role::Volume),
    (uuid!("BC13C2FF-59E6-4262-A352-B275FD6F7172"), "Linux boot", Role::Volume),
    (uuid!("933AC7E1-2EB4-4F13-B844-0E14E2AEF915"), "Linux home", Role::Volume),
    (uuid!("4D21B016-B534-45C2-A9FB-5C16E091FD2D"), "Linux var", Role::Volume),
    (uuid!("3B8F8425-20E0-4F3B-907F-1A25A76F98E8"), "Linux srv", Role::Volume),
    (uuid!("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"), "Linux swap", Role::Volume),
    (uuid!("E6D6D379-F507-44C2-A23C-238F2A3DF928"), "Linux LVM", Role::Volume),
    (uuid!("A19D880F-05FC-4D3B-A006-743F0F84911E"), "Linux RAID", Role::Volume),
    (uuid!("CA7D7CCB-63ED-4C53-861C-1742536059CC"), "LUKS", Role::Volume),
    (uuid!("516E7CB4-6ECF-11D6-8FF8-00022D09712B"), "FreeBSD", Role::Volume),
    (uuid!("48465300-0000-11AA-AA11-00306543ECAC"), "macOS", Role::Volume),
];

/// Name and role of a GPT type.
pub(crate) fn gpt_type(guid: Uuid) -> (&'static str, Role) {
    let known = GPT_TYPES.iter().find(|(known, ..)| *known == guid);
    known.map_or(("Unknown type", Role::Volume), |(_, name, role)| (name, *role))
}
