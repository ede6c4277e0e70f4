//! Files and folders of FAT and exFAT, from their entries.
//!
//! A node's number is the place of its entry on the volume. Entries lie at multiples of 32, so the lowest bit is free to
//! tell that the folder's clusters follow each other, which decides where an entry of exFAT at the end of a cluster
//! goes on.

use super::format::{ATTRIBUTE_FOLDER, ATTRIBUTE_LABEL, ExFatFile, ExFatStream, FatEntry};
use super::table::Chain;
use crate::tree::{Metadata, NodeKind, Times};

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// What an entry tells.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub kind: NodeKind,
    pub chain: Chain,
    /// Bytes of the file, and those of them that were ever written.
    pub bytes: u64,
    pub valid_bytes: u64,
    pub attributes: u32,
    pub times: Times,
}

impl Node {
    pub(super) fn of_fat(entry: &FatEntry) -> Option<Self> {
        let is_folder = entry.attributes & ATTRIBUTE_FOLDER != 0;
        if entry.attributes & ATTRIBUTE_LABEL != 0 || matches!(entry.name[0], 0 | 0xE5) {
            return None;
        }
        let bytes = if is_folder { 0 } else { u64::from(entry.size.get()) };
        let first = u32::from(entry.cluster_lo.get()) | (u32::from(entry.cluster_hi.get()) << 16);
        Some(Self {
            kind: if is_folder { NodeKind::Folder } else { NodeKind::File },
            chain: Chain { first, contiguous: false, bytes: (!is_folder).then_some(bytes) },
            bytes,
            valid_bytes: bytes,
            attributes: u32::from(entry.attributes),
            times: Times {
                created: time(
                    entry.created_date.get(),
                    entry.created_time.get(),
                    entry.created_hundredths,
                    0,
                ),
                modified: time(entry.modified_date.get(), entry.modified_time.get(), 0, 0),
                changed: None,
                accessed: time(entry.accessed_date.get(), 0, 0, 0),
            },
        })
    }

    pub(super) fn of_exfat(file: &ExFatFile, stream: &ExFatStream) -> Self {
        let is_folder = file.attributes.get() & u16::from(ATTRIBUTE_FOLDER) != 0;
        let bytes = stream.bytes.get();
        let stamp = |raw: u32, hundredths, zone| {
            let [a, b, c, d] = raw.to_le_bytes();
            time(u16::from_le_bytes([c, d]), u16::from_le_bytes([a, b]), hundredths, zone)
        };
        Self {
            kind: if is_folder { NodeKind::Folder } else { NodeKind::File },
            chain: Chain {
                first: stream.first_cluster.get(),
                contiguous: stream.flags & super::format::EXFAT_CONTIGUOUS != 0,
                bytes: Some(bytes),
            },
            bytes,
            valid_bytes: stream.valid_bytes.get().min(bytes),
            attributes: u32::from(file.attributes.get()),
            times: Times {
                created: stamp(file.created.get(), file.created_hundredths, file.created_zone),
                modified: stamp(file.modified.get(), file.modified_hundredths, file.modified_zone),
                changed: None,
                accessed: stamp(file.accessed.get(), 0, file.accessed_zone),
            },
        }
    }

    pub(super) fn metadata(&self) -> Metadata {
        let size = if self.kind == NodeKind::Folder { 0 } else { self.bytes };
        Metadata {
            times: self.times,
            windows_attributes: Some(self.attributes),
            ..Metadata::new(self.kind, size)
        }
    }
}

/// Nanoseconds since 1970. FAT keeps local time of an unknown zone, which is taken as UTC; exFAT tells the zone in
/// quarters of an hour.
fn time(date: u16, time: u16, hundredths: u8, zone: u8) -> Option<i128> {
    let (year, month, day) =
        (1980 + i64::from(date >> 9), i64::from(date >> 5 & 0xF), i64::from(date & 0x1F));
    if !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    // Days by the civil calendar, with years that begin in March.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era_day = shifted_year * 365 + shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = era_day + (153 * shifted_month + 2) / 5 + day - 1 - 719_468;
    let clock = i64::from(time >> 11) * 3600 + i64::from(time >> 5 & 0x3F) * 60 + i64::from(time & 0x1F) * 2;
    let quarters = if zone & 0x80 == 0 { 0 } else { i64::from((zone << 1).cast_signed() >> 1) };
    let seconds = days * 86_400 + clock - quarters * 900;
    Some(i128::from(seconds) * SECOND + i128::from(hundredths) * (SECOND / 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_fat_count_from_1980_and_those_of_exfat_know_their_zone() {
        let date = (44 << 9) | (2 << 5) | 29;
        assert_eq!(time(date, (23 << 11) | (59 << 5) | 29, 150, 0), Some(1_709_251_199_500_000_000));
        assert_eq!(time(33, 0, 0, 0x80 | 4), Some((315_532_800 - 3600) * SECOND), "one hour east");
        assert_eq!(time(33, 0, 0, 0xFC), Some((315_532_800 + 3600) * SECOND), "one hour west");
        assert_eq!(time(0, 0, 0, 0), None);
    }
}
