//! Finding the restore point that the operator means. Pure functions over what was listed.

use repository::RestorePoint;

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
        return Err(Error::PointUnknown { wanted: LATEST.to_owned(), near: Vec::new() });
    };
    let mut sources: Vec<String> = points.iter().map(|point| point.source_name.clone()).collect();
    sources.sort();
    sources.dedup();
    if points.iter().any(|point| point.source != newest.source) {
        return Err(Error::SourceUnnamed { candidates: sources.into_iter().take(CANDIDATES_MAX).collect() });
    }
    Ok(newest)
}

fn is_source(point: &RestorePoint, name: &str) -> bool {
    point.source_name.to_lowercase() == name.to_lowercase()
        || point.source.as_str().eq_ignore_ascii_case(name)
}
