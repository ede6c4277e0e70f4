//! A table of signatures and what each is taken for.

use std::sync::Arc;

use vdisk::{Disk, FileIo, MemoryFile};

use super::*;

/// Bytes of the volumes of these tests; not a multiple of 64 KiB.
const SIZE: u64 = 1024 * 1024 + 3 * 4096;

/// Bytes at their places.
type Parts<'a> = &'a [(u64, &'a [u8])];

fn volume(parts: Parts<'_>) -> Disk {
    let file = MemoryFile::new("volume");
    file.set_len(SIZE).unwrap();
    for (at, bytes) in parts {
        file.write_at(*at, bytes).unwrap();
    }
    Disk::open_raw(Arc::new(file)).unwrap()
}

fn seen(parts: Parts<'_>) -> (Content, String) {
    let found = detect(&volume(parts)).unwrap();
    (found.content, found.detail)
}

#[test]
fn each_signature_is_taken_for_what_it_is() {
    const MD: [u8; 8] = [0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0];
    const MD_OLD: [u8; 8] = [0xfc, 0x4e, 0x2b, 0xa9, 0, 0, 0, 0];
    const MD_OLD_BIG_ENDIAN: [u8; 8] = [0xa9, 0x2b, 0x4e, 0xfc, 0, 0, 0, 0];
    let cases: &[(Parts<'_>, Content, &str)] = &[
        (&[], Content::Empty, "empty"),
        (&[(100, b"x")], Content::Unknown, "unknown"),
        (&[(3, b"-FVE-FS-")], Content::BitLocker, "BitLocker"),
        (&[(3, b"MSWIN4.1"), (0x1a8, &BITLOCKER_ID)], Content::BitLocker, "BitLocker To Go"),
        (&[(0, b"LUKS\xba\xbe\0\x01")], Content::Luks, "LUKS1"),
        (&[(0, b"LUKS\xba\xbe\0\x02")], Content::Luks, "LUKS2"),
        (&[(0, b"LUKS\xba\xbe\0\x07")], Content::Unknown, "unknown"),
        (&[(1536, b"LABELONE"), (1560, b"LVM2 001")], Content::LvmMember, "LVM2 physical volume"),
        (&[(2048, b"LABELONE"), (2072, b"LVM2 001")], Content::Unknown, "unknown"),
        (&[(0, &MD)], Content::MdRaid, "Linux RAID 1.1 member"),
        (&[(4096, &MD)], Content::MdRaid, "Linux RAID 1.2 member"),
        (&[(SIZE - 8192, &MD), (0, b"XFSB")], Content::MdRaid, "Linux RAID 1.0 member"),
        (&[(1024 * 1024 - 65536, &MD_OLD), (0, b"XFSB")], Content::MdRaid, "Linux RAID 0.90 member"),
        (&[(1024 * 1024 - 65536, &MD_OLD_BIG_ENDIAN)], Content::MdRaid, "Linux RAID 0.90 member"),
        (&[(4086, b"SWAPSPACE2")], Content::LinuxSwap, "Linux swap, pages of 4 KiB"),
        (&[(16374, b"SWAPSPACE2")], Content::LinuxSwap, "Linux swap, pages of 16 KiB"),
        (&[(65526, b"SWAP-SPACE")], Content::LinuxSwap, "Linux swap, pages of 64 KiB"),
        (&[(3, b"NTFS    ")], Content::Ntfs, "NTFS"),
        (&[(3, b"EXFAT   ")], Content::ExFat, "exFAT"),
        (&[(3, b"ReFS\0\0\0\0"), (16, b"FSRS"), (40, &[3, 4])], Content::Refs, "ReFS 3.4"),
        (&[(0, b"XFSB")], Content::Xfs, "XFS"),
        (&[(0x10040, b"_BHRfS_M")], Content::Btrfs, "btrfs"),
        (&[(0x404, &[1]), (0x438, &[0x53, 0xef])], Content::Ext, "ext2"),
        (&[(0x404, &[1]), (0x438, &[0x53, 0xef]), (0x45c, &[4])], Content::Ext, "ext3"),
        (&[(0x404, &[1]), (0x438, &[0x53, 0xef]), (0x460, &[0x40])], Content::Ext, "ext4"),
        (&[(0x404, &[1]), (0x438, &[0x53, 0xef]), (0x460, &[8])], Content::Other, "external journal of ext"),
        (&[(0x8001, b"CD001")], Content::Optical, "ISO 9660"),
        (&[(0x8001, b"BEA01")], Content::Optical, "UDF"),
        (&[(0x20, b"NXSB")], Content::Other, "APFS"),
    ];
    for (parts, content, detail) in cases {
        assert_eq!(seen(parts), (*content, (*detail).to_owned()), "{parts:?}");
    }
}

/// The start of a boot sector of FAT: sector size, cluster size, reserved sectors, tables, root entries, sectors.
fn fat_sector(cluster: u8, root_entries: u16, total: u32, table: u32) -> Vec<u8> {
    let mut sector = vec![0; 512];
    sector[..3].copy_from_slice(&[0xeb, 0x3c, 0x90]);
    sector[12] = 2;
    sector[13] = cluster;
    sector[14] = 1;
    sector[16] = 2;
    sector[17..19].copy_from_slice(&root_entries.to_le_bytes());
    sector[21] = 0xf8;
    sector[32..36].copy_from_slice(&total.to_le_bytes());
    sector[36..40].copy_from_slice(&table.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[test]
fn the_kind_of_fat_follows_from_its_clusters() {
    for (cluster, root_entries, total, table, kind) in
        [(1, 224, 2880, 9, "FAT12"), (4, 512, 100_000, 100, "FAT16"), (8, 0, 4_000_000, 4000, "FAT32")]
    {
        assert_eq!(
            seen(&[(0, &fat_sector(cluster, root_entries, total, table))]),
            (Content::Fat, kind.into())
        );
    }
    // A table of partitions has the same last two bytes.
    assert_eq!(seen(&[(510, &[0x55, 0xaa])]).0, Content::Unknown);
    assert_eq!(seen(&[(0, &fat_sector(8, 0, 100, u32::MAX))]).0, Content::Unknown);
}

#[test]
fn the_smallest_volumes_are_looked_at_without_harm() {
    for size in [0, 1, 511, 512, 4096, 8192, 65536] {
        let file = MemoryFile::new("small");
        file.set_len(size).unwrap();
        let disk = Disk::open_raw(Arc::new(file));
        if let Ok(disk) = disk {
            assert_eq!(detect(&disk).unwrap().content, Content::Empty);
        }
    }
}

/// First sectors of real volumes; see tests/samples/SOURCES.md.
#[test]
fn sectors_of_real_volumes_are_recognised() {
    let bitlocker: &[u8] = include_bytes!("../tests/samples/bitlocker_volume_header.1");
    let refs: &[u8] = include_bytes!("../tests/samples/refs_libfsrefs_volume_header.1");

    assert_eq!(seen(&[(0, bitlocker)]).0, Content::BitLocker);
    assert_eq!(seen(&[(0, refs)]), (Content::Refs, "ReFS 1.2".into()));
}

proptest::proptest! {
    /// Noise with a signature before it, cut at any length.
    #[test]
    fn noise_is_answered_without_harm(
        noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 600),
        at in 512u64..80_000,
        size in 0u64..200_000,
    ) {
        let file = MemoryFile::new("noise");
        file.write_at(at, &noise).unwrap();
        let (cluster, root, total) = (noise[0], u16::from(noise[1]), u32::from(noise[2]));
        file.write_at(0, &fat_sector(cluster, root, total, u32::from(noise[3]))).unwrap();
        file.set_len(size).unwrap();
        if let Ok(disk) = Disk::open_raw(Arc::new(file)) {
            detect(&disk).unwrap();
        }
    }
}
