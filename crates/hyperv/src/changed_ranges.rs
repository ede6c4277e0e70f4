//! What changed on a disk since a reference point, as the host's change tracking (RCT) knows it.
//!
//! Asked window by window: the documentation wants each window smaller than the disk, and a reply must fit the
//! envelope (about 2,500 ranges in 500 KB). The host may process less than asked, so we go on from what it says it
//! has processed. True changes must be among the reported ones, so everything that cannot be believed is an error,
//! upon which the caller reads the whole disk. The path is passed as the host names it: a network path would make
//! the host sign in somewhere with our identity. Source: `Msvm_ImageManagementService.GetVirtualDiskChanges`.

use std::time::Duration;

use vdisk::{ByteRange, ChangedRanges};
use winremote::wsman::Output;

use crate::call::{bad_answer, call_error, job_of};
use crate::error::{Attempt, Error, Result};
use crate::host::Host;
use crate::id::RctId;
use crate::job::{JobEnd, find_hresult};
use crate::wmi;

const METHOD: &str = "GetVirtualDiskChanges";

/// Largest window: keeps the reply of a moderately changed disk within one default envelope.
const WINDOW_BYTES_MAX: u64 = 16 << 30;

/// Smallest window after halving. At the finest tracking unit (16 KiB) it holds 64 ranges, which fit any envelope.
const WINDOW_BYTES_MIN: u64 = 1 << 20;

/// Ranges kept for one disk, 16 bytes each. Beyond it neighbours are joined, which only adds bytes to read.
const RANGES_MAX: usize = 1 << 20;

/// Calls without end are refused; a 64 TiB disk needs 4,096 windows, and halving at most doubles the calls.
const CALLS_MAX: u64 = 1 << 20;

/// How long the host may look for the changes of one window, where it does so as a job.
const CHANGES_WITHIN: Duration = Duration::from_secs(10 * 60);

/// `ERROR_VHD_…` facility: change tracking invalid, disabled or missing all are in 0xC03A00xx.
const VHD_ERRORS: std::ops::RangeInclusive<u32> = 0xC03A_0000..=0xC03A_00FF;

impl Host {
    /// Ranges of the virtual disk that changed since `since`. `path` is the frozen file as the host names it, and
    /// `capacity_bytes` the size of its virtual disk.
    ///
    /// Any error means that the changes are not known, so that the disk must be read in full.
    pub async fn changed_ranges(
        &self,
        path: &str,
        since: &RctId,
        capacity_bytes: u64,
    ) -> Result<ChangedRanges> {
        let at = self.at(format!("asking for the changes of disk {path}"));
        let mut scan = Scan::new(capacity_bytes);
        let mut calls = 0;
        while let Some(window) = scan.next_window() {
            calls += 1;
            if calls > CALLS_MAX {
                return Err(implausible(&at, "the host needs more calls than any disk can"));
            }
            match self.changes_in(&at, path, since, window).await {
                Ok(Some(output)) => scan.take(window, &output).map_err(|why| implausible(&at, why))?,
                Ok(None) => scan.halve().map_err(|why| implausible(&at, why))?,
                Err(error) => return Err(error),
            }
        }
        tracing::debug!(
            host = self.name(),
            disk = path,
            calls,
            bytes = scan.found.total_bytes(),
            "changes read"
        );
        Ok(scan.found)
    }

    /// One window's answer; `None` when it does not fit the envelope.
    async fn changes_in(
        &self,
        at: &Attempt,
        path: &str,
        since: &RctId,
        window: ByteRange,
    ) -> Result<Option<Output>> {
        let arguments = [
            ("Path", path.into()),
            ("LimitId", since.as_str().into()),
            ("TargetSnapshotId", "".into()),
            ("ByteOffset", window.start.into()),
            ("ByteLength", window.len().into()),
        ];
        let output = match self.ask(&wmi::service(wmi::IMAGE_SERVICE), METHOD, &arguments).await {
            Ok(output) => output,
            Err(error) if error.is_too_large() => return Ok(None),
            Err(source) => return Err(fault_error(at, since, source)),
        };
        match output.return_value {
            0 => Ok(Some(output)),
            4096 => self.changes_of_job(at, since, output).await.map(Some),
            32769 | 32774 | 32777 => {
                Err(Error::Refused { at: Box::new(at.clone()), method: METHOD, code: output.return_value })
            }
            code => {
                let why = format!("{METHOD} returned {code} ({})", crate::error::return_code_name(code));
                Err(lost(at, since, why))
            }
        }
    }

    /// A job fails with the reason in its text; one that completes has put the ranges into the first answer, or
    /// nowhere.
    async fn changes_of_job(&self, at: &Attempt, since: &RctId, output: Output) -> Result<Output> {
        let job = job_of(at, &output)?;
        match self.await_job(at, &job, CHANGES_WITHIN).await {
            Ok(JobEnd::Completed) if output.values.has("ProcessedByteLength") => Ok(output),
            Ok(JobEnd::Completed) => {
                Err(bad_answer(at, &"the changes come as a job, whose result cannot be read"))
            }
            Ok(JobEnd::Vanished) => Err(Error::JobVanished { at: Box::new(at.clone()) }),
            Err(Error::JobFailed { failure, .. })
                if failure.hresult.is_some_and(|hresult| VHD_ERRORS.contains(&hresult)) =>
            {
                Err(lost(at, since, failure.to_string()))
            }
            Err(error) => Err(error),
        }
    }
}

/// A fault whose text carries one of the disk errors is about change tracking; any other is about the call.
fn fault_error(at: &Attempt, since: &RctId, source: winremote::Error) -> Error {
    match find_hresult(&source.to_string()) {
        Some(hresult) if VHD_ERRORS.contains(&hresult) => lost(at, since, source.to_string()),
        _ => call_error(at, source),
    }
}

fn lost(at: &Attempt, since: &RctId, why: String) -> Error {
    Error::ChangeTrackingLost { at: Box::new(at.clone()), rct_id: since.to_string(), why }
}

fn implausible(at: &Attempt, why: impl Into<String>) -> Error {
    Error::ChangedRangesImplausible { at: Box::new(at.clone()), why: why.into() }
}

/// How far a disk has been asked for, and what was found.
struct Scan {
    capacity: u64,
    processed: u64,
    window: u64,
    window_max: u64,
    /// Ranges of the windows since the last joining, not yet sorted in.
    fresh: Vec<ByteRange>,
    found: ChangedRanges,
}

impl Scan {
    fn new(capacity: u64) -> Self {
        let window_max = window_max(capacity);
        let (fresh, found) = (Vec::new(), ChangedRanges::new());
        Self { capacity, processed: 0, window: window_max, window_max, fresh, found }
    }

    /// The next part to ask for; `None` when the disk is covered.
    fn next_window(&mut self) -> Option<ByteRange> {
        if self.processed < self.capacity {
            return Some(ByteRange::at(self.processed, self.window.min(self.capacity - self.processed)));
        }
        self.join();
        None
    }

    fn halve(&mut self) -> Result<(), String> {
        if self.window <= WINDOW_BYTES_MIN.min(self.window_max) {
            return Err(format!("even {} bytes of the disk do not fit one reply", self.window));
        }
        self.window = (self.window / 2).max(WINDOW_BYTES_MIN);
        Ok(())
    }

    /// Takes over one answer. A window that fitted lets the next one be larger again.
    fn take(&mut self, window: ByteRange, output: &Output) -> Result<(), String> {
        let (processed, ranges) = read_answer(window, self.capacity, output)?;
        self.fresh.extend(ranges);
        if self.fresh.len() > RANGES_MAX {
            self.join();
        }
        self.processed += processed;
        self.window = (self.window * 2).min(self.window_max);
        Ok(())
    }

    /// Sorts the fresh ranges in; when there are too many, joins neighbours by growing them to a coarser unit.
    fn join(&mut self) {
        self.found = self.found.union(&ChangedRanges::from_ranges(self.fresh.drain(..)));
        let mut unit = 64 << 10;
        while self.found.range_count() > RANGES_MAX {
            self.found = self.found.align_outward(unit, self.capacity);
            unit *= 2;
        }
    }
}

/// Strictly smaller than the disk, in whole MiB where the disk has several.
fn window_max(capacity: u64) -> u64 {
    let below = capacity.saturating_sub(1);
    let whole =
        if below >= WINDOW_BYTES_MIN { below / WINDOW_BYTES_MIN * WINDOW_BYTES_MIN } else { below.max(1) };
    whole.min(WINDOW_BYTES_MAX)
}

/// Bytes processed and the ranges reported, each checked against the disk and the window that was asked.
///
/// A range may reach over the window's ends, since tracking units are coarser than windows; one that lies wholly
/// outside shows that the host means its offsets differently, and then none of them can be believed.
fn read_answer(window: ByteRange, capacity: u64, output: &Output) -> Result<(u64, Vec<ByteRange>), String> {
    let values = &output.values;
    let say = |error: winremote::Error| error.to_string();
    let processed = values.get_u64("ProcessedByteLength").map_err(say)?;
    if processed == 0 || processed > window.len() {
        return Err(format!(
            "of {} bytes asked for at {} it processed {processed}",
            window.len(),
            window.start
        ));
    }
    let offsets = values.get_array::<u64>("ChangedByteOffsets").map_err(say)?;
    let lengths = values.get_array::<u64>("ChangedByteLengths").map_err(say)?;
    if offsets.len() != lengths.len() {
        return Err(format!("{} offsets came with {} lengths", offsets.len(), lengths.len()));
    }
    let seen = ByteRange::at(window.start, processed);
    let mut ranges = Vec::with_capacity(offsets.len());
    for (start, length) in offsets.into_iter().zip(lengths) {
        let end = start.checked_add(length).filter(|end| *end <= capacity);
        let Some(end) = end else {
            return Err(format!("{length} bytes at {start} reach beyond the disk of {capacity} bytes"));
        };
        let range = ByteRange::new(start, end);
        if length > 0 && range.intersect(seen).is_empty() {
            return Err(format!("{length} bytes at {start} are outside of what was asked for"));
        }
        ranges.push(range);
    }
    Ok((processed, ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn answer(processed: u64, ranges: &[(u64, u64)]) -> Output {
        let offsets: Vec<u64> = ranges.iter().map(|range| range.0).collect();
        let lengths: Vec<u64> = ranges.iter().map(|range| range.1).collect();
        Output::new(0)
            .with("ProcessedByteLength", processed)
            .with("ChangedByteOffsets", offsets)
            .with("ChangedByteLengths", lengths)
    }

    fn read(
        window: (u64, u64),
        processed: u64,
        ranges: &[(u64, u64)],
    ) -> Result<(u64, Vec<ByteRange>), String> {
        read_answer(ByteRange::at(window.0, window.1), 4 * GIB, &answer(processed, ranges))
    }

    #[test]
    fn each_window_is_strictly_smaller_than_the_disk() {
        for capacity in [1, 2, 511, 512, 1 << 20, (1 << 20) + 1, 3 << 20, GIB, 16 * GIB, 64 << 40] {
            let window = window_max(capacity);
            assert!(window > 0 && (window < capacity || capacity == 1), "{capacity}: {window}");
            assert!(window <= 16 * GIB);
        }
    }

    #[test]
    fn ranges_are_kept_when_they_touch_the_window() {
        let (processed, ranges) = read((GIB, GIB), GIB, &[(GIB - 4096, 8192), (2 * GIB - 1, 2)]).unwrap();
        assert_eq!(processed, GIB);
        assert_eq!(ranges, [ByteRange::at(GIB - 4096, 8192), ByteRange::at(2 * GIB - 1, 2)]);
    }

    #[test]
    fn an_answer_that_cannot_be_believed_is_refused_with_its_numbers() {
        let refusal = |window, processed, ranges: &[(u64, u64)]| read(window, processed, ranges).unwrap_err();
        assert_eq!(refusal((0, GIB), 0, &[]), "of 1073741824 bytes asked for at 0 it processed 0");
        assert_eq!(refusal((0, 10), 11, &[]), "of 10 bytes asked for at 0 it processed 11");
        assert_eq!(
            refusal((0, GIB), GIB, &[(4 * GIB - 1, 2)]),
            "2 bytes at 4294967295 reach beyond the disk of 4294967296 bytes"
        );
        assert!(refusal((0, GIB), GIB, &[(u64::MAX, 2)]).contains("beyond the disk"));
        assert_eq!(refusal((GIB, GIB), GIB, &[(0, 512)]), "512 bytes at 0 are outside of what was asked for");
        let uneven = answer(1, &[]).with("ChangedByteOffsets", vec![1_u64]);
        let why = read_answer(ByteRange::at(0, 1), GIB, &uneven).unwrap_err();
        assert_eq!(why, "1 offsets came with 0 lengths");
    }

    #[test]
    fn windows_shrink_on_envelope_faults_grow_again_and_give_up_at_last() {
        let mut scan = Scan::new(64 * GIB);
        scan.halve().unwrap();
        assert_eq!(scan.next_window().unwrap(), ByteRange::at(0, 8 * GIB));
        scan.take(ByteRange::at(0, 8 * GIB), &answer(8 * GIB, &[])).unwrap();
        assert_eq!(scan.next_window().unwrap(), ByteRange::at(8 * GIB, 16 * GIB));
        while scan.window > WINDOW_BYTES_MIN {
            scan.halve().unwrap();
        }
        assert_eq!(scan.halve().unwrap_err(), "even 1048576 bytes of the disk do not fit one reply");
    }

    #[test]
    fn too_many_ranges_are_joined_to_more_bytes_and_never_fewer() {
        let mut scan = Scan::new(1 << 50);
        let spread = (0..=RANGES_MAX as u64).map(|index| ByteRange::at(index * 100_000, 512));
        scan.fresh.extend(spread);
        scan.join();
        assert!(scan.found.range_count() <= RANGES_MAX);
        for index in [0, 77, RANGES_MAX as u64] {
            assert!(scan.found.covers(ByteRange::at(index * 100_000, 512)));
        }
    }
}
