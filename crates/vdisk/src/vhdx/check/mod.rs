//! The validator's walk through a VHDX: every structure in the order of the file.
//!
//! Each part is judged on its own as far as what it depends on could be read. The reader in `image`
//! uses the same layouts and is as strict where reading would go wrong; a test holds the two together:
//! a file without errors opens, and one that does not open has an error.

mod blocks;
mod headers;
mod items;
mod regions;

use std::sync::Arc;

use super::format::{CREATOR_BYTES, FILE_SIGNATURE, HEADER_SECTION_BYTES, Header};
use super::log::{Overlay, Replay};
use crate::check::{Findings, vhdx_rules as rules};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::range::ByteRange;

/// Checks a file that begins with `vhdxfile`.
pub(crate) fn check(file: &Arc<dyn FileIo>, findings: &mut Findings) -> Result<()> {
    let length = length_of(&**file)?;
    if length < HEADER_SECTION_BYTES {
        findings.add(&rules::HEADER_SECTION, "file", format!("it has {length} bytes"));
        return Ok(());
    }
    check_creator(&**file, findings)?;
    let Some(header) = headers::check(&**file, findings)? else { return Ok(()) };
    let log = headers::check_log_place(&header, length, findings);
    let Some(file) = replayed(file, &header, findings)? else { return Ok(()) };
    let Some(regions) = regions::check(&*file, findings)? else { return Ok(()) };
    let geometry = match regions.metadata {
        Some(region) => items::check(&*file, region, findings)?,
        None => None,
    };
    let mut parts =
        vec![Part { range: ByteRange::new(0, HEADER_SECTION_BYTES), name: "header section".into() }];
    parts.extend(log.map(|range| Part { range, name: "log".into() }));
    parts.extend(regions.parts);
    blocks::check(&*file, regions.bat.zip(geometry), parts, findings)
}

/// A structure that takes space in the file.
#[derive(Debug)]
struct Part {
    range: ByteRange,
    name: String,
}

fn length_of(file: &dyn FileIo) -> Result<u64> {
    file.len().map_err(|error| Error::io(file.name(), "read the length of", error))
}

fn check_creator(file: &dyn FileIo, findings: &mut Findings) -> Result<()> {
    let mut creator = [0; CREATOR_BYTES];
    file.read_at(FILE_SIGNATURE.len() as u64, &mut creator)
        .map_err(|error| Error::io(file.name(), "read", error))?;
    let units = creator.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let is_text = char::decode_utf16(units.take_while(|unit| *unit != 0)).all(|unit| unit.is_ok());
    findings.expect(is_text, &rules::CREATOR, "file identifier", "it is no text");
    Ok(())
}

/// The file as it is once its log is replayed; none if that is not possible.
fn replayed(
    file: &Arc<dyn FileIo>,
    header: &Header,
    findings: &mut Findings,
) -> Result<Option<Arc<dyn FileIo>>> {
    if uuid::Uuid::from(header.log_guid).is_nil() {
        return Ok(Some(Arc::clone(file)));
    }
    match Replay::read(&**file, header) {
        Ok(replay) => {
            let found = format!("entries to be replayed: {}", replay.entries());
            findings.add(&rules::LOG_DIRTY, "log", found);
            let overlay = Overlay::new(Arc::clone(file), replay)
                .map_err(|error| Error::io(file.name(), "read the length of", error))?;
            Ok(Some(Arc::new(overlay)))
        }
        Err(error @ Error::Io { .. }) => Err(error),
        Err(error) => {
            let rule = match &error {
                Error::Truncated { what, .. } if what != "its log" => &rules::LOG_TRUNCATED,
                _ => &rules::LOG_SEQUENCE,
            };
            findings.add(rule, "log", error);
            Ok(None)
        }
    }
}
