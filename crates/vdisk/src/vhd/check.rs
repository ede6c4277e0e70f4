//! The validator's walk through a VHD: footers, header, table, space.

use std::sync::Arc;

use zerocopy::{FromZeros, IntoBytes};

use super::chs::Chs;
use super::footer::{header_offset, tell_two_disks};
use super::format::{
    ABSENT, DynamicHeader, FEATURE_RESERVED, FOOTER_BYTES, FOOTER_COOKIE, Footer, HEADER_BYTES,
    HEADER_COOKIE, OLD_FOOTER_BYTES, SECTOR, VERSION, disk_type,
};
use super::image::BLOCK_BYTES;
use super::locator;
use crate::check::{Findings, vhd_rules as rules};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;
use crate::range::ByteRange;

/// Feature bits that are described: temporary, and the reserved one.
const FEATURES: u32 = FEATURE_RESERVED | 1;
/// Bytes of the table read at a time.
const READ_BYTES: u64 = 1 << 20;

/// Checks a file that has a footer's first bytes somewhere.
pub(crate) fn check(file: &Arc<dyn FileIo>, findings: &mut Findings) -> Result<()> {
    let file = &**file;
    let length = file.len().map_err(|error| unreadable(file, error))?;
    let Some((footer, data_end)) = check_footers(file, length, findings)? else { return Ok(()) };
    let Some(capacity) = check_footer_values(&footer, findings) else { return Ok(()) };
    if footer.disk_type == disk_type::FIXED {
        let found = format!("{capacity} bytes of disk, {data_end} in the file");
        findings.expect(capacity <= data_end, &rules::FIXED_LENGTH, "file", found);
        return Ok(());
    }
    let Some((offset, header)) = check_header(file, &footer, length, findings)? else { return Ok(()) };
    let mut fixed = vec![
        (ByteRange::at(0, FOOTER_BYTES), "the copy of the footer"),
        (ByteRange::at(offset, HEADER_BYTES), "the dynamic header"),
    ];
    if footer.disk_type == disk_type::DIFFERENCING {
        match locator::read(file, &header, length) {
            Ok(_) => fixed.extend(locator::ranges(&header).map(|range| (range, "a path of the parent"))),
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => findings.add(&rules::PARENT_LOCATOR, "dynamic header", error),
        }
    }
    Blocks { file, capacity, data_end, block: header.block_size.get().into(), findings }.check(&header, fixed)
}

fn unreadable(file: &dyn FileIo, error: std::io::Error) -> Error {
    Error::io(file.name(), "read", error)
}

/// The footer that counts, and where the data ends.
fn check_footers(file: &dyn FileIo, length: u64, findings: &mut Findings) -> Result<Option<(Footer, u64)>> {
    let copy = check_footer(file, 0, FOOTER_BYTES, "copy of the footer", findings)?;
    let mut at_end = None;
    for bytes in [FOOTER_BYTES, OLD_FOOTER_BYTES] {
        let Some(offset) = length.checked_sub(bytes).filter(|offset| *offset > 0 && at_end.is_none()) else {
            continue;
        };
        at_end = check_footer(file, offset, bytes, "footer", findings)?.map(|footer| (footer, offset));
        if at_end.is_some() {
            let found = format!("it has {bytes}");
            findings.expect(bytes == FOOTER_BYTES, &rules::FOOTER_SHORT, "footer", found);
        }
    }
    Ok(match (at_end, copy) {
        (Some((footer, offset)), copy) => {
            // What looks like a footer at the start of a fixed disk was written by its guest.
            let sparse = footer.disk_type != disk_type::FIXED;
            let same = copy.is_some_and(|copy| copy == footer);
            let object = "copy of the footer";
            findings.expect(!sparse || same, &rules::FOOTER_COPY, object, "it is not the same");
            let two_disks = copy.is_some_and(|copy| tell_two_disks(&footer, offset, &copy));
            findings.expect(!two_disks, &rules::FOOTER_TWO_DISKS, object, "it tells of another disk");
            Some((footer, offset))
        }
        (None, Some(copy)) if copy.disk_type != disk_type::FIXED => {
            findings.add(&rules::FOOTER_END, "footer", "there is none");
            Some((copy, length))
        }
        (None, _) => {
            findings.add(&rules::FOOTER_NONE, "footers", "there is none");
            None
        }
    })
}

/// The footer there, if it is one and its checksum is right.
fn check_footer(
    file: &dyn FileIo,
    offset: u64,
    bytes: u64,
    object: &str,
    findings: &mut Findings,
) -> Result<Option<Footer>> {
    let mut footer = Footer::new_zeroed();
    let length = file.len().map_err(|error| unreadable(file, error))?;
    if offset + bytes > length {
        return Ok(None);
    }
    let part = &mut footer.as_mut_bytes()[..index(bytes)];
    file.read_at(offset, part).map_err(|error| unreadable(file, error))?;
    if &footer.cookie != FOOTER_COOKIE {
        return Ok(None);
    }
    if !footer.has_right_checksum() {
        let found =
            format!("it is {:#010x}, the bytes have {:#010x}", footer.checksum, footer.sealed().checksum);
        findings.add(&rules::FOOTER_CHECKSUM, object, found);
        return Ok(None);
    }
    Ok(Some(footer))
}

/// Size of the disk, if the footer can be used.
fn check_footer_values(footer: &Footer, findings: &mut Findings) -> Option<u64> {
    let object = "footer";
    let (version, kind) = (footer.version.get(), footer.disk_type.get());
    let features = footer.features.get();
    let usual = features & FEATURE_RESERVED != 0 && features & !FEATURES == 0;
    findings.expect(usual, &rules::FOOTER_FEATURES, object, format!("they are {features:#x}"));
    let saved = footer.saved_state != 0;
    findings.expect(!saved, &rules::FOOTER_SAVED_STATE, object, "the mark is set");
    let known_version = version >> 16 == VERSION >> 16;
    findings.expect(known_version, &rules::FOOTER_VERSION, object, format!("it is {version:#x}"));
    let known_kind = [disk_type::FIXED, disk_type::DYNAMIC, disk_type::DIFFERENCING].contains(&kind);
    findings.expect(known_kind, &rules::FOOTER_TYPE, object, format!("it is {kind}"));
    let (field, by_geometry) = (footer.current_size.get(), Chs::of(footer).bytes());
    let differ = field != by_geometry && !Chs::of(footer).is_saturated();
    let found = format!("{field} bytes by the field, {by_geometry} by the geometry");
    findings.expect(!differ, &rules::DISK_SIZE_GEOMETRY, object, found);
    let found = super::footer::FoundFooter { footer: *footer, at_end: None };
    match found.capacity("the disk") {
        Ok(capacity) if known_version && known_kind => Some(capacity),
        Ok(_) => None,
        Err(error) => {
            findings.add(&rules::DISK_SIZE, object, error);
            None
        }
    }
}

fn check_header(
    file: &dyn FileIo,
    footer: &Footer,
    length: u64,
    findings: &mut Findings,
) -> Result<Option<(u64, DynamicHeader)>> {
    let object = "dynamic header";
    let inside = |offset: &u64| offset.checked_add(HEADER_BYTES).is_some_and(|end| end <= length);
    let Some(offset) = header_offset(footer).filter(inside) else {
        findings.add(&rules::HEADER_PLACE, object, format!("the footer says {:#x}", footer.data_offset));
        return Ok(None);
    };
    let mut header = DynamicHeader::new_zeroed();
    file.read_at(offset, header.as_mut_bytes()).map_err(|error| unreadable(file, error))?;
    if &header.cookie != HEADER_COOKIE {
        findings.add(&rules::HEADER_PLACE, object, format!("there is none at {offset}"));
        return Ok(None);
    }
    if !header.has_right_checksum() {
        let found =
            format!("it is {:#010x}, the bytes have {:#010x}", header.checksum, header.sealed().checksum);
        findings.add(&rules::HEADER_CHECKSUM, object, found);
        return Ok(None);
    }
    let version = header.version.get();
    findings.expect(version >> 16 == VERSION >> 16, &rules::HEADER_VERSION, object, format!("{version:#x}"));
    let block = header.block_size.get();
    if !block.is_power_of_two() || !BLOCK_BYTES.contains(&block) {
        findings.add(&rules::BLOCK_SIZE, object, format!("it is {block}"));
        return Ok(None);
    }
    Ok(Some((offset, header)))
}

/// What the walk through the table needs.
struct Blocks<'a> {
    file: &'a dyn FileIo,
    capacity: u64,
    data_end: u64,
    block: u64,
    findings: &'a mut Findings,
}

impl Blocks<'_> {
    fn check(mut self, header: &DynamicHeader, mut fixed: Vec<(ByteRange, &'static str)>) -> Result<()> {
        let (needed, entries) =
            (self.capacity.div_ceil(self.block), u64::from(header.max_table_entries.get()));
        let found = format!("{entries} entries for {needed} blocks");
        self.findings.expect(entries >= needed, &rules::TABLE_LENGTH, "dynamic header", found);
        let table = ByteRange::at(header.table_offset.get(), needed.min(entries) * 4);
        if table.end > self.data_end {
            let found = format!("it ends at {} of {} bytes", table.end, self.data_end);
            self.findings.add(&rules::TABLE_BOUNDS, "block allocation table", found);
            return Ok(());
        }
        fixed.push((table, "the block allocation table"));
        let places = self.pass(table)?;
        self.overlap(fixed, places);
        Ok(())
    }

    /// The sector and number of each block that has space.
    fn pass(&mut self, table: ByteRange) -> Result<Vec<(u32, u32)>> {
        let mut places = Vec::new();
        let mut buf = vec![0; index(READ_BYTES.min(table.len()))];
        let (mut at, mut block) = (table.start, 0u32);
        while at < table.end {
            let part = &mut buf[..index(READ_BYTES.min(table.end - at))];
            self.file.read_at(at, part).map_err(|error| unreadable(self.file, error))?;
            at += part.len() as u64;
            for word in part.as_chunks::<4>().0 {
                let sector = u32::from_be_bytes(*word);
                if sector != ABSENT {
                    let end = self.range(sector, block).end;
                    let found = format!("it ends at {end} of {} bytes", self.data_end);
                    let inside = end <= self.data_end;
                    self.findings.expect(inside, &rules::BLOCK_BOUNDS, format!("block {block}"), found);
                    places.push((sector, block));
                }
                block += 1;
            }
        }
        Ok(places)
    }

    /// The space of a block with its bitmap; the last one may end with the disk.
    fn range(&self, sector: u32, block: u32) -> ByteRange {
        let bitmap = (self.block / SECTOR / 8).next_multiple_of(SECTOR);
        let data = self.block.min(self.capacity - u64::from(block) * self.block);
        ByteRange::at(u64::from(sector) * SECTOR, bitmap + data)
    }

    fn overlap(&mut self, fixed: Vec<(ByteRange, &'static str)>, mut places: Vec<(u32, u32)>) {
        places.sort_unstable();
        for pair in places.windows(2) {
            if self.range(pair[0].0, pair[0].1).end > u64::from(pair[1].0) * SECTOR {
                let found = format!("it shares space with block {}", pair[1].1);
                self.findings.add(&rules::OVERLAP, format!("block {}", pair[0].1), found);
            }
        }
        let mut end = fixed.iter().map(|(range, _)| range.end).max().unwrap_or(0);
        for (range, name) in &fixed {
            let after = places.partition_point(|(sector, _)| u64::from(*sector) * SECTOR < range.end);
            if let Some(&(sector, block)) = after.checked_sub(1).map(|last| &places[last])
                && self.range(sector, block).end > range.start
            {
                let found = format!("it shares space with {name}");
                self.findings.add(&rules::OVERLAP, format!("block {block}"), found);
            }
        }
        self.structures(fixed);
        end = end.max(places.last().map_or(0, |(sector, block)| self.range(*sector, *block).end));
        let unused = self.data_end.saturating_sub(end);
        // The last block may be written whole, beyond the end of the disk.
        let found = format!("{unused} bytes behind {end}");
        self.findings.expect(unused < self.block, &rules::TRAILING, "file", found);
    }

    fn structures(&mut self, mut fixed: Vec<(ByteRange, &'static str)>) {
        fixed.sort_unstable();
        for pair in fixed.windows(2).filter(|pair| pair[0].0.end > pair[1].0.start) {
            self.findings.add(&rules::OVERLAP, pair[0].1, format!("it reaches into {}", pair[1].1));
        }
    }
}
