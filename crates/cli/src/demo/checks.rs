//! The comparisons of the demonstration. Each names what differs and where.

use std::collections::BTreeSet;
use std::path::Path;

use protection::run::DiskReport;
use simulator::guest::{ExpectedDisk, FileRecord, GuestFiles};
use vdisk::Disk;

use crate::error::Error;
use crate::output::units;
use crate::report::Outcome;

/// The repository stores blocks of 64 KiB, so each reported range may be read up to its blocks' borders.
const BLOCK_BYTES: u64 = 64 << 10;

/// The disk holds exactly what the guest's writes left at that moment.
pub(super) fn bytes_match(check: &str, expected: &ExpectedDisk, file: &Path) -> Outcome<()> {
    let disk = Disk::open_local(file)?;
    match expected.first_difference(&disk)? {
        None => Ok(()),
        Some(found) => Err(mismatch(
            check,
            format!("byte {} is {:#04x}, the guest wrote {:#04x}", found.offset, found.found, found.expected),
        )),
    }
}

/// The file system is clean and every file has the content that the guest gave it.
pub(super) fn files_match(check: &str, expected: &[FileRecord], image: &Path, scratch: &Path) -> Outcome<()> {
    GuestFiles::check(image)?;
    let torn = GuestFiles::torn_pages(image)?;
    if let Some(page) = torn.first() {
        return Err(mismatch(
            check,
            format!("{} torn, the first is {page}", units::count(torn.len() as u64, "page")),
        ));
    }
    let found = GuestFiles::list(image, scratch)?;
    match first_odd(expected, &found) {
        None => Ok(()),
        Some(path) => Err(mismatch(check, format!("{path} differs"))),
    }
}

/// The first file that is missing, other than it was, or there without reason.
fn first_odd<'a>(expected: &'a [FileRecord], found: &'a [FileRecord]) -> Option<&'a str> {
    let had: BTreeSet<&FileRecord> = expected.iter().collect();
    let has: BTreeSet<&FileRecord> = found.iter().collect();
    had.symmetric_difference(&has).next().map(|file| file.path.as_str())
}

/// The second backup read what the host reported, widened to blocks, and not the whole disk.
pub(super) fn only_changes_were_read(disk: &DiskReport) -> Outcome<()> {
    let Some(reported) = disk.reported_bytes.filter(|_| disk.changed_only) else {
        let why = disk.whole_because.clone().unwrap_or_default();
        return Err(mismatch("the second backup", format!("it read the whole disk, since {why}")));
    };
    // Each of the host's units can touch two blocks at most, and none is smaller than 16 KiB.
    let limit = (reported / (16 << 10) + 1).saturating_mul(2 * BLOCK_BYTES).min(disk.capacity_bytes);
    if disk.read_bytes > limit {
        let problem = format!("{} bytes read, {reported} reported", disk.read_bytes);
        return Err(mismatch("the second backup", problem));
    }
    Ok(())
}

/// A comparison that failed.
pub(super) fn mismatch(check: &str, problem: String) -> crate::report::Failure {
    Error::DemoMismatch { check: check.to_owned(), problem }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn second_backup() -> DiskReport {
        DiskReport {
            key: "k".into(),
            name: "demo.vhdx".into(),
            capacity_bytes: 1 << 30,
            changed_only: true,
            whole_because: None,
            reported_bytes: Some(64 << 10),
            read_bytes: 128 << 10,
            new_bytes: 0,
            stored_bytes: 0,
        }
    }

    #[test]
    fn a_second_backup_that_read_everything_ends_the_demo_with_an_error() {
        let whole = DiskReport {
            changed_only: false,
            whole_because: Some("its reference point is gone".into()),
            reported_bytes: None,
            ..second_backup()
        };
        let failure = only_changes_were_read(&whole).unwrap_err();
        assert_eq!(failure.exit(), Exit::Failed);
        assert!(failure.headline().contains("its reference point is gone"), "{}", failure.headline());
    }

    #[test]
    fn reading_far_more_than_was_reported_ends_the_demo_with_an_error() {
        assert!(only_changes_were_read(&second_backup()).is_ok());
        let greedy = DiskReport { read_bytes: 1 << 30, ..second_backup() };
        assert!(only_changes_were_read(&greedy).is_err());
    }

    #[test]
    fn a_single_file_that_differs_is_named() {
        let record =
            |path: &str, digest: &str| FileRecord { path: path.into(), bytes: 1, digest: digest.into() };
        let had = [record("/a", "1"), record("/b", "2")];
        assert_eq!(first_odd(&had, &had), None);
        assert_eq!(first_odd(&had, &[record("/a", "1"), record("/b", "3")]), Some("/b"));
        assert_eq!(first_odd(&had[..1], &had), Some("/b"));
    }
}
