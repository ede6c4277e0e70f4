//! The boot sector: sizes of sectors, clusters, records, and where the $MFT begins.
//!
//! Everything else is found through these numbers, so each is checked on its own and against the
//! length of the volume before anything is read with its help. Sources: the BIOS parameter block
//! that Microsoft documents for NTFS, and the linux-ntfs documentation ($Boot). A cluster count
//! above 128 sectors is written as a negative power of two (clusters up to 2 MiB since Windows 10).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::fault::{Fault, Outcome, view};

/// What byte 3 of an NTFS boot sector says.
const OEM_ID: &[u8; 8] = b"NTFS    ";
/// Last two bytes of a boot sector.
const END_MARK: u16 = 0xAA55;
/// Largest cluster of any Windows: 2 MiB.
const CLUSTER_BYTES_MAX: u64 = 2 << 20;
/// Largest record or index block taken: Windows writes 1 KiB and 4 KiB; one cluster of 64 KiB was
/// possible in old versions.
const RECORD_BYTES_MAX: u64 = 64 << 10;
/// Smallest record or index block: one stride of the update sequence.
const RECORD_BYTES_MIN: u64 = 512;

/// The first sector of the volume.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct BootSector {
    jump: [u8; 3],
    oem_id: [u8; 8],
    bytes_per_sector: U16,
    sectors_per_cluster: u8,
    unused_before_media: [u8; 7],
    media: u8,
    unused_geometry: [u8; 18],
    total_sectors: U64,
    mft_cluster: U64,
    mirror_cluster: U64,
    record_size: i8,
    unused_record: [u8; 3],
    index_size: i8,
    unused_index: [u8; 3],
    serial: U64,
    checksum: U32,
    code: [u8; 426],
    end_mark: U16,
}
const _: () = assert!(size_of::<BootSector>() == 512);

/// The sizes and places that the boot sector gives, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of a sector.
    pub sector_bytes: u64,
    /// Bytes of a cluster.
    pub cluster_bytes: u64,
    /// Bytes of a record of the $MFT.
    pub record_bytes: u64,
    /// Bytes of an index block, unless the index says otherwise.
    pub index_bytes: u64,
    /// Whole clusters of the volume.
    pub clusters: u64,
    /// First cluster of the $MFT.
    pub mft_cluster: u64,
    /// First cluster of the $MFTMirr.
    pub mirror_cluster: u64,
    /// Volume serial number.
    pub serial: u64,
}

impl Geometry {
    /// Reads the first 512 bytes of a volume of `volume_bytes`.
    pub(super) fn parse(sector: &[u8], volume_bytes: u64) -> Outcome<Self> {
        let boot: &BootSector = view(sector, 0, "the boot sector")?;
        if &boot.oem_id != OEM_ID || boot.end_mark.get() != END_MARK {
            return Err(Fault::damaged("the boot sector is not one of NTFS"));
        }
        let sector_bytes = u64::from(boot.bytes_per_sector.get());
        if !sector_bytes.is_power_of_two() || !(512..=4096).contains(&sector_bytes) {
            return Err(Fault::damaged(format!("the boot sector gives sectors of {sector_bytes} bytes")));
        }
        let cluster_bytes = cluster_bytes(boot.sectors_per_cluster, sector_bytes)?;
        let total_bytes = boot
            .total_sectors
            .get()
            .checked_mul(sector_bytes)
            .filter(|&bytes| bytes <= volume_bytes)
            .ok_or_else(|| too_long(boot.total_sectors.get(), sector_bytes, volume_bytes))?;
        let geometry = Self {
            sector_bytes,
            cluster_bytes,
            record_bytes: record_bytes(boot.record_size, cluster_bytes, "record")?,
            index_bytes: record_bytes(boot.index_size, cluster_bytes, "index block")?,
            clusters: total_bytes / cluster_bytes,
            mft_cluster: boot.mft_cluster.get(),
            mirror_cluster: boot.mirror_cluster.get(),
            serial: boot.serial.get(),
        };
        if geometry.mft_cluster == 0 || geometry.mft_cluster >= geometry.clusters {
            return Err(Fault::damaged("the boot sector places the $MFT outside the volume"));
        }
        Ok(geometry)
    }

    /// Bytes of the volume that clusters cover.
    pub(super) const fn volume_bytes(&self) -> u64 {
        self.clusters * self.cluster_bytes
    }
}

/// The volume says that it is longer than what holds it.
fn too_long(sectors: u64, sector_bytes: u64, volume_bytes: u64) -> Fault {
    Fault::damaged(format!(
        "the boot sector gives {sectors} sectors of {sector_bytes} bytes, and the volume has {volume_bytes} bytes"
    ))
}

/// Cluster size from its one-byte form.
fn cluster_bytes(sectors: u8, sector_bytes: u64) -> Outcome<u64> {
    let count = match sectors {
        0..=0x80 => u64::from(sectors),
        _ => 1_u64.checked_shl(u32::from(sectors.wrapping_neg())).unwrap_or(0),
    };
    count
        .checked_mul(sector_bytes)
        .filter(|&bytes| bytes.is_power_of_two() && bytes <= CLUSTER_BYTES_MAX)
        .ok_or_else(|| Fault::damaged(format!("the boot sector gives a cluster size code of {sectors:#04x}")))
}

/// Record or index block size: clusters when positive, a power of two bytes when negative.
fn record_bytes(code: i8, cluster_bytes: u64, what: &str) -> Outcome<u64> {
    let bytes = match u64::try_from(code) {
        Ok(clusters) => clusters.checked_mul(cluster_bytes),
        Err(_) => 1_u64.checked_shl(u32::from(code.unsigned_abs())),
    };
    bytes
        .filter(|&size| size.is_power_of_two() && (RECORD_BYTES_MIN..=RECORD_BYTES_MAX).contains(&size))
        .ok_or_else(|| Fault::damaged(format!("the boot sector gives a {what} size code of {code}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A boot sector of 8192 sectors of 512 bytes with the given size codes.
    fn sector(cluster_code: u8, record_code: u8, index_code: u8) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[3..11].copy_from_slice(OEM_ID);
        bytes[11..13].copy_from_slice(&512_u16.to_le_bytes());
        bytes[13] = cluster_code;
        bytes[40..48].copy_from_slice(&8192_u64.to_le_bytes());
        bytes[48..56].copy_from_slice(&1_u64.to_le_bytes());
        bytes[64] = record_code;
        bytes[68] = index_code;
        bytes[510..].copy_from_slice(&END_MARK.to_le_bytes());
        bytes
    }

    #[test]
    fn usual_sizes_are_read() {
        let geometry = Geometry::parse(&sector(8, 0xF6, 1), 4 << 20).unwrap();
        assert_eq!((geometry.cluster_bytes, geometry.record_bytes, geometry.index_bytes), (4096, 1024, 4096));
        assert_eq!(geometry.clusters, 1024);
    }

    #[test]
    fn clusters_up_to_two_mib_are_powers_of_two_and_larger_ones_are_refused() {
        assert_eq!(Geometry::parse(&sector(0xF4, 0xF6, 0xF4), 4 << 20).unwrap().cluster_bytes, 2 << 20);
        assert!(Geometry::parse(&sector(0xF3, 0xF6, 0xF4), 4 << 20).is_err());
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for (cluster, record, index) in
            [(0, 0xF6, 1), (3, 0xF6, 1), (8, 0, 1), (8, 0x80, 1), (8, 0xF6, 0x7F), (0x81, 0xF6, 1)]
        {
            let parsed = Geometry::parse(&sector(cluster, record, index), 4 << 20);
            assert!(matches!(parsed, Err(Fault::Damaged(_))), "{cluster:#x} {record:#x} {index:#x}");
        }
    }

    #[test]
    fn a_volume_longer_than_its_partition_is_refused() {
        assert!(matches!(Geometry::parse(&sector(8, 0xF6, 1), (4 << 20) - 1), Err(Fault::Damaged(_))));
    }
}
