//! Finding the restore point and the disk that the operator means. Pure functions over what was listed.

use repository::{DiskRecord, RestorePoint};

use crate::error::Error;
use crate::select::{by_prefix, near};

/// How many ids an ambiguity names.
const CANDIDATES_MAX: usize = 8;

/// The word for the newest restore point of a source.
const LATEST: &str = "latest";

/// The restore points of one source, by name or source id, or all of them.
///
/// An unknown name is an error: an empty list would look like "nothing was ever backed up".
pub(crate) fn of_source<'a>(
    points: &'a [RestorePoint],
    name: Option<&str>,
) -> Result<Vec<&'a RestorePoint>, Error> {
    let Some(name) = name else { return Ok(points.iter().collect()) };
    let found: Vec<&RestorePoint> = points.iter().filter(|point| is_source(point, name)).collect();
    if found.is_empty() {
        let near = near(name, points.iter().map(|point| point.source_name.as_str()));
        return Err(Error::PointUnknown { wanted: format!("of {name}"), near });
    }
    Ok(found)
}

/// One restore point: `latest` (of `source`), an id, or the unique beginning of one.
pub(crate) fn choose<'a>(
    points: &'a [RestorePoint],
    wanted: &str,
    source: Option<&str>,
) -> Result<&'a RestorePoint, Error> {
    let within = of_source(points, source)?;
    if wanted.eq_ignore_ascii_case(LATEST) {
        return latest(&within);
    }
    let found = by_prefix(wanted, &within, |point| point.id.to_string());
    match found.as_slice() {
        [point] => Ok(point),
        [] => Err(Error::PointUnknown { wanted: wanted.to_owned(), near: Vec::new() }),
        several => Err(Error::PointAmbiguous {
            wanted: wanted.to_owned(),
            candidates: several.iter().take(CANDIDATES_MAX).map(|point| point.id.to_string()).collect(),
        }),
    }
}

/// The newest; only if all are of one source, since "latest" of several is a guess.
fn latest<'a>(points: &[&'a RestorePoint]) -> Result<&'a RestorePoint, Error> {
    let newest = points.iter().max_by_key(|point| (point.created_unix_ms, point.id));
    let Some(newest) = newest else {
        return Err(Error::NoPoints);
    };
    let mut sources: Vec<String> = points.iter().map(|point| point.source_name.clone()).collect();
    sources.sort();
    sources.dedup();
    if points.iter().any(|point| point.source != newest.source) {
        return Err(Error::SourceUnnamed { candidates: sources.into_iter().take(CANDIDATES_MAX).collect() });
    }
    Ok(newest)
}

/// One disk of a restore point: the only one, or by key, unique beginning of it, or name.
pub(crate) fn choose_disk<'a>(
    point: &'a RestorePoint,
    wanted: Option<&str>,
) -> Result<&'a DiskRecord, Error> {
    let Some(wanted) = wanted else {
        return match point.disks.as_slice() {
            [disk] => Ok(disk),
            disks => Err(Error::DiskUnnamed { point: point.id.to_string(), has: disk_names(disks) }),
        };
    };
    let by_name: Vec<&DiskRecord> = point.disks.iter().filter(|disk| disk.name == wanted).collect();
    let by_key = by_prefix(wanted, &point.disks, |disk| disk.key.to_string());
    match (by_name.as_slice(), by_key.as_slice()) {
        ([disk], _) | ([], [disk]) => Ok(disk),
        _ => Err(Error::DiskUnknown {
            point: point.id.to_string(),
            wanted: wanted.to_owned(),
            has: disk_names(&point.disks),
        }),
    }
}

fn disk_names(disks: &[DiskRecord]) -> Vec<String> {
    disks.iter().map(|disk| format!("{} ({})", disk.key, disk.name)).collect()
}

fn is_source(point: &RestorePoint, name: &str) -> bool {
    point.source_name.to_lowercase() == name.to_lowercase()
        || point.source.as_str().eq_ignore_ascii_case(name)
}
