//! Data runs: where the clusters of a stream lie.
//!
//! A run list is a sequence of (length, signed distance to the previous run) pairs of one to eight
//! bytes each; a run without distance is a hole. Every sum is checked, every run must lie inside the
//! volume, and a stream cannot own more clusters than the volume has, which also bounds the memory
//! that a hostile list can take. Source: linux-ntfs documentation (Data Runs).

use super::fault::{Fault, Outcome};

/// Clusters of a stream that lie side by side, or a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// First cluster, counted in the stream.
    pub vcn: u64,
    /// Number of clusters, above zero.
    pub clusters: u64,
    /// First cluster, counted in the volume; none for a hole.
    pub lcn: Option<u64>,
}

impl Run {
    /// One past the last cluster, counted in the stream.
    pub(super) const fn end(&self) -> u64 {
        self.vcn + self.clusters
    }
}

/// The runs of one stream, in order and without gaps.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    list: Vec<Run>,
    owned: u64,
}

impl Runs {
    /// One past the last cluster that the list covers.
    pub(super) fn end(&self) -> u64 {
        self.list.last().map_or(0, Run::end)
    }

    /// The runs in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Run> + '_ {
        self.list.iter().copied()
    }

    /// The runs from the one that holds cluster `vcn` on.
    pub(super) fn from(&self, vcn: u64) -> impl Iterator<Item = Run> + '_ {
        let first = self.list.partition_point(|run| run.end() <= vcn);
        self.list.get(first..).unwrap_or_default().iter().copied()
    }

    /// Adds the run list of one attribute, which must go on where the last one ended and cover
    /// clusters up to `end`. `volume_clusters` bounds every place.
    pub(super) fn append(&mut self, mut bytes: &[u8], end: u64, volume_clusters: u64) -> Outcome<()> {
        let mut lcn = 0_i64;
        while self.end() < end {
            let Some((&header, rest)) = bytes.split_first().filter(|(header, _)| **header != 0) else {
                return Err(Fault::damaged(format!("the run list ends at cluster {} of {end}", self.end())));
            };
            let (length_size, distance_size) = (usize::from(header & 15), usize::from(header >> 4));
            let (length, rest) = signed(rest, length_size)?;
            let (distance, rest) = signed(rest, distance_size)?;
            bytes = rest;
            let clusters = u64::try_from(length)
                .ok()
                .filter(|&clusters| clusters > 0 && clusters <= end - self.end())
                .ok_or_else(|| Fault::damaged(format!("a run has {length} clusters")))?;
            if distance_size == 0 {
                self.push(clusters, None);
                continue;
            }
            lcn = lcn.checked_add(distance).ok_or_else(|| Fault::damaged("a run's place overflows"))?;
            self.push_owned(clusters, lcn, volume_clusters)?;
        }
        Ok(())
    }

    /// Adds a run that owns clusters, inside the volume and within what it has.
    fn push_owned(&mut self, clusters: u64, lcn: i64, volume_clusters: u64) -> Outcome<()> {
        let start = u64::try_from(lcn)
            .ok()
            .filter(|start| start.checked_add(clusters).is_some_and(|end| end <= volume_clusters))
            .ok_or_else(|| {
                Fault::damaged(format!("a run of {clusters} clusters at {lcn} leaves the volume"))
            })?;
        self.owned += clusters;
        if self.owned > volume_clusters {
            return Err(Fault::damaged("the run list owns more clusters than the volume has"));
        }
        self.push(clusters, Some(start));
        Ok(())
    }

    /// Adds a run, joining it with the last one where both lie side by side.
    fn push(&mut self, clusters: u64, lcn: Option<u64>) {
        let vcn = self.end();
        if let Some(last) = self.list.last_mut()
            && last.lcn.map(|start| start + last.clusters) == lcn
        {
            last.clusters += clusters;
            return;
        }
        self.list.push(Run { vcn, clusters, lcn });
    }
}

/// A little-endian signed number of `size` bytes, and what follows it.
fn signed(bytes: &[u8], size: usize) -> Outcome<(i64, &[u8])> {
    let (number, rest) = bytes
        .split_at_checked(size)
        .filter(|_| size <= 8)
        .ok_or_else(|| Fault::damaged("a run runs past the end of its list"))?;
    let negative = number.last().is_some_and(|last| last & 0x80 != 0);
    let mut wide = [if negative { 0xFF } else { 0 }; 8];
    wide[..size].copy_from_slice(number);
    Ok((i64::from_le_bytes(wide), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runs of one list.
    fn parse(bytes: &[u8], end: u64) -> Outcome<Vec<Run>> {
        let mut runs = Runs::default();
        runs.append(bytes, end, 1000)?;
        Ok(runs.iter().collect())
    }

    #[test]
    fn distances_are_signed_and_holes_have_none() {
        let runs = parse(&[0x21, 4, 0x2C, 1, 0x01, 6, 0x11, 2, 0xF6, 0], 12).unwrap();
        assert_eq!(
            runs,
            [
                Run { vcn: 0, clusters: 4, lcn: Some(300) },
                Run { vcn: 4, clusters: 6, lcn: None },
                Run { vcn: 10, clusters: 2, lcn: Some(290) },
            ]
        );
    }

    #[test]
    fn neighbours_become_one_run() {
        assert_eq!(parse(&[0x11, 4, 10, 0x11, 4, 4, 0x01, 1, 0x01, 1, 0], 10).unwrap().len(), 2);
    }

    #[test]
    fn lists_that_lie_are_refused() {
        let lies: [(&[u8], u64); 8] = [
            (&[0x11, 4, 10, 0], 5),                     // ends early
            (&[0x11, 4], 4),                            // cut inside a run
            (&[0x11, 0, 10, 0], 4),                     // no clusters
            (&[0x11, 0xFC, 10, 0], 4),                  // negative length
            (&[0x11, 4, 0xF0, 0], 4),                   // before the volume
            (&[0x21, 4, 0xE6, 3, 0], 4),                // 998 + 4 > 1000
            (&[0x9F, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 4), // numbers of nine and fifteen bytes
            (&[0x11, 8, 10, 0], 4),                     // more than the attribute says
        ];
        for (bytes, end) in lies {
            assert!(matches!(parse(bytes, end), Err(Fault::Damaged(_))), "{bytes:x?}");
        }
    }

    #[test]
    fn a_list_cannot_own_more_than_the_volume() {
        let mut bytes = Vec::new();
        for _ in 0..20 {
            bytes.extend([0x11, 100, 10, 0x11, 100, 0xF6]);
        }
        assert!(parse(&bytes, 4000).is_err());
    }
}
