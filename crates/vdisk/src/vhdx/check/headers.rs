//! Rules of the two headers, and of the place of the log that they name (MS-VHDX 2.2.2).

use uuid::Uuid;
use zerocopy::{FromBytes, IntoBytes};

use crate::check::{Findings, vhdx_rules as rules};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::MIB;
use crate::range::ByteRange;
use crate::vhdx::format::{HEADER_OFFSETS, HEADER_SECTION_BYTES, Header, checksum};

/// Header updates that should remain possible.
const NUMBERS_LEFT_MIN: u64 = 1 << 20;

/// Checks both headers and returns the current one.
pub(super) fn check(file: &dyn FileIo, findings: &mut Findings) -> Result<Option<Header>> {
    let mut valid = Vec::new();
    for (number, offset) in (1..).zip(HEADER_OFFSETS) {
        valid.extend(check_one(file, number, offset, findings)?);
    }
    let current = match valid.as_slice() {
        [] => {
            findings.add(&rules::HEADER_NONE, "headers", "neither is valid");
            return Ok(None);
        }
        [one] => one.clone(),
        [one, two, ..] => match one.sequence_number.get().cmp(&two.sequence_number.get()) {
            std::cmp::Ordering::Less => two.clone(),
            std::cmp::Ordering::Greater => one.clone(),
            std::cmp::Ordering::Equal => {
                let found = format!("both have number {}", one.sequence_number);
                if one.as_bytes() != two.as_bytes() {
                    findings.add(&rules::HEADER_TWINS, "headers", found);
                    return Ok(None);
                }
                findings.add(&rules::HEADER_SAME, "headers", found);
                one.clone()
            }
        },
    };
    let version = current.version.get();
    if version != 1 {
        findings.add(&rules::HEADER_VERSION, "current header", format!("it is {version}"));
        return Ok(None);
    }
    let number = current.sequence_number.get();
    let far = u64::MAX - number >= NUMBERS_LEFT_MIN;
    findings.expect(far, &rules::HEADER_NUMBER, "current header", format!("it is {number}"));
    Ok(Some(current))
}

fn check_one(file: &dyn FileIo, number: u32, offset: u64, findings: &mut Findings) -> Result<Option<Header>> {
    let mut bytes = [0; size_of::<Header>()];
    file.read_at(offset, &mut bytes).map_err(|error| Error::io(file.name(), "read the headers of", error))?;
    let Ok(header) = Header::read_from_bytes(&bytes) else { return Ok(None) };
    let object = format!("header {number}");
    if header.signature != *b"head" {
        let found = format!("it begins with {}", header.signature.escape_ascii());
        findings.add(&rules::HEADER_SIGNATURE, object, found);
        return Ok(None);
    }
    let (noted, computed) = (header.checksum.get(), checksum(&bytes));
    if noted != computed {
        let found = format!("it is {noted:#010x}, the bytes have {computed:#010x}");
        findings.add(&rules::HEADER_CHECKSUM, object, found);
        return Ok(None);
    }
    let reserved = header.reserved.iter().filter(|byte| **byte != 0).count();
    findings.expect(reserved == 0, &rules::HEADER_RESERVED, object, format!("{reserved} are not"));
    Ok(Some(header))
}

/// Checks where the log is; returns its place if it can be kept free.
pub(super) fn check_log_place(header: &Header, length: u64, findings: &mut Findings) -> Option<ByteRange> {
    let in_use = !Uuid::from(header.log_guid).is_nil();
    let version = header.log_version.get();
    findings.expect(
        version == 0 || !in_use,
        &rules::LOG_VERSION,
        "current header",
        format!("it is {version}"),
    );
    let (offset, bytes) = (header.log_offset.get(), u64::from(header.log_length.get()));
    if bytes == 0 && !in_use {
        return None;
    }
    let aligned = offset.is_multiple_of(MIB) && bytes.is_multiple_of(MIB) && bytes > 0;
    let end = offset.checked_add(bytes).filter(|_| aligned && offset >= HEADER_SECTION_BYTES);
    let Some(end) = end else {
        findings.add(&rules::LOG_PLACE, "log", format!("{bytes} bytes at {offset}"));
        return None;
    };
    findings.expect(end <= length, &rules::LOG_BOUNDS, "log", format!("it ends at {end} of {length} bytes"));
    Some(ByteRange::new(offset, end))
}
