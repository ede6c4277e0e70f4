//! `Content`: what lies on a volume, and the plain sentence about what can be done with it.
//!
//! Backing up never depends on it: every volume is protected as part of its disk. The sentence only tells
//! whether single files can be had.

use std::fmt;

use crate::open;

/// What lies on a volume, by its signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Content {
    /// NTFS.
    Ntfs,
    /// ext2, ext3 or ext4.
    Ext,
    /// XFS.
    Xfs,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// exFAT.
    ExFat,
    /// A swap area of Linux.
    LinuxSwap,
    /// ReFS.
    Refs,
    /// Encrypted by BitLocker.
    BitLocker,
    /// Encrypted by Linux (LUKS).
    Luks,
    /// A disk of a storage pool of Windows.
    StorageSpaces,
    /// A member of a software RAID of Linux.
    MdRaid,
    /// btrfs.
    Btrfs,
    /// A physical volume of LVM.
    LvmMember,
    /// A member of a group of dynamic disks, or their database.
    LdmMember,
    /// ISO 9660 or UDF.
    Optical,
    /// Boot code or reserved space that holds no files: BIOS boot, Microsoft reserved.
    Reserved,
    /// A file system that is recognised by name only.
    Other,
    /// Zeros where file systems have their signatures.
    Empty,
    /// Something without a known signature.
    Unknown,
    /// The bytes that would tell could not be read.
    Unreadable,
}

impl Content {
    /// Whether this version can list and restore files from it.
    #[must_use]
    pub fn has_readable_files(self) -> bool {
        open::opener(self).is_some()
    }

    /// What can and what cannot be done with it, as a plain sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Ntfs | Self::Ext | Self::Xfs | Self::Fat | Self::ExFat => {
                if self.has_readable_files() {
                    "Its files can be listed and restored."
                } else {
                    "Its files cannot be read yet; the disk is protected as a whole."
                }
            }
            Self::LinuxSwap => "Swap space of Linux; there are no files in it.",
            Self::Refs => {
                "Files on ReFS cannot be read yet; attach the restored disk to Windows to reach them."
            }
            Self::BitLocker => {
                "Encrypted by BitLocker; its files cannot be read here. Attach the restored disk to Windows and \
                 unlock it there."
            }
            Self::Luks => {
                "Encrypted by LUKS; its files cannot be read here. Attach the restored disk to Linux and unlock \
                 it there."
            }
            Self::StorageSpaces => {
                "Part of a Windows storage pool; its files cannot be read here. Restore all disks of the pool and \
                 attach them to Windows together."
            }
            Self::MdRaid => {
                "Member of a Linux software RAID; its files cannot be read here. Restore all members and assemble \
                 them in Linux."
            }
            Self::Btrfs => {
                "Files on btrfs cannot be read yet; attach the restored disk to Linux to reach them."
            }
            Self::LvmMember => "Part of an LVM volume group; see the logical volumes for its files.",
            Self::LdmMember => {
                "Part of a group of Windows dynamic disks; see the dynamic volumes for its files."
            }
            Self::Optical => "The file system of an optical disc; its files cannot be read here.",
            Self::Reserved => "Reserved for booting or for the system; there are no files in it.",
            Self::Other => {
                "Files on this kind of file system cannot be read; the disk is protected as a whole."
            }
            Self::Empty => "Nothing is there that looks like a file system.",
            Self::Unknown => "The content is not recognised; the disk is protected as a whole.",
            Self::Unreadable => "The content could not be looked at; see the notes.",
        }
    }
}

/// The kind in the field's words.
impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ntfs => "NTFS",
            Self::Ext => "ext",
            Self::Xfs => "XFS",
            Self::Fat => "FAT",
            Self::ExFat => "exFAT",
            Self::LinuxSwap => "Linux swap",
            Self::Refs => "ReFS",
            Self::BitLocker => "BitLocker",
            Self::Luks => "LUKS",
            Self::StorageSpaces => "Storage Spaces",
            Self::MdRaid => "Linux RAID member",
            Self::Btrfs => "btrfs",
            Self::LvmMember => "LVM physical volume",
            Self::LdmMember => "dynamic disk member",
            Self::Optical => "optical disc",
            Self::Reserved => "reserved",
            Self::Other => "another file system",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_reader_says_so() {
        for content in [Content::Refs, Content::BitLocker, Content::Luks, Content::Btrfs, Content::MdRaid] {
            assert!(!content.has_readable_files());
            assert!(content.sentence().contains("cannot be read"), "{content}");
        }
    }
}
