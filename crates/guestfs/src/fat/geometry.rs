//! The boot sectors of FAT and exFAT, checked, and where things are.
//!
//! Sizes and counts that later serve as divisors, shifts or bounds are checked here, once.

use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::format::{EXFAT_DIRTY, EXFAT_SECOND_TABLE, ExFatBoot, FatBoot, SERIAL_16_OFFSET};
use crate::error::{Error, Result};
use crate::source::Source;

/// The kind of table, by the bits of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Fat12,
    Fat16,
    Fat32,
    ExFat,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fat12 => "FAT12",
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
            Self::ExFat => "exFAT",
        }
    }
}

/// Where the topmost folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// At a fixed place, with this many bytes (FAT12, FAT16).
    Fixed(u64, u64),
    /// In clusters.
    Cluster(u32),
}

/// A file system's fixed numbers.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    pub kind: Kind,
    pub cluster_bytes: u64,
    /// Place of the table in use, and its bytes.
    pub table: u64,
    pub table_bytes: u64,
    /// Place of cluster 2.
    pub heap: u64,
    /// Number of clusters.
    pub clusters: u32,
    pub root: Root,
    pub serial: u32,
    /// Whether the boot sector says that changes were under way.
    pub dirty: bool,
    pub size: u64,
}

impl Geometry {
    /// Reads and checks the boot sector.
    pub(super) fn read(source: &dyn Source) -> Result<Self> {
        let mut sector = [0; 512];
        source.read_at(0, &mut sector).map_err(|e| Error::io(source.name(), "the boot sector", e))?;
        let geometry = if sector[3..].starts_with(b"EXFAT   ") { exfat(&sector) } else { fat(&sector) };
        let fits = |geometry: &Self| {
            let heap_end = geometry.heap.checked_add(u64::from(geometry.clusters) * geometry.cluster_bytes);
            let table_end = geometry.table.checked_add(geometry.table_bytes);
            let needed = geometry.entry_place(geometry.clusters.saturating_add(1)) + 1;
            heap_end.is_some_and(|end| end <= source.len())
                && table_end.is_some_and(|end| end <= geometry.heap)
                && needed <= geometry.table_bytes
                && geometry.clusters > 0
        };
        geometry
            .filter(fits)
            .ok_or_else(|| Error::damaged(source.name(), "its boot sector has impossible numbers"))
    }

    /// Place of a cluster's entry inside the table.
    pub(super) fn entry_place(&self, cluster: u32) -> u64 {
        let cluster = u64::from(cluster);
        match self.kind {
            Kind::Fat12 => cluster + cluster / 2,
            Kind::Fat16 => cluster * 2,
            Kind::Fat32 | Kind::ExFat => cluster * 4,
        }
    }

    /// Place of a cluster on the volume; `None` when there is no such cluster.
    pub(super) fn place(&self, cluster: u32) -> Option<u64> {
        let number = cluster.checked_sub(2).filter(|number| *number < self.clusters)?;
        Some(self.heap + u64::from(number) * self.cluster_bytes)
    }

    /// The cluster that a place lies in.
    pub(super) fn cluster_at(&self, place: u64) -> Option<u32> {
        let number = place.checked_sub(self.heap)? / self.cluster_bytes;
        u32::try_from(number).ok().filter(|number| *number < self.clusters).map(|number| number + 2)
    }
}

fn fat(sector: &[u8; 512]) -> Option<Geometry> {
    let (boot, _) = FatBoot::read_from_prefix(sector).ok()?;
    let sector_bytes = u64::from(boot.sector_bytes.get());
    let cluster_sectors = u64::from(boot.cluster_sectors);
    let sizes = matches!(sector_bytes, 512 | 1024 | 2048 | 4096)
        && cluster_sectors.is_power_of_two()
        && boot.tables > 0
        && boot.reserved_sectors.get() > 0;
    if !sizes {
        return None;
    }
    let either = |short: u16, long: u32| if short == 0 { u64::from(long) } else { u64::from(short) };
    let sectors = either(boot.sectors_16.get(), boot.sectors_32.get());
    let table_sectors = either(boot.table_sectors_16.get(), boot.table_sectors_32.get());
    let root_bytes = u64::from(boot.root_entries.get()) * 32;
    let reserved = u64::from(boot.reserved_sectors.get());
    let root_place = reserved + u64::from(boot.tables) * table_sectors;
    let heap = root_place + root_bytes.div_ceil(sector_bytes);
    let clusters = u32::try_from(sectors.checked_sub(heap)? / cluster_sectors).ok()?;
    let kind = match clusters {
        _ if boot.table_sectors_16.get() == 0 => Kind::Fat32,
        0..4085 => Kind::Fat12,
        4085..65_525 => Kind::Fat16,
        _ => return None,
    };
    let wide = kind == Kind::Fat32;
    let flags = if wide { boot.flags_32.get() } else { 0 };
    // Bit 7: one table only is kept up to date, and the low bits tell which.
    let active = if flags & 0x80 != 0 { u64::from(flags & 0xF) } else { 0 };
    let serial_16 = sector[SERIAL_16_OFFSET..].first_chunk().map_or(0, |raw| u32::from_le_bytes(*raw));
    let state = if wide { boot.drive_32[1] } else { sector[37] };
    Some(Geometry {
        kind,
        cluster_bytes: cluster_sectors * sector_bytes,
        table: (reserved + active * table_sectors) * sector_bytes,
        table_bytes: table_sectors * sector_bytes,
        heap: heap * sector_bytes,
        clusters,
        root: if wide {
            Root::Cluster(boot.root_cluster.get())
        } else {
            Root::Fixed(root_place * sector_bytes, root_bytes)
        },
        serial: if wide { boot.serial_32.get() } else { serial_16 },
        dirty: state & 1 != 0,
        size: sectors * sector_bytes,
    })
}

fn exfat(sector: &[u8; 512]) -> Option<Geometry> {
    let mut boot = ExFatBoot::new_zeroed();
    boot.as_mut_bytes().copy_from_slice(&sector[..size_of::<ExFatBoot>()]);
    if !(9..=12).contains(&boot.sector_log) || boot.cluster_log > 25 - boot.sector_log || boot.zero != [0; 53]
    {
        return None;
    }
    let sector_bytes = 1_u64 << boot.sector_log;
    let table_sectors = u64::from(boot.table_sectors.get());
    let second = boot.flags.get() & EXFAT_SECOND_TABLE != 0 && boot.tables == 2;
    Some(Geometry {
        kind: Kind::ExFat,
        cluster_bytes: sector_bytes << boot.cluster_log,
        table: (u64::from(boot.table_offset.get()) + if second { table_sectors } else { 0 }) * sector_bytes,
        table_bytes: table_sectors * sector_bytes,
        heap: u64::from(boot.heap_offset.get()) * sector_bytes,
        clusters: boot.clusters.get(),
        root: Root::Cluster(boot.root_cluster.get()),
        serial: boot.serial.get(),
        dirty: boot.flags.get() & EXFAT_DIRTY != 0,
        size: boot.sectors.get().checked_mul(sector_bytes)?,
    })
}
