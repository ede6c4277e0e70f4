//! Writing a whole VHD in one pass, for conversion and restore.
//!
//! Blocks get space in ascending order; the table stays in memory (4 MiB for the largest disk) and is
//! written behind them. The footers come last, after a flush, so a file cut off earlier is no VHD.

use std::sync::Arc;

use super::bitmap::bitmap_bytes;
use super::create::{Blueprint, VhdOptions};
use super::format::{ABSENT, SECTOR};
use crate::convert::{Placed, Sink};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;
use crate::range::ByteRange;

/// A VHD being written; not readable before `finish`.
pub(crate) struct OneShot {
    file: Arc<dyn FileIo>,
    blueprint: Blueprint,
    sparse: Option<Sparse>,
}

/// What a dynamic disk has besides.
struct Sparse {
    block_bytes: u64,
    bitmap_bytes: u64,
    next_free: u64,
    /// Sector of each block.
    table: Vec<u32>,
}

impl OneShot {
    pub(crate) fn begin(file: Arc<dyn FileIo>, options: &VhdOptions) -> Result<Self> {
        let blueprint = options.blueprint();
        blueprint.check(&*file)?;
        let sparse = blueprint.block_bytes.map(|bytes| Sparse {
            block_bytes: bytes.into(),
            bitmap_bytes: bitmap_bytes(bytes.into()),
            next_free: blueprint.data_start(),
            table: vec![ABSENT; index(blueprint.blocks())],
        });
        Ok(Self { file, blueprint, sparse })
    }

    fn put(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.file.write_at(offset, data).map_err(|error| Error::io(self.file.name(), "write", error))
    }

    /// Where the data of a block lies, given space now if it has none yet.
    fn block_place(&mut self, block: u64) -> Result<u64> {
        let Some(sparse) = &mut self.sparse else { return Ok(0) };
        let entry = &mut sparse.table[index(block)];
        if *entry != ABSENT {
            return Ok(u64::from(*entry) * SECTOR + sparse.bitmap_bytes);
        }
        let place = sparse.next_free;
        let Ok(sector) = u32::try_from(place / SECTOR) else {
            let what = "its blocks need a file of more than 2 TiB, which VHD cannot have".to_owned();
            return Err(Error::BadOptions { file: self.file.name().to_owned(), what });
        };
        *entry = sector;
        sparse.next_free += sparse.bitmap_bytes + sparse.block_bytes;
        let bitmap = vec![0xff; index(sparse.bitmap_bytes)];
        self.put(place, &bitmap)?;
        Ok(place + bitmap.len() as u64)
    }
}

impl Sink for OneShot {
    fn place(&mut self, data: ByteRange) -> Result<Vec<Placed>> {
        let Some(block_bytes) = self.sparse.as_ref().map(|sparse| sparse.block_bytes) else {
            return Ok(vec![Placed { data, file_offset: data.start }]);
        };
        Placed::by_block(data, block_bytes, |block| self.block_place(block))
    }

    fn finish(&mut self) -> Result<()> {
        let end = match &self.sparse {
            Some(sparse) => {
                let mut table: Vec<u8> =
                    sparse.table.iter().flat_map(|sector| sector.to_be_bytes()).collect();
                // The rest of its last sector says absent too.
                table.resize(table.len().next_multiple_of(index(SECTOR)), 0xff);
                self.put(self.blueprint.table_offset(), &table)?;
                self.blueprint.write_header(&*self.file)?;
                sparse.next_free
            }
            None => self.blueprint.data_start(),
        };
        self.blueprint.write_footers(&*self.file, end)
    }
}
