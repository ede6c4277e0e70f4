//! Giving a dynamic VHD a larger size.
//!
//! What the new size needs is prepared where the old one does not look: a new block table goes behind the
//! last block, and the end of the last block is cleared. The header then names the new table in one
//! sector, with the old size still in force. At last the footers tell the new size, the one at the end
//! first, because that one counts; each is one sector. A cut leaves the old size or the new one.
//!
//! Other VHDs keep their size. A fixed one has no second footer that would hold while the one at its end
//! moves. A differencing one has its parent's size, as Windows has it. None becomes smaller, as on Windows.

use std::sync::Arc;

use zerocopy::IntoBytes;

use super::chs::Chs;
use super::create::{CAPACITY_MAX, CREATOR_APP};
use super::format::{ABSENT, FOOTER_BYTES, Footer, SECTOR};
use super::image::{VhdImage, read_header};
use super::write::VhdWriter;
use crate::chain::Chain;
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::number::{MIB, align_up, index};
use crate::range::ByteRange;
use crate::vhdx::DiskKind;

/// Bytes of the table written at a time.
const STEP_BYTES: u64 = MIB;

impl VhdWriter {
    /// Gives a dynamic disk a larger size, a multiple of 512 and at most 2040 GiB. What is added reads as
    /// zeros. No view of this writer may be alive, and children that were made over the disk no longer fit
    /// it.
    pub fn resize(&mut self, capacity: u64) -> Result<()> {
        self.check_no_readers()?;
        if capacity == self.capacity() {
            return Ok(());
        }
        if let Some(why) = self.why_not(capacity) {
            return Err(Error::NotResized { file: self.image.name().to_owned(), why: why.to_owned() });
        }
        self.flush()?;
        self.prepare()?;
        self.clear_end_of_last_block()?;
        let outcome = self.move_table(capacity).and_then(|()| self.tell_size(capacity));
        // Nobody knows then which table and size count; opening the file again tells.
        self.failed |= outcome.is_err();
        outcome
    }

    fn why_not(&self, capacity: u64) -> Option<&'static str> {
        let is_possible = capacity.is_multiple_of(SECTOR) && capacity <= CAPACITY_MAX;
        match self.image.kind() {
            DiskKind::Fixed => {
                Some("a power cut could leave a fixed VHD without its only footer; convert it")
            }
            DiskKind::Differencing => Some("a differencing VHD has the size of its parent"),
            DiskKind::Dynamic if capacity < self.capacity() => {
                Some("a VHD cannot become smaller; convert it")
            }
            DiskKind::Dynamic if !is_possible => {
                Some("a VHD has whole sectors, and at most 2040 GiB of them")
            }
            DiskKind::Dynamic => None,
        }
    }

    /// Bytes of the last block beyond the end of the disk may hold anything, or not be in the file; they
    /// become visible.
    fn clear_end_of_last_block(&mut self) -> Result<()> {
        let image = Arc::clone(&self.image);
        let Some(sparse) = &image.sparse else { return Ok(()) };
        let block = sparse.bat.len() - 1;
        let Some(bitmap_offset) = sparse.bat.offset(block) else { return Ok(()) };
        let data = bitmap_offset + sparse.bitmap_bytes;
        let rest =
            ByteRange::new(data + image.block_range(block).len(), data + u64::from(sparse.block_bytes));
        let others = sparse.bat.present().map(|(_, sector)| u64::from(sector) * SECTOR);
        let mut starts = others.chain(self.fixed_parts()?.into_iter().map(|range| range.start));
        if starts.any(|start| rest.start <= start && start < rest.end) {
            let why = "its last block has no room to grow; convert it".to_owned();
            return Err(Error::NotResized { file: image.name().to_owned(), why });
        }
        if rest.end > self.next_free {
            self.next_free = align_up(rest.end, SECTOR);
            self.grow_file()?;
        }
        self.write_payload(rest.start, rest.len(), None)?;
        self.flush()
    }

    /// Writes the table that the new size needs to the end of the file, and has the header name it.
    fn move_table(&mut self, capacity: u64) -> Result<()> {
        let image = Arc::clone(&self.image);
        let Some(sparse) = &image.sparse else { return Ok(()) };
        let (file, entries) = (&image.file, capacity.div_ceil(sparse.block_bytes.into()));
        let length = file.len().map_err(|error| Error::io(file.name(), "read the length of", error))?;
        let (place, mut header) = read_header(&**file, &image.footer, length)?;
        let offset = self.next_free;
        let bytes = align_up(entries * 4, SECTOR);
        self.next_free += bytes;
        self.grow_file()?;
        for start in (0..bytes).step_by(index(STEP_BYTES)) {
            let length = STEP_BYTES.min(bytes - start);
            let old = (start / 4).min(sparse.bat.len())..((start + length) / 4).min(sparse.bat.len());
            let mut piece = sparse.bat.to_bytes(old);
            piece.resize(index(length), ABSENT.to_be_bytes()[0]);
            self.write_file(offset + start, &piece)?;
        }
        self.flush()?;
        header.table_offset = offset.into();
        header.max_table_entries = u32::try_from(entries).unwrap_or(u32::MAX).into();
        // All that changes lies in the first sector.
        self.write_file(place, &header.sealed().as_bytes()[..index(SECTOR)])?;
        self.flush()
    }

    /// Writes the footers with the new size, and reads the file again as it is now.
    fn tell_size(&mut self, capacity: u64) -> Result<()> {
        let geometry = Chs::for_capacity(capacity);
        let footer = Footer {
            current_size: capacity.into(),
            cylinders: geometry.cylinders.into(),
            heads: geometry.heads,
            sectors: geometry.sectors,
            // Of other programs' disks the geometry may tell the size, which it can only round.
            creator_app: CREATOR_APP,
            ..self.image.footer
        };
        let footer = footer.sealed();
        for place in [self.next_free, 0] {
            self.write_footer(place, &footer)?;
            self.flush()?;
        }
        let image = Arc::new(VhdImage::open(Arc::clone(&self.image.file))?);
        let parents = self.chain.layers[1..].to_vec();
        let layers = std::iter::once(Layer::Vhd(Arc::clone(&image))).chain(parents).collect();
        self.next_free = align_up(image.data_end, SECTOR);
        debug_assert_eq!(image.data_end % FOOTER_BYTES, 0);
        self.chain = Arc::new(Chain { layers });
        self.image = image;
        Ok(())
    }
}
