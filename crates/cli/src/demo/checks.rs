//! The comparisons of the demonstration. Each names what differs and where.

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
    if found == expected {
        return Ok(());
    }
    let odd = expected.iter().find(|file| !found.contains(file)).or_else(|| {
        // Nothing is missing, so something is there that the guest did not have.
        found.iter().find(|file| !expected.contains(file))
    });
    let path = odd.map_or("the order of files", |file| file.path.as_str());
    Err(mismatch(check, format!("{path} differs")))
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
