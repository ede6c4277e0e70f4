//! What file systems and containers are taken for, with `blkid` as the judge and their own makers as the source.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::process::Command;

use common::{empty_image, layout_of, raw_disk, run};
use guestfs::Content;

/// Maker with its arguments, what `blkid` calls it, what we call it.
const MAKERS: [(&[&str], &str, Content, &str); 13] = [
    (&["mkswap"], "swap", Content::LinuxSwap, "Linux swap, pages of 4 KiB"),
    (&["mkswap", "--pagesize", "16384"], "swap", Content::LinuxSwap, "Linux swap, pages of 16 KiB"),
    (&["mkswap", "--pagesize", "65536"], "swap", Content::LinuxSwap, "Linux swap, pages of 64 KiB"),
    (&["mke2fs", "-q", "-t", "ext2"], "ext2", Content::Ext, "ext2"),
    (&["mke2fs", "-q", "-t", "ext3"], "ext3", Content::Ext, "ext3"),
    (&["mke2fs", "-q", "-t", "ext4"], "ext4", Content::Ext, "ext4"),
    (&["mkfs.xfs", "-q"], "xfs", Content::Xfs, "XFS"),
    (&["mkfs.btrfs", "-q"], "btrfs", Content::Btrfs, "btrfs"),
    (&["mkfs.fat", "-F", "16"], "vfat", Content::Fat, "FAT16"),
    (&["mkfs.fat", "-F", "32"], "vfat", Content::Fat, "FAT32"),
    (&["mkfs.exfat"], "exfat", Content::ExFat, "exFAT"),
    (&["mkntfs", "-Q", "-q", "-F"], "ntfs", Content::Ntfs, "NTFS"),
    (
        &["cryptsetup", "-q", "luksFormat", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"],
        "crypto_LUKS",
        Content::Luks,
        "LUKS2",
    ),
];

#[test]
fn file_systems_are_taken_for_what_blkid_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    for (maker, judged, content, detail) in MAKERS {
        let image = empty_image(folder.path(), "volume.img", 320 << 20);
        run(Command::new(maker[0]).args(&maker[1..]).arg(&image), "passphrase");

        let said = run(
            Command::new("blkid").args(["--probe", "--match-tag", "TYPE", "--output", "value"]).arg(&image),
            "",
        );
        let volume = layout_of(raw_disk(&image)).volumes.remove(0);

        assert_eq!(said.trim(), judged, "{maker:?}");
        assert_eq!((volume.content, volume.detail.as_str()), (content, detail), "{maker:?}");
        std::fs::remove_file(image).unwrap();
    }
}
