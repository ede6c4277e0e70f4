//! A stream: the bytes behind a $DATA attribute, or any other attribute with a long value.
//!
//! A stream reads as its bytes up to the initialised size and as zeros from there to its size; holes
//! read as zeros. Reads of neighbouring runs go down as one. What cannot be read rightly (EFS, an
//! unknown compression) is refused when the stream is read, so that its extents can still be told.
//! Source: linux-ntfs documentation (Data Runs, $DATA).

use std::sync::{Arc, Mutex, PoisonError};

use super::attribute::{Attribute, Extent, Form, flag};
use super::fault::{Fault, Outcome};
use super::lznt1;
use super::medium::Medium;
use super::runs::{Run, Runs};
use crate::number::{bytes, index};

/// Attribute flag value of the only compression that NTFS itself knows.
const LZNT1: u16 = 1;
/// Largest compression unit as a power of two of clusters: Windows writes 4 (16 clusters).
const UNIT_SHIFT_MAX: u8 = 4;
/// Largest compression unit in bytes: 16 clusters of 4 KiB; Windows compresses no larger clusters.
const UNIT_BYTES_MAX: u64 = 64 << 10;

/// The bytes of one attribute.
pub(super) struct Stream {
    /// Bytes of it.
    pub size: u64,
    /// Flags of the attribute, see [`flag`].
    pub flags: u16,
    initialized: u64,
    body: Body,
}

enum Body {
    /// In the record.
    Resident(Vec<u8>),
    /// In clusters, as they are.
    Plain(Runs),
    /// In compression units.
    Units(Units),
}

struct Units {
    runs: Runs,
    clusters: u64,
    /// The unit decoded last, so that small sequential reads decode each unit once.
    last: Mutex<Option<(u64, Arc<[u8]>)>>,
}

/// A stream while its extents are being collected.
pub(super) struct Builder {
    flags: u16,
    size: u64,
    initialized: u64,
    compression_unit: u8,
    runs: Runs,
}

impl Builder {
    /// Begins with a stream's first extent.
    pub(super) fn new(attribute: &Attribute<'_>, extent: &Extent<'_>, medium: &Medium) -> Outcome<Self> {
        let mut builder = Self {
            flags: attribute.flags,
            size: extent.size,
            initialized: extent.initialized,
            compression_unit: extent.compression_unit,
            runs: Runs::default(),
        };
        if extent.size > extent.allocated || extent.initialized > extent.size {
            return Err(Fault::damaged(format!(
                "a stream of {} bytes has {} initialised and {} allocated",
                extent.size, extent.initialized, extent.allocated
            )));
        }
        builder.add(extent, medium)?;
        Ok(builder)
    }

    /// Adds the next extent.
    pub(super) fn add(&mut self, extent: &Extent<'_>, medium: &Medium) -> Outcome<()> {
        if extent.lowest_vcn != self.runs.end() {
            return Err(Fault::damaged(format!(
                "a stream goes on at cluster {} instead of {}",
                extent.lowest_vcn,
                self.runs.end()
            )));
        }
        if extent.end_vcn.checked_mul(medium.geometry.cluster_bytes).is_none() {
            return Err(Fault::damaged(format!("a stream ends at cluster {}", extent.end_vcn)));
        }
        self.runs.append(extent.runs, extent.end_vcn, medium.geometry.clusters)
    }

    /// The stream as far as it was collected; for the $MFT, which is needed to find its own extents.
    pub(super) fn so_far(&self, medium: &Medium) -> Stream {
        Stream {
            size: self.size.min(self.runs.end() * medium.geometry.cluster_bytes),
            flags: self.flags,
            initialized: self.initialized,
            body: Body::Plain(self.runs.clone()),
        }
    }

    /// The whole stream.
    pub(super) fn finish(self, medium: &Medium) -> Outcome<Stream> {
        // The product fits, as `add` has checked.
        if self.runs.end() * medium.geometry.cluster_bytes < self.size {
            return Err(Fault::damaged(format!(
                "a stream of {} bytes has runs for {} clusters",
                self.size,
                self.runs.end()
            )));
        }
        let body = match self.flags & flag::COMPRESSION_MASK {
            0 => Body::Plain(self.runs),
            _ => Body::Units(units(self.runs, self.compression_unit, medium.geometry.cluster_bytes)?),
        };
        Ok(Stream { size: self.size, flags: self.flags, initialized: self.initialized, body })
    }
}

/// Compression units of checked size.
fn units(runs: Runs, shift: u8, cluster_bytes: u64) -> Outcome<Units> {
    let clusters = if (1..=UNIT_SHIFT_MAX).contains(&shift) { 1_u64 << shift } else { u64::MAX };
    if clusters.saturating_mul(cluster_bytes) > UNIT_BYTES_MAX {
        return Err(Fault::damaged(format!("a compression unit of 2^{shift} clusters is impossible")));
    }
    Ok(Units { runs, clusters, last: Mutex::default() })
}

impl Stream {
    /// A stream whose value stands in its record.
    pub(super) fn resident(value: &[u8], flags: u16) -> Self {
        Self { size: bytes(value.len()), flags, initialized: u64::MAX, body: Body::Resident(value.to_vec()) }
    }

    /// A stream of one attribute that has no further extents.
    pub(super) fn single(attribute: &Attribute<'_>, medium: &Medium) -> Outcome<Self> {
        match &attribute.form {
            Form::Resident(value) => Ok(Self::resident(value, attribute.flags)),
            Form::NonResident(extent) => Builder::new(attribute, extent, medium)?.finish(medium),
        }
    }

    /// Whether the value stands in the record.
    pub(super) const fn is_resident(&self) -> bool {
        matches!(self.body, Body::Resident(_))
    }

    /// Whether the clusters hold the bytes in another form.
    pub(super) const fn is_transformed(&self) -> bool {
        matches!(self.body, Body::Units(_)) || self.flags & flag::ENCRYPTED != 0
    }

    /// Bytes that were ever written.
    pub(super) const fn initialized(&self) -> u64 {
        self.initialized
    }

    /// The runs; none when the value stands in the record.
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        let runs = match &self.body {
            Body::Resident(_) => None,
            Body::Plain(runs) => Some(runs),
            Body::Units(units) => Some(&units.runs),
        };
        runs.into_iter().flat_map(Runs::iter)
    }

    /// Fills `buf` from `offset`; fewer bytes only at the end of the stream.
    pub(super) fn read_at(&self, medium: &Medium, offset: u64, buf: &mut [u8]) -> Outcome<usize> {
        self.refuse_unreadable()?;
        let count = index(self.size.saturating_sub(offset).min(bytes(buf.len())));
        let written = index(self.initialized.saturating_sub(offset).min(bytes(count)));
        let (held, zeros) = buf[..count].split_at_mut(written);
        zeros.fill(0);
        match &self.body {
            Body::Resident(value) => {
                held.copy_from_slice(&value[index(offset).min(value.len())..][..written]);
            }
            Body::Plain(runs) => read_plain(medium, runs, offset, held)?,
            Body::Units(units) => read_units(medium, units, offset, held)?,
        }
        Ok(count)
    }

    /// All bytes of a stream that must be short.
    pub(super) fn read_all(&self, medium: &Medium, limit: u64, what: &'static str) -> Outcome<Vec<u8>> {
        if self.size > limit {
            return Err(Fault::TooLarge(what, limit));
        }
        let mut all = vec![0; index(self.size)];
        self.read_at(medium, 0, &mut all)?;
        Ok(all)
    }

    /// Refuses what would be read as something else than the guest sees.
    fn refuse_unreadable(&self) -> Outcome<()> {
        if self.flags & flag::ENCRYPTED != 0 {
            return Err(Fault::Unsupported(
                "the file is encrypted by EFS: its bytes can be read only in the guest, by a user who holds the key"
                    .into(),
            ));
        }
        match self.flags & flag::COMPRESSION_MASK {
            0 | LZNT1 => Ok(()),
            method => {
                Err(Fault::Unsupported(format!("the file is compressed by the unknown method {method}")))
            }
        }
    }
}

/// Reads from runs as they are; a read inside one run is one read of the volume.
fn read_plain(medium: &Medium, runs: &Runs, offset: u64, mut buf: &mut [u8]) -> Outcome<()> {
    let cluster_bytes = medium.geometry.cluster_bytes;
    let mut at = offset;
    for run in runs.from(offset / cluster_bytes) {
        if buf.is_empty() {
            return Ok(());
        }
        // The end of the last run fits, as `finish` has checked; a collected part may end anywhere.
        let skip = at - run.vcn * cluster_bytes;
        let count = index((run.clusters * cluster_bytes - skip).min(bytes(buf.len())));
        let (now, rest) = buf.split_at_mut(count);
        match run.lcn {
            Some(lcn) => medium.read_cluster(lcn, skip, now)?,
            None => now.fill(0),
        }
        at += bytes(count);
        buf = rest;
    }
    match buf {
        [] => Ok(()),
        _ => Err(Fault::damaged("a stream is read beyond its runs")),
    }
}

/// Reads through decoded compression units.
fn read_units(medium: &Medium, units: &Units, offset: u64, mut buf: &mut [u8]) -> Outcome<()> {
    let unit_bytes = units.clusters * medium.geometry.cluster_bytes;
    let mut at = offset;
    while !buf.is_empty() {
        let unit = decoded(medium, units, at / unit_bytes)?;
        let skip = index(at % unit_bytes);
        let count = (unit.len() - skip).min(buf.len());
        let (now, rest) = buf.split_at_mut(count);
        now.copy_from_slice(&unit[skip..skip + count]);
        at += bytes(count);
        buf = rest;
    }
    Ok(())
}

/// One unit, decoded now or the last time.
fn decoded(medium: &Medium, units: &Units, number: u64) -> Outcome<Arc<[u8]>> {
    let mut last = units.last.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((held, unit)) = &*last
        && *held == number
    {
        return Ok(Arc::clone(unit));
    }
    let unit: Arc<[u8]> = decode_unit(medium, units, number)?.into();
    *last = Some((number, Arc::clone(&unit)));
    Ok(unit)
}

/// Decodes a unit: a hole is zeros, a full one is stored as it is, and one that ends in a hole is compressed.
fn decode_unit(medium: &Medium, units: &Units, number: u64) -> Outcome<Vec<u8>> {
    let (first, cluster_bytes) = (number * units.clusters, medium.geometry.cluster_bytes);
    let (mut stored, mut covered) = (0, 0);
    for run in units.runs.from(first).take_while(|run| run.vcn < first + units.clusters) {
        let count = run.end().min(first + units.clusters) - run.vcn.max(first);
        if run.lcn.is_some() {
            if stored != covered {
                return Err(Fault::damaged("a compression unit has clusters after a hole"));
            }
            stored += count;
        }
        covered += count;
    }
    if covered != units.clusters {
        return Err(Fault::damaged("the runs end inside a compression unit"));
    }
    let unit_bytes = index(units.clusters * cluster_bytes);
    if stored == 0 {
        return Ok(vec![0; unit_bytes]);
    }
    let mut held = vec![0; index(stored * cluster_bytes)];
    read_plain(medium, &units.runs, first * cluster_bytes, &mut held)?;
    if stored == units.clusters { Ok(held) } else { lznt1::decode(&held, unit_bytes) }
}
