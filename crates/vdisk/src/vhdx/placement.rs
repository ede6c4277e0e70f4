//! Whether the parts of a file lie apart from each other and inside it.
//!
//! A table that lets two blocks share space, or a block lie over the table itself, would return
//! wrong data without any error, so such a file is refused at open. A block that reaches beyond the
//! end of the file harms only who reads it: it is an error there, and at open only for a writer,
//! who would let the file grow under it.
//!
//! Blocks are compared through whichever is smaller: a sorted list of four-byte places, or one bit
//! for each MiB of the file (8 MiB for a file of 64 TiB).

use super::bat::{BlockOutcome, bitmap_offset, block_outcome, is_partial};
use super::format::{BITMAP_BLOCK_BYTES, HEADER_SECTION_BYTES};
use super::image::Image;
use super::metadata::Role;
use crate::error::{Error, Result};
use crate::number::{MIB, index};
use crate::range::ByteRange;

/// What the check learns besides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Placement {
    /// One past the last byte that any part inside the file takes.
    pub used_end: u64,
    /// Blocks marked as partially present in a file without a parent, which are read as present.
    pub partial_without_parent: u64,
    /// Sector bitmap entries that are not empty in a file without a parent.
    pub junk_bitmap_entries: u64,
    /// Present blocks and sector bitmaps that do not lie inside the file.
    pub beyond_end: u64,
}

/// Memory for comparing blocks at most, beside the table itself.
const CLAIMS_BYTES_MAX: u64 = 64 << 20;

/// A part of the file and its name for error texts.
type Part = (ByteRange, &'static str);

/// Checks every block, bitmap and region of a file against the others and the file's length.
pub(super) fn check(image: &Image, log: ByteRange) -> Result<Placement> {
    let mut found = Placement::default();
    let mut fixed = vec![(ByteRange::new(0, HEADER_SECTION_BYTES), "header section"), (log, "log")];
    fixed.extend(image.regions.all());
    fixed.retain(|(range, _)| !range.is_empty());
    let present = look_through(image, &mut fixed, &mut found);
    fixed.sort_unstable();
    for pair in fixed.windows(2) {
        if pair[0].0.end > pair[1].0.start {
            return Err(shared(image, pair[0].1, pair[1].1));
        }
    }
    found.used_end = fixed.last().map_or(0, |(range, _)| range.end);
    let mut claims = Claims::new(image, present)?;
    for block in blocks_inside(image) {
        let next = fixed.partition_point(|(range, _)| range.end <= block.start);
        if let Some((_, name)) = fixed.get(next).filter(|(range, _)| range.start < block.end) {
            return Err(shared(image, "a payload block", name));
        }
        found.used_end = found.used_end.max(block.end);
        claims.take(block);
    }
    if claims.overlap() { Err(shared(image, "one payload block", "another one")) } else { Ok(found) }
}

/// Counts what there is, and adds the sector bitmaps of a differencing file to the fixed parts. A
/// file without a parent may hold junk in their entries (QEMU before 8.0 left it), which is only
/// counted. Returns the number of blocks inside the file.
fn look_through(image: &Image, fixed: &mut Vec<Part>, found: &mut Placement) -> u64 {
    let has_parent = image.geometry.has_parent;
    let mut present = 0;
    for (at, entry) in image.bat.used() {
        match image.geometry.role_of(at) {
            Some(Role::Payload(block)) => {
                let BlockOutcome::Data { file_offset, .. } = block_outcome(entry, has_parent) else {
                    continue;
                };
                found.partial_without_parent += u64::from(!has_parent && is_partial(entry));
                let is_inside = image.holds_block(block, file_offset);
                found.beyond_end += u64::from(!is_inside);
                present += u64::from(is_inside);
            }
            Some(Role::Bitmap(_)) if has_parent => {
                let Some(offset) = bitmap_offset(entry) else { continue };
                let range = ByteRange::at(offset, BITMAP_BLOCK_BYTES);
                if range.end <= image.length() {
                    fixed.push((range, "sector bitmap"));
                } else {
                    found.beyond_end += 1;
                }
            }
            Some(Role::Bitmap(_)) => found.junk_bitmap_entries += 1,
            None => {}
        }
    }
    present
}

/// The space of each present block that lies inside the file. Entries that no reader may use are left
/// for the read.
fn blocks_inside(image: &Image) -> impl Iterator<Item = ByteRange> + '_ {
    let geometry = &image.geometry;
    image.bat.used().filter_map(move |(at, entry)| {
        let Some(Role::Payload(block)) = geometry.role_of(at) else { return None };
        match block_outcome(entry, geometry.has_parent) {
            BlockOutcome::Data { file_offset, .. } if image.holds_block(block, file_offset) => {
                Some(ByteRange::at(file_offset, geometry.block()))
            }
            _ => None,
        }
    })
}

/// The space that blocks take, and whether two of them took the same.
enum Claims {
    /// Places of blocks in MiB, and the MiB of a block.
    List(Vec<u32>, u32),
    /// A bit for each MiB of the file, and whether one was taken twice.
    Map(Vec<u64>, bool),
}

impl Claims {
    fn new(image: &Image, blocks: u64) -> Result<Self> {
        let name = image.name();
        let list_bytes = blocks.saturating_mul(4);
        // The last block may reach beyond the end of the file.
        let units = image.length().div_ceil(MIB) + image.geometry.block() / MIB;
        if list_bytes.min(units / 8) > CLAIMS_BYTES_MAX {
            return Err(Error::unsupported(name, format!("{blocks} blocks in {} bytes", image.length())));
        }
        if units / 8 < list_bytes {
            return Ok(Self::Map(vec![0; index(units.div_ceil(64))], false));
        }
        if u32::try_from(units).is_err() {
            return Err(Error::unsupported(name, "a file of more than 4 PiB"));
        }
        let block_units = image.geometry.block_bytes >> 20;
        Ok(Self::List(Vec::with_capacity(index(blocks)), block_units))
    }

    fn take(&mut self, block: ByteRange) {
        match self {
            // The file has fewer MiB than a `u32` counts, as `new` checked.
            Self::List(places, _) => places.extend(u32::try_from(block.start / MIB)),
            Self::Map(bits, twice) => {
                for unit in block.start / MIB..block.end / MIB {
                    let (word, bit) = (&mut bits[index(unit / 64)], 1 << (unit % 64));
                    *twice |= *word & bit != 0;
                    *word |= bit;
                }
            }
        }
    }

    fn overlap(self) -> bool {
        match self {
            Self::List(mut places, units) => {
                places.sort_unstable();
                places.windows(2).any(|pair| pair[1] - pair[0] < units)
            }
            Self::Map(_, twice) => twice,
        }
    }
}

fn shared(image: &Image, one: &str, other: &str) -> Error {
    Error::damaged(image.name(), format!("{one} and {other} share space"))
}
