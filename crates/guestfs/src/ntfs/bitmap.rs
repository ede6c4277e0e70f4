//! $Bitmap: which clusters the file system says are free.
//!
//! The map is read in pieces, so that the memory taken is that of the free ranges found. Bits
//! beyond the last cluster mean nothing. Source: linux-ntfs documentation ($Bitmap).

use vdisk::{ByteRange, ChangedRanges};

use super::attribute::code;
use super::fault::{Fault, Outcome};
use super::file::File;
use super::mft::Mft;
use crate::number::{bytes, index};

/// Record of $Bitmap.
const RECORD: u64 = 6;
/// Bytes of the map read at once: the clusters of 2 GiB where a cluster has 4 KiB.
const PIECE_BYTES: u64 = 64 << 10;

/// The bytes of the volume whose clusters are free.
pub(super) fn free_space(mft: &Mft) -> Outcome<ChangedRanges> {
    let medium = &mft.medium;
    let file = File::open_number(mft, RECORD)?;
    let map = file.stream(code::DATA, &[])?.ok_or_else(|| Fault::damaged("$Bitmap has no $DATA"))?;
    let clusters = medium.geometry.clusters;
    if map.size < clusters.div_ceil(8) || map.initialized() < clusters.div_ceil(8) {
        return Err(Fault::damaged(format!("$Bitmap has {} bytes for {clusters} clusters", map.size)));
    }
    let mut free = Vec::new();
    let mut piece = vec![0; index(PIECE_BYTES)];
    for offset in (0..clusters.div_ceil(8)).step_by(index(PIECE_BYTES)) {
        let count = map.read_at(medium, offset, &mut piece)?;
        collect(&piece[..count], offset * 8, clusters, &mut free);
    }
    let cluster_bytes = medium.geometry.cluster_bytes;
    Ok(ChangedRanges::from_ranges(
        free.into_iter().map(|run| ByteRange::new(run.start * cluster_bytes, run.end * cluster_bytes)),
    ))
}

/// Adds the runs of clear bits of a piece of the map that begins with cluster `first`.
fn collect(piece: &[u8], first: u64, clusters: u64, free: &mut Vec<ByteRange>) {
    for (byte, at) in piece.iter().zip((0..).map(|number: u64| first + number * 8)) {
        let (mut start, end) = (at, clusters.min(at + 8));
        if *byte == 0 {
            push(free, start, end);
            continue;
        }
        while start < end {
            let used = byte >> (start - at) & 1 != 0;
            let run = (start..end).take_while(|cluster| (byte >> (cluster - at) & 1 != 0) == used).count();
            if !used {
                push(free, start, start + bytes(run));
            }
            start += bytes(run);
        }
    }
}

/// Adds a run of clusters, joining it with the last one.
fn push(free: &mut Vec<ByteRange>, start: u64, end: u64) {
    match free.last_mut() {
        Some(last) if last.end == start => last.end = end,
        _ if start < end => free.push(ByteRange::new(start, end)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_bits_become_runs_and_bits_after_the_last_cluster_are_ignored() {
        let mut free = Vec::new();
        collect(&[0b1110_0111, 0, 0b0000_1110, 0], 0, 25, &mut free);
        let expected = [(3, 5), (8, 17), (20, 25)].map(|(start, end)| ByteRange::new(start, end));
        assert_eq!(free, expected);
    }
}
